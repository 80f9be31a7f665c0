"""Volume rendering. Distances are world units, density is per world unit, colours lie in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Samples:
    """Intervals along rays, packed: sample m covers t0[m] .. t1[m] of ray[m]; rays ascend, and t along each ray."""

    t0: Float[Tensor, " m"]
    t1: Float[Tensor, " m"]
    ray: Int[Tensor, " m"]

    def __len__(self) -> int:
        return len(self.t0)

    def __getitem__(self, index: Tensor) -> Samples:
        return Samples(self.t0[index], self.t1[index], self.ray[index])

    @property
    def middle(self) -> Float[Tensor, " m"]:
        """Where each interval is evaluated."""
        return (self.t0 + self.t1) / 2

    @property
    def length(self) -> Float[Tensor, " m"]:
        """World length of each interval."""
        return self.t1 - self.t0


@dataclass(frozen=True)
class Rendering:
    """What rays see."""

    rgb: Float[Tensor, "r 3"]
    opacity: Float[Tensor, " r"]
    depth: Float[Tensor, " r"]
    """Expected distance along the ray of what is seen; 0 where nothing is."""
    weight: Float[Tensor, " m"]
    """Part of the light of its ray that each sample sends."""


@dataclass
class Kernels:
    """Compiled stand-ins for plain torch on one type of device; `recon.rendering.accelerated` puts them here."""

    device: str = ""
    weights: Callable[[Tensor, Samples, int], tuple[Tensor, Tensor]] | None = None
    march: Callable[..., Samples] | None = None


KERNELS = Kernels()
OPAQUE = 1e3
"""Optical thickness that lets nothing through in any precision: more would only cost other rays' sums their digits."""


