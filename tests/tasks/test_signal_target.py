"""Grids that signals are rendered to: how large they are, how they are played, and which are refused."""

from dataclasses import replace

import numpy as np
import pytest

from recon import memory
from recon.signals.signal import Signal
from recon.tasks.signal.target import Target, check_slopes, target_of

PICTURE = Signal("a", "image", np.zeros((6, 10, 3), np.uint8), ".png")
SOUND = Signal("a", "sound", np.zeros((50, 2), np.float32), ".wav", 100.0, subtype="PCM_16")
FILM = Signal("a", "video", np.zeros((4, 6, 10, 3), np.uint8), ".mp4", 25.0)


@pytest.mark.parametrize(
    ("signal", "given", "shape", "rate", "name"),
    [
        (PICTURE, {}, (6, 10), 0, "10x6"),
        (PICTURE, {"size": (20, 3)}, (3, 20), 0, "20x3"),
        (SOUND, {}, (50,), 100, "100hz"),
        (SOUND, {"rate": 33}, (16,), 33, "33hz"),  # round(16.5)
        (SOUND, {"rate": 44_100}, (22_050,), 44_100, "44100hz"),
        (FILM, {}, (4, 6, 10), 25, "10x6_4frames"),
        (FILM, {"frames": 10}, (10, 6, 10), 62.5, "10x6_10frames"),
        (FILM, {"frames": 1, "size": (5, 3)}, (1, 3, 5), 6.25, "5x3_1frames"),
    ],
)
def test_what_is_not_given_is_the_signals_own_and_a_film_lasts_as_long(signal, given, shape, rate, name):
    target = target_of(signal, **given)
    assert (target.own, target.shape, target.rate, target.name) == (signal.shape, shape, rate, name)
    if signal.kind == "video":
        assert shape[0] / target.rate == pytest.approx(signal.shape[0] / signal.rate)


def test_the_field_is_asked_for_no_less_than_it_learned():
    target = Target((6, 10), (3, 20), 0.0)
    assert (target.grid, target.seen, target.frames, target.finer) == ((6, 20), (6, 20), None, [1])
    fewer = Target((8, 6, 10), (3, 6, 20), 9.0)
    assert fewer.frames == [1, 4, 6] and fewer.grid == (8, 6, 20) and fewer.seen == (3, 6, 20)
    assert Target((8, 2, 2), (4, 2, 2), 1.0).frames == [1, 3, 5, 7]
    assert Target((8, 2, 2), (9, 2, 2), 1.0).frames is None


@pytest.mark.parametrize(
    ("signal", "given", "said"),
    [
        (PICTURE, {"size": (0, 5)}, "0x5 has 0 pixels"),
        (PICTURE, {"size": (100_000, 100_000)}, "10,000,000,000 pixels; 1 .. 134,217,728 are rendered"),
        (FILM, {"frames": 0}, "--frames must be at least 1, got 0"),
        (FILM, {"frames": -3}, "--frames must be at least 1"),
        (FILM, {"frames": 10**8}, "pixels of all frames; 1 .. 268,435,456"),
        (SOUND, {"rate": 0}, "WAV holds 1 to"),
        (SOUND, {"rate": -5}, "WAV holds 1 to"),
        (SOUND, {"rate": 1}, "leaves nothing of a sound of 0.5 s; give at least 2"),
        (SOUND, {"rate": 2**31 - 1}, "samples; 1 .. 134,217,728"),
        (replace(SOUND, suffix=".flac"), {"rate": 700_000}, "FLAC holds 1 to 655,350"),
        (replace(SOUND, suffix=".ogg", subtype="OPUS"), {"rate": 44_100}, "Opus holds"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_evaluated(signal, given, said):
    with pytest.raises(ValueError, match=said):
        target_of(signal, **given)


def test_what_would_fill_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 1e6)
    target_of(PICTURE, size=(200, 300))
    with pytest.raises(ValueError, match=r"1000x1000 takes 0.0 GiB of memory, and 0.0 are free"):
        target_of(PICTURE, size=(1000, 1000))
    with pytest.raises(ValueError, match="5x30000 takes"):  # evaluated twice as wide, in floats
        target_of(PICTURE, size=(5, 30_000))


def test_derivatives_of_very_many_pixels_are_refused():
    check_slopes(Target((6, 10), (4096, 4096), 0.0))
    with pytest.raises(ValueError, match="--size has 16,781,312"):
        check_slopes(Target((6, 10), (4097, 4096), 0.0))
    with pytest.raises(ValueError, match="the picture has 25,000,000"):
        check_slopes(Target((5000, 5000), (6, 10), 0.0))
