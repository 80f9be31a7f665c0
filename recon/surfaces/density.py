"""The surface of a density field as a mesh in world space: where density, per world unit, rises above a level."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from recon.geometry import Box, Mesh, Rays, Space
from recon.surfaces.extract import extract_adaptive
from recon.surfaces.grid import Progress
from recon.surfaces.normals import mesh_normals
from recon.surfaces.topology import clean, face_components

Density = Callable[[Tensor], Tensor]
"""World points [n, 3], mostly on the CPU, to densities [n] per world unit on any device."""
Colour = Callable[[Tensor, Tensor], Tensor]
"""World points and directions of view, both [n, 3] on the CPU, to colours [n, 3] in [0, 1] on any device."""

OPAQUE = 0.9
"""Opacity from which a ray has met a surface, not a veil."""
KEPT_SHARE = 0.01
"""Components with less than this share of the largest one's area are floaters."""
NDC_HALF = 0.9
"""How much of the cube is meshed where it is a frustum: up to 20 times the near distance, where cells grow huge."""

_ACROSS, _LEVELS = 192, 96  # places along a ray, levels tried
_COARSE, _FAINT = 64, 20.0  # first blocks an axis; a block is looked into if its density is level / 20 or more
_CHUNK = 2**16


@dataclass(frozen=True)
class DensityMesh:
    """A mesh in world space, its vertex normals and colours, and how it came about."""

    mesh: Mesh
    normals: Float[np.ndarray, "v 3"]
    colours: UInt8[np.ndarray, "v 3"] | None
    removed: int
    """Floaters: components that were left out."""
    evaluations: int
    """Points at which the density was computed."""
    note: str
    """What a person should know of it."""


# -- the level --------------------------------------------------------------------------------------------------------


