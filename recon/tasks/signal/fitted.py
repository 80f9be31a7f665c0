"""A field that was trained on a signal: its values on the signal's grid, or on any other over the same extent."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from recon import runtime
from recon.fields import Field, chunked
from recon.fields.base import CHUNK
from recon.signals.signal import Signal
from recon.tasks.bench import Say
from recon.tasks.maps import Parts, parts_of
from recon.tasks.signal.job import AT_ONCE, centres
from recon.training.progress import duration

EVERY = 5.0
"""Seconds between two lines of progress."""
Part = TypeVar("Part")


@dataclass
class Fitted:
    """A field and the signal that it learned."""

    field: Field
    signal: Signal
    device: torch.device

    def __post_init__(self) -> None:
        self.field.eval()
        runtime.set_products("float32")

    def values(self, shape: Sequence[int] | None = None) -> Float[np.ndarray, "*shape c"]:
        """Normalised values on the signal's grid, or another one over the same extent, clipped to what they can be."""
        return self.normalised(self.field.on_grid(tuple(shape or self.signal.shape)).cpu().numpy())

    def outputs(
        self, shape: Sequence[int], rows: Sequence[int] | None = None
    ) -> Iterator[tuple[slice, Float[Tensor, "n c"]]]:
        """What the field says at the centres of a grid's cells, or of some of its `rows` along the first axis, in flat
        order: places in that order, and the outputs there.

        Some at a time, for a grid may be far larger than the signal's; on that they are `values`, bit for bit."""
        if tuple(shape) == tuple(self.signal.shape):
            whole = self.field.on_grid(shape)
            flat = (whole if rows is None else whole[list(rows)]).flatten(0, -2)
            yield from ((part, flat[part]) for part in _in_parts(len(flat), CHUNK))
            return
        evaluate = self.field.evaluator()
        yield from ((part, evaluate(x)) for part, x in self.points(shape, rows, CHUNK))

    def points(
        self, shape: Sequence[int], rows: Sequence[int] | None, most: int
    ) -> Iterator[tuple[slice, Float[Tensor, "n d"]]]:
        """Where `outputs` looks, at most so many points at a time."""
        inner, chosen = math.prod(shape[1:]), None if rows is None else torch.tensor(rows)
        for part in _in_parts((shape[0] if chosen is None else len(chosen)) * inner, most):
            place = torch.arange(part.start, part.stop)
            if chosen is not None:
                place = chosen[torch.div(place, inner, rounding_mode="floor")] * inner + place % inner
            yield part, centres(place, shape).to(self.device)

    def normalised(self, outputs: Float[np.ndarray, "*n c"]) -> Float[np.ndarray, "*n c"]:
        """The field's outputs as `Signal.normalised` has values, clipped to what they can be; in their own memory."""
        if self.signal.kind == "sound":
            return np.clip(outputs, -1, 1, out=outputs)
        outputs += 1
        outputs /= 2
        return np.clip(outputs, 0, 1, out=outputs)

    def at(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """The same at points of the cube; gradients pass where they are enabled."""
        x = x.to(self.device)
        found = self.field(x) if torch.is_grad_enabled() else chunked(self.field, x)
        return found.clamp(-1, 1) if self.signal.kind == "sound" else ((found + 1) / 2).clamp(0, 1)

    def parts(self) -> list[Parts]:
        """The experts or tiles that divide the signal."""
        return parts_of(self.field)

    def labels(self, parts: Parts, shape: Sequence[int]) -> Int[np.ndarray, "*shape"]:
        """The part that serves each cell of a grid."""
        count = math.prod(shape)
        found = np.empty(count, np.int64)
        for part in _in_parts(count, AT_ONCE):
            index = torch.arange(part.start, part.stop)
            found[part] = parts.at(centres(index, shape).to(self.device)).numpy()
        return found.reshape(tuple(shape))


def told(parts: Iterable[tuple[slice, Part]], total: int, say: Say) -> Iterator[tuple[slice, Part]]:
    """Parts of a grid, with a line now and then: how much is done and how long the rest takes."""
    began = last = time.perf_counter()
    for part, values in parts:
        yield part, values
        now = time.perf_counter()
        if now - last > EVERY:
            last, left = now, (now - began) / part.stop * (total - part.stop)
            say(f"{part.stop / total:.0%} of {total:,} points  {duration(left)} left")


def _in_parts(count: int, most: int) -> Iterator[slice]:
    return (slice(start, min(start + most, count)) for start in range(0, count, most))
