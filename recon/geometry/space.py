"""From world space to the cube [-1, 1]^3 that fields see: a box, a contraction of all space, or a frustum (NDC)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from recon.geometry.cameras import Rays

Triple = tuple[float, float, float]
FAR = 1e3
"""Where rays end in unbounded space, in half widths of the inner box (for ndc, in near depths)."""
GRAZING = 1e-3
"""Cosine to the middle camera's axis from which on a ray counts as looking ahead, in ndc."""


@dataclass(frozen=True)
class Box:
    """An axis-aligned box of world space."""

    low: Triple
    high: Triple

    def __post_init__(self) -> None:
        for low, high in zip(self.low, self.high, strict=True):
            if not -1e12 < low < high < 1e12:
                raise ValueError(f"a box needs finite corners, low < high on each axis, got {self.low}, {self.high}")

    @property
    def centre(self) -> Triple:
        """Its middle."""
        x, y, z = ((low + high) / 2 for low, high in zip(self.low, self.high, strict=True))
        return x, y, z

    @property
    def half(self) -> Triple:
        """Half its lengths."""
        x, y, z = ((high - low) / 2 for low, high in zip(self.low, self.high, strict=True))
        return x, y, z

    @property
    def radius(self) -> float:
        """Half its diagonal."""
        return sum(h * h for h in self.half) ** 0.5

    def scaled(self, factor: float) -> Box:
        """The box grown about its centre."""
        sides = list(zip(self.centre, self.half, strict=True))
        (a, b, c), (d, e, f) = ([m + sign * factor * h for m, h in sides] for sign in (-1, 1))
        return Box((a, b, c), (d, e, f))

    def intersect(self, rays: Rays) -> tuple[Float[Tensor, " r"], Float[Tensor, " r"]]:
        """Distances at which rays enter (0 from inside) and leave; a ray that misses has far <= near."""
        low, high = (rays.origin.new_tensor(corner) for corner in (self.low, self.high))
        # A direction of exactly 0 would make 0 / 0 on the box's faces; 1e-12 keeps the limits that are right.
        direction = torch.where(rays.direction.abs() < 1e-12, 1e-12, rays.direction)
        a, b = (low - rays.origin) / direction, (high - rays.origin) / direction
        near = torch.minimum(a, b).amax(dim=-1).clamp(min=0)
        return near, torch.maximum(a, b).amin(dim=-1)


