"""Views for pictures: a camera that looks at a point, from an angle, and frames a given region."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float

_AXES = {"x": (2, 0, 1), "y": (0, 1, 2), "z": (1, 2, 0)}  # up: (right, up, front) as axes of the frame


@dataclass(frozen=True)
class View:
    """A look at `centre`; the default shows the whole cube [-1, 1]^3 from any side."""

    yaw: float = 35.0
    """Degrees about the up axis; 0 looks from the front: from +z where y is up, from +x where z is up."""
    pitch: float = 15.0
    """Degrees above the horizon."""
    up: Literal["x", "y", "z"] = "y"
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    radius: float = 1.8
    """Half the height of what is seen at the distance of the centre."""
    field_of_view: float = 25.0
    """Degrees from top to bottom; 0 for an orthographic picture."""

    def __post_init__(self) -> None:
        if not 0 <= self.field_of_view < 170:
            raise ValueError(f"field_of_view must be in [0, 170) degrees, got {self.field_of_view}")
        if not self.radius > 0:
            raise ValueError(f"radius must be positive, got {self.radius}")

    @property
    def axes(self) -> Float[np.ndarray, "3 3"]:
        """Rows: unit vectors to the picture's right, to its top, and towards the camera."""
        yaw, pitch = np.radians([self.yaw, self.pitch])
        right = np.array([np.cos(yaw), 0.0, -np.sin(yaw)])
        top = np.array([-np.sin(pitch) * np.sin(yaw), np.cos(pitch), -np.sin(pitch) * np.cos(yaw)])
        axes = np.empty((3, 3))
        axes[:, _AXES[self.up]] = [right, top, np.cross(right, top)]
        return axes

    @property
    def distance(self) -> float:
        """From camera to centre."""
        if self.field_of_view == 0:
            return 100.0 * self.radius
        return self.radius / float(np.tan(np.radians(self.field_of_view) / 2))

    def framing(self, points: Float[np.ndarray, "n 3"], margin: float = 1.06) -> View:
        """The same look, moved and scaled so that all points just fit, with a margin around them."""
        if not len(points):
            return self
        local = points @ self.axes.T
        middle = (local.min(axis=0) + local.max(axis=0)) / 2
        x, y, z = (local - middle).T
        needed = np.maximum(np.abs(x), np.abs(y))
        if self.field_of_view > 0:
            needed = needed + np.tan(np.radians(self.field_of_view) / 2) * z
        centre = middle @ self.axes
        radius = max(float(needed.max()) * margin, 1e-9)
        return replace(self, centre=(float(centre[0]), float(centre[1]), float(centre[2])), radius=radius)

    def rays(self, size: int) -> tuple[Float[np.ndarray, "r 3"], Float[np.ndarray, "r 3"]]:
        """Origins and unit directions through the pixel centres of a square picture, row by row from the top."""
        at = (np.arange(size) + 0.5) / size * 2 - 1
        x, y = np.meshgrid(at * self.radius, -at * self.radius)
        plane = np.stack([x.ravel(), y.ravel(), np.zeros(size * size)], axis=1) @ self.axes + np.array(self.centre)
        towards = self.axes[2] * self.distance
        if self.field_of_view == 0:
            return plane + towards, np.broadcast_to(-self.axes[2], plane.shape).copy()
        origins = np.broadcast_to(np.array(self.centre) + towards, plane.shape).copy()
        directions = plane - origins
        return origins, directions / np.linalg.norm(directions, axis=1, keepdims=True)

    def depth(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Distance from the plane of the camera, along the direction it looks in."""
        return self.distance - (points - np.array(self.centre)) @ self.axes[2]
