"""A mesh ready to be photographed: crease-aware normals, colours or a texture, and baked light, all at its vertices."""

from __future__ import annotations

from dataclasses import dataclass

import igl
import numpy as np
from jaxtyping import Float, Int, UInt8

from recon.geometry import Mesh

CREASE = 35.0
"""Degrees between faces from which an edge looks sharp."""


@dataclass(frozen=True)
class Texture:
    """A picture on a surface; u runs right and v up, and both repeat."""

    uv: Float[np.ndarray, "v 2"]
    image: UInt8[np.ndarray, "h w 3"]
    """sRGB."""


@dataclass(frozen=True)
class Surface:
    """A mesh whose vertices are doubled along creases. Colours are linear."""

    mesh: Mesh
    normals: Float[np.ndarray, "v 3"]
    albedo: Float[np.ndarray, "v 3"]
    """Multiplied with the texture where there is one."""
    texture: Texture | None = None


def surface_of(
    mesh: Mesh, albedo: Float[np.ndarray, "v 3"], texture: Texture | None = None, *, longest: float, budget: int
) -> Surface:
    """Splits vertices where edges are sharp, then faces with an edge over `longest`, up to about `budget` faces.

    Light and colour are kept at vertices, so faces have to be as fine as what is to be seen on them. The surface as a
    set of points stays as it is. Faces without area are dropped: they have no normal, and no ray meets them.
    """
    faces = mesh.faces[mesh.face_areas() > 0].astype(np.int64)
    if not len(faces):
        raise ValueError("the mesh has no face with an area, so there is nothing to see")
    uv = np.zeros((len(mesh.vertices), 0)) if texture is None else texture.uv
    columns, faces = _split_at_creases(np.concatenate([mesh.vertices, albedo, uv], axis=1), faces)
    columns, faces = _refined(columns, faces, longest, budget)
    xyz, normals, albedo, uv = np.split(columns, [3, 6, 9], axis=1)
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    refined = None if texture is None else Texture(np.ascontiguousarray(uv), texture.image)
    return Surface(Mesh(np.ascontiguousarray(xyz), faces), normals, albedo, refined)


def _split_at_creases(
    columns: Float[np.ndarray, "v c"], faces: Int[np.ndarray, "f 3"]
) -> tuple[Float[np.ndarray, "w d"], Int[np.ndarray, "f 3"]]:
    """Rows x y z normal others, one for each normal that a vertex has."""
    # Vertices of one place count as one here: a seam of the texture is no crease.
    xyz, place = np.unique(columns[:, :3], axis=0, return_inverse=True)
    corner = np.asarray(igl.per_corner_normals(xyz, place.reshape(-1)[faces], CREASE)).reshape(-1, 3)
    key = np.concatenate([faces.reshape(-1, 1), np.rint(corner * 1e4).astype(np.int64)], axis=1)
    _, first, inverse = np.unique(key, axis=0, return_index=True, return_inverse=True)
    rows = columns[faces.reshape(-1)[first]]
    return np.concatenate([rows[:, :3], corner[first], rows[:, 3:]], axis=1), inverse.reshape(-1, 3)


def _refined(
    columns: Float[np.ndarray, "v c"], faces: Int[np.ndarray, "f 3"], longest: float, budget: int
) -> tuple[Float[np.ndarray, "w c"], Int[np.ndarray, "g 3"]]:
    """Faces cut in four at the middles of their edges, until no edge is too long or the budget is spent."""
    while True:
        corners = columns[faces, :3]
        lengths = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2)
        long = lengths.max(axis=1) > longest
        if not long.any() or len(faces) + 3 * int(long.sum()) > budget:
            return columns, faces
        cut = faces[long]
        edges = np.sort(np.stack([cut, np.roll(cut, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
        ends, inverse = np.unique(edges, axis=0, return_inverse=True)
        middle = inverse.reshape(-1, 3) + len(columns)
        columns = np.concatenate([columns, columns[ends].mean(axis=1)])
        (a, b, c), (ab, bc, ca) = cut.T, middle.T
        parts = [np.stack(part, axis=1) for part in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))]
        faces = np.concatenate([faces[~long], *parts])
