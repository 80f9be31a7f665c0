"""Cameras: the centre of the picture by hand, projecting undoes rays, undistorting undoes distorting."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recon.geometry import Cameras
from recon.geometry.cameras import distort, undistort


def cameras(distortion=(0.0, 0.0, 0.0, 0.0), views: int = 3, seed: int = 0) -> Cameras:
    rng = np.random.default_rng(seed)
    turns = np.linalg.qr(rng.normal(size=(views, 3, 3)))[0]
    turns *= np.sign(np.linalg.det(turns))[:, None, None]
    return Cameras(
        pose=torch.from_numpy(np.concatenate([turns, rng.normal(size=(views, 3, 1))], axis=2)),
        focal=torch.tensor([[50.0, 52.0]]).double().expand(views, 2),
        centre=torch.tensor([[19.0, 16.0]]).double().expand(views, 2),
        distortion=torch.tensor([distortion]).double().expand(views, 4),
        height=30,
        width=40,
    )


def upright(**facts) -> Cameras:
    one = cameras(views=1)
    pose = torch.eye(4).double()[None, :3]
    return Cameras(pose, one.focal, one.centre, one.distortion, **{"height": 30, "width": 40, **facts})


def test_the_principal_point_looks_along_minus_z_and_pixels_go_right_and_down():
    pixel = torch.tensor([[19.0, 16.0], [69.0, 16.0], [19.0, 68.0]])
    rays = upright().rays(torch.zeros(3, dtype=torch.long), pixel)
    half = 0.5**0.5
    torch.testing.assert_close(rays.direction, torch.tensor([[0, 0, -1.0], [half, 0, -half], [0, -half, -half]]))


def test_pixels_are_named_by_their_centres_row_by_row():
    pixels = upright().pixels()
    assert len(pixels) == 30 * 40
    assert pixels[0].tolist() == [0.5, 0.5]
    assert pixels[41].tolist() == [1.5, 1.5]
    assert pixels[-1].tolist() == [39.5, 29.5]


lens = st.tuples(*[st.floats(-0.1, 0.1)] * 2, *[st.floats(-0.01, 0.01)] * 2)


@given(distortion=lens, seed=st.integers(0, 5), distance=st.floats(0.1, 100))
def test_projecting_undoes_rays_whatever_the_lens(distortion, seed, distance):
    some = cameras(distortion, seed=seed)
    pixel = torch.rand(20, 2, dtype=torch.float64) * torch.tensor([40.0, 30.0])
    view = torch.arange(20) % 3
    rays = some.rays(view, pixel)
    torch.testing.assert_close(rays.direction.norm(dim=-1), torch.ones(20))
    found, depth = some.project(view, rays.origin + distance * rays.direction)
    assert (depth > 0).all()
    scale = 1 + 10 / distance  # origin and direction are in single precision
    torch.testing.assert_close(found, pixel, atol=2e-4 * scale, rtol=0)


@given(distortion=lens, x=st.floats(-0.8, 0.8), y=st.floats(-0.8, 0.8))
def test_undistorting_undoes_distorting(distortion, x, y):
    plane, bend = torch.tensor([[x, y]]).double(), torch.tensor([distortion]).double()
    torch.testing.assert_close(undistort(distort(plane, bend), bend), plane, atol=1e-9, rtol=0)


def test_distortion_is_opencv_s_by_hand():
    found = distort(torch.tensor([[0.5, -0.25]]).double(), torch.tensor([[0.1, 0.01, 0.001, 0.002]]).double())
    r2 = 0.3125
    radial = 1 + 0.1 * r2 + 0.01 * r2 * r2
    x = 0.5 * radial + 2 * 0.001 * 0.5 * -0.25 + 0.002 * (r2 + 2 * 0.25)
    y = -0.25 * radial + 0.001 * (r2 + 2 * 0.0625) + 2 * 0.002 * 0.5 * -0.25
    torch.testing.assert_close(found, torch.tensor([[x, y]]).double())


@pytest.mark.parametrize("k1", [-9.0, -0.5])
def test_a_lens_that_folds_over_is_refused(k1):
    edge = torch.tensor([[2.0, 0.0]]).double()
    with pytest.raises(ValueError, match="fold"):
        undistort(edge, torch.tensor([[k1, 0, 0, 0]]).double())


def test_points_behind_the_camera_have_no_positive_depth():
    _, depth = upright().project(torch.zeros(2, dtype=torch.long), torch.tensor([[0.0, 0, 1], [0, 0, 0]]))
    assert depth.tolist() == [-1, 0]


def test_resized_cameras_see_the_same_rays():
    small = cameras().resized(15, 20)
    pixel, view = torch.rand(10, 2) * 20, torch.arange(10) % 3
    torch.testing.assert_close(
        small.rays(view, pixel / 2).direction, cameras().rays(view, pixel).direction, atol=1e-6, rtol=0
    )


def test_selecting_keeps_the_order_asked_for():
    some = cameras()
    assert torch.equal(some.select([2, 0]).pose, some.pose[[2, 0]])
    assert len(some.select([])) == 0


def test_a_view_s_rays_are_those_of_its_pixels():
    some = cameras((0.1, 0.0, 0.0, 0.0))
    rays = some.view_rays(1)
    expected = some.rays(torch.full((1200,), 1), some.pixels())
    assert torch.equal(rays.direction, expected.direction)
    torch.testing.assert_close(rays[:3].origin.double(), some.position()[1].expand(3, 3), atol=1e-6, rtol=1e-6)
