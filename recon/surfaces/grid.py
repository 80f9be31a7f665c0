"""Values of a function on a regular grid of the box [-half, half]^3, computed where they are asked for, each once."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

Function = Callable[[Tensor], Tensor]
"""Points, float32 [n, 3] on the CPU, to values [n] on any device; negative inside."""

Progress = Callable[[int, "int | None"], None]
"""Told the number of evaluations so far, and how many there will be where that is known."""

_BRICK = 16


def evaluate(f: Function, points: Float32[np.ndarray, "n 3"], chunk: int) -> Float32[np.ndarray, " n"]:
    """f at each point, at most `chunk` points at a time, without gradients."""
    values = np.empty(len(points), np.float32)
    with torch.no_grad():
        for start in range(0, len(points), chunk):
            part = torch.from_numpy(points[start : start + chunk])
            values[start : start + chunk] = f(part).reshape(len(part)).float().cpu().numpy()
    bad = np.flatnonzero(np.isnan(values))
    if len(bad):
        where = ", ".join(f"{x:.4g}" for x in points[bad[0]])
        raise ValueError(
            f"the function must be a number everywhere, but is not at {len(bad)} of {len(points)} points,"
            f" the first at ({where}); a field that diverged in training has no surface"
        )
    return values


def grid_axis(resolution: int, half: float) -> Float[np.ndarray, " n"]:
    """Coordinates of the grid's points along each axis; the outer ones lie on the faces of the box."""
    if resolution < 2:
        raise ValueError(f"resolution must be at least 2 points an axis, got {resolution}")
    if not (np.isfinite(half) and half > 0):
        raise ValueError(f"half, the half width of the box, must be positive, got {half}")
    return np.linspace(-half, half, resolution)


class SparseGrid:
    """Remembers f at the points of a grid, in bricks of 16^3 points that exist only where something was read."""

    def __init__(self, f: Function, axis: Float[np.ndarray, " n"], chunk: int, progress: Progress | None = None):
        self.f, self.axis, self.chunk, self.progress = f, axis.astype(np.float32), chunk, progress
        self.evaluations = 0
        across = -(-len(axis) // _BRICK)
        self._brick_at = np.full((across,) * 3, -1, np.int64)
        self._corner = np.zeros((0, 3), np.int64)
        self._values = np.zeros(0, np.float32)
        self._known = np.zeros(0, bool)

    def read(self, index: Int[np.ndarray, "*shape 3"]) -> Float32[np.ndarray, "*shape"]:
        """f at grid points given by index."""
        flat = index.reshape(-1, 3)
        slot = self._slots(flat)
        unknown = slot[~self._known[slot]]
        if len(unknown):
            self._compute(unknown)
        return self._values[slot].reshape(index.shape[:-1])

    def _slots(self, index: Int[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
        """Where each grid point is stored; makes the bricks that are missing."""
        brick, local = np.divmod(index, _BRICK)
        found = self._brick_at[tuple(brick.T)]
        if (found < 0).any():
            self._make_bricks(brick[found < 0])
            found = self._brick_at[tuple(brick.T)]
        return ((found * _BRICK + local[:, 0]) * _BRICK + local[:, 1]) * _BRICK + local[:, 2]

    def _make_bricks(self, brick: Int[np.ndarray, "m 3"]) -> None:
        brick = np.unique(brick, axis=0)
        self._brick_at[tuple(brick.T)] = len(self._corner) + np.arange(len(brick))
        self._corner = np.concatenate([self._corner, brick * _BRICK])
        extra = len(brick) * _BRICK**3
        self._values = np.concatenate([self._values, np.zeros(extra, np.float32)])
        self._known = np.concatenate([self._known, np.zeros(extra, bool)])

    def _compute(self, slots: Int[np.ndarray, " m"]) -> None:
        """Evaluates the points stored at these slots, which may repeat."""
        wanted = np.zeros(len(self._known), bool)
        wanted[slots] = True
        slots = np.flatnonzero(wanted)
        brick, local = np.divmod(slots, _BRICK**3)
        index = self._corner[brick] + np.stack(np.unravel_index(local, (_BRICK,) * 3), axis=-1)
        for start in range(0, len(slots), self.chunk):
            part = slice(start, start + self.chunk)
            self._values[slots[part]] = evaluate(self.f, self.axis[index[part]], self.chunk)
            self.evaluations += len(slots[part])
            if self.progress:
                self.progress(self.evaluations, None)
        self._known[slots] = True


def offsets(extent: int) -> Int[np.ndarray, "m 3"]:
    """All index triples below `extent`, in the order of a C array."""
    return np.array(list(product(range(extent), repeat=3)))
