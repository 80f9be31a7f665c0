"""Rendered depth fused into one mesh in world space, by Open3D's truncated signed distances (Curless and Levoy)."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from recon.geometry import Box, Cameras, Mesh
from recon.surfaces.topology import clean

INSTALL = 'pip install "open3d-cpu>=0.19"'
SYSTEM_INSTALL = "apt-get install libgl1 libegl1 libx11-6 libgomp1"
MOST_ACROSS = 4096
"""Voxels along the diagonal of the box at most: a slip of the unit would fill the memory."""

_BLOCK = 16  # voxels along a block's edge
_SEEN = 0.5  # least weight of a voxel: one look is enough


def fuse(
    views: Iterable[tuple[Float[Tensor, "h w"], UInt8[np.ndarray, "h w 3"]]],
    cameras: Cameras,
    voxel: float,
    truncation: float,
    box: Box,
) -> tuple[Mesh, UInt8[np.ndarray, "v 3"]]:
    """The surface within a box that depth pictures agree on, and its vertex colours; faces look at the cameras.

    `views` gives (distance along the ray, colour) for each camera in turn; distances that are not finite or not above
    0 are holes. Voxel and truncation (how far behind what is seen space is solid; a few voxels) are world units.
    ValueError for lenses with distortion and for voxels far too small; ImportError where Open3D does not load.
    """
    if cameras.distortion.any():
        raise ValueError("depth is fused from pictures without distortion; render them with an ideal lens")
    if not 0 < voxel <= truncation:
        raise ValueError(f"fusing needs 0 < voxel <= truncation, got {voxel} and {truncation}")
    if 2 * box.radius / voxel > MOST_ACROSS:
        least = 2 * box.radius / MOST_ACROSS
        raise ValueError(
            f"voxels of {voxel:g} are too small for a box with {2 * box.radius:g} across; take {least:.2g}"
        )
    open3d = _open3d()
    kinds, tensor = open3d.core, open3d.core.Tensor
    # The older ScalableTSDFVolume gives an empty mesh in Open3D 0.20.
    volume = open3d.t.geometry.VoxelBlockGrid(
        attr_names=("tsdf", "weight", "color"),
        attr_dtypes=(kinds.float32,) * 3,
        attr_channels=((1,), (1,), (3,)),
        voxel_size=voxel,
        block_resolution=_BLOCK,
        block_count=1000,  # to begin with
        device=kinds.Device("CPU:0"),
    )
    fused, world_to_camera = False, _extrinsics(cameras, box)
    for view, (distance, colour) in enumerate(views):
        depth = _axial(cameras, view, distance, box)
        if not depth.any():
            continue
        image = open3d.t.geometry.Image(tensor(depth))
        shade = open3d.t.geometry.Image(tensor(np.ascontiguousarray(colour, np.float32) / 255))
        lens, pose = tensor(_intrinsics(cameras, view)), tensor(world_to_camera[view])
        scale, most, reach = 1.0, float(depth.max()) + voxel, truncation / voxel
        blocks = volume.compute_unique_block_coordinates(image, lens, pose, scale, most, reach)
        volume.integrate(blocks, image, shade, lens, pose, scale, most, reach)
        fused = True
    return _cropped(volume.extract_triangle_mesh(_SEEN) if fused else None, box)


def _axial(cameras: Cameras, view: int, distance: Float[Tensor, "h w"], box: Box) -> Float[np.ndarray, "h w"]:
    """Distance along the ray to depth along the axis of view, which Open3D expects; 0 for holes and beyond the box."""
    ray = cameras.view_rays(view)
    t = distance.detach().cpu().double().reshape(-1, 1)
    points = ray.origin.double() + t * ray.direction.double()
    depth = (points - cameras.position()[view]) @ cameras.forward()[view]
    outside = (points - points.new_tensor(box.centre)).abs() > points.new_tensor(box.half) * (1 + 1e-6)
    hole = ~torch.isfinite(t[:, 0]) | (t[:, 0] <= 0) | outside.any(dim=1)
    return torch.where(hole, 0.0, depth).float().reshape(distance.shape).contiguous().numpy()


def _extrinsics(cameras: Cameras, box: Box) -> Float[np.ndarray, "v 4 4"]:
    """World, moved so that the box is about 0 (vertices are single precision), to axes right, down, forward."""
    pose = torch.eye(4, dtype=torch.float64).repeat(len(cameras), 1, 1)
    pose[:, :3] = cameras.pose
    pose[:, :3, 3] -= pose.new_tensor(box.centre)
    pose[:, :, 1:3] *= -1
    return torch.linalg.inv(pose).numpy()


def _intrinsics(cameras: Cameras, view: int) -> Float[np.ndarray, "3 3"]:
    """The matrix of a lens, for pixels whose centres are whole numbers as in Open3D."""
    (fx, fy), (cx, cy) = cameras.focal[view].tolist(), cameras.centre[view].tolist()
    return np.array([[fx, 0, cx - 0.5], [0, fy, cy - 0.5], [0, 0, 1]])


def _cropped(found: Any, box: Box) -> tuple[Mesh, UInt8[np.ndarray, "v 3"]]:
    """Open3D's mesh back in the world, without faces that reach out of the box."""
    vertices, faces, colours = np.zeros((0, 3)), np.zeros((0, 3), np.int64), np.zeros((0, 3), np.uint8)
    if found is not None and "positions" in found.vertex and "indices" in found.triangle:
        vertices = found.vertex.positions.numpy().astype(np.float64)
        faces = found.triangle.indices.numpy().astype(np.int64)
        colours = np.round(found.vertex.colors.numpy().clip(0, 1) * 255).astype(np.uint8)
    inside = np.all(np.abs(vertices) <= box.half, axis=1)
    faces = faces[np.all(inside[faces], axis=1)]
    return clean(Mesh(vertices + box.centre, faces)), colours[np.unique(faces)]


def _open3d() -> ModuleType:
    """Loaded here, since it takes seconds and is optional."""
    try:
        import open3d  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ImportError(f"fusing depth needs Open3D ({error}); run: {INSTALL}") from error
    except (ImportError, OSError) as error:
        raise ImportError(f"Open3D lacks a library of the system ({error}); run: {SYSTEM_INSTALL}") from error
    return open3d
