"""Mini-batches of whole coarse cells of ASMR's grid, for grids too large to be trained on in one step (ASMR, 3.2)."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recon.fields.asmr import Asmr


class CellWalk:
    """Which coarse cells each step takes, with all cells below them; coarse means all levels but the last.

    A pass takes each coarse cell that holds any data once, in an order of its own, in batches of nearly equal size:
    the gradients of a pass sum to the whole grid's. A step's cells depend on the seed and the step alone. Where some
    cells are marked as `special`, half of each batch are such cells, and both kinds are walked at their own pace.
    A step has `most` cells at most, or two coarse ones."""

    def __init__(self, field: Asmr, seed: int, most: int, special: Bool[Tensor, " m"] | None = None) -> None:
        self.depth, self.seed = field.levels - 1, seed
        self.used = field.used(self.depth)
        """Which cells below each coarse one are the data's; the others are padding."""
        some, below = self.used.any(dim=1), self.used.shape[1]
        size, count = max(2, most // below), int(some.sum())
        self.groups: list[tuple[Int[Tensor, " m"], int]] = [(some.nonzero()[:, 0], min(size, count))]
        """Coarse cells of a kind, and how many of them make part of a batch, at most."""
        if special is not None and size < count:
            members, others = (some & special).nonzero()[:, 0], (some & ~special).nonzero()[:, 0]
            half = min(size // 2, len(members))
            self.groups = [(members, half), (others, min(size - half, len(others)))]
        self.points_per_step = sum(size for _, size in self.groups) * below
        self._orders: dict[int, tuple[int, Int[Tensor, " m"]]] = {}

    @property
    def steps(self) -> int:
        """Steps until each coarse cell was taken once at least."""
        return max(_turns(len(members), size) for members, size in self.groups if size)

    def rows(self, step: int) -> Int[Tensor, " m"]:
        """The coarse cells of a step, in nested order's numbering: rows of `Asmr.nested(depth, rows)`."""
        parts = []
        for group, (members, size) in enumerate(self.groups):
            if size:
                turns = _turns(len(members), size)
                index, turn = divmod(step, turns)
                order = self._order(group, index)
                parts.append(order[len(order) * turn // turns : len(order) * (turn + 1) // turns])
        return torch.cat(parts)

    def mean(self, error: Float[Tensor, "m k"], rows: Int[Tensor, " m"]) -> Float[Tensor, ""]:
        """The mean over those cells below `rows` that are the data's."""
        used = self.used[rows].to(error.device)
        return torch.where(used, error, 0.0).sum() / used.sum()

    def _order(self, group: int, index: int) -> Int[Tensor, " m"]:
        members, size = self.groups[group]
        if size == len(members):
            return members
        if self._orders.get(group, (-1,))[0] != index:
            order = np.random.default_rng([self.seed, group, index]).permutation(len(members))
            self._orders[group] = (index, members[torch.from_numpy(order)])
        return self._orders[group][1]


def _turns(count: int, size: int) -> int:
    """Batches of a pass."""
    return -(-count // size)
