"""Views: where rays go."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recon.rendering.camera import View

CUBE = np.array([(x, y, z) for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
views = st.builds(
    View,
    yaw=st.floats(-360, 360),
    pitch=st.floats(-90, 90),
    up=st.sampled_from(["x", "y", "z"]),
    field_of_view=st.sampled_from([0.0, 25.0, 60.0]),
)


def project(view, points):
    """Place in the picture, both ways from -1 to 1."""
    x, y, z = ((points - np.array(view.centre)) @ view.axes.T).T
    scale = view.radius if view.field_of_view == 0 else view.radius * (view.distance - z) / view.distance
    return np.stack([x / scale, y / scale], axis=1)


@given(views)
def test_axes_are_a_rotation(view):
    np.testing.assert_allclose(view.axes @ view.axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(view.axes) == pytest.approx(1)


@given(views)
def test_the_default_view_shows_the_whole_cube_from_any_side(view):
    view = replace(view, field_of_view=min(view.field_of_view, View().field_of_view))
    assert np.abs(project(view, CUBE)).max() <= 1


@given(views, st.floats(0.01, 100))
def test_framing_just_fits_the_points(view, scale):
    points = CUBE * scale + (3.0, -2.0, 50.0)
    framed = view.framing(points, margin=1.0)
    assert np.abs(project(framed, points)).max() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("fov", [0.0, 40.0])
def test_rays_pass_through_their_pixels(fov):
    view = View(yaw=20.0, pitch=-30.0, field_of_view=fov, centre=(0.1, 0.2, 0.3))
    origins, directions = view.rays(5)
    seen = project(view, origins + 3.3 * directions).reshape(5, 5, 2)
    at = (np.arange(5) + 0.5) / 5 * 2 - 1
    np.testing.assert_allclose(seen[..., 0], np.tile(at, (5, 1)), atol=1e-9)
    np.testing.assert_allclose(seen[..., 1], np.tile(-at[:, None], (1, 5)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)


@pytest.mark.parametrize(("up", "front"), [("x", "y"), ("y", "z"), ("z", "x")])
def test_without_angles_the_view_is_from_the_front_with_up_at_the_top(up, front):
    right, top, towards = View(yaw=0.0, pitch=0.0, up=up).axes
    assert top["xyz".index(up)] == 1 and towards["xyz".index(front)] == 1


def test_depth_grows_away_from_the_camera():
    view = View()
    origins, directions = view.rays(1)
    np.testing.assert_allclose(view.depth(origins + 2 * directions), [2.0])


@pytest.mark.parametrize("change", [{"field_of_view": 180.0}, {"radius": 0.0}])
def test_impossible_cameras_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        View(**change)