@dataclass(frozen=True)
class Space:
    """How world space fits into the cube, and how samples are spaced along rays in it.

    box: the box alone, linearly; nothing is outside. Samples are spaced evenly.
    contracted: the box fills the inner cube [-1/2, 1/2]^3, everything beyond is drawn in (mip-NeRF 360, Eq. 10, with
    the largest coordinate as norm). Samples are spaced evenly within the box's size of the camera, then by inverse
    distance.
    ndc: the frustum of a middle camera beyond its near plane, by inverse depth (NeRF, appendix C). Samples are spaced
    evenly within `near` of their camera, then by inverse distance.
    """

    kind: Literal["box", "contracted", "ndc"]
    box: Box
    """The region of interest in world space; for ndc, in the frame of the middle camera: low and high bound
    x / depth and y / depth, and (in z) minus the depths are beyond -near."""
    near: float = 0.0
    """Where rays begin, in world units: distance from their camera; for ndc, depth in the middle camera's frame."""
    frame: tuple[float, ...] = (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)
    """For ndc: the middle camera's pose, row by row."""

    def __post_init__(self) -> None:
        if self.kind == "ndc" and not self.near > 0:
            raise ValueError(f"ndc needs a near distance above 0, got {self.near}")
        if self.near < 0 or len(self.frame) != 12:
            raise ValueError(f"a space needs near >= 0 and a frame of 12 numbers, got {self.near}, {self.frame}")

    # -- points -------------------------------------------------------------------------------------------------

    def to_cube(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """World points to the cube; in a box, points outside stay outside."""
        if self.kind == "ndc":
            return self._to_ndc(x)
        u = (x - x.new_tensor(self.box.centre)) / x.new_tensor(self.box.half)
        if self.kind == "box":
            return u
        norm = u.abs().amax(dim=-1, keepdim=True).clamp(min=1)
        return u * ((2 - 1 / norm) / (2 * norm))

    def from_cube(self, u: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """The inverse of `to_cube`, within the open cube."""
        if self.kind == "ndc":
            return self._from_ndc(u)
        if self.kind == "contracted":
            norm = (2 * u).abs().amax(dim=-1, keepdim=True)
            grown = 1 / (2 - norm).clamp(min=1 / FAR)  # |x| of a point whose contracted norm is beyond 1
            u = torch.where(norm > 1, 2 * u / norm * grown, 2 * u)
        return u * u.new_tensor(self.box.half) + u.new_tensor(self.box.centre)

    def _to_ndc(self, x: Tensor) -> Tensor:
        frame = x.new_tensor(self.frame).reshape(3, 4)
        local = (x - frame[:, 3]) @ frame[:, :3]
        depth = (-local[:, 2:]).clamp(min=self.near / 2)  # rays begin at near: what lies before only has to be finite
        middle, half = x.new_tensor(self.box.centre)[:2], x.new_tensor(self.box.half)[:2]
        return torch.cat([(local[:, :2] / depth - middle) / half, 1 - 2 * self.near / depth], dim=-1)

    def _from_ndc(self, u: Tensor) -> Tensor:
        depth = 2 * self.near / (1 - u[:, 2:]).clamp(min=2 / FAR)
        middle, half = u.new_tensor(self.box.centre)[:2], u.new_tensor(self.box.half)[:2]
        local = torch.cat([(u[:, :2] * half + middle) * depth, -depth], dim=-1)
        frame = u.new_tensor(self.frame).reshape(3, 4)
        return local @ frame[:, :3].T + frame[:, 3]

    def rate(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Length in the cube per world unit, looking outwards: what a density per cube length is multiplied by."""
        mean = sum(self.box.half) / 3
        if self.kind == "box":
            return x.new_full((len(x),), 1 / mean)
        if self.kind == "ndc":
            frame = x.new_tensor(self.frame).reshape(3, 4)
            depth = (-((x - frame[:, 3]) @ frame[:, 2])).clamp(min=self.near)
            return 2 * self.near / depth**2
        u = (x - x.new_tensor(self.box.centre)) / x.new_tensor(self.box.half)
        return 1 / (2 * mean * u.abs().amax(dim=-1).clamp(min=1) ** 2)

    # -- rays ---------------------------------------------------------------------------------------------------

    def bounds(self, rays: Rays) -> tuple[Float[Tensor, " r"], Float[Tensor, " r"]]:
        """Distances between which a ray meets anything; far <= near where it meets nothing."""
        if self.kind == "box":
            near, far = self.box.intersect(rays)
            return near.clamp(min=self.near), far
        if self.kind == "ndc":
            return self._beyond_near(rays)
        start = rays.origin.new_full((len(rays),), self.near)
        return start, start.new_full((len(rays),), self.far)

    def _beyond_near(self, rays: Rays) -> tuple[Tensor, Tensor]:
        """ndc: bounds from the near plane, or the camera if it stands beyond; none where a ray does not look ahead."""
        frame = rays.origin.new_tensor(self.frame).reshape(3, 4)
        ahead = -frame[:, 2]
        cosine, depth = rays.direction @ ahead, (rays.origin - frame[:, 3]) @ ahead
        start = ((self.near - depth) / cosine.clamp(min=GRAZING)).clamp(min=0)
        return start, torch.where(cosine > GRAZING, self.far, start)

    @property
    def far(self) -> float:
        """Distance at which rays end, where space has no box to leave."""
        return FAR * (self.near if self.kind == "ndc" else max(self.box.half))

    def to_even(self, t: Tensor) -> Tensor:
        """Distance along a ray to the measure in which samples are evenly spaced; grows with t."""
        if self.kind == "box":
            return t
        turn = self.near if self.kind == "ndc" else self._turn
        return torch.where(t > turn, 2 * turn - turn * turn / t.clamp(min=turn), t)

    def from_even(self, s: Tensor) -> Tensor:
        """The inverse of `to_even`."""
        if self.kind == "box":
            return s
        turn = self.near if self.kind == "ndc" else self._turn
        return torch.where(s > turn, turn * turn / (2 * turn - s).clamp(min=turn / FAR / 4), s)

    @property
    def _turn(self) -> float:
        """contracted: the distance from which on samples are spaced by inverse distance."""
        return 2 * max(self.box.half)
