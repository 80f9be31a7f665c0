"""Where to evaluate along rays. Every sampler turns rays into packed intervals; without `rng` it is deterministic."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recon.geometry import Rays, Space
from recon.rendering.occupancy import OccupancyGrid
from recon.rendering.volume import KERNELS, Samples, weights

WorldDensity = Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]]
"""World points to density per world unit."""
STRIDE = 4
"""Steps of the finest march that are first looked at as one."""
REACH = {"box": 0.375, "contracted": 0.75, "ndc": 0.5}
"""How far the middles of a block's steps may lie from half way between the block's ends, in parts of the ends' distance
(largest coordinate). A ray in a box is straight: 1.5 of 4 steps. In ndc each coordinate only grows or only falls along
a ray: they stay between the ends. A contracted ray bends, most where another coordinate becomes the largest: 5/8."""


class RaySampler(nn.Module):
    """Rays to samples."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space

    def forward(self, rays: Rays, density: WorldDensity, rng: torch.Generator | None = None) -> Samples:
        """Packed intervals between the ends that the space gives each ray."""
        raise NotImplementedError(f"{type(self).__name__} must say where it samples")

    def _ends(self, rays: Rays) -> tuple[Tensor, Tensor]:
        """Ends of the rays in the even measure; a ray that meets nothing has far <= near."""
        near, far = self.space.bounds(rays)
        return self.space.to_even(near), self.space.to_even(far)

    def _packed(self, edges: Float[Tensor, "r k1"], keep: Tensor | None = None) -> Samples:
        """The intervals between neighbouring edges (even measure) of each ray that have a length."""
        t = self.space.from_even(edges)
        t0, t1 = t[:, :-1], t[:, 1:]
        kept = (edges[:, 1:] > edges[:, :-1]) if keep is None else keep
        return Samples(t0[kept], t1[kept], kept.nonzero()[:, 0])


class UniformSampler(RaySampler):
    """`count` intervals of equal (even) length on each ray (NeRF, Eq. 2). With `rng` a ray's edges move together by a
    random part of an interval, so that every place is evaluated equally often, and an interval more closes the end."""

    def __init__(self, space: Space, count: int = 128) -> None:
        super().__init__(space)
        if count < 1:
            raise ValueError(f"a ray needs at least one sample, got {count}")
        self.count = count

    def edges(self, rays: Rays, rng: torch.Generator | None) -> Float[Tensor, "r k1"]:
        """Edges of the intervals in the even measure; all equal where a ray meets nothing."""
        near, far = self._ends(rays)
        share = torch.linspace(0, 1, self.count + 1, device=near.device).expand(len(rays), -1)
        if rng is not None:
            moved = share[:, :-1] + torch.rand(len(rays), 1, generator=rng).to(near.device) / self.count
            share = torch.cat([share[:, :1], moved, share[:, -1:]], dim=1)
        return torch.lerp(near[:, None], torch.maximum(near, far)[:, None], share)  # exact at both ends

    def forward(self, rays: Rays, density: WorldDensity, rng: torch.Generator | None = None) -> Samples:
        return self._packed(self.edges(rays, rng))


class HierarchicalSampler(UniformSampler):
    """Coarse uniform intervals, then `fine` more edges where their weights lie (NeRF, section 5.2)."""

    def __init__(self, space: Space, count: int = 64, fine: int = 64) -> None:
        super().__init__(space, count)
        if fine < 1:
            raise ValueError(f"hierarchical sampling needs at least one fine sample, got {fine}")
        self.fine = fine

    @torch.no_grad()
    def forward(self, rays: Rays, density: WorldDensity, rng: torch.Generator | None = None) -> Samples:
        edges = self.edges(rays, rng)
        coarse = self._packed(edges)
        x = rays.origin[coarse.ray] + coarse.middle[:, None] * rays.direction[coarse.ray]
        weight, _ = weights(density(x), coarse, len(rays))
        mass = torch.zeros_like(edges[:, 1:])
        mass[edges[:, 1:] > edges[:, :-1]] = weight
        mass = mass + 1e-2 / self.count  # no interval is ruled out
        share = (torch.arange(self.fine, device=weight.device) + 0.5) / self.fine
        share = share.expand(len(rays), -1)
        if rng is not None:
            share = share + (torch.rand(len(rays), self.fine, generator=rng).to(weight.device) - 0.5) / self.fine
        fine = invert_cdf(edges, mass, share)
        return self._packed(torch.cat([edges, fine], dim=1).sort(dim=1).values)


