"""What a trained scene leaves for other programs: a coloured mesh, a point cloud, its cameras; in the input's frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from recon.geometry import Box, Cameras, Mesh, Space
from recon.rendering.depth_picture import colour_picture
from recon.surfaces.density import KEPT_SHARE, Density, automatic_level, density_mesh, vertex_colours
from recon.surfaces.normals import mesh_normals
from recon.surfaces.points import Points, Seen, cameras_json, gather
from recon.surfaces.topology import clean, describe, face_components
from recon.surfaces.tsdf import fuse
from recon.tasks.bench import Say
from recon.tasks.nerf.fitted import Fitted
from recon.tasks.nerf.look import Look, look, told, training_cameras

Keep = Literal["all", "largest"]

MOST_FACES = 5_000_000
"""Faces of the largest mesh that is finished: noise fills all of space with them."""
POINTS = 300_000
"""Of a point cloud, at most."""
REACH = 0.1
"""How far from where rays end a level is looked for, in mean half widths of the box; in ndc, in near distances."""
VIEWS = 48
"""Training cameras whose depth is fused or made points, at most."""
FUSED_SIDE = 512
"""Longer side of the pictures that are fused, at most."""
TRUNCATION = 4.0
"""Voxels behind a seen surface that count as solid."""


@dataclass(frozen=True)
class SceneMesh:
    """A mesh in the frame of the input, with what a person should know of it."""

    mesh: Mesh
    normals: Float[np.ndarray, "v 3"]
    colours: UInt8[np.ndarray, "v 3"]
    facts: dict[str, Any]


def level_mesh(
    fitted: Fitted, resolution: int, say: Say, *, level: float | None = None, keep: Keep = "all"
) -> SceneMesh:
    """The surface where density equals a level (per world unit; None: where rays see it), coloured by the field.

    ValueError where there is nothing to see, or where the surface is none: see MOST_FACES.
    """
    density, space, chosen = trained_density(fitted), fitted.lit.radiance.space, level
    if chosen is None:
        found = look(fitted)
        chosen = automatic_level(density, found.rays, found.median_depth, found.opacity, _reach(space))
    say(f"density {chosen:.4g} on a grid of {resolution}^3")
    extracted = density_mesh(density, space, chosen, resolution)
    mesh = clean(extracted.mesh, keep)
    _refuse_noise(mesh)
    normals = mesh_normals(mesh)
    facts = {"method": "level", "level": chosen, "level_chosen": "by flag" if level is not None else "automatic"}
    facts |= {"resolution": resolution, "removed_floaters": extracted.removed, "note": extracted.note}
    facts |= {"evaluations": extracted.evaluations, **describe(mesh)}
    say(f"colours of {len(mesh.vertices):,} vertices")
    return SceneMesh(mesh, normals, vertex_colours(mesh, normals, fitted.colour), facts)


def fused_mesh(fitted: Fitted, resolution: int, say: Say, *, keep: Keep = "all") -> SceneMesh:
    """The surface that rendered depths of the training cameras agree on, in voxels of the box's longest side over
    `resolution`. ImportError where Open3D is missing."""
    cameras = training_cameras(fitted.reference, VIEWS, min(FUSED_SIDE, resolution))
    box = content_box(fitted.lit.radiance.space, look(fitted))
    voxel = 2 * max(box.half) / resolution
    views = (
        (torch.where(seen.opacity >= 0.5, seen.distance, 0.0), colour_picture(seen.rgb))
        for seen in _views(fitted, cameras, say)
    )
    mesh, colours = fuse(views, cameras, voxel, TRUNCATION * voxel, box)
    mesh, colours, removed = _substantial(mesh, colours, keep)
    _refuse_noise(mesh)
    facts = {"method": "tsdf", "voxel": voxel, "views": len(cameras), "resolution": resolution}
    facts |= {"removed_floaters": removed, "note": f"depth of {len(cameras)} views fused", **describe(mesh)}
    return SceneMesh(mesh, mesh_normals(mesh), colours, facts)


def point_cloud(fitted: Fitted, say: Say, *, views: int = VIEWS, side: int | None = None) -> Points:
    """What at most so many training cameras see, with colours and normals; `side` is the longer one of their pictures,
    by default that of the scene's, or half of FUSED_SIDE where it is larger."""
    side = side or max(fitted.reference.cameras.width, FUSED_SIDE // 2)
    cameras = training_cameras(fitted.reference, views, side)
    space = fitted.lit.radiance.space
    box = space.box if space.kind != "ndc" else None
    return gather(_views(fitted, cameras, say, normals=True), cameras, POINTS, torch.Generator().manual_seed(0), box)


def scene_cameras(fitted: Fitted) -> dict[str, Any]:
    """The cameras that took the scene, as one JSON object."""
    reference = fitted.reference
    return cameras_json(reference.cameras, reference.files, {**reference.splits})


# -- parts ------------------------------------------------------------------------------------------------------------


def trained_density(fitted: Fitted) -> Density:
    """Density where rays are sampled. What stands in cells that rays skip was never looked at, and means nothing."""
    grid, space = fitted.lit.grid, fitted.lit.radiance.space
    if grid is None:
        return fitted.density

    def density(x: Tensor) -> Tensor:
        x = x.to(fitted.device)
        seen = grid.holds(space.to_cube(x))
        found = torch.zeros(len(x), device=x.device)
        found[seen] = fitted.density(x[seen])
        return found

    return density


def content_box(space: Space, found: Look) -> Box:
    """The box of the space; of a frustum, around nearly everything that opaque rays end on."""
    if space.kind != "ndc":
        return space.box
    ends = found.ends().double()
    (a, b, c), (d, e, f) = torch.quantile(ends, torch.tensor([0.01, 0.95]).double(), dim=0).tolist()
    return Box((a, b, c), (d, e, f)).scaled(1.1)


def _views(fitted: Fitted, cameras: Cameras, say: Say, normals: bool = False) -> Iterator[Seen]:
    """What each camera sees, without the background that shines through."""
    for picture in told(fitted.renders(cameras, normals), len(cameras), "depth of view", say):
        opacity = picture.opacity[..., None]
        rgb = (picture.rgb - (1 - opacity) * fitted.background) / opacity.clamp(min=0.1)
        yield Seen(picture.median_depth, picture.opacity, rgb.clamp(0, 1), picture.normal)


def _substantial(
    mesh: Mesh, colours: UInt8[np.ndarray, "v 3"], keep: Keep
) -> tuple[Mesh, UInt8[np.ndarray, "k 3"], int]:
    """Without floaters, or the largest component alone; and how many components were left out."""
    if not len(mesh.faces):
        return mesh, colours, 0
    component = face_components(mesh)
    area = np.bincount(component, weights=mesh.face_areas())
    kept = area >= (1.0 if keep == "largest" else KEPT_SHARE) * area.max()
    faces = mesh.faces[kept[component]]
    return clean(Mesh(mesh.vertices, faces)), colours[np.unique(faces)], int((~kept).sum())


def _reach(space: Space) -> float:
    return REACH * (space.near if space.kind == "ndc" else sum(space.box.half) / 3)


def _refuse_noise(mesh: Mesh) -> None:
    if len(mesh.faces) > MOST_FACES:
        raise ValueError(
            f"the mesh has {len(mesh.faces):,} faces, more than the {MOST_FACES:,} that are finished: a field that"
            " diverged or is not trained yet has noise for a surface; train longer, give a --level, or lower"
            " --resolution"
        )
