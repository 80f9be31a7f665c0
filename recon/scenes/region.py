"""Which part of space a scene's field covers: a box, a contraction of all space, or a frustum, from what is known."""

from __future__ import annotations

import math
import warnings
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recon.geometry import Box, Cameras, Rays, Space
from recon.scenes.hull import hull_box, silhouettes
from recon.scenes.scene import Scene

Kind = Literal["auto", "box", "contracted", "ndc"]
MARGIN = 1.03
"""How much a box found from silhouettes is grown."""
INNER = 0.5
"""Half width of the inner cube of contracted space, in median distances of the cameras from what they look at."""
NEAR = 0.05
"""Where rays begin in contracted space, in the same unit; content that touches a lens is none."""
FORWARD = 45.0
"""Degrees from the mean direction within which all cameras must look for a forward-facing scene."""
BLENDER = Box((-1.5, -1.5, -1.5), (1.5, 1.5, 1.5))
"""Where Blender's synthetic scenes lie, if pictures do not tell."""


def choose_space(scene: Scene, kind: Kind = "auto") -> Space:
    """The space of a scene; auto: its stated box, a tight box around silhouettes, ndc for forward-facing photographs
    of known depth (if a frustum holds what they see: a warning tells if none does), and contracted for all others.

    ValueError where what the kind needs is unknown, or silhouettes and cameras do not agree."""
    if kind == "ndc":
        return _ndc(scene)
    if kind == "contracted":
        return _contracted(scene)
    box = _content_box(scene)
    if box is None and kind == "auto":
        return _unbounded(scene)
    return Space("box", box or _contracted(scene).box)


def space_for(scene: Scene, kind: Kind = "auto") -> Space:
    """As `choose_space`; ValueError also where no training view sees anything of a box."""
    space = choose_space(scene, kind)
    if space.kind != "box":
        return space
    cameras = scene.cameras.select(list(scene.splits["train"]))
    near, far = space.bounds(sample_rays(cameras, tuple(range(len(cameras)))))
    middle = torch.tensor([space.box.centre])  # of a box that lies between the few rays that were tried
    if not ((far > near).any() or any(in_picture(cameras, view, middle).any() for view in range(len(cameras)))):
        raise ValueError(
            f"no ray of the training views meets the box {_corners(space.box)}: box and poses are in different units "
            "or frames, or the cameras look away from it (axes of another convention?)"
        )
    return space


def _content_box(scene: Scene) -> Box | None:
    """The box that the files state, or that silhouettes tell; none for photographs of everything."""
    if scene.box is not None:
        return scene.box
    seen = silhouettes(scene)
    if seen is not None:
        point, distance, _ = looked_at(seen.cameras)
        return hull_box(seen, _cube(point, distance))[0].scaled(MARGIN)
    return BLENDER if scene.layout == "blender" else None


def looked_at(cameras: Cameras) -> tuple[Float[Tensor, " d"], float, bool]:
    """The point nearest to all axes of view, the cameras' median distance from it, and whether most look at it.

    Where the axes are parallel, or diverge, it is the middle of the cameras, and the distance their spread."""
    position, forward = cameras.position(), cameras.forward()
    across = torch.eye(3, dtype=torch.float64) - forward[:, :, None] * forward[:, None, :]
    matrix, target = across.mean(dim=0), torch.einsum("vij,vj->i", across, position) / len(position)
    middle = position.mean(dim=0)
    spread = max(float((position - middle).norm(dim=-1).max()), 1e-6)
    if float(torch.linalg.eigvalsh(matrix)[0]) > 1e-3:
        point = torch.linalg.solve(matrix, target)
        ahead = ((point - position) * forward).sum(dim=-1) > 0
        if ahead.double().mean() > 0.5:
            return point, float((point - position).norm(dim=-1).median()), True
    return middle, spread, False


def forward_facing(scene: Scene) -> bool:
    """Whether all training cameras look about the same way, and depths are known."""
    forward = scene.cameras.forward()[list(scene.splits["train"])]
    mean = torch.nn.functional.normalize(forward.mean(dim=0), dim=0)
    return scene.depth_range is not None and bool((forward @ mean > math.cos(math.radians(FORWARD))).all())