def invert_cdf(
    edges: Float[Tensor, "r k1"], mass: Float[Tensor, "r k"], share: Float[Tensor, "r f"]
) -> Float[Tensor, "r f"]:
    """Places below which the given shares of a piecewise constant distribution lie."""
    cdf = torch.cat([torch.zeros_like(mass[:, :1]), mass.cumsum(1)], dim=1)
    cdf = cdf / cdf[:, -1:]
    above = torch.searchsorted(cdf, share.contiguous(), right=True).clamp(1, mass.shape[1])
    c0, c1 = cdf.gather(1, above - 1), cdf.gather(1, above)
    e0, e1 = edges.gather(1, above - 1), edges.gather(1, above)
    return e0 + (share - c0) / (c1 - c0).clamp(min=1e-12) * (e1 - e0)


class OccupancySampler(RaySampler):
    """A march in steps of one (even) length; only steps whose middle lies in an occupied cell are kept.

    Four steps at a time are first looked up in a dilated grid, which misses nothing and drops most of space. A step
    that is cut short by an end of its ray counts where the middle of the whole step lies, or the nearest cell."""

    def __init__(self, space: Space, grid: OccupancyGrid, step: float) -> None:
        super().__init__(space)
        if not step > 0:
            raise ValueError(f"the march needs a step length above 0, got {step}")
        self.grid, self.step = grid, step
        # In cells; blocks that reach farther are searched step by step.
        reach = REACH[space.kind] * STRIDE * step * self._usual_rate() * grid.resolution / 2
        self._dilation = math.ceil(reach + 1e-3)
        self._coarse: Tensor | None = None

    def refresh(self) -> None:
        """To be called when the grid has changed."""
        self._coarse = self.grid.dilated(self._dilation).reshape(-1)

    def _usual_rate(self) -> float:
        """Length in the cube, along one axis, of a unit of the even measure: in a box at most, else of most rays."""
        half = self.space.box.half
        if self.space.kind == "box":
            return 1 / min(half)
        return 0.6 / min(half) if self.space.kind == "contracted" else 3 / self.space.near

    @torch.no_grad()
    def forward(self, rays: Rays, density: WorldDensity, rng: torch.Generator | None = None) -> Samples:
        near, far = self._ends(rays)
        offset = torch.rand(len(rays), generator=rng).to(near.device) if rng is not None else 0.5
        start = near - (1 - offset) * self.step
        if KERNELS.march and near.device.type == KERNELS.device and self.space.kind == "box" and len(rays):
            return KERNELS.march(self, rays, start)
        ray, s = self._blocks(rays, start, near, far)
        s0 = (s[:, None] + torch.arange(STRIDE, device=s.device) * self.step).flatten()
        ray = ray.repeat_interleave(STRIDE)
        low, high = near[ray], far[ray]
        keep = (s0 < high) & (s0 + self.step > low)
        keep &= self.grid.holds(self._cube(rays, ray, s0 + self.step / 2))
        ray, s0 = ray[keep], s0[keep]
        s1 = torch.minimum(s0 + self.step, high[keep])
        s0 = torch.maximum(s0, low[keep])
        return Samples(self.space.from_even(s0), self.space.from_even(s1), ray)

    def _blocks(self, rays: Rays, start: Tensor, near: Tensor, far: Tensor) -> tuple[Tensor, Tensor]:
        """Rays and beginnings (even measure) of the blocks of STRIDE steps that may hold a step in an occupied cell."""
        if self._coarse is None:
            self.refresh()
        coarse, stride = self._coarse, STRIDE * self.step
        assert coarse is not None
        end = torch.where(near < far, far, start)  # no block where a ray misses
        count = math.ceil(float((end - start).amax()) / stride) if len(rays) else 0
        s = start[:, None] + torch.arange(count + 1, device=start.device) * stride
        block = s[:, :-1] < end[:, None]
        if self.space.kind == "box":
            ray, which = block.nonzero(as_tuple=True)
            s = s[ray, which]
            found = coarse[self.grid.cell_of(self._cube(rays, ray, s + stride / 2))]
            return ray[found], s[found]
        x = rays.origin[:, None] + self.space.from_even(s)[..., None] * rays.direction[:, None]
        u = self.space.to_cube(x.flatten(0, 1)).clamp_(-1, 1).unflatten(0, s.shape)
        a, b = u[:, :-1].flatten(0, 1), u[:, 1:].flatten(0, 1)
        reach = REACH[self.space.kind] * (b - a).abs_().amax(dim=1) * (self.grid.resolution / 2)
        found = coarse[self.grid.cell_of((a + b) / 2)] | (reach > self._dilation)
        ray, which = (block & found.view(block.shape)).nonzero(as_tuple=True)
        return ray, s[ray, which]

    def _cube(self, rays: Rays, ray: Tensor, s: Tensor) -> Tensor:
        t = self.space.from_even(s)
        return self.space.to_cube(rays.origin[ray] + t[:, None] * rays.direction[ray])
