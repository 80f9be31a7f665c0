"""Camera paths through and around a scene, from the cameras that took it; world frame and units are theirs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, RotationSpline
from torch import Tensor

from recon.geometry import Cameras

Kind = Literal["test", "orbit", "spiral", "interpolate"]

STEEPEST = math.radians(75)
"""An orbit keeps this far from its poles at most, where `up` would say nothing of how pictures stand."""
FRAMES_PER_KEY = 10
"""How many frames `interpolate` has from one camera to the next, about: fewer make a hasty film."""
MOST_KEYS = 24
"""Cameras that `interpolate` passes at most."""


def path(
    kind: Kind,
    cameras: Cameras,
    frames: int = 120,
    size: tuple[int, int] | None = None,
    focus: Float[Tensor, "3"] | None = None,
) -> Cameras:
    """The cameras of a film, one a frame.

    test: the cameras given, as they are (`frames` says nothing). orbit: one turn around the focus at the cameras'
    median distance and elevation. spiral: two turns in front of the mean camera, as wide as the cameras are spread,
    all looking at the focus's depth (LLFF). interpolate: a smooth way past about one of the cameras every ten frames,
    near ones after one another.

    `focus` is what orbit and spiral look at; by default the point nearest to all axes of view. Frames of a path other
    than test have the cameras' median focal length, square pixels, no distortion and the principal point in the
    middle. `size` (width, height) is as for `reframed`. ValueError where there are too few frames or cameras.
    """
    if not len(cameras) or frames < 1:
        raise ValueError(f"a path needs at least one camera and one frame, got {len(cameras)} and {frames}")
    width, height = size or (cameras.width, cameras.height)
    if kind == "test":
        return reframed(cameras, width, height)
    if kind == "interpolate":
        poses = interpolate(cameras, frames)
    else:
        target = focus_point(cameras) if focus is None else focus.to(cameras.pose)
        poses = orbit(cameras, frames, target) if kind == "orbit" else spiral(cameras, frames, target)
    return reframed(_ideal(cameras, poses), width, height)


def reframed(cameras: Cameras, width: int, height: int) -> Cameras:
    """The same views in pictures of another size and shape, with the field of view along the shorter side kept.

    Pixels keep their shape. Pictures of another shape are without distortion: the lens is known within its own only.
    """
    if width < 1 or height < 1:
        raise ValueError(f"a picture needs a width and a height of at least 1 pixel, got {width}x{height}")
    if abs(width * cameras.height / cameras.width - height) <= 1:
        return cameras.resized(height, width)
    factor = min(width, height) / min(cameras.width, cameras.height)
    old, new = (cameras.centre.new_tensor(side) for side in ((cameras.width, cameras.height), (width, height)))
    centre = (cameras.centre - old / 2) * factor + new / 2
    plain = torch.zeros_like(cameras.distortion)
    return replace(cameras, focal=cameras.focal * factor, centre=centre, distortion=plain, height=height, width=width)


# -- what the cameras say of their scene ------------------------------------------------------------------------------


def up_direction(cameras: Cameras) -> Float[Tensor, "3"]:
    """Where up is in the world, unit length, from how photographers hold cameras: level.

    The mean of the cameras' own up directions leans where they look down on the scene from one side, so it is kept
    only along directions that their right axes do not span; a level camera's right axis is horizontal. Where the
    cameras' own directions cancel out, the normal of the plane nearest to their positions.
    """
    mean, right = cameras.pose[:, :, 1].mean(dim=0), cameras.pose[:, :, 0]
    if mean.norm() < 0.1:
        position = cameras.position()
        mean = torch.linalg.svd(position - position.mean(dim=0))[2][-1]
    # Ridge regression in disguise: 0.01 is the variance of right axes that are level within about 6 degrees.
    spread = right.T @ right / len(right) + 0.01 * torch.eye(3, dtype=right.dtype)
    return _unit(torch.linalg.solve(spread, mean))


def focus_point(cameras: Cameras) -> Float[Tensor, "3"]:
    """The point nearest to all axes of view, in squared distance.

    Where the axes are almost parallel or most cameras turn their backs on that point, they share no such point: then
    a point ahead of the mean camera, at three times the spread of the positions.
    """
    position, forward = cameras.position(), cameras.forward()
    across = torch.eye(3, dtype=forward.dtype) - forward[:, :, None] * forward[:, None, :]
    if torch.linalg.eigvalsh(across.mean(dim=0))[0] > 1e-4:
        point = torch.linalg.solve(across.sum(dim=0), (across @ position[:, :, None]).sum(dim=0)[:, 0])
        if (((point - position) * forward).sum(dim=-1) > 0).double().mean() > 0.5:
            return point
    spread = float((position - position.mean(dim=0)).norm(dim=-1).square().mean().sqrt())
    return position.mean(dim=0) + 3 * (spread or 1.0) * _unit(forward.mean(dim=0))


def look_at(
    position: Float[Tensor, "v 3"], target: Float[Tensor, "3"], up: Float[Tensor, "3"]
) -> Float[Tensor, "v 3 4"]:
    """Poses of level cameras at some places that look at a point; none may look along `up`."""
    back = _unit(position - target)
    right = _unit(torch.linalg.cross(up.expand_as(back), back))
    return torch.stack([right, torch.linalg.cross(back, right), back, position], dim=-1)


# -- the paths --------------------------------------------------------------------------------------------------------


def orbit(cameras: Cameras, frames: int, centre: Float[Tensor, "3"]) -> Float[Tensor, "f 3 4"]:
    """One turn around a point, counter-clockwise seen from above, from the first camera's side."""
    up = up_direction(cameras)
    arm = cameras.position() - centre
    radius = arm.norm(dim=-1)
    if not radius.median() > 0:
        raise ValueError("an orbit needs cameras away from the point that they look at; all of them are in it")
    height = torch.asin(((arm @ up) / radius.clamp(min=1e-12)).clamp(-1, 1)).median().clamp(-STEEPEST, STEEPEST)
    first = arm[0] - (arm[0] @ up) * up
    if first.norm() < 1e-6 * radius.median():  # the first camera is above the centre: any side will do
        first = cameras.pose[0, :, 0] - (cameras.pose[0, :, 0] @ up) * up
    ahead = _unit(first)
    turn = torch.arange(frames, dtype=up.dtype)[:, None] * (2 * math.pi / frames)
    flat = turn.cos() * ahead + turn.sin() * torch.linalg.cross(up, ahead)
    return look_at(centre + radius.median() * (height.cos() * flat + height.sin() * up), centre, up)


