"""A signal: values on a regular grid as its file stores them, and the way to normalised numbers and back."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32, Shaped

Kind = Literal["image", "sound", "video"]
KINDS: tuple[Kind, ...] = get_args(Kind)
AXES: dict[Kind, str] = {"image": "h w c", "sound": "n c", "video": "t h w c"}
"""Axes of the values; all but the last span the grid."""
CHANNELS: dict[Kind, int] = {"image": 4, "sound": 8, "video": 4}
"""Most channels."""
DTYPES: dict[Kind, tuple[str, ...]] = {
    "image": ("uint8", "uint16", "float32"),
    "sound": ("float32",),
    "video": ("uint8", "uint16", "float32"),
}
BAND = 1 << 22
"""Values that are turned at a time: copies of a whole picture of 8192 x 8192 in floats take 0.75 GiB each."""


class BadSignal(ValueError):
    """What was given is no signal, or none that can be held."""


@dataclass(frozen=True, eq=False)
class Signal:
    """An image [h w c], a sound [n c] or a video [t h w c], checked: not empty, and every value finite."""

    name: str
    """Stem of the file, or name of the folder."""
    kind: Kind
    values: np.ndarray
    """As stored: uint8, uint16 or float32."""
    suffix: str
    """Of the file's format, in lower case; for a folder of frames that of the frames."""
    rate: float = 0.0
    """Samples or frames a second; 0 for an image."""
    source: str = ""
    """Path as text."""
    source_bytes: int = 0
    """Size of the file, or of all frames; of what came from memory, that of its numbers there."""
    notes: tuple[str, ...] = ()
    """What a person should know of how the file was read."""
    subtype: str = ""
    """Of a sound, how its file stores numbers ("PCM_16"); "folder" for a folder of frames."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadSignal(f"a signal is one of {', '.join(KINDS)}, got {self.kind!r}")
        check_values(self.kind, self.values)
        if not (math.isfinite(self.rate) and self.rate >= 0) or (self.rate == 0 and self.kind != "image"):
            raise BadSignal(f"a {self.kind} with a rate of {self.rate:g} a second; it must be positive and finite")

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the grid, without channels."""
        return self.values.shape[:-1]

    @property
    def channels(self) -> int:
        """Numbers at each point of the grid."""
        return self.values.shape[-1]

    @cached_property
    def scale(self) -> float:
        """What values are divided by: the largest integer; a float image's maximum if above 1; a sound's peak."""
        if self.values.dtype != np.float32:
            return float(np.iinfo(self.values.dtype).max)
        highest = float(self.values.max())
        if self.kind == "sound":
            return max(highest, -float(self.values.min())) or 1.0
        return max(highest, 1.0)

    def normalised(self, part: np.ndarray | None = None) -> Float32[np.ndarray, "*shape c"]:
        """Values of images and videos in [0, 1], but for a float image's negative ones; of sounds in [-1, 1].

        Of all, or of a part as it is stored."""
        return np.divide(self.values if part is None else part, np.float32(self.scale), dtype=np.float32)

    def denormalised(self, x: Float32[np.ndarray, "*shape c"]) -> Shaped[np.ndarray, "*shape c"]:
        """The way back: rounded and clipped to what the file can store; sounds clipped to their peak; NaN becomes 0."""
        found = np.empty(x.shape, self.values.dtype)
        for rows in bands(x):
            found[rows] = self._denormalised(x[rows])
        return found

    def _denormalised(self, x: Float32[np.ndarray, "*shape c"]) -> Float32[np.ndarray, "*shape c"]:
        x = np.nan_to_num(np.asarray(x, np.float32), nan=0.0, posinf=1.0, neginf=-1.0 if self.kind == "sound" else 0.0)
        if self.values.dtype != np.float32:
            scaled = np.clip(x, 0, 1) * np.float32(self.scale)
            return np.rint(scaled, out=scaled)
        if self.kind == "sound":
            np.clip(x, -1, 1, out=x)
        return np.multiply(x, np.float32(self.scale), dtype=np.float32)

    def content_hash(self) -> str:
        """SHA-256 of what the signal is: kind, sizes, kind of numbers and the numbers; not of its name or source."""
        digest = hashlib.sha256(f"{self.kind} {self.values.shape} {self.values.dtype.name}\0".encode())
        little = self.values.astype(self.values.dtype.newbyteorder("<"), copy=False)
        digest.update(np.ascontiguousarray(little).data)
        return digest.hexdigest()


def bands(values: np.ndarray, most: int = 0) -> Iterator[slice]:
    """Parts of the first axis that hold `most` values at most (BAND by default), or a single row."""
    step = max(1, (most or BAND) * len(values) // max(1, values.size))
    return (slice(start, start + step) for start in range(0, len(values), step))


def check_values(kind: Kind, values: np.ndarray) -> None:
    """ValueError where an array is no signal of this kind."""
    if values.ndim != len(AXES[kind].split()):
        raise BadSignal(f"values of a {kind} have the axes [{AXES[kind]}], got the shape {values.shape}")
    if values.dtype.name not in DTYPES[kind]:
        raise BadSignal(f"values of a {kind} are {' or '.join(DTYPES[kind])}, got {values.dtype}")
    if values.size == 0:
        raise BadSignal(f"the {kind} is empty: its shape is {values.shape}")
    if values.shape[-1] > CHANNELS[kind]:
        raise BadSignal(f"{values.shape[-1]} channels are more than the {CHANNELS[kind]} that a {kind} may have")
    # least and greatest are NaN where any value is, and take no memory
    if values.dtype == np.float32 and not np.isfinite([values.min(), values.max()]).all():
        bad = sum(int((~np.isfinite(part)).sum()) for part in values)
        what = "samples" if kind == "sound" else "values"
        raise BadSignal(f"{bad:,} of {values.size:,} {what} are NaN or infinite; replace them first")
