"""First hits of rays on a mesh, in double precision, whatever the mesh's scale and place."""

from __future__ import annotations

import igl
import numpy as np
from jaxtyping import Bool, Float, Int

from recon.geometry import Mesh

# libigl takes a triangle for edge-on where twice its area, as the ray sees it, is below 1e-6: faces have to be large.
_SIZE = 1e7


class Caster:
    """A search tree over the mesh's faces."""

    def __init__(self, mesh: Mesh) -> None:
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        self._middle = low + (high - low) / 2
        self._scale = _SIZE / float((high - low).max())
        self._vertices = np.ascontiguousarray((mesh.vertices - self._middle) * self._scale)
        self._faces = np.ascontiguousarray(mesh.faces, np.int64)
        self._tree = igl.AABB()
        self._tree.init(self._vertices, self._faces)

    def first(
        self, origins: Float[np.ndarray, "r 3"], directions: Float[np.ndarray, "r 3"]
    ) -> tuple[Int[np.ndarray, " h"], Int[np.ndarray, " h"], Float[np.ndarray, "h 3"], Float[np.ndarray, " h"]]:
        """Rays that meet a face, ascending, the face each meets first, the weights of its corners there, and the
        distance in units of `directions`."""
        start = self._scaled(origins)
        face, _, uv = map(np.asarray, self._tree.intersect_ray_first(self._vertices, self._faces, start, directions))
        ray = np.flatnonzero(face >= 0)
        u, v = uv[ray].T
        face = face[ray].astype(np.int64)
        # libigl tells distances in single precision: where the ray meets the face's plane is exact.
        a, b, c = np.moveaxis(self._vertices[self._faces[face]], 1, 0)
        normal = np.cross(b - a, c - a)
        towards = np.einsum("hi,hi->h", normal, a - start[ray])
        distance = towards / np.einsum("hi,hi->h", normal, directions[ray]) / self._scale
        return ray, face, np.stack([1 - u - v, u, v], axis=1), distance

    def blocked(
        self, origins: Float[np.ndarray, "r 3"], directions: Float[np.ndarray, "r 3"]
    ) -> Bool[np.ndarray, " r"]:
        """Whether each ray meets anything."""
        start = self._scaled(origins)
        return np.asarray(self._tree.intersect_ray_first(self._vertices, self._faces, start, directions)[0]) >= 0

    def _scaled(self, points: Float[np.ndarray, "r 3"]) -> Float[np.ndarray, "r 3"]:
        return np.ascontiguousarray((points - self._middle) * self._scale)
