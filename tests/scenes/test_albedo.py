"""Patterns on surfaces: colours within their range, smooth, with detail."""

import numpy as np
import pytest

from recon.scenes.albedo import colour, marbled, mix, noise, ramp, step, to_linear, to_srgb
from recon.scenes.figurines import painted
from recon.shapes.figurines import FIGURES

POINTS = np.random.default_rng(0).uniform(-1, 1, (4000, 3))


def test_linear_light_and_srgb_are_inverses():
    values = np.linspace(0, 1, 300).reshape(100, 3)
    np.testing.assert_allclose(to_srgb(to_linear(values)), values, atol=1e-9)
    assert to_linear(np.full((1, 3), 0.5))[0, 0] == pytest.approx(0.214041, abs=1e-6)
    np.testing.assert_allclose(colour("#ff0080"), [1, 0, 0.215861], atol=1e-6)


def test_noise_is_centred_smooth_and_fixed_by_its_seed():
    value = noise(POINTS, 8.0, 1)
    assert abs(value.mean()) < 0.1 and 0.2 < value.std() < 0.8
    np.testing.assert_allclose(noise(POINTS + 1e-6, 8.0, 1), value, atol=1e-4)
    assert not np.allclose(noise(POINTS, 8.0, 2), value)


def test_steps_ramps_and_mixtures_meet_their_ends():
    assert step(np.array([-1.0, 0.0, 1.0]), 0.0, 0.1).tolist() == [0, 0.5, 1]
    ends = ramp(np.array([0.0, 1.0]), ("#000000", "#ffffff"))
    np.testing.assert_allclose(ends, [[0, 0, 0], [1, 1, 1]])
    np.testing.assert_allclose(mix(np.zeros((2, 3)), np.ones(3), np.array([0.0, 0.25])), [[0] * 3, [0.25] * 3])


def test_the_pattern_of_colourless_shapes_has_detail_at_large_and_at_small_scale():
    far = np.abs(marbled(POINTS[1:]) - marbled(POINTS[:-1])).mean()
    near = np.abs(marbled(POINTS + 0.03) - marbled(POINTS)).mean()
    assert marbled(POINTS).min() >= 0 and 0.1 < far and 0.02 < near < far


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_paint_in_more_than_one_colour(name):
    paint = painted(name, POINTS * [0.5, 0.7, 0.5] + [0, 0.6, 0])
    assert 0 < paint.min() and paint.max() < 0.9
    assert paint.std(axis=0).max() > 0.05
    np.testing.assert_array_equal(paint, painted(name, POINTS * [0.5, 0.7, 0.5] + [0, 0.6, 0]))