def automatic_level(
    density: Density,
    rays: Rays,
    median_depth: Float[Tensor, " r"],
    opacity: Float[Tensor, " r"],
    reach: float,
) -> float:
    """The density whose surface best agrees with what rays see.

    A ray sees the place where half of its light has been stopped: its median depth, where the opacity reached is 1/2.
    A level's surface is met where density along the ray first exceeds the level. The level taken makes the mean
    distance between the two least over rays with an opacity of OPAQUE or more; a ray that never meets the surface
    counts with `reach`, in world units: the search goes that far to both sides of the median depth. Among levels that
    are equally good the middle one is taken. ValueError where no ray is opaque.
    """
    use = (opacity >= OPAQUE) & median_depth.isfinite() & (median_depth > 0)
    if not use.any():
        highest = float(opacity.max()) if len(opacity) else 0.0
        raise ValueError(
            f"no ray reaches an opacity of {OPAQUE:g} (the highest is {highest:.2g}),"
            " so there is no surface whose density could be measured; train longer, or give a level"
        )
    origin, direction, depth = rays.origin[use], rays.direction[use], median_depth[use]
    # Densities in front of the surface count as well: a level below that of fog is met too early.
    offset = torch.linspace(-reach, reach, _ACROSS, device=depth.device)
    along = (depth[:, None] + offset).clamp(min=0)
    points = origin[:, None] + along[..., None] * direction[:, None]
    met = _densities(density, points.reshape(-1, 3)).reshape(along.shape).cummax(dim=1).values
    # The median depth may lie just before a thin wall: hence the density a little behind it.
    levels = _levels(float(met[:, _ACROSS * 9 // 16].median()))
    cost = torch.stack([_misses(met, along, depth, level, reach).mean() for level in levels])
    # What differs by less than the way between two places along a ray is equal.
    best = torch.nonzero(cost <= cost.min() + 2 * reach / _ACROSS)[:, 0]
    return levels[int(best[len(best) // 2])]


def _densities(density: Density, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """In parts, without gradients; ValueError where a density is no number."""
    with torch.no_grad():
        found = torch.cat([density(part).reshape(-1).float() for part in points.split(_CHUNK)]).to(points.device)
    if found.isnan().any():
        raise ValueError("the density is not a number in places; a field that diverged in training has no surface")
    return found


def _levels(typical: float) -> list[float]:
    """Levels to try, evenly spaced by their ratio: from a 100th to 10 times the density where rays typically end."""
    if not typical > 0:
        raise ValueError("rays end, but the density there is 0; is it that of the field they were rendered from?")
    return [typical * 10 ** (3 * step / _LEVELS - 2) for step in range(_LEVELS + 1)]


def _misses(
    met: Float[Tensor, "r m"], along: Float[Tensor, "r m"], depth: Float[Tensor, " r"], level: float, reach: float
) -> Float[Tensor, " r"]:
    """How far from its median depth each ray meets a level, given the highest density up to each place along it."""
    above = met >= level
    after = above.int().argmax(dim=1, keepdim=True)
    before = (after - 1).clamp(min=0)
    low, high = met.gather(1, before), met.gather(1, after)
    share = ((level - low) / (high - low).clamp(min=1e-30)).clamp(0, 1)
    t = torch.lerp(along.gather(1, before), along.gather(1, after), share)[:, 0]
    return torch.where(above[:, -1], (t - depth).abs().clamp(max=reach), reach)


# -- the mesh ---------------------------------------------------------------------------------------------------------


def density_mesh(
    density: Density,
    region: Space | Box,
    level: float,
    resolution: int,
    *,
    colour: Colour | None = None,
    progress: Progress | None = None,
) -> DensityMesh:
    """The surface where density equals `level`, on a grid of `resolution` points an axis, faces outwards.

    The grid fills a box, or of a space: its box, or (ndc) the part of its frustum near the camera. Vertex colours are
    what one sees looking at the surface from straight above, against the normal. Floaters are left out.
    """
    if not (math.isfinite(level) and level > 0):
        raise ValueError(f"the level must be a density above 0, got {level}")
    to_world, half = _frame(region)
    cells = resolution - 1

    def below(u: Tensor) -> Tensor:
        """Negative inside. By the logarithm, since densities span decades: else the mesh would show the grid."""
        found = density(to_world(u)).reshape(-1).clamp(min=0)
        return scale * (math.log(2) - torch.log1p(found / level))

    # The scale makes `extract_adaptive` look into every first block with a density of level / _FAINT at its centre.
    scale = 1.5 * math.sqrt(3) * half / min(cells, _COARSE) / (math.log(2) - math.log1p(1 / _FAINT))
    found = extract_adaptive(below, resolution, None, half, coarse=_COARSE, progress=progress)
    faces = found.mesh.faces if _keeps_hand(to_world) else found.mesh.faces[:, ::-1]
    vertices = _in_parts(to_world, torch.from_numpy(found.mesh.vertices.astype(np.float32)))
    mesh, removed = without_floaters(Mesh(vertices.double().numpy(), np.ascontiguousarray(faces)))
    normals = mesh_normals(mesh)
    colours = None if colour is None else vertex_colours(mesh, normals, colour)
    note = f"density {level:.4g}; {removed} floater{'s' * (removed != 1)} removed"
    if not len(mesh.faces):
        note = f"no density in the region reaches the level {level:.4g}: the mesh is empty; give a lower level"
    return DensityMesh(mesh, normals, colours, removed, found.evaluations, note)


def without_floaters(mesh: Mesh, share: float = KEPT_SHARE) -> tuple[Mesh, int]:
    """The mesh without components whose area is less than a share of the largest one's, and how many they were."""
    if not len(mesh.faces):
        return clean(mesh), 0
    component = face_components(mesh)
    area = np.bincount(component, weights=mesh.face_areas())
    kept = area >= share * area.max()
    return clean(Mesh(mesh.vertices, mesh.faces[kept[component]])), int((~kept).sum())


def vertex_colours(mesh: Mesh, normals: Float[np.ndarray, "v 3"], colour: Colour) -> UInt8[np.ndarray, "v 3"]:
    """Colour of each vertex as seen from the direction of its normal."""
    points, towards = (torch.from_numpy(part.astype(np.float32)) for part in (mesh.vertices, -normals))
    found = _in_parts(colour, points, towards)
    return (found.nan_to_num().clamp(0, 1) * 255).round().byte().numpy()


def _in_parts(function: Callable[..., Tensor], *columns: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """A function of rows, computed part by part without gradients, on the CPU."""
    parts = [torch.zeros(0, 3)]
    with torch.no_grad():
        for rows in zip(*(column.split(_CHUNK) for column in columns), strict=True):
            parts.append(function(*rows).float().cpu())
    return torch.cat(parts)


def _frame(region: Space | Box) -> tuple[Callable[[Tensor], Tensor], float]:
    """From the cube [-half, half]^3 to the world; a contracted space's box is the middle of its cube."""
    if isinstance(region, Box):
        centre, sides = region.centre, region.half
        return lambda u: u * u.new_tensor(sides) + u.new_tensor(centre), 1.0
    return region.from_cube, {"box": 1.0, "contracted": 0.5, "ndc": NDC_HALF}[region.kind]


def _keeps_hand(to_world: Callable[[Tensor], Tensor]) -> bool:
    """Whether a map keeps the order of faces: a frustum's third axis looks away from the camera, which mirrors."""
    corner = to_world(torch.cat([torch.zeros(1, 3), 0.1 * torch.eye(3)]))
    return bool(torch.linalg.det(corner[1:] - corner[0]) > 0)
