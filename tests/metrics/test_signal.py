"""Scores of signals against closed forms and independent formulas."""

import math

import numpy as np
import pytest

from recon.metrics.signal import CHUNK, psnr_of, psnr_paper, snr, squared_error, ssim_of

RNG = np.random.default_rng(0)


def test_the_squared_error_of_a_constant_offset_is_its_square_however_many_values():
    true = RNG.random((CHUNK + 17, 1), dtype=np.float32) * 0.5
    assert squared_error(true + np.float32(0.25), true) == pytest.approx(0.0625, rel=1e-6)


def test_true_values_are_normalised_as_they_are_compared():
    stored = RNG.integers(0, 256, (20, 30, 3)).astype(np.uint8)
    true = stored / np.float32(255)
    pred = true + np.float32(0.1) * RNG.random(true.shape, dtype=np.float32)
    for compare in (squared_error, ssim_of):
        assert compare(pred, stored, lambda part: part / np.float32(255)) == compare(pred, true)


def test_psnr_of_known_errors():
    assert psnr_of(0.01) == pytest.approx(20) and psnr_of(0.0) == psnr_of(1e-12) == 100
    assert psnr_of(0.04, peak=2.0) == pytest.approx(20)


@pytest.mark.parametrize("brightest", [1.0, 0.8, 0.3])
def test_the_papers_psnr_is_that_of_values_in_minus_one_to_one(brightest):
    """Computed there as 10 log10(max(gt)^2 / mse); usual = theirs + 6.02 - 20 log10(max gt)."""
    true = RNG.random((20, 20, 3)) * brightest
    true.flat[0] = brightest
    pred = true + RNG.normal(size=true.shape) * 0.01
    gt, there = 2 * true - 1, 2 * pred - 1
    theirs = 10 * math.log10(gt.max() ** 2 / np.square(there - gt).mean())
    mse = float(np.square(pred - true).mean())
    assert psnr_paper(mse, brightest) == pytest.approx(theirs)
    if gt.max() > 0:
        assert psnr_of(mse) == pytest.approx(theirs + 20 * math.log10(2) - 20 * math.log10(gt.max()))
    assert psnr_paper(mse, 0.5) is None


def test_snr_is_the_power_of_the_signal_over_that_of_the_error():
    true = np.sin(np.linspace(0, 20 * math.pi, 100_000, endpoint=False))[:, None].astype(np.float32)
    assert snr(0.005, true) == pytest.approx(20, abs=1e-3)
    assert snr(0.1, np.zeros((5, 1), np.float32)) is None


def test_ssim_is_one_for_equal_pictures_in_any_channels_and_none_for_small_ones():
    for channels in (1, 2, 3, 4):
        picture = RNG.random((16, 20, channels), dtype=np.float32)
        assert ssim_of(picture, picture) == pytest.approx(1)
        assert ssim_of(1 - picture, picture) < 0.2
    assert ssim_of(picture[:10], picture[:10]) is None
