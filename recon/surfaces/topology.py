"""What a triangle mesh consists of, and parts of it; frames and units are those of the vertices."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from recon.geometry import Mesh


def clean(mesh: Mesh, keep: Literal["all", "largest"] = "all") -> Mesh:
    """The mesh without unused vertices; `largest` keeps the component with the largest area only."""
    faces = mesh.faces
    if keep == "largest" and len(faces):
        component = face_components(mesh)
        area = np.bincount(component, weights=mesh.face_areas())
        faces = faces[component == area.argmax()]
    used, compact = np.unique(faces, return_inverse=True)
    return Mesh(mesh.vertices[used], compact.reshape(-1, 3))


def face_components(mesh: Mesh) -> Int[np.ndarray, " f"]:
    """Component of each face, counted from 0; faces that share a vertex belong together."""
    a, b, c = mesh.faces.T
    links = coo_matrix(
        (np.ones(2 * len(a), np.int8), (np.concatenate([a, a]), np.concatenate([b, c]))),
        shape=(len(mesh.vertices),) * 2,
    )
    _, label = connected_components(links, directed=False)
    return np.unique(label[a], return_inverse=True)[1]


def describe(mesh: Mesh) -> dict[str, int | float | bool | None]:
    """Counts and measures: vertices, faces, components, watertight, euler, area, volume.

    Watertight: each edge is passed once in each direction, by two faces that agree on the outside. Unused vertices
    do not count. The volume of a mesh that is not watertight is None.
    """
    edges = mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2).astype(np.int64)
    size = max(len(mesh.vertices), 1)
    forward, backward = np.sort(edges @ (size, 1)), np.sort(edges @ (1, size))
    repeated = bool((forward[1:] == forward[:-1]).any())
    watertight = len(edges) > 0 and not repeated and bool((forward == backward).all())
    used = len(np.unique(mesh.faces))
    undirected = len(np.unique(np.sort(edges, axis=1) @ (size, 1)))
    a, b, c = np.moveaxis(mesh.triangles - mesh.vertices[mesh.faces[:1, 0]].sum(axis=0), 1, 0)
    return {
        "vertices": used,
        "faces": len(mesh.faces),
        "components": int(face_components(mesh).max() + 1) if len(mesh.faces) else 0,
        "watertight": watertight,
        "euler": used - undirected + len(mesh.faces),
        "area": float(mesh.face_areas().sum()),
        "volume": float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6) if watertight else None,
    }
