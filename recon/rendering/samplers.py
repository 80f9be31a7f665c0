"""Where to evaluate along rays. Every sampler turns rays into packed intervals; without `rng` it is deterministic."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recon.geometry import Rays, Space
from recon.rendering.occupancy import OccupancyGrid
from recon.rendering.volume import Samples, weights

WorldDensity = Callable[[Float[Tensor, "n 3"]], Float[Tensor, " n"]]
"""World points to density per world unit."""
STRIDE = 4
"""Steps of the finest march that are first looked at as one."""


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
    """`count` intervals of equal (even) length on each ray; with `rng` their edges are jittered (NeRF, Eq. 2)."""

    def __init__(self, space: Space, count: int = 128) -> None:
        super().__init__(space)
        if count < 1:
            raise ValueError(f"a ray needs at least one sample, got {count}")
        self.count = count

    def edges(self, rays: Rays, rng: torch.Generator | None) -> Float[Tensor, "r k1"]:
        """Edges of the intervals in the even measure; all equal where a ray meets nothing."""
        near, far = self._ends(rays)
        share = torch.linspace(0, 1, self.count + 1, device=near.device).expand(len(rays), -1)
        if rng is not None and self.count > 1:
            jitter = torch.rand(len(rays), self.count - 1, generator=rng).to(near.device) - 0.5
            inner = share[:, 1:-1] + jitter / self.count
            share = torch.cat([share[:, :1], inner, share[:, -1:]], dim=1)
        return near[:, None] + (far - near).clamp(min=0)[:, None] * share

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
        mass = torch.zeros(len(rays), self.count, device=weight.device)
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

    Four steps at a time are first looked up in a dilated grid, which misses nothing and drops most of space."""

    def __init__(self, space: Space, grid: OccupancyGrid, step: float) -> None:
        super().__init__(space)
        if not step > 0:
            raise ValueError(f"the march needs a step length above 0, got {step}")
        self.grid, self.step = grid, step
        self._coarse: Tensor | None = None

    def refresh(self) -> None:
        """To be called when the grid has changed."""
        # The farthest middle of four lies 1.5 steps from theirs; a step is at most this many cells long in the cube.
        cells = 1.5 * self.step * self._longest_rate() * self.grid.resolution / 2
        self._coarse = self.grid.dilated(math.ceil(cells)).reshape(-1)

    def _longest_rate(self) -> float:
        """The largest length in the cube of a unit of the even measure, along one axis."""
        half = self.space.box.half
        if self.space.kind == "box":
            return 1 / min(half)
        if self.space.kind == "contracted":
            return 0.5 / min(half)
        return 2 / self.space.near

    @torch.no_grad()
    def forward(self, rays: Rays, density: WorldDensity, rng: torch.Generator | None = None) -> Samples:
        if self._coarse is None:
            self.refresh()
        coarse, (near, far) = self._coarse, self._ends(rays)
        assert coarse is not None
        stride = STRIDE * self.step
        blocks = max(1, math.ceil(float((far - near).clamp(min=0).amax()) / stride + 1)) if len(rays) else 1
        offset = torch.rand(len(rays), generator=rng).to(near.device) if rng is not None else 0.5
        start = near - (1 - offset) * self.step
        block = start[:, None] + torch.arange(blocks, device=near.device) * stride
        ray, which = (block < far[:, None]).nonzero(as_tuple=True)
        s = block[ray, which]
        found = coarse[self.grid.cell_of(self._cube(rays, ray, s + stride / 2))]
        ray, s = ray[found], s[found]
        s0 = (s[:, None] + torch.arange(STRIDE, device=s.device) * self.step).flatten()
        ray = ray.repeat_interleave(STRIDE)
        low, high = near[ray], far[ray]
        keep = (s0 < high) & (s0 + self.step > low)
        keep &= self.grid.holds(self._cube(rays, ray, s0 + self.step / 2))
        ray, s0 = ray[keep], s0[keep]
        s1 = torch.minimum(s0 + self.step, high[keep])
        s0 = torch.maximum(s0, low[keep])
        return Samples(self.space.from_even(s0), self.space.from_even(s1), ray)

    def _cube(self, rays: Rays, ray: Tensor, s: Tensor) -> Tensor:
        t = self.space.from_even(s)
        return self.space.to_cube(rays.origin[ray] + t[:, None] * rays.direction[ray])
