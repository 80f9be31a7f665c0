"""Spaces: each map is undone by its inverse, boxes by closed forms, spacing grows, rate is the map's derivative."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recon.geometry import Box, Rays, Space

BOX = Box((-1.0, 0.0, 2.0), (3.0, 2.0, 3.0))
TURN = (0.0, -1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 1.0, 3.0)
SPACES = {
    "box": Space("box", BOX),
    "contracted": Space("contracted", BOX, near=0.1),
    "ndc": Space("ndc", Box((-0.5, -0.4, -9.0), (0.6, 0.4, -2.0)), near=2.0, frame=TURN),
}
KINDS = tuple(sorted(SPACES))
each = pytest.mark.parametrize("kind", KINDS)


@each
@settings(deadline=None)
@given(u=st.tuples(*[st.floats(-0.99, 0.99)] * 3))
def test_leaving_the_cube_and_coming_back_changes_nothing(kind, u):
    cube = torch.tensor([u], dtype=torch.float64)
    torch.testing.assert_close(SPACES[kind].to_cube(SPACES[kind].from_cube(cube)), cube, atol=1e-9, rtol=0)


def test_the_box_s_corners_are_the_cube_s():
    points = torch.tensor([BOX.low, BOX.high, BOX.centre])
    torch.testing.assert_close(SPACES["box"].to_cube(points), torch.tensor([[-1.0] * 3, [1.0] * 3, [0.0] * 3]))


def test_contraction_halves_the_box_and_holds_all_of_space():
    points = torch.tensor([BOX.high, (1e6, 1.0, 2.5), (-7.0, 1.0, 2.5)])
    expected = torch.tensor([[0.5, 0.5, 0.5], [1.0, 0, 0], [-0.875, 0, 0]])  # 4 half widths: (2 - 1/4) / 2
    torch.testing.assert_close(SPACES["contracted"].to_cube(points), expected, atol=1e-5, rtol=0)


def test_ndc_by_hand():
    space = Space("ndc", Box((-1.0, -1.0, -9.0), (1.0, 1.0, -2.0)), near=2.0)
    points = torch.tensor([[0.0, 0.0, -2.0], [4.0, -2.0, -4.0], [0.0, 0.0, -1e9]])
    torch.testing.assert_close(space.to_cube(points), torch.tensor([[0, 0, -1.0], [1, -0.5, 0], [0, 0, 1]]))


@each
def test_spacing_grows_with_distance_and_is_undone(kind):
    space = SPACES[kind]
    t = torch.logspace(-3, math.log10(space.far) if kind != "box" else 1, 200, dtype=torch.float64)
    even = space.to_even(t)
    assert (even.diff() > 0).all()
    torch.testing.assert_close(space.from_even(even), t, rtol=1e-6, atol=0)


@each
def test_rate_is_the_length_in_the_cube_along_the_way_out(kind):
    space = SPACES[kind] if kind == "ndc" else Space(SPACES[kind].kind, Box((-2.0,) * 3, (2.0,) * 3))
    frame = torch.tensor(space.frame).reshape(3, 4).double()
    middle, way = (frame[:, 3], -frame[:, 2]) if kind == "ndc" else (torch.zeros(3), torch.tensor([1.0, 0, 0]))
    for distance in (0.5, 1.5, 2.5, 10.0, 40.0):
        if kind == "ndc" and distance < space.near:
            continue
        x = (middle + distance * way).double()[None]
        step = 1e-5 * way.double()
        moved = (space.to_cube(x + step) - space.to_cube(x - step)).norm() / 2e-5
        torch.testing.assert_close(moved, space.rate(x)[0], rtol=1e-4, atol=1e-9)


def rays(*rows: tuple[float, ...]) -> Rays:
    table = torch.tensor(rows)
    return Rays(table[:, :3], table[:, 3:])


def test_rays_meet_a_box_where_geometry_says():
    box = Box((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))
    half = 0.5**0.5
    near, far = box.intersect(
        rays(
            (-3, 0, 0, 1, 0, 0),
            (0, 0, 0, 0, -1, 0),
            (-2, -2, 0, half, half, 0),
            (-3, 2, 0, 1, 0, 0),
            (3, 0, 0, 1, 0, 0),
        )
    )
    torch.testing.assert_close(near[:3], torch.tensor([2.0, 0.0, 2**0.5]))
    torch.testing.assert_close(far[:3], torch.tensor([4.0, 1.0, 3 * 2**0.5]))
    assert (far[3:] <= near[3:]).all()


@settings(deadline=None)
@given(st.tuples(*[st.floats(-3, 3)] * 3), st.tuples(*[st.floats(-1, 1)] * 3))
def test_the_middle_of_what_a_ray_meets_lies_in_the_box_and_its_ends_on_it(origin, way):
    length = math.hypot(*way)
    if length < 1e-3:
        return
    ray = Rays(torch.tensor([origin]).double(), torch.tensor([way]).double() / length)
    near, far = BOX.intersect(ray)
    if far <= near:
        return
    for t, most in ((near, 1.0), (far, 1.0), ((near + far) / 2, 1.0)):
        assert SPACES["box"].to_cube(ray.origin + t[:, None] * ray.direction).abs().max() <= most + 1e-9
    end = SPACES["box"].to_cube(ray.origin + far[:, None] * ray.direction).abs().max()
    assert end == pytest.approx(1, abs=1e-6)


def test_a_near_distance_cuts_the_beginning_of_rays():
    ray = rays((1.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    assert [float(t) for t in Space("box", BOX, near=2.5).bounds(ray)] == [2.5, 3.0]
    near, far = SPACES["contracted"].bounds(ray)
    assert float(near) == pytest.approx(0.1) and float(far) == pytest.approx(SPACES["contracted"].far)


def test_ndc_rays_begin_at_a_depth_of_the_middle_camera_by_hand():
    slant = (0.6, 0.0, -0.8)
    near, far = SPACES["ndc"].bounds(  # the middle camera is at z = 3 and looks along -z, near is 2
        rays((1, 2, 3, 0, 0, -1), (1, 2, 4, *slant), (1, 2, 2, 0, 0, -1), (1, 2, 0.5, *slant), (1, 2, 3, 0.6, 0, 0.8))
    )
    torch.testing.assert_close(near[:4], torch.tensor([2.0, 3.75, 1.0, 0.0]))
    assert (far[:4] == SPACES["ndc"].far).all()
    assert far[4] <= near[4]  # looks back: nothing there


@settings(deadline=None)
@given(
    shift=st.tuples(*[st.floats(-5, 5)] * 3),
    way=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
    share=st.floats(0, 1),
)
def test_ndc_rays_stay_between_the_near_plane_and_infinity(shift, way, share):
    space = SPACES["ndc"]
    frame = torch.tensor(space.frame).reshape(3, 4).double()
    direction = torch.nn.functional.normalize(frame[:, :3] @ torch.tensor([*way, -1.0]).double(), dim=0)
    ray = Rays((frame[:, 3] + torch.tensor(shift).double())[None], direction[None])
    near, far = space.bounds(ray)
    assert 0 <= near < far
    even = torch.lerp(space.to_even(near), space.to_even(far), torch.tensor([0.0, share, 1.0]).double())
    depth = space.to_cube(ray.origin + space.from_even(even)[:, None] * ray.direction)[:, 2]
    assert (depth >= -1 - 1e-9).all() and (depth <= 1).all()
    assert (depth.diff() >= -1e-9).all()


def test_a_box_grows_about_its_centre():
    grown = BOX.scaled(2.0)
    assert grown.centre == BOX.centre
    assert grown.half == (4.0, 2.0, 1.0)
    assert grown.radius == pytest.approx(2 * BOX.radius)


@pytest.mark.parametrize("high", [(0.0, 1.0, 1.0), (float("nan"), 1.0, 1.0), (float("inf"), 1.0, 1.0)])
def test_a_box_without_an_inside_is_refused(high):
    with pytest.raises(ValueError, match="low < high"):
        Box((0.0, 0.0, 0.0), high)


def test_ndc_needs_a_near_distance():
    with pytest.raises(ValueError, match="near"):
        Space("ndc", BOX)
    with pytest.raises(ValueError, match="near"):
        Space("box", BOX, near=-1.0)
