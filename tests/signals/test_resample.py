"""Coarser grids hold what they can, in place, and nothing that was not there."""

import numpy as np
import pytest

from recon.signals.resample import shrunk, slowed


def tone(cycles, count):
    """A sine in the middles of samples."""
    return np.sin(2 * np.pi * cycles * (np.arange(count) + 0.5) / count)[:, None].astype(np.float32)


@pytest.mark.parametrize("ratio", [1.25, 2, 2.75625, 5])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.89])
def test_a_tone_that_the_lower_rate_holds_keeps_its_place_and_size(ratio, share):
    cycles = round(share * 500)
    found = slowed(tone(cycles, round(1000 * ratio)), 1000)
    np.testing.assert_allclose(found[100:-100], tone(cycles, 1000)[100:-100], atol=3e-3)


@pytest.mark.parametrize("ratio", [2, 2.75625, 5])
@pytest.mark.parametrize("share", [1.1, 1.5, 1.9])
def test_a_tone_above_half_of_the_lower_rate_does_not_come_back_as_another(ratio, share):
    found = slowed(tone(round(share * 500), round(1000 * ratio)), 1000)
    assert np.abs(found[100:-100]).max() < 1e-3


@pytest.mark.parametrize(("samples", "count"), [(1, 1), (7, 3), (1000, 1), (1000, 999)])
def test_silence_and_steadiness_stay_with_every_channel_in_its_own(samples, count):
    values = np.tile(np.array([[0.5, 0.0, -1.0]], np.float32), (samples, 1))
    np.testing.assert_allclose(slowed(values, count), values[:1].repeat(count, axis=0), atol=1e-6)


def test_parts_make_the_same_whole(monkeypatch):
    values = np.random.default_rng(0).uniform(-1, 1, (500, 2)).astype(np.float32)
    whole = slowed(values, 171)
    monkeypatch.setattr("recon.signals.resample.CHUNK", 1)
    np.testing.assert_allclose(slowed(values, 171), whole, atol=1e-6)


def test_a_smaller_picture_has_the_means_of_its_pixels_areas():
    values = np.random.default_rng(0).uniform(0, 1, (12, 20, 3)).astype(np.float32)
    expected = values.reshape(4, 3, 10, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(shrunk(values, 4, 10), expected, atol=1e-6)
    odd = shrunk(values[:3, :1], 2, 1)  # the middle row lies in both
    np.testing.assert_allclose(odd[0, 0], (values[0, 0] + values[1, 0] / 2) / 1.5, atol=1e-6)
    np.testing.assert_allclose(shrunk(values, 5, 7).mean(axis=(0, 1)), values.mean(axis=(0, 1)), atol=1e-5)


def test_what_is_transparent_gives_no_colour_to_what_is_not():
    values = np.zeros((2, 2, 4), np.float32)
    values[0, 0] = (1, 0.5, 0, 1)
    values[0, 1] = (0, 0, 1, 0)
    np.testing.assert_allclose(shrunk(values, 1, 1)[0, 0], (1, 0.5, 0, 0.25), atol=1e-6)
    assert np.isfinite(shrunk(values[1:], 1, 1)).all()
