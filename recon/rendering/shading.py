"""Shaded pictures of meshes and of signed distances by casting rays; light is linear inside, pictures are sRGB."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import igl
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import gaussian_filter
from torch import Tensor

from recon.geometry import DOMAIN, Mesh
from recon.rendering.camera import View

CLAY = (219, 203, 187)
"""The colour of a surface that has none."""
BACKGROUND = (255, 255, 255)

# libigl takes a triangle for edge-on where twice its area, as the ray sees it, is below 1e-6: faces have to be large.
_SIZE = 1e7
_CREASE = 35.0  # degrees between faces from which an edge looks sharp
_BEHIND = 0.45  # brightness of a surface seen from its inside

# Direction towards the light (right, up, towards the camera) and its colour.
_LIGHTS = (
    ((-0.55, 0.70, 0.60), (0.95, 0.91, 0.85)),  # key
    ((0.85, 0.10, 0.50), (0.11, 0.13, 0.17)),  # fill
    ((0.30, 0.55, -0.85), (0.40, 0.40, 0.42)),  # rim
)
_SKY, _GROUND = np.array([0.27, 0.29, 0.32]), np.array([0.09, 0.08, 0.075])


@dataclass(frozen=True)
class Hits:
    """What the rays of a picture met: where `hit`, a point, the normal towards the camera, an sRGB colour in [0, 1]."""

    hit: Bool[np.ndarray, " r"]
    points: Float[np.ndarray, "h 3"]
    normals: Float[np.ndarray, "h 3"]
    colors: Float[np.ndarray, "h 3"]


@dataclass(frozen=True)
class Side:
    """What the rays of one view met of a mesh: where on which faces, and the normals towards the camera."""

    view: View
    size: int
    """Pixels of a side of the picture."""
    supersample: int
    ray: Int[np.ndarray, " h"]
    face: Int[np.ndarray, " h"]
    weights: Float[np.ndarray, "h 3"]
    """Of the corners of the face."""
    points: Float[np.ndarray, "h 3"]
    normals: Float[np.ndarray, "h 3"]
    behind: Bool[np.ndarray, " h"]
    """Where a face is seen from its inside."""


def shade_mesh(
    mesh: Mesh,
    view: View | None = None,
    size: int = 512,
    colors: UInt8[np.ndarray, "v 3"] | None = None,
    *,
    supersample: int = 2,
    blend: bool = True,
) -> UInt8[np.ndarray, "size size 3"]:
    """Picture of a mesh. Vertex colours blend over a face, or (`blend=False`) each point takes its nearest corner's.

    The default view frames the mesh. Edges sharper than 35 degrees stay sharp; a face seen from behind is dark.
    """
    view = view or View().framing(mesh.vertices)
    return shade(mesh, see(mesh, [view], size, supersample)[0], colors, blend)


def see(mesh: Mesh, views: Sequence[View], size: int = 512, supersample: int = 2) -> list[Side]:
    """A mesh from several sides, for any number of pictures by `shade`: casting rays is what takes the time."""
    if not len(mesh.faces):
        nothing, nowhere = np.zeros(0, np.int64), np.zeros((0, 3))
        rest = (nothing, nothing, nowhere, nowhere, nowhere, nothing > 0)
        return [Side(view, size, supersample, *rest) for view in views]
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    middle, scale = (low + high) / 2, _SIZE / max(float((high - low).max()), 1e-300)
    vertices = np.ascontiguousarray((mesh.vertices - middle) * scale, np.float64)
    faces = np.ascontiguousarray(mesh.faces, np.int64)
    corner_normals = np.asarray(igl.per_corner_normals(vertices, faces, _CREASE)).reshape(-1, 3, 3)
    face_normals = mesh.face_normals()
    tree = igl.AABB()
    tree.init(vertices, faces)
    sides = []
    for view in views:
        origins, directions = view.rays(size * supersample)
        start = np.ascontiguousarray((origins - middle) * scale)
        face, t, uv = map(np.asarray, tree.intersect_ray_first(vertices, faces, start, directions))
        ray = np.flatnonzero(face >= 0)
        # libigl counts in C's long long: the same numbers by another name
        face, t, directions, (u, v) = face[ray].astype(np.int64), t[ray] / scale, directions[ray], uv[ray].T
        weights = np.stack([1 - u - v, u, v], axis=1)
        normals = _unit(np.einsum("hk,hkc->hc", weights, corner_normals[face]))
        behind = np.einsum("ij,ij->i", face_normals[face], directions) > 0
        normals[behind] *= -1
        points = origins[ray] + t[:, None] * directions
        sides.append(Side(view, size, supersample, ray, face, weights, points, normals, behind))
    return sides


def shade(
    mesh: Mesh, side: Side, colors: UInt8[np.ndarray, "v 3"] | None = None, blend: bool = True
) -> UInt8[np.ndarray, "size size 3"]:
    """The picture of one side, plain or with colours of the vertices (see `shade_mesh`)."""
    hit = np.zeros((side.size * side.supersample) ** 2, bool)
    hit[side.ray] = True
    if colors is None:
        color = np.broadcast_to(np.array(CLAY) / 255.0, side.normals.shape).copy()
    else:
        share = side.weights if blend else np.eye(3)[side.weights.argmax(axis=1)]
        color = np.einsum("hk,hkc->hc", share, colors[mesh.faces[side.face]] / 255.0)
    color[side.behind] *= _BEHIND
    return _develop(Hits(hit, side.points, side.normals, color), side.view, side.size, side.supersample)


def trace_field(
    f: Callable[[Tensor], Tensor],
    view: View | None = None,
    size: int = 512,
    half: float = DOMAIN,
    lipschitz: float = 1.0,
    *,
    supersample: int = 2,
    normal_step: float | None = None,
) -> UInt8[np.ndarray, "size size 3"]:
    """Picture of the surface f = 0 within [-half, half]^3 by sphere tracing; f takes points [n, 3], is negative inside.

    A step is |f| / lipschitz, so thin parts may be missed where f is steeper than that. Normals are central differences
    over `normal_step` either way, a pixel's width unless given: take a cell's width for fields constant in cells.
    """
    view = view or View()
    origins, directions = view.rays(size * supersample)
    ray, distance = trace_rays(f, origins, directions, half, lipschitz)
    hit = np.zeros(len(origins), bool)
    hit[ray] = True
    points = origins[ray] + distance[:, None] * directions[ray]
    normals = _difference_normals(f, points, normal_step or 2 * view.radius / size)
    # At a cut through the solid by the box, and where f is flat, the gradient tells nothing of the side.
    facing = np.einsum("ij,ij->i", normals, directions[ray]) < 0
    normals = np.where(facing[:, None], normals, -directions[ray])
    colors = np.broadcast_to(np.array(CLAY) / 255.0, points.shape)
    return _develop(Hits(hit, points, normals, colors), view, size, supersample)


def trace_rays(
    f: Callable[[Tensor], Tensor],
    origins: Float[np.ndarray, "r 3"],
    directions: Float[np.ndarray, "r 3"],
    half: float,
    lipschitz: float = 1.0,
    *,
    steps: int = 256,
) -> tuple[Int[np.ndarray, " h"], Float[np.ndarray, " h"]]:
    """Which rays meet f <= 0 within the box, ascending, and at what distance; sphere tracing, then bisection."""
    enter, leave = _box_interval(origins, directions, half)
    ray = np.flatnonzero(enter < leave)
    t, least = enter[ray], 2 * half / 2048
    before, after, found = [], [], []
    previous = t
    for _ in range(steps):
        value = _values(f, origins[ray] + t[:, None] * directions[ray])
        inside = value <= 0
        for kept, new in ((found, ray), (before, previous), (after, t)):
            kept.append(new[inside])
        step = np.maximum(value / lipschitz, least)
        going = ~inside & (t + step < leave[ray])
        ray, previous = ray[going], t[going]
        t = previous + step[going]
        if not len(ray):
            break
    ray, low, high = (np.concatenate(parts) for parts in (found, before, after))
    for _ in range(12):
        middle = (low + high) / 2
        inside = _values(f, origins[ray] + middle[:, None] * directions[ray]) <= 0
        low, high = np.where(inside, low, middle), np.where(inside, middle, high)
    order = np.argsort(ray)
    return ray[order], high[order]


def _develop(hits: Hits, view: View, size: int, supersample: int) -> UInt8[np.ndarray, "size size 3"]:
    """Lights the hits and averages the rays of each pixel."""
    fine = size * supersample
    depth = np.zeros(fine * fine)
    depth[hits.hit] = view.depth(hits.points)
    hollow = _hollowness(depth.reshape(fine, fine), hits.hit.reshape(fine, fine), view.radius)
    light = _light(hits.normals @ view.axes.T) * hollow.ravel()[hits.hit, None]
    picture = np.broadcast_to(_to_linear(np.array(BACKGROUND) / 255.0), (fine * fine, 3)).copy()
    picture[hits.hit] = _soft_limit(_to_linear(hits.colors) * light)
    picture = picture.reshape(size, supersample, size, supersample, 3).mean(axis=(1, 3))
    return np.rint(_to_srgb(picture) * 255).astype(np.uint8)


def _light(normals: Float[np.ndarray, "h 3"]) -> Float[np.ndarray, "h 3"]:
    """Light that arrives at surfaces with these normals (right, up, towards the camera)."""
    light = _GROUND + (_SKY - _GROUND) * (normals[:, 1:2] + 1) / 2
    for direction, color in _LIGHTS:
        towards = np.array(direction) / np.linalg.norm(direction)
        # Wrapped round the edge of the shadow, as light of a large lamp is.
        light = light + np.clip((normals @ towards + 0.15) / 1.15, 0, None)[:, None] * np.array(color)
    return light


def _soft_limit(light: Float[np.ndarray, "h 3"]) -> Float[np.ndarray, "h 3"]:
    """Bends brightness above 0.7 towards 1, so that bright parts keep their shape."""
    return np.where(light < 0.7, np.maximum(light, 0.0), 0.7 + 0.3 * np.tanh((light - 0.7) / 0.3))


def _hollowness(
    depth: Float[np.ndarray, "h w"], hit: Bool[np.ndarray, "h w"], radius: float
) -> Float[np.ndarray, "h w"]:
    """Factor below 1 in hollows and above it on ridges: depth against its blurred self (Luft et al. 2006)."""
    factor = np.ones_like(depth)
    for share, strength in ((0.007, 0.40), (0.035, 0.40)):
        sigma = share * len(depth)
        weight = gaussian_filter(hit.astype(np.float64), sigma, truncate=3)
        blurred = gaussian_filter(np.where(hit, depth, 0.0), sigma, truncate=3) / np.maximum(weight, 1e-6)
        higher = (blurred - depth) / (2 * radius * share)
        factor *= 1 + strength * np.where(higher < 0, np.tanh(higher), 0.35 * np.tanh(higher))
    return factor


def _difference_normals(
    f: Callable[[Tensor], Tensor], points: Float[np.ndarray, "h 3"], step: float
) -> Float[np.ndarray, "h 3"]:
    shifts = step * np.eye(3)
    return _unit(np.stack([_values(f, points + s) - _values(f, points - s) for s in shifts], axis=1))


def _values(
    f: Callable[[Tensor], Tensor], points: Float[np.ndarray, "n 3"], chunk: int = 2**17
) -> Float[np.ndarray, " n"]:
    """f at points, in chunks."""
    values = np.empty(len(points))
    single = points.astype(np.float32)
    with torch.no_grad():
        for start in range(0, len(points), chunk):
            part = single[start : start + chunk]
            values[start : start + chunk] = f(torch.from_numpy(part)).reshape(len(part)).cpu().numpy()
    return values


def _box_interval(
    origins: Float[np.ndarray, "r 3"], directions: Float[np.ndarray, "r 3"], half: float
) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, " r"]]:
    """Distances at which each ray enters and leaves the box; enter >= leave where it misses."""
    safe = np.where(np.abs(directions) < 1e-12, 1e-12, directions)
    a, b = (-half - origins) / safe, (half - origins) / safe
    return np.maximum(np.minimum(a, b).max(axis=1), 0.0), np.maximum(a, b).min(axis=1)


def _unit(vectors: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _to_linear(srgb: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _to_srgb(linear: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
