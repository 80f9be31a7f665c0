"""Which cells of the cube hold anything: a grid that follows a density while it is learned; rays skip the rest."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

Density = Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]]
"""Points of the cube to density per unit of the cube's length."""


class OccupancyGrid(nn.Module):
    """Cells of the cube with the largest density seen lately; a cell counts as occupied above a threshold.

    Buffers only, so that it is saved and resumed with the job."""

    density: Tensor
    occupied: Tensor
    possible: Tensor
    """Cells that may become occupied; all, unless `confine` says otherwise."""

    def __init__(self, resolution: int = 64, decay: float = 0.8) -> None:
        super().__init__()
        if resolution < 2 or not 0 <= decay < 1:
            raise ValueError(f"occupancy grids need 2 cells an axis and a decay in [0, 1), got {resolution}, {decay}")
        self.resolution, self.decay = resolution, decay
        self.register_buffer("density", torch.full((resolution**3,), torch.inf))
        self.register_buffer("occupied", torch.ones(resolution**3, dtype=torch.bool))
        self.register_buffer("possible", torch.ones(resolution**3, dtype=torch.bool))

    def cell_of(self, u: Float[Tensor, "n 3"]) -> Int[Tensor, " n"]:
        """Index of the cell that holds each point of the cube; points outside go to the nearest."""
        n = self.resolution
        cell = ((u + 1) * (n / 2)).long().clamp_(0, n - 1)
        return (cell[:, 0] * n + cell[:, 1]) * n + cell[:, 2]

    def holds(self, u: Float[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
        """Whether each point lies in an occupied cell."""
        return self.occupied[self.cell_of(u)]

    @torch.no_grad()
    def update(self, density: Density, threshold: float, rng: torch.Generator, cells: Tensor | None = None) -> None:
        """Looks at one random point of some cells (default: all): old values fade, larger new ones replace them.

        `threshold` is a density; it falls to the mean where little is known yet, as in Instant-NGP (E.2)."""
        every = cells is None
        index = torch.arange(len(self.density), device=self.density.device) if cells is None else cells
        found = density(self.points(index, rng))
        # Nothing is known of a cell yet while it holds infinity.
        old = self.density[index]
        self.density[index] = torch.where(old.isinf(), found, torch.maximum(old * self.decay, found))
        known = self.density[self.possible if every else self.possible & ~self.density.isinf()]
        dense = self.density > min(threshold, float(known.mean()) if len(known) else threshold)
        self.occupied.copy_(dense & self.possible)

    def confine(self, cells: Bool[Tensor, " n"]) -> None:
        """From now on nothing is outside these cells, and all of them count as occupied until they were looked at."""
        self.possible.copy_(cells)
        self.occupied.copy_(cells)
        self.density.copy_(torch.where(cells, torch.inf, 0.0))

    def points(self, index: Int[Tensor, " n"], rng: torch.Generator) -> Float[Tensor, "n 3"]:
        """A random point in each cell."""
        n = self.resolution
        cell = torch.stack([index // (n * n), index // n % n, index % n], dim=-1)
        return (cell + torch.rand(len(index), 3, generator=rng).to(index.device)) * (2 / n) - 1

    def dilated(self, cells: int) -> Bool[Tensor, "n n n"]:
        """Cells within `cells` steps (also diagonal ones) of an occupied cell."""
        grid = self.occupied.reshape(1, 1, *[self.resolution] * 3).float()
        for axis in range(3):  # a box's maximum is that of its sides, one after the other
            size, padding = [1, 1, 1], [0, 0, 0]
            size[axis], padding[axis] = 2 * cells + 1, cells
            grid = nn.functional.max_pool3d(grid, size, stride=1, padding=padding)
        return grid[0, 0] > 0
