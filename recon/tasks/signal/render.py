"""A learned signal rendered anew: its values on another grid over the same extent, or derivatives of a picture; files.

Where the grid is finer than the signal's, it holds what the field says at the centres of its cells. Where it is
coarser, it holds what is left of the signal's own: pixels are means over their areas, a film has some of its frames,
and a sound has lost what its rate can't hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from PIL import Image

from recon.files import writing
from recon.rendering.picture import contact_sheet, diverging_colors, write_png
from recon.signals.resample import shrunk, slowed
from recon.signals.signal import Signal
from recon.signals.write import write_signal
from recon.tasks.bench import Say
from recon.tasks.signal.derivatives import Slopes, Way, slopes_of_field, slopes_of_picture
from recon.tasks.signal.fitted import Fitted, told
from recon.tasks.signal.target import Target

What = Literal["values", "gradient", "laplacian"]
WHATS: tuple[What, ...] = ("values", "gradient", "laplacian")
BRIGHTEST = 0.99
"""Share of the truth's derivatives that colours tell apart; the largest ones are few, and would darken all others."""
LEAST = 256
"""Pixels along the longer side of a panel about at least: small ones are enlarged by a whole factor."""


def render_values(fitted: Fitted, target: Target, folder: Path, say: Say) -> Path:
    """Writes the field's values on the target's grid in the signal's own format."""
    signal = fitted.signal
    parts = told(fitted.outputs(target.grid, target.frames), math.prod(target.seen), say)
    if target.seen == target.shape:  # no more of it as floats than needs be
        made = np.empty((*target.shape, signal.channels), signal.values.dtype)
        flat = made.reshape(-1, signal.channels)
        for part, found in parts:
            flat[part] = signal.denormalised(fitted.normalised(found.cpu().numpy()))
    else:
        fine = np.empty((*target.seen, signal.channels), np.float32)
        flat = fine.reshape(-1, signal.channels)
        for part, found in parts:
            flat[part] = fitted.normalised(found.cpu().numpy())
        made = _coarser(signal, fine, target.shape)
    return write_signal(folder / f"render_{target.name}", made, replace(signal, rate=target.rate))


def render_slopes(
    fitted: Fitted, target: Target, whats: Iterable[What], folder: Path, say: Say
) -> dict[What, dict[str, Any]]:
    """Writes a picture of each derivative, the truth's and the field's side by side; says how they compare."""
    true, found = slopes_of_picture(fitted.signal), {}
    for what in whats:
        height, width = target.shape
        own, way = slopes_of_field(fitted, (height, width), 1 if what == "gradient" else 2, say)
        path = folder / f"render_{what}_{target.name}.png"
        with writing(path):
            folder.mkdir(parents=True, exist_ok=True)
        facts, sheet = _compared(what, true, own, way, (height, width))
        write_png(path, sheet)
        found[what] = {"file": str(path), **facts}
    return found


def _coarser(
    signal: Signal, fine: Float[np.ndarray, "*seen c"], shape: tuple[int, ...]
) -> Shaped[np.ndarray, "*shape c"]:
    """Normalised values on a grid as stored ones on a coarser grid."""
    if signal.kind == "sound":
        return signal.denormalised(slowed(fine, shape[0]))
    height, width = shape[-2:]
    pictures = fine if signal.kind == "video" else fine[None]
    made = np.stack([signal.denormalised(shrunk(picture, height, width)) for picture in pictures])
    return made if signal.kind == "video" else made[0]


# -- pictures of derivatives ------------------------------------------------------------------------------------------


def _compared(
    what: What, true: Slopes, own: Slopes, way: Way, shape: tuple[int, int]
) -> tuple[dict[str, Any], UInt8[np.ndarray, "_ _ 3"]]:
    """Facts, and both as colours of one scale, the truth's, and of one size."""
    a, b = (_shown(what, slopes) for slopes in (true, own))
    limit = float(np.quantile(np.abs(a), BRIGHTEST)) or float(np.abs(a).max()) or float(np.abs(b).max()) or 1.0
    facts = {
        "method": way.method,
        "why": way.why or None,
        "limit": limit,
        "correlation": _correlation(a, b) if a.shape == b.shape else None,
        "definition": _DEFINITIONS[what],
    }
    panels = [_sized(_coloured(what, values, limit), shape) for values in (a, b)]
    return facts, contact_sheet(panels, 2, ["truth", "field" if way.method == "autograd" else "field, by differences"])


_DEFINITIONS: dict[What, str] = {
    "gradient": "length of the gradient of the mean of the colours in [0, 1], per pixel of the signal; the truth's by"
    " central differences. Black is 0, white `limit` or more (99 % of the truth lie below)",
    "laplacian": "Laplacian of the mean of the colours in [0, 1], per pixel of the signal squared; the truth's by"
    " central differences. Red is positive, blue negative, the deepest at `limit` (99 % of the truth lie within)",
}


def _shown(what: What, slopes: Slopes) -> Float[np.ndarray, "h w"]:
    if what == "laplacian":
        return slopes.laplacian
    return np.hypot(slopes.gradient[..., 0], slopes.gradient[..., 1])


def _coloured(what: What, values: Float[np.ndarray, "h w"], limit: float) -> UInt8[np.ndarray, "h w 3"]:
    """A Laplacian from blue over white to red. Of a gradient its length alone, as light on black: that shows edges as
    people know them, where SIREN's figures also turn its direction into a hue, which nobody reads without a legend."""
    if what == "laplacian":
        return diverging_colors(values.ravel(), limit).reshape(*values.shape, 3)
    grey = (np.clip(values / limit, 0, 1) * 255).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _sized(picture: UInt8[np.ndarray, "h w 3"], shape: tuple[int, int]) -> UInt8[np.ndarray, "a b 3"]:
    """In a size, or of a small one in a multiple; pixels stay as they are where there is room."""
    height, width = (side * max(1, LEAST // max(shape)) for side in shape)
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BOX))


def _size(values: Shaped[np.ndarray, "h w"]) -> float:
    """Root of the mean square."""
    return math.sqrt(float(np.square(values, dtype=np.float64).mean()))


def _correlation(a: Float[np.ndarray, "h w"], b: Float[np.ndarray, "h w"]) -> float | None:
    """Pearson's; none where one of both is constant, or no number."""
    a, b = a - a.mean(dtype=np.float64), b - b.mean(dtype=np.float64)
    size = _size(a) * _size(b)
    return float((a * b).mean()) / size if size and math.isfinite(size) else None