def opacity(density: Float[Tensor, " m"], length: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """Chance that light stops within an interval (LoE, Eq. 6)."""
    return -torch.expm1(-density * length)  # expm1 keeps thin intervals exact


def weights(
    density: Float[Tensor, " m"], samples: Samples, n_rays: int
) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    """Transmittance before each sample times its opacity (LoE, Eq. 6), and the transmittance."""
    if KERNELS.weights and density.device.type == KERNELS.device and density.dtype == torch.float32:
        return KERNELS.weights(density, samples, n_rays)
    return _Weights.apply(density * samples.length, samples.ray, n_rays)  # pyright: ignore[reportReturnType]


class _Weights(torch.autograd.Function):
    """w_i = exp(-sum_{j<i} x_j) (1 - exp(-x_i)) along each ray, x being optical thickness.

    One cumulative sum each way, over all rays at once and in float64: a ray's part is a difference of large sums."""

    @staticmethod
    def forward(ctx: Any, thickness: Tensor, ray: Tensor, n_rays: int) -> tuple[Tensor, Tensor]:
        before = _exclusive_sums(thickness.clamp(max=OPAQUE), ray, n_rays)
        transmittance = torch.exp(-before).to(thickness.dtype)
        weight = -transmittance * torch.expm1(-thickness)
        ctx.save_for_backward(thickness, ray, transmittance, weight)
        ctx.n_rays = n_rays
        return weight, transmittance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        grad_weight, grad_transmittance = gradients
        thickness, ray, transmittance, weight = ctx.saved_tensors
        own = grad_weight * (transmittance - weight)
        # Every later sample of the ray is darkened by this one: the sum over what follows it.
        shed = (grad_weight * weight + grad_transmittance * transmittance).flip(0)
        after = _exclusive_sums(shed, ctx.n_rays - 1 - ray.flip(0), ctx.n_rays).flip(0)
        return own - after.to(own.dtype), None, None


def _exclusive_sums(x: Float[Tensor, " m"], ray: Int[Tensor, " m"], n_rays: int) -> Float[Tensor, " m"]:
    """Sums over the earlier samples of the same ray, in float64."""
    inclusive = x.double().cumsum(0)
    exclusive = inclusive - x
    count = torch.bincount(ray, minlength=n_rays)
    first = count.cumsum(0) - count
    start = exclusive[first.clamp(max=max(0, len(x) - 1))] if len(x) else exclusive.new_zeros(n_rays)
    return exclusive - start[ray]


def along_rays(
    weight: Float[Tensor, " m"], values: Float[Tensor, "m c"], ray: Int[Tensor, " m"], n_rays: int
) -> Float[Tensor, "r c"]:
    """Weighted sums over the samples of each ray."""
    return values.new_zeros(n_rays, values.shape[1]).index_add(0, ray, weight[:, None] * values)


def composite(
    rgb: Float[Tensor, "m 3"],
    density: Float[Tensor, " m"],
    samples: Samples,
    n_rays: int,
    background: Float[Tensor, "r 3"] | Float[Tensor, " 3"],
) -> Rendering:
    """Colour, opacity and expected depth of rays (LoE, Eq. 6); a ray with no samples shows the background."""
    weight, _ = weights(density, samples, n_rays)
    values = torch.cat([rgb, torch.ones_like(rgb[:, :1]), samples.middle[:, None]], dim=1)
    sums = along_rays(weight, values, samples.ray, n_rays)
    total = sums[:, 3]
    depth = sums[:, 4] / total.clamp(min=1e-10)
    return Rendering(sums[:, :3] + (1 - total)[:, None] * background, total, depth, weight)


@torch.no_grad()
def median_depth(
    density: Float[Tensor, " m"], samples: Samples, n_rays: int, level: float = 0.5
) -> Float[Tensor, " r"]:
    """Distance at which the light that gets through falls to `level`, exact within an interval; inf if never."""
    thickness = (density * samples.length).double()
    before = _exclusive_sums(thickness.clamp(max=OPAQUE), samples.ray, n_rays)
    wanted = -math.log(level)
    past = before + thickness >= wanted
    # Samples behind the one that crosses would have a negative share; the nearest of all is the crossing.
    share = ((wanted - before[past]) / thickness[past].clamp(min=1e-300)).clamp(0, 1)
    inside = samples[past]
    found = torch.full((n_rays,), torch.inf, device=density.device, dtype=density.dtype)
    return found.scatter_reduce(0, inside.ray, (inside.t0 + share * inside.length).to(found.dtype), "amin")


def distortion(weight: Float[Tensor, " m"], place: Samples, n_rays: int) -> Float[Tensor, " r"]:
    """How far each ray's weights lie apart (mip-NeRF 360, Eq. 15), `place` in the measure of its distances:
    sum_ij w_i w_j |s_i - s_j| + 1/3 sum_i w_i^2 (length of i), in linear time."""
    s = place.middle
    before = _Sums.apply(weight, place.ray, n_rays)
    moment = _Sums.apply(weight * s, place.ray, n_rays)
    apart = 2 * weight * (s * before - moment)  # pyright: ignore[reportOperatorIssue]
    each = apart + weight * weight * place.length / 3
    return weight.new_zeros(n_rays).index_add(0, place.ray, each)


class _Sums(torch.autograd.Function):
    """`_exclusive_sums` with its gradient: the exclusive sum from the other end."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ray: Tensor, n_rays: int) -> Tensor:
        ctx.save_for_backward(ray)
        ctx.n_rays = n_rays
        return _exclusive_sums(x, ray, n_rays).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (ray,) = ctx.saved_tensors
        flipped = ctx.n_rays - 1 - ray.flip(0)
        return _exclusive_sums(gradients[0].flip(0), flipped, ctx.n_rays).flip(0).to(gradients[0].dtype), None, None


def ray_entropy(weight: Float[Tensor, " m"], ray: Int[Tensor, " m"], n_rays: int) -> Float[Tensor, " r"]:
    """Entropy of where each ray's light comes from (InfoNeRF, Eq. 5), times its opacity: 0 for a single surface."""
    total = weight.new_zeros(n_rays).index_add(0, ray, weight)
    share = weight / total[ray].clamp(min=1e-10)
    each = -weight * torch.log(share.clamp(min=1e-10))
    return weight.new_zeros(n_rays).index_add(0, ray, each)
