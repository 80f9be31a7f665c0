"""What comes from memory is written without loss, whatever its numbers and channels."""

import numpy as np
import pytest
from PIL import Image

from recon.signals.arrays import from_array, from_picture
from recon.signals.image import read_image
from recon.signals.read import read_signal
from recon.signals.signal import BadSignal, Signal
from recon.signals.write import write_signal

IMAGES = [("image", dtype, (5, 7, channels)) for dtype in ("uint8", "uint16", "float32") for channels in (1, 2, 3, 4)]
SOUNDS = [("sound", "float32", (40, channels)) for channels in (1, 2, 8)]
VIDEOS = [("video", dtype, (3, 5, 7, channels)) for dtype in ("uint8", "uint16", "float32") for channels in (1, 3)]


def noise(rng, dtype, shape):
    if dtype == "float32":
        return rng.normal(size=shape).astype(np.float32)
    return rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


@pytest.mark.parametrize(("kind", "dtype", "shape"), [*IMAGES, *SOUNDS, *VIDEOS])
def test_an_array_comes_back_from_its_file_bit_for_bit(kind, dtype, shape, rng, tmp_path):
    values = noise(rng, dtype, shape)
    signal = from_array(values, kind, 0.0 if kind == "image" else 22050.0, "given")
    np.testing.assert_array_equal(signal.values, values)
    assert signal.name == "given" and signal.source_bytes == values.nbytes
    found = read_signal(write_signal(tmp_path / "written", signal.values, signal))
    assert found.kind == kind and found.values.dtype == dtype
    np.testing.assert_array_equal(found.values, values)
    assert found.rate == signal.rate or kind == "video"  # a folder of frames tells none


def test_what_is_written_into_an_array_later_is_not_seen(rng):
    values = noise(rng, "uint8", (4, 4))
    signal = from_array(values, "image")
    before = signal.content_hash()
    values += 1
    assert signal.content_hash() == before and signal.name == "image"


def test_a_picture_of_pillow_is_what_its_file_would_be(rng, tmp_path):
    palette = Image.fromarray(noise(rng, "uint8", (6, 5, 3))).quantize(4)
    palette.save(tmp_path / "few.png", transparency=1)
    with Image.open(tmp_path / "few.png") as opened:
        found = from_picture(opened)
    values, notes = read_image(tmp_path / "few.png", "png")
    np.testing.assert_array_equal(found.values, values)
    assert (found.name, found.notes, found.suffix) == ("few", tuple(notes), ".png") and "palette" in found.notes[0]
    assert isinstance(found, Signal)


def test_a_closed_picture_is_refused(tmp_path):
    Image.new("L", (3, 3)).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:
        pass
    with pytest.raises(BadSignal, match="damaged or cut short"):
        from_picture(opened)