def spiral(cameras: Cameras, frames: int, focus: Float[Tensor, "3"]) -> Float[Tensor, "f 3 4"]:
    """Two turns around the mean camera, once back and forth; its ends meet (LLFF's film, for forward-facing scenes).

    The radii hold nine of ten cameras on each axis of the mean camera. All frames look at the point on the mean
    camera's axis that has the depth of `focus`.
    """
    middle = cameras.position().mean(dim=0)
    back = _unit(cameras.pose[:, :, 2].mean(dim=0))
    axes = look_at(middle[None] + back, middle, cameras.pose[:, :, 1].mean(dim=0))[0, :, :3]
    depth = float((middle - focus) @ back)
    if not depth > 0:
        raise ValueError("a spiral needs its focus ahead of the mean camera; choose another path, orbit for instance")
    radii = torch.quantile(((cameras.position() - middle) @ axes).abs(), 0.9, dim=0)
    radii[2] = radii[2].clamp(max=0.5 * depth)  # never close to the focus, where the direction of view would turn over
    turn = torch.arange(frames, dtype=back.dtype) * (4 * math.pi / frames)
    swing = torch.stack([turn.cos(), -turn.sin(), -(turn / 2).sin()], dim=-1)
    return look_at(middle + (swing * radii) @ axes.T, middle - depth * back, axes[:, 1])


