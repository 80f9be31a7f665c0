"""Segments of signals: times to labels, colours to labels, what is stored, and what is refused."""

import json

import numpy as np
import pytest
from PIL import Image

from recon.signals.segments import (
    NAME,
    REST,
    Segments,
    read_segments,
    stored_segments,
    write_segments,
)
from recon.signals.signal import BadSignal, Signal

SOUND = Signal("s", "sound", np.zeros((10, 1), np.float32), ".wav", 10.0)
FILM = Signal("f", "video", np.zeros((4, 3, 2, 1), np.uint8), ".mp4", 2.0)
PICTURE = Signal("p", "image", np.zeros((2, 3, 3), np.uint8), ".png")


def times(tmp_path, *rows):
    path = tmp_path / "segments.json"
    path.write_text(json.dumps([dict(zip(("start", "end", "label"), row, strict=True)) for row in rows]))
    return path


def test_a_sample_belongs_to_the_segment_that_holds_its_moment(tmp_path):
    found = read_segments(times(tmp_path, (0.2, 0.4, "b"), (0.6, 9.0, 7), (0.3, 0.5, "b")), SOUND)
    assert found.names == ("b", "7", REST)
    assert found.labels.tolist() == [2, 2, 0, 0, 0, 2, 1, 1, 1, 1]


def test_without_gaps_there_is_no_rest_and_frames_are_whole(tmp_path):
    found = read_segments(times(tmp_path, (0, 1, "x"), (1, 2, "y")), FILM)
    assert found.names == ("x", "y") and found.labels.shape == (4, 3, 2)
    assert found.labels[:, 0, 0].tolist() == [0, 0, 1, 1] and (found.labels == found.labels[:, :1, :1]).all()


def test_of_a_cut_sound_segments_beyond_the_end_are_left_out(tmp_path):
    found = read_segments(times(tmp_path, (0, 0.5, "x"), (4, 5, "y")), SOUND)
    assert found.names == ("x", REST)


def test_a_segment_that_is_called_rest_is_the_rest_and_empty_ones_are_none(tmp_path):
    found = read_segments(times(tmp_path, (0, 0.2, REST), (0.5, 1, "a"), (0.501, 0.502, "short")), SOUND)
    assert found.names == (REST, "a") and found.labels.tolist() == [0] * 5 + [1] * 5


def test_each_colour_of_a_picture_is_a_segment(tmp_path):
    colours = np.array([[[0, 0, 0], [255, 0, 0], [0, 9, 0]], [[255, 0, 0], [0, 0, 0], [0, 0, 0]]], np.uint8)
    Image.fromarray(colours).save(tmp_path / "labels.png")
    found = read_segments(tmp_path / "labels.png", PICTURE)
    assert found.names == ("0 0 0", "0 9 0", "255 0 0")
    assert found.labels.tolist() == [[0, 2, 1], [2, 0, 0]]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no JSON"),
        ("{}", "segments are a list"),
        ("[]", "found nothing"),
        ('[{"start": 0, "end": 1}]', "segments are a list"),
        ('[{"start": "0", "end": 1, "label": 1}]', "times are numbers"),
        ('[{"start": NaN, "end": 1, "label": 1}]', "times are numbers"),
        ('[{"start": 0, "end": 1' + "0" * 400 + ', "label": 1}]', "times are numbers"),
        ('[{"start": 2, "end": 1, "label": 1}]', "ends after it begins"),
        ('[{"start": 0, "end": 1, "label": [1]}]', "a label is a name"),
        ('[{"start": 5, "end": 6, "label": 1}]', "but the sound lasts 1 s"),
        ("[" * 500 + "]" * 500, "nested too deeply"),
    ],
)
def test_a_wrong_file_of_times_is_told_what_was_wanted(tmp_path, text, what):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(BadSignal, match=what):
        read_segments(tmp_path / "bad.json", SOUND)


def test_a_picture_of_another_size_or_a_photograph_is_refused(tmp_path):
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "large.png")
    with pytest.raises(BadSignal, match="a picture of its size, 2 x 3"):
        read_segments(tmp_path / "large.png", PICTURE)
    noise = np.random.default_rng(0).integers(0, 256, (30, 30, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    with pytest.raises(BadSignal, match="is it a photograph"):
        read_segments(tmp_path / "noise.png", Signal("n", "image", noise, ".png"))
    with pytest.raises(FileNotFoundError, match="no file"):
        read_segments(tmp_path / "none.json", SOUND)


def test_segments_are_stored_as_they_are(tmp_path):
    assert stored_segments(tmp_path) is None
    kept = Segments(np.array([[0, 1], [1, 2]], np.int16), ("a", "ö", REST))
    write_segments(tmp_path, kept)
    again = stored_segments(tmp_path)
    assert again is not None and again.names == kept.names and (again.labels == kept.labels).all()


def test_damaged_ones_are_named(tmp_path):
    write_segments(tmp_path, Segments(np.array([0, 3], np.int16), ("a", "b")))
    with pytest.raises(ValueError, match="is damaged"):
        stored_segments(tmp_path)
    (tmp_path / NAME).write_bytes(b"\x10" + bytes(20))
    with pytest.raises(ValueError, match="damaged"):
        stored_segments(tmp_path)
