"""What there is to know and to fear about a scene before it is learned: numbers, warnings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recon.geometry import Cameras, Space
from recon.scenes.region import in_picture, looked_at, sample_rays
from recon.scenes.scene import Scene

FEW = 10
"""Training views below which a scene is hard to learn."""
CELLS = 16
"""Cells a side on which coverage is measured."""


@dataclass(frozen=True)
class Report:
    """Facts about a scene in its space; lengths are world units, shares lie in [0, 1]."""

    name: str
    layout: str
    views: dict[str, int]
    """Number of views by split."""
    width: int
    height: int
    focal: tuple[float, float]
    """Means over the views, in pixels."""
    centre: tuple[float, float]
    distorted: bool
    kind: str
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    near: float
    """Least distance at which a training ray enters the space, and the greatest at which it leaves."""
    far: float
    distance: tuple[float, float, float]
    """Least, median and greatest distance of the cameras from the point that they look at."""
    seen_by_two: float
    """Share of the cells of the cube (contracted: of its inner half) that at least two training views see."""
    seen_by_five: float
    rays_that_meet: float
    """Share of the training rays that meet the space."""
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """The report for people, without the warnings."""
        views = ", ".join(f"{count} {split}" for split, count in self.views.items())
        corner = ["(" + ", ".join(f"{value:.4g}" for value in values) + ")" for values in (self.low, self.high)]
        box = "bounds in the middle camera's frame" if self.kind == "ndc" else "box"
        least, median, most = self.distance
        return [
            f"{self.name}: {self.layout}, {views} views of {self.width} x {self.height}",
            f"lens: focal length {self.focal[0]:.1f}, {self.focal[1]:.1f}, principal point {self.centre[0]:.1f}, "
            f"{self.centre[1]:.1f} pixels, {'with' if self.distorted else 'no'} distortion",
            f"space: {self.kind}, {box} {corner[0]} .. {corner[1]}",
            f"rays: from {self.near:.4g} to {self.far:.4g}; {100 * self.rays_that_meet:.1f} % meet the space",
            f"cameras: {least:.4g} to {most:.4g} (median {median:.4g}) from the point that they look at",
            f"coverage: {100 * self.seen_by_two:.1f} % of the space seen by 2 or more training views, "
            f"{100 * self.seen_by_five:.1f} % by 5 or more",
            *self.notes,
        ]

    def as_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        return asdict(self)


def check_scene(scene: Scene, space: Space) -> Report:
    """Facts and warnings about a scene; reads pixels, but learns nothing."""
    cameras, train = scene.cameras, scene.splits["train"]
    point, _, inwards = looked_at(cameras.select(list(train)))
    distance = (cameras.position() - point).norm(dim=-1)
    rays = sample_rays(cameras, train)
    near, far = space.bounds(rays)
    meets = far > near
    cells = _cells_seen(cameras.select(list(train)), space)
    of_view, seen = meets.reshape(len(train), -1).any(dim=1) | cells.any(dim=1), cells.sum(dim=0)
    warnings = [
        *_camera_warnings(scene, inwards),
        *_space_warnings(scene, space, of_view.tolist(), float(distance.median())),
        *_picture_warnings(scene),
    ]
    return Report(
        name=scene.name,
        layout=scene.layout,
        views={split: len(views) for split, views in scene.splits.items()},
        width=cameras.width,
        height=cameras.height,
        focal=_pair(cameras.focal),
        centre=_pair(cameras.centre),
        distorted=bool(cameras.distortion.any()),
        kind=space.kind,
        low=space.box.low,
        high=space.box.high,
        near=float(near[meets].min()) if meets.any() else 0.0,
        far=float(far[meets].max()) if meets.any() else 0.0,
        distance=(float(distance.min()), float(distance.median()), float(distance.max())),
        seen_by_two=float((seen >= 2).double().mean()),
        seen_by_five=float((seen >= 5).double().mean()),
        rays_that_meet=float(meets.double().mean()),
        warnings=tuple(warnings),
        notes=scene.notes,
    )


def _pair(values: Float[Tensor, "v 2"]) -> tuple[float, float]:
    x, y = values.mean(dim=0).tolist()
    return x, y


def _cells_seen(cameras: Cameras, space: Space) -> Bool[Tensor, "v n"]:
    """Which cameras have the middles of which cells in their pictures."""
    axis = (torch.arange(CELLS) + 0.5) / CELLS * 2 - 1
    cells = torch.cartesian_prod(*[axis * (0.5 if space.kind == "contracted" else 1.0)] * 3)
    points = space.from_cube(cells)
    return torch.stack([in_picture(cameras, view, points) for view in range(len(cameras))])


def _camera_warnings(scene: Scene, inwards: bool) -> list[str]:
    """Poses that are doubled, too few, or look at nothing in common; readers refuse what is no pose at all."""
    cameras, train = scene.cameras, list(scene.splits["train"])
    found = []
    if not inwards:
        found.append(
            "the cameras do not look at a common point: a panorama, or axes of another convention "
            "(OpenCV's looks along +z, ours along -z)"
        )
    if len(train) < FEW:
        found.append(f"only {len(train)} training views: expect floaters and holes; 20 or more are better")
    position, forward = cameras.position(), cameras.forward()
    scale = max(float((position - position.mean(dim=0)).norm(dim=-1).max()), 1e-12)
    key = torch.cat([position / scale, forward], dim=1).mul(1e6).round()
    doubles = len(key) - len(torch.unique(key, dim=0))
    if doubles:
        found.append(f"{doubles} views have the pose of another view")
    return found + _far_tests(scene)


def _far_tests(scene: Scene) -> list[str]:
    """Test views from where no training view is near: they ask for what nobody has seen."""
    position = scene.cameras.position()
    train = position[list(scene.splits["train"])]
    point, distance, _ = looked_at(scene.cameras)
    if len(train) < 2:
        return []
    apart = torch.cdist(train, train).fill_diagonal_(float("inf")).amin(dim=1).median()
    limit = max(3 * float(apart), 0.3 * distance)
    gaps = torch.cdist(position[list(scene.splits["test"])], train).amin(dim=1)
    far = [scene.files[view] for view, gap in zip(scene.splits["test"], gaps.tolist(), strict=True) if gap > limit]
    return [f"{len(far)} test views are far from all training views (first: {far[0]})"] if far else []


def _space_warnings(scene: Scene, space: Space, of_view: list[bool], distance: float) -> list[str]:
    """A space that cameras miss, or whose size does not go with theirs."""
    blind = [scene.files[view] for view, meets in zip(scene.splits["train"], of_view, strict=True) if not meets]
    if len(blind) == len(of_view):
        return ["no camera looks at the box: box and poses are in different units or frames"]
    found = [f"{len(blind)} training views see nothing of the box (first: {blind[0]})"] if blind else []
    if space.kind == "box" and not 0.02 * distance < space.box.radius < 20 * distance:
        size = "small" if space.box.radius < distance else "large"
        found.append(
            f"the box is very {size} (radius {space.box.radius:.3g}) beside the cameras' distance ({distance:.3g}): "
            "is the scale right?"
        )
    return found


def _picture_warnings(scene: Scene) -> list[str]:
    """Pictures that are doubled, or show nothing."""
    found, seen = [], {}
    for view, picture in enumerate(scene.images):
        seen.setdefault(hash(picture.numpy().tobytes()), []).append(view)
    twins = [views for views in seen.values() if len(views) > 1]
    if twins:
        count = sum(len(views) - 1 for views in twins)
        first = " and ".join(scene.files[view] for view in twins[0][:2])
        found.append(f"{count} pictures are the same as another (first: {first})")
    rows = scene.images.flatten(1, 2)
    flat = [scene.files[view] for view in range(len(rows)) if bool((rows[view] == rows[view, :1]).all())]
    if flat:
        found.append(f"{len(flat)} pictures are of one colour (first: {flat[0]})")
    return found