def interpolate(cameras: Cameras, frames: int) -> Float[Tensor, "f 3 4"]:
    """From one camera to the next at even speed: cameras far apart are chosen, then ordered for a short way."""
    apart = _apart(cameras)
    chosen = _spread_out(apart, min(MOST_KEYS, max(2, frames // FRAMES_PER_KEY)))
    if len(chosen) < 2:
        raise ValueError("a path that interpolates needs two different views; choose another path, orbit for instance")
    order = _short_way(apart, chosen)
    knots = np.concatenate([[0.0], np.cumsum(apart[order[:-1], order[1:]])])
    at = spline(cameras.select(order).pose, knots)
    return at(np.linspace(0, knots[-1], frames))


def spline(
    poses: Float[Tensor, "k 3 4"], knots: Float[np.ndarray, " k"]
) -> Callable[[Float[np.ndarray, " f"]], Float[Tensor, "f 3 4"]]:
    """A way through poses at ascending knots, with continuous acceleration and angular acceleration."""
    position = CubicSpline(knots, poses[:, :, 3].numpy(), bc_type="natural")
    rotation = RotationSpline(knots, Rotation.from_matrix(poses[:, :, :3].numpy()))

    def at(where: Float[np.ndarray, " f"]) -> Float[Tensor, "f 3 4"]:
        return torch.from_numpy(np.concatenate([rotation(where).as_matrix(), position(where)[:, :, None]], axis=2))

    return at


def _apart(cameras: Cameras) -> Float[np.ndarray, "v v"]:
    """How different each two views are: the way between them in spreads of all positions, and the angle in radians."""
    position = cameras.position()
    spread = (position - position.mean(dim=0)).norm(dim=-1).square().mean().sqrt().clamp(min=1e-12)
    way = torch.cdist(position[None], position[None], compute_mode="donot_use_mm_for_euclid_dist")[0] / spread
    cosine = (torch.einsum("aij,bij->ab", cameras.pose[:, :, :3], cameras.pose[:, :, :3]) - 1) / 2
    return (way + torch.acos(cosine.clamp(-1, 1))).numpy()


def _spread_out(apart: Float[np.ndarray, "v v"], count: int) -> list[int]:
    """Views far from one another: the first, then always the one farthest from all so far, without repeats."""
    chosen = [0]
    while len(chosen) < count:
        nearest = apart[chosen].min(axis=0)
        if nearest.max() < 1e-6:
            break
        chosen.append(int(nearest.argmax()))
    return chosen


def _short_way(apart: Float[np.ndarray, "v v"], chosen: list[int]) -> list[int]:
    """The chosen views in an order with a short way: always on to the nearest, then crossings are undone (2-opt)."""
    order, rest = [chosen[0]], set(chosen[1:])
    while rest:
        order.append(min(rest, key=lambda view: (apart[order[-1], view], view)))
        rest.remove(order[-1])

    def length(way: list[int]) -> float:
        return float(apart[way[:-1], way[1:]].sum())

    improved = True
    while improved:
        improved = False
        for i in range(len(order)):
            for j in range(i + 2, len(order) + 1):
                other = order[:i] + order[i:j][::-1] + order[j:]
                if length(other) < length(order) - 1e-9:
                    order, improved = other, True
    return order


def _ideal(cameras: Cameras, poses: Float[Tensor, "f 3 4"]) -> Cameras:
    """Cameras at some poses with the median lens of others, its axis through the middle of the picture."""
    count = len(poses)
    middle = cameras.centre.new_tensor([cameras.width / 2, cameras.height / 2])
    return replace(
        cameras,
        pose=poses,
        focal=cameras.focal.median(dim=0).values.repeat(count, 1),
        centre=middle.repeat(count, 1),
        distortion=cameras.distortion.new_zeros(count, 4),
    )


def _unit(vector: Tensor) -> Tensor:
    return vector / vector.norm(dim=-1, keepdim=True).clamp(min=1e-300)
