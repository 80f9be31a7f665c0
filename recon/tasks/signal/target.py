"""What a learned signal is rendered to: a grid over the same extent, and the rate at which that is played."""

from __future__ import annotations

import math
from dataclasses import dataclass

from recon import memory
from recon.signals import headers, sound, video
from recon.signals.kinds import BY_SUFFIX
from recon.signals.signal import Signal

MOST = {"image": headers.MOST_PIXELS, "sound": sound.MOST_SAMPLES, "video": video.MOST_PIXELS}
"""Pixels, samples of all channels, or pixels of all frames: as many as are read."""
MOST_SLOPES = 2**24
"""Pixels of a picture's derivatives, which are kept as floats."""
COPIES = 5
"""What is written is held so many times at most: as values, by what encodes them, and encoded."""
FLOATS = 24
"""Bytes of each number that is evaluated for a coarser grid, at most: as a float, and in sums as doubles."""


@dataclass(frozen=True)
class Target:
    """A grid, and the signal's own."""

    own: tuple[int, ...]
    shape: tuple[int, ...]
    rate: float
    """Samples or frames a second; 0 for a picture."""

    @property
    def name(self) -> str:
        """For files."""
        if len(self.shape) == 1:
            return f"{self.rate:.0f}hz"
        *frames, height, width = self.shape
        return f"{width}x{height}{f'_{frames[0]}frames' if frames else ''}"

    @property
    def text(self) -> str:
        """For people."""
        if len(self.shape) == 1:
            return f"{self.shape[0]:,} samples at {self.rate:,.0f} Hz"
        *frames, height, width = self.shape
        return f"{width}x{height}" + (f", {frames[0]:,} frames at {self.rate:.4g} a second" if frames else "")

    @property
    def finer(self) -> list[int]:
        """Axes along which it has more than the signal."""
        return [axis for axis, (new, own) in enumerate(zip(self.shape, self.own, strict=True)) if new > own]

    @property
    def grid(self) -> tuple[int, ...]:
        """Where the field is evaluated: along no axis coarser than what it learned, for of that it knows more."""
        return tuple(map(max, self.own, self.shape))

    @property
    def frames(self) -> list[int] | None:
        """Of a film with fewer frames, those of its own that are there in the middle of each; else all of them."""
        own, new = self.own[0], self.shape[0]
        fewer = len(self.own) == 3 and new < own
        return [(2 * frame + 1) * own // (2 * new) for frame in range(new)] if fewer else None

    @property
    def seen(self) -> tuple[int, ...]:
        """Sizes of what is evaluated."""
        return self.grid if self.frames is None else (self.shape[0], *self.grid[1:])


def target_of(
    signal: Signal, size: tuple[int, int] | None = None, frames: int | None = None, rate: int | None = None
) -> Target:
    """The signal's own grid but for what is given: width and height, number of frames, samples a second. A film lasts
    as long as it did. ValueError for what the format, or a machine, can't hold."""
    own = signal.shape
    if frames is not None and frames < 1:
        raise ValueError(f"--frames must be at least 1, got {frames}")
    if signal.kind == "sound":
        target = _at_rate(signal, rate)
    elif signal.kind == "image":
        target = Target(own, (size[1], size[0]) if size else own, 0.0)
    else:
        count = own[0] if frames is None else frames
        target = Target(own, (count, *((size[1], size[0]) if size else own[1:])), signal.rate * count / own[0])
    _check(signal, target)
    return target


def check_slopes(target: Target) -> None:
    """ValueError for a grid, or a picture, whose derivatives would fill the memory."""
    for shape, whose in ((target.own, "the picture"), (target.shape, "--size")):
        if (pixels := math.prod(shape)) > MOST_SLOPES:
            raise ValueError(f"derivatives of at most {MOST_SLOPES:,} pixels are drawn; {whose} has {pixels:,}")


def _at_rate(signal: Signal, rate: int | None) -> Target:
    if rate is None:
        return Target(signal.shape, signal.shape, signal.rate)
    sound.check_rate(rate, BY_SUFFIX[signal.suffix], signal.subtype)
    count = round(signal.shape[0] * rate / signal.rate)
    if count < 1:
        seconds = signal.shape[0] / signal.rate
        raise ValueError(f"--rate {rate} leaves nothing of a sound of {seconds:.3g} s; give at least {1 / seconds:.3g}")
    return Target(signal.shape, (count,), float(rate))


def _check(signal: Signal, target: Target) -> None:
    """ValueError for nothing, for more than is read again, and for more than this machine's memory."""
    numbers = math.prod(target.shape) * (signal.channels if signal.kind == "sound" else 1)
    what = {"image": "pixels", "sound": "samples", "video": "pixels of all frames"}[signal.kind]
    if not (min(target.shape) > 0 and numbers <= MOST[signal.kind]):
        raise ValueError(f"{target.name} has {numbers:,} {what}; 1 .. {MOST[signal.kind]:,} are rendered")
    needed = COPIES * math.prod(target.shape) * signal.channels * signal.values.itemsize
    if target.seen != target.shape:
        needed += FLOATS * math.prod(target.seen) * signal.channels
    if needed > (there := memory.available_bytes()):
        raise ValueError(f"{target.name} takes {needed / 2**30:.1f} GiB of memory, and {there / 2**30:.1f} are free")
