"""Parts of signals: what is taken, what it is called, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from recon.signals.prepare import Preparation, prepared
from recon.signals.signal import BadSignal, Signal

RNG = np.random.default_rng(0)
PICTURE = Signal("p", "image", RNG.integers(0, 256, (24, 36, 3)).astype(np.uint8), ".png")
SOUND = Signal("s", "sound", RNG.uniform(-1, 1, (800, 2)).astype(np.float32), ".wav", 100.0)
FILM = Signal("f", "video", RNG.integers(0, 256, (6, 8, 12, 3)).astype(np.uint8), ".mp4", 4.0)


def test_downscaling_is_pillow_s_lanczos():
    found = prepared(PICTURE, Preparation(downscale=4)).values
    assert found.shape == (6, 9, 3) and found.dtype == np.uint8
    expected = np.asarray(Image.fromarray(PICTURE.values).resize((9, 6), Image.Resampling.LANCZOS))
    assert np.abs(found.astype(int) - expected).max() <= 1  # Pillow rounds between its two passes


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_a_constant_stays_what_it_is_in_any_kind_of_number(dtype):
    values = np.full((8, 8, 1), 200, dtype)
    small = prepared(Signal("c", "image", values, ".tiff"), Preparation(downscale=2))
    assert small.values.dtype == dtype
    np.testing.assert_allclose(small.values, np.full((4, 4, 1), 200), rtol=1e-6)


def test_hidden_colours_do_not_bleed_and_floats_stay_in_their_range():
    values = np.zeros((8, 8, 4), np.uint8)
    values[:, :4] = (255, 0, 0, 255)
    values[:, 4:] = (0, 255, 0, 0)
    small = prepared(Signal("a", "image", values, ".png"), Preparation(downscale=4)).values
    assert (small[:, 0, :2] == (255, 0)).all() and small[0, 0, 3] > 200
    edge = np.zeros((8, 8, 1), np.float32)
    edge[:, 4:] = 3
    found = prepared(Signal("e", "image", edge, ".exr"), Preparation(downscale=2)).values
    assert found.min() >= 0 and found.max() <= 3


@pytest.mark.parametrize("height", [5, 8, 9])
def test_the_square_is_the_middle(height):
    values = np.arange(height * 5, dtype=np.uint8).reshape(height, 5, 1)
    for turned in (values, values.swapaxes(0, 1)):
        found = prepared(Signal("m", "image", np.ascontiguousarray(turned), ".png"), Preparation(square=True)).values
        assert found.shape == (5, 5, 1)
        top = (height - 5) // 2
        expected = values[top : top + 5]
        assert (found == (expected if turned is values else expected.swapaxes(0, 1))).all()


def test_seconds_and_mono_of_a_sound():
    found = prepared(SOUND, Preparation(seconds=2.0, mono=True))
    assert found.shape == (200,) and found.channels == 1
    np.testing.assert_allclose(found.values[:, 0], SOUND.values[:200].mean(axis=1), atol=1e-7)
    assert "mean of 2 channels" in " ".join(found.notes) and "first 2 of 8 seconds" in " ".join(found.notes)
    assert prepared(SOUND, Preparation(seconds=100.0)) is SOUND
    assert prepared(SOUND, Preparation(seconds=1e308)) is SOUND


def test_a_film_is_cut_shrunk_and_squared_frame_by_frame():
    found = prepared(FILM, Preparation(downscale=2, square=True, seconds=0.75))
    assert found.shape == (3, 4, 4)
    frame = prepared(Signal("f", "image", FILM.values[2], ".png"), Preparation(downscale=2, square=True))
    assert (found.values[2] == frame.values).all()


def test_nothing_asked_for_is_the_signal_itself():
    assert prepared(PICTURE, Preparation()) is PICTURE


@pytest.mark.parametrize(
    ("signal", "how", "what"),
    [
        (SOUND, Preparation(downscale=2), "--downscale and --square are for pictures"),
        (PICTURE, Preparation(mono=True), "--mono is for sounds"),
        (PICTURE, Preparation(seconds=1.0), "--seconds is for sounds and films"),
        (PICTURE, Preparation(downscale=25), "--downscale 25 leaves nothing of 36 x 24"),
    ],
)
def test_what_a_kind_has_not_is_refused(signal, how, what):
    with pytest.raises(BadSignal, match=what):
        prepared(signal, how)


@pytest.mark.parametrize("wrong", [{"downscale": 0}, {"seconds": 0.0}, {"seconds": float("nan")}])
def test_numbers_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        Preparation(**wrong)
