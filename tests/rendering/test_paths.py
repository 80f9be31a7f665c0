"""Camera paths: laws that every frame keeps, and cameras whose focus and up direction are known."""

import math

import numpy as np
import pytest
import torch

from recon.geometry import Cameras
from recon.rendering.paths import (
    focus_point,
    interpolate,
    look_at,
    path,
    reframed,
    spiral,
    spline,
    up_direction,
)

CENTRE = torch.tensor([3.0, -1.0, 0.5], dtype=torch.float64)
KINDS = ("orbit", "spiral", "interpolate")


def unit(*numbers: float) -> torch.Tensor:
    vector = torch.tensor(numbers, dtype=torch.float64)
    return vector / vector.norm()


UP = unit(0.3, 1.0, -0.2)


def cameras_at(pose: torch.Tensor, width: int = 40, height: int = 30, distortion: float = 0.0) -> Cameras:
    count = len(pose)
    lens = torch.zeros(count, 4, dtype=torch.float64)
    lens[:, 0] = distortion
    focal = torch.full((count, 2), 50.0, dtype=torch.float64)
    centre = torch.tensor([width / 2 + 1.5, height / 2 - 0.5], dtype=torch.float64).repeat(count, 1)
    return Cameras(pose, focal, centre, lens, height, width)


def around(turns: float = 1.0, count: int = 24, elevation: float = 0.5, radius: float = 4.0) -> Cameras:
    """Cameras on part of a circle about UP that look at CENTRE from above."""
    side = unit(*torch.linalg.cross(UP, unit(1.0, 0, 0)).tolist())
    angle = torch.arange(count, dtype=torch.float64)[:, None] * (2 * math.pi * turns / count)
    flat = angle.cos() * side + angle.sin() * torch.linalg.cross(UP, side)
    return cameras_at(look_at(CENTRE + radius * (math.cos(elevation) * flat + math.sin(elevation) * UP), CENTRE, UP))


def facing(seed: int = 0, count: int = 20) -> Cameras:
    """Cameras that look along -z from about one place, slightly tilted."""
    rng = np.random.default_rng(seed)
    position = torch.from_numpy(rng.normal(size=(count, 3)) * (1.0, 0.5, 0.1)) + CENTRE
    target = CENTRE + torch.tensor([0, 0, -20.0], dtype=torch.float64)
    poses = [look_at(p[None], target + torch.from_numpy(rng.normal(size=3)), unit(0, 1, 0)) for p in position]
    return cameras_at(torch.cat(poses))


def assert_rigid(pose: torch.Tensor) -> None:
    rotation = pose[:, :, :3]
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3, dtype=pose.dtype).expand_as(rotation))
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(len(pose), dtype=pose.dtype))


@pytest.mark.parametrize(
    ("kind", "cameras"),
    [(kind, cameras) for kind in KINDS for cameras in (around(0.2), facing())]
    + [(kind, around()) for kind in ("orbit", "interpolate")],
)
@pytest.mark.parametrize("frames", [1, 2, 31])
def test_every_path_has_its_frames_and_its_poses_are_rigid(kind, cameras, frames):
    found = path(kind, cameras, frames)
    assert len(found) == frames and found.pose.isfinite().all()
    assert_rigid(found.pose)
    assert (found.width, found.height) == (40, 30) and not found.distortion.any()
    torch.testing.assert_close(found.centre[0], torch.tensor([20.0, 15.0], dtype=torch.float64))


def test_the_focus_of_cameras_that_look_at_a_point_is_that_point():
    for cameras in (around(), around(0.1, 5)):
        torch.testing.assert_close(focus_point(cameras), CENTRE)


def test_parallel_cameras_and_cameras_that_look_outwards_focus_ahead_of_their_mean():
    parallel = facing().pose.clone()
    parallel[:, :, :3] = torch.eye(3)
    found = focus_point(cameras_at(parallel))
    offset = found - parallel[:, :, 3].mean(dim=0)
    assert offset[2] < -1 and offset[:2].abs().max() < 1e-9
    outward = around(0.3)
    turned = outward.pose.clone()
    turned[:, :, 0] *= -1
    turned[:, :, 2] *= -1
    found = focus_point(cameras_at(turned))
    assert (found - outward.position().mean(dim=0)) @ turned[:, :, 2].mean(dim=0) < 0
    assert focus_point(cameras_at(parallel[:1])).isfinite().all()


@pytest.mark.parametrize("turns", [1.0, 0.5, 0.25])
def test_up_is_found_although_cameras_look_down_from_one_side(turns):
    cameras = around(turns, elevation=0.8)
    assert math.degrees(math.acos(float((up_direction(cameras) @ UP).clamp(max=1)))) < 5
    mean = cameras.pose[:, :, 1].mean(dim=0)
    if turns < 1:
        assert math.degrees(math.acos(float(mean @ UP / mean.norm()))) > 15, "the plain mean would have done"


def test_up_of_parallel_cameras_is_their_own():
    pose = facing().pose.clone()
    pose[:, :, :3] = torch.eye(3)
    torch.testing.assert_close(up_direction(cameras_at(pose)), unit(0, 1, 0))


def test_up_of_cameras_held_every_way_is_the_normal_of_their_circle():
    cameras = around(elevation=0.0)
    pose = cameras.pose.clone()
    pose[::2, :, :2] *= -1  # every other camera is upside down
    assert abs(float(up_direction(cameras_at(pose)) @ UP)) > 0.999


