"""Unit normals at a mesh's vertices, pointing out of the solid, from the gradient of the function it came from."""

from __future__ import annotations

import igl
import numpy as np
import torch
from jaxtyping import Float, Float32

from recon.geometry import Mesh
from recon.surfaces.grid import Function


def field_normals(f: Function, mesh: Mesh, chunk: int = 2**16) -> Float[np.ndarray, "v 3"]:
    """Direction of f's gradient at each vertex, in the frame of the vertices; f is negative inside.

    Where f has no gradient (piecewise constant fields such as ASMR's) or it is not finite, the mesh's own normal.
    """
    points = mesh.vertices.astype(np.float32)
    parts = [gradient(f, points[i : i + chunk]) for i in range(0, len(points), chunk)]
    found = np.concatenate([np.zeros((0, 3), np.float32), *parts]).astype(np.float64)
    length = np.linalg.norm(found, axis=1)
    usable = np.isfinite(length) & (length > 0)
    if usable.all():
        return found / length[:, None]
    normals = mesh_normals(mesh)
    normals[usable] = found[usable] / length[usable, None]
    return normals


def mesh_normals(mesh: Mesh) -> Float[np.ndarray, "v 3"]:
    """Mean of the faces' normals at each vertex, weighted by area; zero where a vertex has no face with an area."""
    if not len(mesh.faces):
        return np.zeros((len(mesh.vertices), 3))
    weighting = igl.PER_VERTEX_NORMALS_WEIGHTING_TYPE_AREA
    normals = igl.per_vertex_normals(mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64), weighting)
    return np.nan_to_num(normals, posinf=0.0, neginf=0.0)


def gradient(f: Function, points: Float32[np.ndarray, "n 3"]) -> Float32[np.ndarray, "n 3"]:
    """Gradient of f at each point by automatic differentiation; zero where f does not depend on the point."""
    with torch.enable_grad():
        x = torch.from_numpy(points).requires_grad_()
        y = f(x)
        found = None
        if y.requires_grad:
            (found,) = torch.autograd.grad(y.sum(), x, allow_unused=True)
    return np.zeros_like(points) if found is None else found.cpu().numpy()
