"""A signal refuses what is none, and its way to normalised numbers leads back."""

import numpy as np
import pytest

from recon.signals import signal as signals
from recon.signals.signal import Signal, bands


def image(values, **more):
    return Signal("a", "image", values, ".png", **more)


def sound(values, rate=8000.0):
    return Signal("a", "sound", np.asarray(values, np.float32).reshape(-1, 1), ".wav", rate)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_whole_number_comes_back_from_its_normalised_form(dtype):
    every = np.arange(np.iinfo(dtype).max + 1).astype(dtype).reshape(16, -1, 1)
    signal = image(every)
    x = signal.normalised()
    assert x.dtype == np.float32 and x.min() == 0 and x.max() == 1
    back = signal.denormalised(x)
    assert back.dtype == dtype and np.array_equal(back, every)


def test_what_a_network_overshoots_is_clipped_and_nan_becomes_black():
    signal = image(np.zeros((1, 4, 1), np.uint8))
    x = np.array([-0.5, 1.5, 0.5, np.nan], np.float32).reshape(1, 4, 1)
    kept = x.copy()
    assert signal.denormalised(x).ravel().tolist() == [0, 255, 128, 0]
    np.testing.assert_array_equal(x, kept)  # an input is not written into


@pytest.mark.parametrize("shape", [(1, 1), (7, 1), (5, 3, 2), (1, 4, 3), (3, 2, 4, 1)])
@pytest.mark.parametrize("most", [1, 6, 1000])
def test_bands_cover_the_first_axis_once_and_hold_few_values(shape, most):
    values = np.arange(np.prod(shape)).reshape(shape)
    parts = [values[rows] for rows in bands(values, most)]
    np.testing.assert_array_equal(np.concatenate(parts), values)
    assert all(part.size <= max(most, values[0].size) for part in parts)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_turning_back_in_bands_changes_nothing(dtype, monkeypatch):
    rng = np.random.default_rng(0)
    signal = image(rng.integers(0, 200, (9, 5, 3)).astype(dtype))
    x = rng.normal(0.5, 0.5, signal.values.shape).astype(np.float32)
    whole = signal.denormalised(x)
    monkeypatch.setattr(signals, "BAND", 20)
    found = signal.denormalised(x)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, whole)
    np.testing.assert_array_equal(signal.normalised(signal.values[2:4]), signal.normalised()[2:4])


@pytest.mark.parametrize(("values", "scale"), [([0.2, 0.5], 1.0), ([-3.0, 0.5], 1.0), ([-1.0, 8.0], 8.0)])
def test_a_float_image_is_divided_by_its_maximum_above_one_and_keeps_what_is_negative(values, scale):
    signal = image(np.array(values, np.float32).reshape(1, 2, 1))
    assert signal.scale == scale
    np.testing.assert_allclose(signal.normalised().ravel(), np.array(values) / scale, rtol=1e-6)
    np.testing.assert_allclose(signal.denormalised(signal.normalised()), signal.values, rtol=1e-6)


def test_a_sound_is_divided_by_its_peak_and_clipped_to_it_on_the_way_back():
    signal = sound([0.1, -0.4, 0.2])
    assert signal.scale == pytest.approx(0.4)
    assert signal.normalised().min() == -1
    np.testing.assert_allclose(signal.denormalised(np.array([[3.0], [-3.0]], np.float32)).ravel(), [0.4, -0.4])


def test_silence_has_a_scale():
    assert sound([0, 0]).scale == 1 and not sound([0, 0]).normalised().any()


def test_shape_and_channels_tell_the_grid_apart():
    signal = Signal("a", "video", np.zeros((2, 3, 4, 3), np.uint8), ".mp4", 25.0)
    assert signal.shape == (2, 3, 4) and signal.channels == 3


def test_the_hash_follows_the_content_alone():
    values = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    same = image(values, source="elsewhere", notes=("a",)).content_hash()
    assert image(values).content_hash() == same == image(np.asfortranarray(values)).content_hash()
    others = [values + 1, values.reshape(3, 2, 1), values.astype(np.uint16)]
    assert same not in {image(other).content_hash() for other in others}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: image(np.zeros((2, 2), np.uint8)), "axes"),
        (lambda: image(np.zeros((2, 2, 5), np.uint8)), "5 channels"),
        (lambda: image(np.zeros((0, 2, 3), np.uint8)), "empty"),
        (lambda: image(np.zeros((2, 2, 0), np.uint8)), "empty"),
        (lambda: image(np.zeros((2, 2, 3), np.float64)), "float64"),
        (lambda: image(np.full((2, 2, 3), np.nan, np.float32)), "12 of 12 values are NaN"),
        (lambda: sound([0, np.inf, 1]), "1 of 3 samples"),
        (lambda: sound([1.0], rate=0.0), "rate"),
        (lambda: Signal("a", "video", np.zeros((1, 2, 2, 3), np.uint8), ".mp4", float("nan")), "rate"),
        (lambda: Signal("a", "smell", np.zeros((1, 2, 2), np.uint8), ".mp4"), "smell"),  # pyright: ignore
    ],
)
def test_what_is_no_signal_is_refused(make, said):
    with pytest.raises(Exception, match=said):
        make()
