"""Arrays and Pillow's pictures to signals, written back in formats that keep every bit: PNG, EXR, WAV of floats.

A film becomes a folder of such pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from recon.signals.image import from_pillow
from recon.signals.signal import AXES, CHANNELS, BadSignal, Kind, Signal

MEMORY = "memory"
"""The source of what came from no file."""
_MOST_RATE = 2**31 - 1
"""Of a sound: what libsndfile counts to."""


def from_array(values: np.ndarray, kind: Kind, rate: float = 0.0, name: str = "") -> Signal:
    """A copy of an array as a signal: an image [h w] or [h w c], a sound [n] or [n c], a video [t h w c].

    uint8 and uint16 stay what they are, floats become 32-bit ones. BadSignal (a ValueError) where it is none."""
    _check_rate(kind, rate)
    axes = AXES[kind].split()
    if values.ndim == len(axes) - 1 and kind != "video":  # of a grey film [t h w] can't be told from a picture [h w c]
        values = values[..., None]
    if values.ndim == len(axes) and values.shape[-1] > CHANNELS[kind]:
        raise BadSignal(
            f"{values.shape[-1]:,} channels are more than the {CHANNELS[kind]} that a signal of kind {kind} may have; "
            f"its axes are [{AXES[kind]}]: np.moveaxis brings channels to the end"
        )
    stored = _stored(values, kind)
    if kind == "sound":
        suffix, subtype = ".wav", "FLOAT"
    else:
        suffix, subtype = ".exr" if stored.dtype == np.float32 else ".png", "folder" if kind == "video" else ""
    return Signal(name or kind, kind, stored, suffix, rate, MEMORY, stored.nbytes, subtype=subtype)


def from_picture(picture: Image.Image) -> Signal:
    """A picture that Pillow holds, as a file of it would be read: upright, palettes expanded, alpha kept."""
    values, notes = from_pillow(picture)
    name = Path(str(getattr(picture, "filename", ""))).stem or "image"
    return Signal(name, "image", values, ".png", 0.0, MEMORY, values.nbytes, tuple(notes))


def _check_rate(kind: Kind, rate: float) -> None:
    if kind == "image" and rate:
        raise BadSignal(f"an image has no rate, got {rate:g}")
    if kind == "sound" and not 1 <= rate <= _MOST_RATE:
        raise BadSignal(f"a sound needs its rate, 1 sample a second or more, got {rate:g}")
    if kind == "video" and not rate > 0:
        raise BadSignal(f"a video needs its rate, frames a second above 0, got {rate:g}")


def _stored(values: np.ndarray, kind: Kind) -> np.ndarray:
    """A copy in the numbers that signals have: the caller may go on to write into the array."""
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what 32 bits can't hold becomes infinite, and is refused as that
            return np.array(values, np.float32, order="C")
    if kind == "sound":
        raise BadSignal(f"samples of a sound are floats, got {values.dtype}; divide by the loudest (32768 for int16)")
    if values.dtype.name not in ("uint8", "uint16"):
        raise BadSignal(f"values of {kind}s are uint8, uint16 or floats, got {values.dtype}; see numpy's astype")
    return np.array(values, values.dtype.newbyteorder("="), order="C")
