"""What a signal run shows: truth, reconstruction and error as the papers' figures have them, and experts in colours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from matplotlib.figure import Figure

from recon.metrics.signal import Normalise
from recon.rendering.depth_picture import colour_picture, error_heat
from recon.rendering.picture import categorical_colors, contact_sheet, write_png
from recon.scenes.images import shrink
from recon.tasks.signal.fitted import Fitted

SIDE = 1024
"""Pixels along the longer side of a picture, at most."""
FRAMES = 4
"""Of a film, spread over it."""
LEAST = 256
"""Pixels along the longer side of a picture at least, where whole pixels can be enlarged."""
BAND = 1 << 19
"""Pixels of the large picture that are made small at a time."""
WINDOW = 512
"""Samples of a spectrogram's window."""


def draw(fitted: Fitted, pred: Float[np.ndarray, "*shape c"], folder: Path) -> dict[str, str]:
    """Pictures of what was learned (normalised values on the signal's grid); their names and files."""
    folder.mkdir(exist_ok=True)
    signal = fitted.signal
    found: dict[str, str] = {}
    if signal.kind == "sound":
        true = signal.normalised()
        names = {"wave": _wave(fitted, pred, true), "spectrogram": _spectrogram(pred, true, signal.rate)}
        for name, figure in names.items():
            figure.savefig(folder / f"{name}.png", dpi=110)
            found[name] = f"images/{name}.png"
        return found
    frames = _spread(len(pred)) if signal.kind == "video" else [None]
    panels: list[UInt8[np.ndarray, "h w 3"]] = []
    for frame in frames:
        stored, learned = (x if frame is None else x[frame] for x in (signal.values, pred))
        panels += _compared(stored, learned, signal.normalised)
    labels = ["truth", "reconstruction", "error"] * len(frames)
    write_png(folder / "compare.png", contact_sheet(panels, 3, labels))
    found["compare"] = "images/compare.png"
    parts = fitted.parts()
    if parts:
        name = parts[0].kind
        shape = _shown_shape(signal.shape[-2:])
        sheets = [_labelled(fitted, part, (1, *shape) if signal.kind == "video" else shape) for part in parts]
        write_png(folder / f"{name}.png", contact_sheet(sheets, 3, [part.title for part in parts]))
        found[name] = f"images/{name}.png"
    return found


def as_rgb(values: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w 3"]:
    """One to four channels as a person sees them: grey as it is, alpha on white."""
    channels = values.shape[2]
    colour = values[..., : 1 if channels <= 2 else 3]
    if channels in (2, 4):
        alpha = values[..., -1:]
        colour = colour * alpha + 1 - alpha
    return np.array(np.broadcast_to(colour, (*colour.shape[:2], 3)), np.float32)


def _compared(
    stored: Shaped[np.ndarray, "h w c"], pred: Float[np.ndarray, "h w c"], normalise: Normalise
) -> list[UInt8[np.ndarray, "a b 3"]]:
    """Truth, reconstruction and error. Large ones are made small band by band: whole, they took 7 GiB."""
    factor = -(-max(pred.shape[:2]) // SIDE)
    rows = factor * max(1, BAND // (factor * pred.shape[1]))
    # Made at once: small arrays that outlive large ones keep glibc from using their room again (0.7 GiB).
    panels = [np.empty((len(pred) // factor, pred.shape[1] // factor, 3), np.uint8) for _ in range(3)]
    for start in range(0, len(pred), rows):
        part, to = slice(start, start + rows), slice(start // factor, (start + rows) // factor)
        a, b = (torch.from_numpy(as_rgb(x)) for x in (normalise(stored[part]), pred[part]))
        for panel, shown in zip(panels, (colour_picture(a), colour_picture(b), error_heat(b, a)), strict=True):
            panel[to] = shrink(shown, factor)
    return [_enlarged(panel) for panel in panels]


def _enlarged(picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "a b 3"]:
    """By whole pixels, where it is very small."""
    factor = max(1, LEAST // max(picture.shape[:2]))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _shown_shape(shape: Sequence[int]) -> tuple[int, int]:
    factor = min(1.0, 512 / max(shape))
    height, width = (max(1, round(side * factor)) for side in shape)
    return height, width


def _labelled(fitted: Fitted, part, shape: Sequence[int]) -> UInt8[np.ndarray, "a b 3"]:
    labels = fitted.labels(part, shape).reshape(shape[-2:])
    colours = categorical_colors(labels.ravel(), part.count).reshape(*labels.shape, 3)
    return _enlarged(np.ascontiguousarray(colours))


def _spread(count: int) -> list[int]:
    most = min(FRAMES, count)
    return [round(index * (count - 1) / max(1, most - 1)) for index in range(most)]


# -- sound ------------------------------------------------------------------------------------------------------------


def _wave(fitted: Fitted, pred: Float[np.ndarray, "n c"], true: Float[np.ndarray, "n c"]) -> Figure:
    """The first channel: truth, reconstruction and error on one scale, and the part that serves each moment."""
    figure = Figure(figsize=(10, 6), layout="constrained")
    seconds = (np.arange(len(true)) + 0.5) / (fitted.signal.rate or 1.0)
    rows = {"truth": true[:, 0], "reconstruction": pred[:, 0], "error": pred[:, 0] - true[:, 0]}
    axes = figure.subplots(3, 1, sharex=True, sharey=True)
    parts = [part for part in fitted.parts() if part.kind == "experts"]
    for axis, (title, values) in zip(axes, rows.items(), strict=True):
        low, high, at = _envelope(values, seconds)
        axis.fill_between(at, low, high, color="#4c72b0", linewidth=0.5, edgecolor="#4c72b0")
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_ylim(-1.05, 1.05)
    if parts:
        labels = fitted.labels(parts[0], (1000,))
        colours = categorical_colors(labels, parts[0].count)[None]
        axes[1].imshow(colours, extent=(0, float(seconds[-1]), -1.05, -0.95), aspect="auto")
    axes[2].set_xlabel("seconds" if fitted.signal.rate else "samples")
    return figure


def _envelope(values: Float[np.ndarray, " n"], seconds: Float[np.ndarray, " n"], most: int = 2000):
    """Lowest and highest value of each of at most so many stretches: a plot of millions of samples would be heavy."""
    step = -(-len(values) // most)
    starts = np.arange(0, len(values), step)
    return np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts), seconds[starts]


def _spectrogram(pred: Float[np.ndarray, "n c"], true: Float[np.ndarray, "n c"], rate: float) -> Figure:
    """Power over time and frequency of the first channel, of both on one scale."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    window = min(WINDOW, len(true))
    for axis, (title, values) in zip(axes, {"truth": true, "reconstruction": pred}.items(), strict=True):
        power = _power(values[:, 0], window)
        extent = (0.0, len(true) / (rate or 1.0), 0.0, (rate or 1.0) / 2)
        axis.imshow(power, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=-100, vmax=0)
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_ylabel("Hz" if rate else "cycles a sample")
    axes[-1].set_xlabel("seconds" if rate else "samples")
    return figure


def _power(values: Float[np.ndarray, " n"], window: int) -> Float[np.ndarray, "f t"]:
    """Decibels of short-time power, relative to a full-scale sine."""
    hop = max(1, window // 4, len(values) // 2000)
    starts = np.arange(0, max(1, len(values) - window + 1), hop)
    shape = np.hanning(window + 2)[1:-1]
    rows = np.stack([values[start : start + window] for start in starts]) * shape
    power = np.square(np.abs(np.fft.rfft(rows, axis=1)) * 2 / shape.sum())
    return 10 * np.log10(np.maximum(power, 1e-12)).T
