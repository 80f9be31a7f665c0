"""Pictures of depth, normals and errors: their ends, their order, and white where nothing is."""

import matplotlib
import numpy as np
import pytest
import torch

from recon.rendering.depth_picture import (
    WORST_ERROR,
    colour_picture,
    depth_limits,
    depth_picture,
    error_heat,
    normal_picture,
    opacity_picture,
)

OPAQUE = torch.ones(8, 10)
RAMP = torch.linspace(2, 6, 80).reshape(8, 10)


def turbo(value: float) -> list[int]:
    return [round(255 * c) for c in matplotlib.colormaps["turbo"](value)[:3]]


def test_colours_are_rounded_and_clipped():
    rgb = torch.tensor([[[0.0, 0.5, 1.0], [-1.0, 2.0, float("nan")]]])
    assert colour_picture(rgb).tolist() == [[[0, 128, 255], [0, 255, 0]]]


def test_opacity_goes_from_black_to_white():
    assert opacity_picture(torch.tensor([[0.0, 1.0]])).tolist() == [[[0, 0, 0], [255, 255, 255]]]


def test_errors_have_the_colours_of_their_map():
    """One by one as matplotlib maps them, ends and borders between two shades too."""
    error = torch.cat([torch.linspace(0, 0.3, 1001), torch.arange(258) / 256 * WORST_ERROR])[None]
    expected = matplotlib.colormaps["magma"]((error.double() / WORST_ERROR).clamp(0, 1).numpy())[..., :3]
    found = error_heat(error[..., None].expand(-1, -1, 3), torch.zeros(1, error.shape[1], 3))
    np.testing.assert_array_equal(found, colour_picture(torch.from_numpy(expected)))


def test_depth_runs_from_near_to_far_through_the_colour_map():
    picture = depth_picture(torch.tensor([[2.0, 4.0, 6.0, 1.0, 9.0]]), torch.ones(1, 5), (2.0, 6.0))
    expected = [turbo(1.0), turbo(0.5), turbo(0.0), turbo(1.0), turbo(0.0)]
    np.testing.assert_allclose(picture[0], expected, atol=1)


def test_depth_is_white_where_nothing_is_and_pale_where_little_is():
    depth, opacity = RAMP.clone(), OPAQUE.clone()
    depth[0, 0], depth[0, 1], opacity[0, 2], opacity[0, 3] = float("nan"), float("inf"), 0.0, 0.25
    picture = depth_picture(depth, opacity, (2.0, 6.0)).astype(int)
    assert (picture[0, :3] == 255).all()
    full = depth_picture(depth, OPAQUE, (2.0, 6.0))[0, 3].astype(int)
    np.testing.assert_allclose(picture[0, 3], 255 + 0.25 * (full - 255), atol=1)


def test_a_stray_depth_or_a_transparent_one_does_not_move_the_limits():
    expected = np.quantile(RAMP, (0.02, 0.98))
    np.testing.assert_allclose(depth_limits([(RAMP, OPAQUE)]), expected, rtol=1e-6)
    depth, opacity = RAMP.clone(), OPAQUE.clone()
    depth[3, 3] = 1e6
    np.testing.assert_allclose(depth_limits([(depth, OPAQUE)]), expected, atol=0.06)
    depth = torch.where(torch.arange(10) < 5, RAMP, 1e6)
    opacity[:, 5:] = 0.1
    assert depth_limits([(depth, opacity)] * 3)[1] < 6


def test_limits_of_nothing_and_of_one_depth_are_usable():
    assert depth_limits([]) == (0.0, 1.0) == depth_limits([(RAMP, OPAQUE * 0)])
    low, high = depth_limits([(RAMP * 0 + 3, OPAQUE)])
    assert low == 3.0 < high
    assert (depth_picture(RAMP, OPAQUE * 0) == 255).all()


def test_normals_have_the_usual_colours_whatever_their_length():
    normal = torch.tensor([[[0.0, 0, 2.0], [-0.1, 0, 0], [0, 0, 0], [float("nan"), 0, 1]]])
    picture = normal_picture(normal, torch.ones(1, 4))
    assert picture.tolist() == [[[128, 128, 255], [0, 128, 128], [255, 255, 255], [255, 255, 255]]]
    assert (normal_picture(normal, torch.zeros(1, 4)) == 255).all()


def test_errors_are_dark_where_there_is_none_and_have_one_scale():
    target = torch.full((2, 2, 3), 0.5)
    heat = error_heat(target, target)
    assert (heat == heat[0, 0]).all() and heat.max() <= 5
    brightest = error_heat(target + WORST_ERROR, target)
    np.testing.assert_array_equal(brightest, error_heat(target - 0.5, target))
    np.testing.assert_array_equal(brightest, error_heat(target * float("nan"), target))
    sums = [int(error_heat(target + e, target).astype(int).sum()) for e in np.linspace(0, WORST_ERROR, 6).tolist()]
    assert sums == sorted(set(sums))


def test_gradients_do_not_matter_to_a_picture():
    depth = RAMP.clone().requires_grad_()
    depth_picture(depth, OPAQUE)
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(depth_picture(depth, OPAQUE), 255)
