"""A part of a signal, or a smaller one: fewer pixels, the middle square, the first seconds, one channel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Shaped
from PIL import Image

from recon.signals.signal import BadSignal, Signal


@dataclass(frozen=True)
class Preparation:
    """What is taken of a signal before it is learned."""

    downscale: int = 1
    """Pictures, films: the side of the square of pixels that becomes one (Lanczos)."""
    square: bool = False
    """Pictures, films: the square in the middle alone."""
    seconds: float | None = None
    """Sounds, films: the first so many seconds."""
    mono: bool = False
    """Sounds: the mean of all channels."""

    def __post_init__(self) -> None:
        if self.downscale < 1:
            raise ValueError(f"--downscale must be 1 or more, got {self.downscale}")
        if self.seconds is not None and not 0 < self.seconds < float("inf"):
            raise ValueError(f"--seconds must be positive, got {self.seconds:g}")


def prepared(signal: Signal, how: Preparation) -> Signal:
    """The part that is asked for. BadSignal where this kind of signal has none such."""
    sound = signal.kind == "sound"
    if sound and (how.downscale > 1 or how.square):
        raise BadSignal(f"--downscale and --square are for pictures and films; {signal.name} is a sound")
    if not sound and how.mono:
        raise BadSignal(f"--mono is for sounds; {signal.name} is one of the kind {signal.kind}")
    if signal.kind == "image" and how.seconds is not None:
        raise BadSignal(f"--seconds is for sounds and films; {signal.name} is a picture")
    values, notes = signal.values, []
    if how.seconds is not None:
        count = max(1, round(min(how.seconds * signal.rate, len(values))))
        if count < len(values):
            notes.append(f"the first {count / signal.rate:g} of {len(values) / signal.rate:.4g} seconds")
            values = values[:count]
    if how.mono and values.shape[-1] > 1:
        notes.append(f"the mean of {values.shape[-1]} channels")
        values = values.mean(axis=-1, keepdims=True, dtype=np.float64).astype(np.float32)
    if how.downscale > 1:
        values = _smaller(values, how.downscale)
        notes.append(f"1 of {how.downscale} pixels along each side")
    if how.square:
        side = min(values.shape[-3:-1])
        top, left = ((size - side) // 2 for size in values.shape[-3:-1])
        values = values[..., top : top + side, left : left + side, :]
        notes.append("the middle square")
    if not notes:
        return signal
    return replace(signal, values=np.ascontiguousarray(values), notes=(*signal.notes, *notes))


def _smaller(values: Shaped[np.ndarray, "*t h w c"], factor: int) -> Shaped[np.ndarray, "*t a b c"]:
    """Pictures with 1/factor of the rows and columns, by Pillow's Lanczos window, each channel in floats.

    Colours count as much as they are opaque; nothing leaves the range of the numbers, or of a float picture's own."""
    height, width = (side // factor for side in values.shape[-3:-1])
    if min(height, width) < 1:
        raise BadSignal(f"--downscale {factor} leaves nothing of {values.shape[-2]} x {values.shape[-3]} pixels")
    frames, channels = values.reshape(-1, *values.shape[-3:]), values.shape[-1]
    found = np.empty((len(frames), height, width, channels), np.float32)
    for frame, out in zip(frames, found, strict=True):
        alpha = frame[..., -1].astype(np.float32) if channels in (2, 4) else None
        weight = None if alpha is None else np.maximum(_shrunk(alpha, height, width), 0)
        for channel in range(channels):
            plane = frame[..., channel].astype(np.float32)
            if alpha is None or weight is None or channel == channels - 1:
                out[..., channel] = _shrunk(plane, height, width)
                continue
            mixed, plain = _shrunk(plane * alpha, height, width), _shrunk(plane, height, width)
            out[..., channel] = np.where(weight > 1e-6 * alpha.max(), mixed / np.maximum(weight, 1e-30), plain)
    if values.dtype == np.float32:
        found = found.clip(values.min(), values.max())
    else:
        found = np.rint(found.clip(0, np.iinfo(values.dtype).max)).astype(values.dtype)
    return found.reshape(*values.shape[:-3], height, width, channels)


def _shrunk(plane: Float32[np.ndarray, "h w"], height: int, width: int) -> Float32[np.ndarray, "a b"]:
    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.LANCZOS))
