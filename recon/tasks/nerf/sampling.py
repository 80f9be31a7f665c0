"""Which sampler a radiance field is trained and rendered with, and the settings of all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recon.fields.radiance import RadianceField
from recon.geometry import Space
from recon.rendering.occupancy import OccupancyGrid
from recon.rendering.samplers import HierarchicalSampler, OccupancySampler, RaySampler, UniformSampler

MOST = 4096
"""Steps, samples and cells a slip of the keyboard may not exceed."""
HIDDEN = 0.01
"""Samples behind what lets less light than this through are not evaluated again."""


@dataclass(frozen=True)
class RaySamplerConfig:
    """Where rays are sampled."""

    kind: Literal["occupancy", "uniform", "hierarchical"] = "occupancy"
    """occupancy: a march through occupied cells; uniform: stratified; hierarchical: NeRF's coarse to fine."""
    steps: int = 64
    """occupancy: steps along the mean side of the box."""
    grid: int = 64
    """occupancy: cells of the grid an axis."""
    opacity: float = 0.1
    """occupancy: a cell counts as occupied from this opacity of one step on."""
    refresh: int = 32
    """occupancy: optimiser steps between updates of the grid."""
    count: int = 64
    """uniform: samples of a ray; hierarchical: of its first pass."""
    fine: int = 64
    """hierarchical: further samples where the first pass found something."""

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("grid", 2), ("refresh", 1), ("count", 1), ("fine", 1)):
            if not least <= getattr(self, name) <= MOST:
                raise ValueError(f"{name} must be at least {least} and at most {MOST}, got {getattr(self, name)}")
        if not 0 < self.opacity < 1:
            raise ValueError(f"opacity must lie in (0, 1), got {self.opacity}")

    def build(self, space: Space) -> RaySampler:
        """The sampler; one by occupancy has its grid inside."""
        if self.kind == "uniform":
            return UniformSampler(space, self.count)
        if self.kind == "hierarchical":
            return HierarchicalSampler(space, self.count, self.fine)
        return OccupancySampler(space, OccupancyGrid(self.grid), self.step_length(space))

    def step_length(self, space: Space) -> float:
        """One step of the march in the even measure of distances."""
        if space.kind == "ndc":
            return space.near / self.steps  # from near to infinity the measure grows by near
        return 2 * sum(space.box.half) / 3 / self.steps

    def threshold(self, space: Space) -> float:
        """Density in the cube from which a step has the configured opacity."""
        step = (1 if space.kind == "contracted" else 2) / self.steps  # in the cube: contracted, the box is half of it
        return -math.log1p(-self.opacity) / step


class Lit(nn.Module):
    """A radiance field and the sampler that goes with it."""

    def __init__(self, radiance: RadianceField, config: RaySamplerConfig) -> None:
        super().__init__()
        self.radiance, self.config = radiance, config
        self.sampler = config.build(radiance.space)

    @property
    def grid(self) -> OccupancyGrid | None:
        """The occupancy grid of its sampler, if it has one."""
        return self.sampler.grid if isinstance(self.sampler, OccupancySampler) else None

    def update_grid(self, rng: torch.Generator, everywhere: bool) -> None:
        """Look at the density again: in all cells, or in the occupied ones and as many others at random, at most."""
        grid = self.grid
        if grid is None:
            return
        cells = None
        if not everywhere:
            occupied, others = grid.occupied.nonzero()[:, 0], (grid.possible & ~grid.occupied).nonzero()[:, 0]
            chosen = torch.randperm(len(others), generator=rng)[: len(occupied) // 4 + 64]
            cells = torch.cat([occupied, others[chosen.to(others.device)]])
        # The evaluator is made for this look alone: the weights decide what is seen, on resume as well.
        with self.radiance.reading(self.radiance.field.evaluator()):
            grid.update(self._cube_density, self.config.threshold(self.radiance.space), rng, cells)
        self.refresh()

    def refresh(self) -> None:
        """To be called when the grid was changed from outside."""
        if isinstance(self.sampler, OccupancySampler):
            self.sampler.refresh()

    @torch.no_grad()
    def _cube_density(self, u: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        return torch.cat([self.radiance.cube_density(part) for part in u.split(1 << 14)])
