"""Triangle meshes, and the frames they live in. Normalised: the shape within [-1, 1]^3; input: as in the file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

DOMAIN = 1.2
"""Half width of the domain around a normalised shape: fields live on [-1.2, 1.2]^3 (Neural Experts, A.3)."""


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh: positions in the frame its owner says, faces as rows of three vertex indices, outward order."""

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]

    @property
    def triangles(self) -> Float[np.ndarray, "f 3 3"]:
        """Corners of each face."""
        return self.vertices[self.faces]

    def face_areas(self) -> Float[np.ndarray, " f"]:
        """Area of each face, in squared units of the vertices."""
        return 0.5 * np.linalg.norm(self._face_cross(), axis=1)

    def face_normals(self) -> Float[np.ndarray, "f 3"]:
        """Unit normal of each face; zero where a face has no area."""
        cross = self._face_cross()
        length = np.linalg.norm(cross, axis=1, keepdims=True)
        return np.divide(cross, length, out=np.zeros_like(cross), where=length > 0)

    def _face_cross(self) -> Float[np.ndarray, "f 3"]:
        a, b, c = np.moveaxis(self.triangles, 1, 0)
        return np.cross(b - a, c - a)


@dataclass(frozen=True)
class Similarity:
    """Scale and shift between the input's frame and the normalised one: normalised = (input - centre) * scale."""

    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0

    def apply(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Input frame to normalised frame."""
        return (points - np.asarray(self.centre)) * self.scale

    def invert(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Normalised frame to input frame."""
        return points / self.scale + np.asarray(self.centre)
