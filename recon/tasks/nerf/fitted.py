"""A trained radiance field: pictures of it from any camera, its density and colours in world space."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from recon import runtime
from recon.geometry import Cameras, Rays
from recon.rendering.volume import Samples, along_rays, median_depth, weights
from recon.tasks.nerf.reference import Reference
from recon.tasks.nerf.sampling import Lit

RAYS = 1024
"""Rays rendered at once."""
FAINT = 1e-6
"""Samples that send less of their ray's light than this are given no colour."""


@dataclass(frozen=True)
class Picture:
    """What one camera sees. Depths are distances along the ray, in world units; 0 where nothing is."""

    rgb: Float[Tensor, "h w 3"]
    opacity: Float[Tensor, "h w"]
    depth: Float[Tensor, "h w"]
    median_depth: Float[Tensor, "h w"]
    """Where half of the light has been stopped; inf where that never happens."""
    normal: Float[Tensor, "h w 3"] | None
    """Minus the density's gradient, as directions in world space, summed by weight."""


@dataclass
class Fitted:
    """A field that was trained on a scene, and what is kept of that scene."""

    lit: Lit
    reference: Reference
    device: torch.device
    background: Float[Tensor, " 3"]

    def __post_init__(self) -> None:
        self.lit.eval()
        runtime.set_products("float32")

    @cached_property
    def _evaluator(self) -> Callable[[Tensor], Tensor]:
        """The field's fastest way to many values. Training is over: it may be kept."""
        return self.lit.radiance.field.evaluator()

    def density(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Density per world unit at world points, without gradients."""
        with torch.no_grad(), self.lit.radiance.reading(self._evaluator):
            return self.lit.radiance.density(x.to(self.device))

    def colour(self, x: Float[Tensor, "n 3"], d: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Colours of world points seen in unit directions, without gradients."""
        with torch.no_grad(), self.lit.radiance.reading(self._evaluator):
            return self.lit.radiance(x.to(self.device), d.to(self.device))[0]

    def render(self, cameras: Cameras, view: int, normals: bool = False) -> Picture:
        """The picture of one camera, on the background."""
        rays = cameras.view_rays(view)
        chunks = (rays[slice(at, at + RAYS)].to(self.device) for at in range(0, len(rays), RAYS))
        with self.lit.radiance.reading(self._evaluator):
            parts = [self._render(chunk, normals) for chunk in chunks]
        shape = cameras.height, cameras.width
        rgb, opacity, depth, median, normal = (torch.cat(values).cpu() for values in zip(*parts, strict=True))
        normal = normal.reshape(*shape, 3) if normals else None
        return Picture(
            rgb.reshape(*shape, 3).clamp(0, 1), opacity.view(shape), depth.view(shape), median.view(shape), normal
        )

    def renders(self, cameras: Cameras, normals: bool = False) -> Iterator[Picture]:
        """The pictures of all cameras, one at a time."""
        for view in range(len(cameras)):
            yield self.render(cameras, view, normals)

    @torch.no_grad()
    def _render(self, rays: Rays, normals: bool) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        radiance, count = self.lit.radiance, len(rays)
        samples = self.lit.sampler(rays, radiance.density, None)
        x, d = place(rays, samples)
        features, density = radiance.features(x)
        weight, _ = weights(density, samples, count)
        lit = weight > FAINT
        rgb = torch.zeros(len(samples), 3, device=x.device)
        rgb[lit] = radiance.colour_of(features[lit], d[lit])
        values = torch.cat([rgb, torch.ones_like(rgb[:, :1]), samples.middle[:, None]], dim=1)
        sums = along_rays(weight, values, samples.ray, count)
        opacity = sums[:, 3]
        colour = sums[:, :3] + (1 - opacity)[:, None] * self.background.to(x.device)
        normal = self._normals(x[lit], weight[lit], samples[lit], count) if normals else colour.new_zeros(count, 0)
        return colour, opacity, sums[:, 4] / opacity.clamp(min=1e-10), median_depth(density, samples, count), normal

    def _normals(self, x: Tensor, weight: Tensor, samples: Samples, count: int) -> Float[Tensor, "r 3"]:
        with torch.enable_grad():
            x = x.requires_grad_(True)
            # Density that is constant in cells has no slope anywhere, and no normals.
            (slope,) = torch.autograd.grad(self.lit.radiance.density(x).sum(), x, materialize_grads=True)
        return along_rays(weight, torch.nn.functional.normalize(-slope, dim=1), samples.ray, count)


def place(rays: Rays, samples: Samples) -> tuple[Float[Tensor, "m 3"], Float[Tensor, "m 3"]]:
    """Where samples are evaluated, and the directions they are seen in."""
    direction = rays.direction[samples.ray]
    return rays.origin[samples.ray] + samples.middle[:, None] * direction, direction
