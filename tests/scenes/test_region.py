"""The space found for scenes of known content: balls with silhouettes, photographs around and in front of things."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recon.geometry import Box, Cameras, Space
from recon.scenes.hull import hull, silhouettes
from recon.scenes.read import read_scene
from recon.scenes.region import choose_space, looked_at, mean_pose, sample_rays, space_for
from recon.scenes.scene import Scene


@pytest.fixture(scope="module")
def ball(rig_of, tmp_path_factory) -> Scene:
    """A ball of radius 1/2 about the origin, seen by 40 cameras all around."""
    return read_scene(rig_of(views=40).write("ngp", tmp_path_factory.mktemp("ball")))


def scene_of(cameras: Cameras, **facts) -> Scene:
    train = tuple(range(len(cameras) - 1))
    images = torch.zeros(len(cameras), cameras.height, cameras.width, 3, dtype=torch.uint8)
    splits = {"train": train, "test": (len(cameras) - 1,)}
    names = tuple(f"{view}.png" for view in range(len(cameras)))
    return Scene("test", facts.pop("layout", "colmap"), Path(), cameras, images, names, splits, **facts)  # pyright: ignore


def forward_cameras(views: int = 9) -> Cameras:
    """Cameras in the plane z = 0 that look along -z, a little turned."""
    poses = []
    rng = np.random.default_rng(0)
    for _ in range(views):
        angle = rng.uniform(-0.1, 0.1)
        turn = np.array([[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]])
        poses.append(np.concatenate([turn, rng.uniform(-0.5, 0.5, (3, 1)) * [[1], [1], [0.2]]], axis=1))
    return Cameras(
        torch.from_numpy(np.stack(poses)),
        torch.full((views, 2), 40.0).double(),
        torch.tensor([[16.0, 12.0]]).double().expand(views, 2),
        torch.zeros(views, 4).double(),
        24,
        32,
    )


def test_the_box_of_silhouettes_holds_the_ball_tightly(ball):
    space = space_for(ball)
    assert space.kind == "box"
    for low, high in zip(space.box.low, space.box.high, strict=True):
        assert -0.75 < low < -0.5 and 0.5 < high < 0.75


def test_the_box_meets_every_ray_that_shows_the_object(ball):
    space = space_for(ball)
    for view in ball.splits["train"]:
        rays = ball.cameras.view_rays(view)[ball.images[view, ..., 3].flatten() > 0]
        near, far = space.bounds(rays)
        assert (far > near).all()


def test_the_hull_keeps_every_point_of_the_ball_and_leaves_the_corners(ball):
    space = Space("box", Box((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)))
    cells = hull(ball, space, 32)
    # A pixel shows what is at its centre: of the rim, up to half a diagonal of a pixel may be in no picture.
    radius = 0.5 - 3 / 40 * math.sqrt(0.5)
    direction = torch.from_numpy(np.random.default_rng(0).normal(size=(20_000, 3))).float()
    points = radius * torch.nn.functional.normalize(direction, dim=1)
    index = ((points + 1) / 2 * 32).long()
    assert cells[index[:, 0], index[:, 1], index[:, 2]].all()
    ball_share = 4 / 3 * math.pi * 0.5**3 / 8
    assert ball_share < cells.double().mean() < 2.5 * ball_share


def test_the_hull_survives_a_wrong_mask(ball):
    images = ball.images.clone()
    images[ball.splits["train"][3], :, :16, 3] = 0  # half of the object is missing in one view
    space = space_for(replace(ball, images=images))
    assert all(0.45 < side < 0.85 for side in space.box.half)


def test_white_pictures_tell_the_same_box_as_alpha(ball):
    alpha = ball.images[..., 3:].double() / 255
    onto_white = (ball.images[..., :3] * alpha + 255 * (1 - alpha)).round().to(torch.uint8)
    box = space_for(replace(ball, images=onto_white, white=True)).box
    np.testing.assert_allclose(box.half, space_for(ball).box.half, atol=0.05)


def test_masks_that_no_object_explains_are_refused(ball):
    images = ball.images.clone()
    images[..., 3] = 0
    rng = np.random.default_rng(0)
    for picture in images:  # a spot somewhere else in each picture
        y, x = rng.integers(22), rng.integers(30)
        picture[y : y + 2, x : x + 2, 3] = 255
    with pytest.raises(ValueError, match="masks do not agree"):
        space_for(replace(ball, images=images))


def test_views_without_the_object_do_not_carve_it_away(ball):
    images = ball.images.clone()
    images[ball.splits["train"][0], ..., 3] = 0
    seen = silhouettes(replace(ball, images=images))
    assert seen is not None and len(seen) == len(ball.splits["train"]) - 1
    assert all(0.5 < side < 0.75 for side in space_for(replace(ball, images=images)).box.half)


def test_a_stated_box_is_taken_as_it_is(ball):
    box = Box((-2.0, -2.0, -2.0), (1.0, 1.0, 1.0))
    assert space_for(replace(ball, box=box)).box == box


def test_a_box_that_no_ray_meets_is_refused(ball):
    away = (ball.cameras.forward().sum(dim=1) < -0.5).nonzero()[:, 0].tolist()
    box = Box((50.0, 50.0, 50.0), (51.0, 51.0, 51.0))
    ball = replace(ball, splits={"train": tuple(away[1:]), "test": (away[0],)}, box=box)
    with pytest.raises(ValueError, match="no ray of the training views meets the box"):
        space_for(ball)
    assert choose_space(ball).box == box


def test_blender_without_alpha_has_its_usual_box(ball):
    assert space_for(replace(ball, images=ball.images[..., :3], layout="blender")).box.half == (1.5, 1.5, 1.5)


def test_photographs_around_something_are_contracted_about_it(ball):
    space = space_for(replace(ball, images=ball.images[..., :3]))
    assert space.kind == "contracted"
    np.testing.assert_allclose(space.box.centre, 0, atol=1e-6)
    median = float(ball.cameras.position()[list(ball.splits["train"])].norm(dim=1).median())
    np.testing.assert_allclose(space.box.half, 0.5 * median, rtol=1e-6)
    assert 0 < space.near < 0.2


def test_cameras_that_look_at_one_point_find_it(ball):
    moved = replace(ball.cameras, pose=ball.cameras.pose + torch.tensor([0, 0, 0, 7.0]))
    point, distance, inwards = looked_at(moved)
    torch.testing.assert_close(point, torch.full((3,), 7.0).double())
    assert inwards and 2 < distance < 3


def test_cameras_that_look_outwards_are_told_apart(ball):
    turn = torch.tensor([-1.0, 1.0, -1.0, 1.0]).double()
    point, _, inwards = looked_at(replace(ball.cameras, pose=ball.cameras.pose * turn))
    assert not inwards
    torch.testing.assert_close(point, ball.cameras.position().mean(dim=0))


def test_forward_facing_photographs_get_a_frustum_that_holds_what_they_see():
    cameras = forward_cameras()
    space = space_for(scene_of(cameras, depth_range=(3.0, 30.0)))
    assert space.kind == "ndc" and space.near < 3.0
    rays = sample_rays(cameras, tuple(range(len(cameras) - 1)))
    own = (rays.direction.double() @ torch.tensor([0.0, 0.0, -1.0]).double()).float()
    for depth in (3.2, 10.0, 30.0, 1000.0):
        cube = space.to_cube(rays.origin + rays.direction * (depth / own)[:, None])
        assert cube.abs().max() <= 1.0


def test_forward_facing_photographs_of_unknown_depth_are_contracted():
    scene = scene_of(forward_cameras())
    assert space_for(scene).kind == "contracted"
    with pytest.raises(ValueError, match="depth of the content"):
        space_for(scene, "ndc")


def dolly(cameras: Cameras) -> Cameras:
    """On their way forwards from z = 4 to -4: what the first are near to lies behind the last."""
    pose = cameras.pose.clone()
    pose[:, 2, 3] = torch.linspace(4, -4, len(pose))
    return replace(cameras, pose=pose)


def wide(cameras: Cameras) -> Cameras:
    """Of 174 degrees: with their turns, some rays look backwards."""
    return replace(cameras, focal=cameras.focal / 50)


@pytest.mark.parametrize("change", [dolly, wide])
def test_forward_facing_views_that_no_frustum_holds_are_contracted_and_that_is_said(change):
    scene = scene_of(change(forward_cameras()), depth_range=(2.0, 40.0))
    with pytest.warns(UserWarning, match="look forward, but ndc needs .* use contracted space here, as auto does"):
        assert space_for(scene).kind == "contracted"
    with pytest.raises(ValueError, match="ndc needs cameras that look the same way"):
        space_for(scene, "ndc")


def test_rays_of_a_frustum_begin_in_it_also_for_cameras_before_and_behind_the_middle_one():
    cameras = forward_cameras()
    cameras.pose[:, 2, 3] = torch.linspace(1, -1, len(cameras))
    space = space_for(scene_of(cameras, depth_range=(3.0, 30.0)))
    assert space.kind == "ndc" and space.near < 2
    rays = sample_rays(cameras, tuple(range(len(cameras))))
    near, _ = space.bounds(rays)
    depth = space.to_cube(rays.origin + near[:, None] * rays.direction)[:, 2]
    torch.testing.assert_close(depth, torch.full_like(depth, -1), atol=1e-5, rtol=0)


def test_ndc_is_refused_for_cameras_all_around(ball):
    with pytest.raises(ValueError, match="look the same way"):
        space_for(replace(ball, images=ball.images[..., :3], depth_range=(1.0, 4.0)), "ndc")


def test_the_mean_of_equal_poses_is_that_pose():
    cameras = forward_cameras(3)
    same = cameras.select([1, 1, 1])
    torch.testing.assert_close(mean_pose(same), cameras.pose[1])