def test_an_orbit_looks_at_its_centre_at_one_distance_and_elevation():
    found = path("orbit", around(elevation=0.4), 16)
    arm = found.position() - CENTRE
    torch.testing.assert_close(arm.norm(dim=-1), torch.full((16,), 4.0, dtype=torch.float64))
    torch.testing.assert_close(found.forward(), -arm / 4)
    torch.testing.assert_close(arm @ UP / 4, torch.full((16,), math.sin(0.4), dtype=torch.float64))
    torch.testing.assert_close(found.position()[0], around(elevation=0.4).position()[0])
    step = (found.position() - found.position().roll(1, dims=0)).norm(dim=-1)
    torch.testing.assert_close(step, step[:1].expand(16))
    assert (found.pose[:, :, 1] @ UP > 0).all()


def test_an_orbit_below_a_zenith_and_around_a_focus_that_is_given():
    above = around(elevation=1.55)
    found = path("orbit", above, 8)
    arm = found.position() - CENTRE
    torch.testing.assert_close(arm @ UP / arm.norm(dim=-1), torch.full((8,), math.sin(math.radians(75))).double())
    other = CENTRE + 0.3
    found = path("orbit", around(), 8, focus=other)
    torch.testing.assert_close(found.position() + found.forward() * (found.position() - other).norm(dim=-1)[:, None],
                               other.expand(8, 3))  # fmt: skip


def test_cameras_in_the_point_they_look_at_have_no_orbit():
    cameras = around()
    pose = cameras.pose.clone()
    pose[:, :, 3] = CENTRE
    with pytest.raises(ValueError, match="away from the point"):
        path("orbit", cameras_at(pose), 8, focus=CENTRE)


def test_a_spiral_looks_at_one_point_and_stays_among_its_cameras():
    cameras = facing()
    focus = CENTRE + torch.tensor([0, 0, -20.0], dtype=torch.float64)
    found = path("spiral", cameras, 40, focus=focus)
    torch.testing.assert_close(focus_point(found), focus, atol=1.5, rtol=0)
    depth = (focus_point(found) - found.position()).norm(dim=-1, keepdim=True)
    torch.testing.assert_close(found.position() + depth * found.forward(), focus_point(found).expand(40, 3))
    extent = (cameras.position() - cameras.position().mean(dim=0)).abs().amax(dim=0)
    assert ((found.position() - cameras.position().mean(dim=0)).abs() <= 1.2 * extent).all()
    closing = (found.position()[0] - found.position()[-1]).norm()
    assert closing < 1.5 * (found.position()[1] - found.position()[0]).norm(), "its ends should meet"


def test_a_spiral_around_what_lies_behind_is_refused():
    with pytest.raises(ValueError, match="ahead of the mean camera"):
        spiral(facing(), 8, CENTRE + torch.tensor([0, 0, 20.0], dtype=torch.float64))


def test_a_spline_passes_through_its_keys_and_is_smooth():
    cameras = around(0.6, 7)
    knots = np.cumsum([0, 1, 0.5, 2, 1, 1, 0.7])
    at = spline(cameras.pose, knots)
    torch.testing.assert_close(at(knots), cameras.pose)
    before, after = at(knots[1:-1] - 1e-5), at(knots[1:-1] + 1e-5)
    speed_in, speed_out = (cameras.pose[1:-1] - before) / 1e-5, (after - cameras.pose[1:-1]) / 1e-5
    torch.testing.assert_close(speed_in, speed_out, atol=1e-3, rtol=1e-3)


def test_interpolation_goes_round_in_order_whatever_the_order_of_the_files():
    cameras = around(0.9, 12)
    shuffled = cameras.select([0, 7, 2, 10, 4, 11, 6, 1, 8, 3, 9, 5])
    found = interpolate(shuffled, 121)
    radius = (found[:, :, 3] - CENTRE).norm(dim=-1)
    assert (radius - 4).abs().max() < 0.1, "a way round does not cut through the middle"
    nearest = torch.cdist(cameras.position(), found[:, :, 3]).amin(dim=1)
    assert nearest.max() < 0.15, "every camera is passed by"
    step = (found[1:, :, 3] - found[:-1, :, 3]).norm(dim=-1)
    assert step.max() < 1.3 * step.min(), "at even speed"


def test_a_path_of_equal_views_cannot_be_interpolated():
    with pytest.raises(ValueError, match="two different views"):
        path("interpolate", around().select([0, 0, 0]), 10)


def test_the_test_path_is_the_cameras_as_they_are():
    cameras = cameras_at(around().pose, distortion=0.1)
    found = path("test", cameras, 3)
    assert len(found) == 24
    torch.testing.assert_close(found.pose, cameras.pose)
    torch.testing.assert_close(found.distortion, cameras.distortion)


def test_another_size_of_the_same_shape_shows_the_same():
    cameras = cameras_at(around().pose, distortion=0.1)
    found = reframed(cameras, 80, 60)
    torch.testing.assert_close(found.focal, cameras.focal * 2)
    torch.testing.assert_close(found.distortion, cameras.distortion)


@pytest.mark.parametrize(("width", "height"), [(160, 60), (60, 160), (60, 60)])
def test_another_shape_keeps_the_field_of_view_of_the_shorter_side_and_square_pixels(width, height):
    cameras = cameras_at(around().pose, distortion=0.1)
    found = reframed(cameras, width, height)
    assert (found.width, found.height) == (width, height) and not found.distortion.any()
    torch.testing.assert_close(min(width, height) / found.focal, 30 / cameras.focal)
    torch.testing.assert_close(found.centre[0], torch.tensor([width / 2 + 3.0, height / 2 - 1.0], dtype=torch.float64))


def test_what_cannot_be_a_path_is_refused():
    with pytest.raises(ValueError, match="at least one camera and one frame, got 24 and 0"):
        path("orbit", around(), 0)
    with pytest.raises(ValueError, match="at least one camera"):
        path("orbit", around().select([]), 5)
    with pytest.raises(ValueError, match="at least 1 pixel, got 0x30"):
        path("orbit", around(), 5, size=(0, 30))
