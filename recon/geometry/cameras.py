"""Pinhole cameras. Poses are camera-to-world with OpenGL axes (right, up, backwards); pixel centres lie at +0.5."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

NEWTON_STEPS = 12
"""Steps of the inverse of a lens's distortion; from an error of 0.1 five reach the last bit."""


@dataclass(frozen=True)
class Rays:
    """Half lines in world space; a direction has length 1, so distances along a ray are world units."""

    origin: Float[Tensor, "r 3"]
    direction: Float[Tensor, "r 3"]

    def __len__(self) -> int:
        return len(self.origin)

    def __getitem__(self, index: slice | Tensor) -> Rays:
        return Rays(self.origin[index], self.direction[index])

    def to(self, device: torch.device) -> Rays:
        """The same rays on a device."""
        return Rays(self.origin.to(device), self.direction.to(device))


@dataclass(frozen=True)
class Cameras:
    """v cameras of one picture size, in double precision."""

    pose: Float[Tensor, "v 3 4"]
    """Camera to world: columns right, up, backwards, position."""
    focal: Float[Tensor, "v 2"]
    """Focal lengths along x and y, in pixels."""
    centre: Float[Tensor, "v 2"]
    """Principal points (x, y), in pixels from the upper left corner."""
    distortion: Float[Tensor, "v 4"]
    """OpenCV's k1, k2, p1, p2; zero for a lens without distortion."""
    height: int
    width: int

    def __len__(self) -> int:
        return len(self.pose)

    def select(self, views: Int[Tensor, " n"] | list[int]) -> Cameras:
        """Some of the cameras, in the order given."""
        index = torch.as_tensor(views, dtype=torch.long, device=self.pose.device)
        parts = {name: getattr(self, name)[index] for name in ("pose", "focal", "centre", "distortion")}
        return replace(self, **parts)

    def resized(self, height: int, width: int) -> Cameras:
        """The same views in pictures of another size."""
        factor = torch.tensor([width / self.width, height / self.height], dtype=self.focal.dtype)
        return replace(self, focal=self.focal * factor, centre=self.centre * factor, height=height, width=width)

    def pixels(self) -> Float[Tensor, "p 2"]:
        """Centres (x, y) of a picture's pixels, row by row."""
        y, x = torch.meshgrid(torch.arange(self.height) + 0.5, torch.arange(self.width) + 0.5, indexing="ij")
        return torch.stack([x, y], dim=-1).reshape(-1, 2).double()

    def rays(self, view: Int[Tensor, " r"], pixel: Float[Tensor, "r 2"]) -> Rays:
        """Rays in single precision through points (x, y) of the pictures of some views."""
        plane = (pixel.double() - self.centre[view]) / self.focal[view]
        plane = undistort(plane, self.distortion[view])
        local = torch.stack([plane[:, 0], -plane[:, 1], -torch.ones_like(plane[:, 0])], dim=-1)
        direction = torch.einsum("rij,rj->ri", self.pose[view, :, :3], local)
        direction = direction / direction.norm(dim=-1, keepdim=True)
        return Rays(self.pose[view, :, 3].float(), direction.float())

    def view_rays(self, view: int) -> Rays:
        """Rays through all pixels of one view, row by row."""
        pixel = self.pixels()
        return self.rays(torch.full((len(pixel),), view), pixel)

    def project(
        self, view: Int[Tensor, " n"], points: Float[Tensor, "n 3"]
    ) -> tuple[Float[Tensor, "n 2"], Float[Tensor, " n"]]:
        """Where world points appear in pictures, and their depth along the axis of view; the inverse of `rays`.

        Points behind the camera have a depth of zero or less, and no meaningful place."""
        pose = self.pose[view]
        local = torch.einsum("nij,ni->nj", pose[:, :, :3], points.double() - pose[:, :, 3])
        depth = -local[:, 2]
        safe = torch.where(depth > 0, depth, torch.ones_like(depth))
        plane = torch.stack([local[:, 0] / safe, -local[:, 1] / safe], dim=-1)
        return distort(plane, self.distortion[view]) * self.focal[view] + self.centre[view], depth

    def forward(self) -> Float[Tensor, "v 3"]:
        """Directions in which the cameras look."""
        return -self.pose[:, :, 2]

    def position(self) -> Float[Tensor, "v 3"]:
        """Centres of projection."""
        return self.pose[:, :, 3]


def distort(plane: Float[Tensor, "n 2"], coefficients: Float[Tensor, "n 4"]) -> Float[Tensor, "n 2"]:
    """Ideal to real points on the plane at distance 1, y down (OpenCV's model with k1, k2, p1, p2)."""
    return _distort(plane, coefficients)[0]


def undistort(plane: Float[Tensor, "n 2"], coefficients: Float[Tensor, "n 4"]) -> Float[Tensor, "n 2"]:
    """Real to ideal points, by Newton's method: the inverse of `distort` to rounding.

    ValueError where a point lies beyond what the lens can show (the model folds over)."""
    if not coefficients.any():
        return plane
    ideal = plane
    for _ in range(NEWTON_STEPS):
        found, (a, b, c, d) = _distort(ideal, coefficients)
        error = found - plane
        determinant = a * d - b * c
        step = torch.stack([d * error[:, 0] - b * error[:, 1], a * error[:, 1] - c * error[:, 0]], dim=-1)
        ideal = ideal - step / determinant[:, None]
    found, (a, b, c, d) = _distort(ideal, coefficients)
    # beyond the fold the model comes back, mirrored: a solution there is none
    if not (((found - plane).abs() < 1e-6).all() and (a * d - b * c > 0).all()):
        raise ValueError(
            "the lens distortion cannot be undone in a corner of the picture: its coefficients "
            f"{[round(float(value), 5) for value in coefficients[0]]} fold the picture over; were they read right?"
        )
    return ideal


def _distort(plane: Tensor, coefficients: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """The distorted points and the Jacobian's rows."""
    k1, k2, p1, p2 = coefficients.unbind(-1)
    x, y = plane.unbind(-1)
    r2 = x * x + y * y
    radial, slope = 1 + r2 * (k1 + r2 * k2), k1 + 2 * k2 * r2  # slope: derivative of radial with respect to r2
    found = torch.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        ],
        dim=-1,
    )
    cross = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y
    a = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
    d = radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x
    return found, (a, cross, cross, d)