def sample_rays(cameras: Cameras, views: tuple[int, ...], side: int = 16) -> Rays:
    """A grid of side x side rays over each view's picture, borders included."""
    grid = torch.linspace(0, 1, side, dtype=torch.float64)
    y, x = torch.meshgrid(grid * cameras.height, grid * cameras.width, indexing="ij")
    pixel = torch.stack([x, y], dim=-1).reshape(-1, 2)
    view = torch.tensor(views).repeat_interleave(len(pixel))
    return cameras.rays(view, pixel.repeat(len(views), 1))


def in_picture(cameras: Cameras, view: int, points: Float[Tensor, "n 3"]) -> Bool[Tensor, " n"]:
    """Which points lie in front of a camera and within its picture."""
    pixel, depth = cameras.project(torch.full((len(points),), view), points)
    limit = torch.tensor([cameras.width, cameras.height])
    # a lens model folds far points back into the picture: they are not as far off the axis as they seem
    local = (points.double() - cameras.pose[view, :, 3]) @ cameras.pose[view, :, :3]
    slope = (local[:, :2] / depth.clamp(min=1e-9)[:, None]).abs() * cameras.focal[view]
    near_axis = (slope < 1.5 * torch.maximum(limit - cameras.centre[view], cameras.centre[view])).all(dim=-1)
    return (depth > 0) & near_axis & (pixel >= 0).all(dim=-1) & (pixel <= limit).all(dim=-1)


def _unbounded(scene: Scene) -> Space:
    if forward_facing(scene):
        try:
            return _ndc(scene)
        except ValueError as error:
            warnings.warn(f"the views look forward, but {error}, as auto does", stacklevel=1)
    return _contracted(scene)


def _contracted(scene: Scene) -> Space:
    point, distance, inwards = looked_at(scene.cameras.select(list(scene.splits["train"])))
    box = _cube(point, distance * (INNER if inwards else 1.0))
    near = NEAR * distance if scene.depth_range is None else 0.5 * scene.depth_range[0]
    return Space("contracted", box, near=near)


def _ndc(scene: Scene) -> Space:
    """The frustum of the mean camera, wide enough for what every training camera sees beyond the nearest content."""
    if scene.depth_range is None:
        raise ValueError("ndc needs the depth of the content, which these files do not state; use contracted space")
    cameras = scene.cameras.select(list(scene.splits["train"]))
    frame = mean_pose(cameras)
    views = tuple(range(len(cameras)))
    rays = sample_rays(cameras, views)
    view = torch.tensor(views).repeat_interleave(len(rays) // len(views))
    origin = (rays.origin.double() - frame[:, 3]) @ frame[:, :3]
    direction = rays.direction.double() @ frame[:, :3]
    own_depth = (rays.direction.double() * cameras.forward()[view]).sum(dim=-1, keepdim=True)
    nearest = origin + direction / own_depth * scene.depth_range[0]  # as near as content comes to each camera
    near = 0.9 * float(-nearest[:, 2].max())
    if not (near > 0 and (direction[:, 2] < -0.05).all()):
        raise ValueError(
            "ndc needs cameras that look the same way at something before them all; use contracted space here"
        )
    # x / depth along a ray changes one way only: its bounds are where content begins, and at infinity
    ends = torch.cat([nearest[:, :2] / -nearest[:, 2:], direction[:, :2] / -direction[:, 2:]])
    low, high = ends.amin(dim=0), ends.amax(dim=0)
    slack = 0.01 * (high - low)
    (left, bottom), (right, top) = (low - slack).tolist(), (high + slack).tolist()
    far = max(scene.depth_range[1], 2 * near)
    box = Box((left, bottom, -far), (right, top, -near))
    return Space("ndc", box, near=near, frame=tuple(frame.flatten().tolist()))


def mean_pose(cameras: Cameras) -> Float[Tensor, "3 4"]:
    """The pose in the middle: mean position and direction, and the mean upward direction made perpendicular."""
    back = torch.nn.functional.normalize(cameras.pose[:, :, 2].mean(dim=0), dim=0)
    right = torch.nn.functional.normalize(torch.linalg.cross(cameras.pose[:, :, 1].mean(dim=0), back), dim=0)
    up = torch.linalg.cross(back, right)
    return torch.stack([right, up, back, cameras.position().mean(dim=0)], dim=1)


def _cube(middle: Tensor, half: float) -> Box:
    x, y, z = middle.tolist()
    return Box((x - half, y - half, z - half), (x + half, y + half, z + half))


def _corners(box: Box) -> str:
    low, high = (tuple(round(value, 4) for value in corner) for corner in (box.low, box.high))
    return f"{low} .. {high}"
