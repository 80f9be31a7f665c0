"""Shrinking against a plain loop, kinds of pictures against their closed forms, and what is refused."""

import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, PngImagePlugin

from recon.scenes import images
from recon.scenes.images import load_images, read_header, read_headers, read_picture, shrink

PICTURES = arrays.arrays(np.uint8, st.tuples(st.integers(2, 9), st.integers(2, 9), st.sampled_from([3, 4])))


@given(picture=PICTURES, factor=st.integers(1, 2))
def test_shrinking_is_the_average_of_light_over_blocks(picture, factor):
    small = shrink(picture, factor)
    for row in range(small.shape[0]):
        for column in range(small.shape[1]):
            block = picture[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor].reshape(
                -1, picture.shape[2]
            )
            weight = block[:, 3].astype(float) if picture.shape[2] == 4 else np.ones(len(block))
            if weight.sum() > 0:
                mean = (block[:, :3] * weight[:, None]).sum(axis=0) / weight.sum()
                assert np.abs(small[row, column, :3] - mean).max() <= 0.5 + 1e-9
            if picture.shape[2] == 4:
                assert abs(small[row, column, 3] - weight.mean()) <= 0.5


def test_transparent_pixels_do_not_colour_their_neighbours():
    picture = np.zeros((2, 2, 4), np.uint8)
    picture[0, 0] = [200, 100, 50, 255]
    picture[1, 1] = [9, 9, 9, 0]
    assert shrink(picture, 2)[0, 0].tolist() == [200, 100, 50, 64]


def test_what_does_not_fill_a_block_is_cut_off():
    picture = np.zeros((5, 7, 3), np.uint8)
    picture[4:], picture[:, 6:] = 255, 255
    assert shrink(picture, 2).shape == (2, 3, 3)
    assert not shrink(picture, 2).any()


def test_every_kind_of_picture_becomes_rgb_or_rgba(tmp_path):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    colour = np.stack([grey, grey + 1, grey + 2], axis=-1)
    kinds = {
        "grey": Image.fromarray(grey),
        "bits": Image.fromarray(grey > 100),
        "deep": Image.fromarray(grey.astype(np.uint16) * 257),
        "colour": Image.fromarray(colour),
        "palette": Image.fromarray(colour).quantize(12),
        "both": Image.fromarray(np.stack([grey, grey], axis=-1)),
    }
    found = {}
    for name, picture in kinds.items():
        picture.save(tmp_path / f"{name}.png")
        found[name] = read_picture(tmp_path / f"{name}.png")
        assert read_header(tmp_path / f"{name}.png").alpha == (found[name].shape[2] == 4)
    for name in ("grey", "deep"):
        np.testing.assert_array_equal(found[name], np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_array_equal(found["bits"][..., 0], np.where(grey > 100, 255, 0))
    np.testing.assert_array_equal(found["colour"], colour)
    np.testing.assert_array_equal(found["palette"], colour)
    np.testing.assert_array_equal(found["both"], np.repeat(grey[..., None], 4, axis=2))


def test_an_exif_orientation_turns_nothing_but_is_told(tmp_path):
    picture = Image.new("RGB", (8, 4))
    exif = picture.getexif()
    exif[0x0112] = 6
    for name in ("a.jpg", "a.png"):
        picture.save(tmp_path / name, exif=exif)
        header = read_header(tmp_path / name)
        assert (header.width, header.height, header.turned) == (8, 4, True)
        assert read_picture(tmp_path / name).shape == (4, 8, 3)


def load(files, cache, factor=2):
    return load_images(tuple(files), (), read_headers(tuple(files)), downscale=factor, cache=cache)


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{view}.png" for view in range(3)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).save(path)
    return paths


def test_the_cache_answers_without_decoding_and_gives_the_same(files, tmp_path, monkeypatch):
    first = load(files, tmp_path / "cache")
    monkeypatch.setattr(images, "_picture", lambda path: pytest.fail("decoded again"))
    np.testing.assert_array_equal(load(files, tmp_path / "cache"), first)


def test_a_changed_picture_is_read_again(files, tmp_path):
    first = load(files, tmp_path / "cache")
    Image.new("RGB", (8, 6), (7, 7, 7)).save(files[1])
    os.utime(files[1], ns=(1, 1))
    again = load(files, tmp_path / "cache")
    assert (again[1] == 7).all()
    np.testing.assert_array_equal(again[[0, 2]], first[[0, 2]])


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "swapped"])
def test_a_damaged_cache_is_made_again(files, tmp_path, damage):
    first = load(files, tmp_path / "cache")
    (path,) = (tmp_path / "cache").iterdir()
    whole = path.read_bytes()
    broken = {"cut": whole[:-5], "empty": b"", "flipped": whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:],
              "swapped": b"hello"}[damage]  # fmt: skip
    path.write_bytes(broken)
    np.testing.assert_array_equal(load(files, tmp_path / "cache"), first)
    assert path.read_bytes() == whole
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_cache_that_cannot_be_written_costs_only_a_warning(files, tmp_path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.warns(UserWarning, match="could not be cached"):
        assert load(files, tmp_path / "cache").shape == (3, 3, 4, 3)


def png(width: int, height: int) -> bytes:
    """A PNG that says it is as large as that, and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(11_000, 11_000), (100_000, 100_000)])
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path, size):
    (tmp_path / "bomb.png").write_bytes(png(*size))
    with pytest.raises(ValueError, match="bomb"):
        read_header(tmp_path / "bomb.png")


def test_a_large_but_honest_size_makes_no_noise(tmp_path):
    (tmp_path / "large.png").write_bytes(png(10_000, 10_000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_header(tmp_path / "large.png").width == 10_000


def test_a_picture_of_zero_size_is_refused(tmp_path):
    (tmp_path / "none.png").write_bytes(png(0, 4))
    with pytest.raises(ValueError, match="none.png"):
        read_header(tmp_path / "none.png")


def test_a_bomb_in_a_text_chunk_is_refused(tmp_path):
    facts = PngImagePlugin.PngInfo()
    facts.add_text("a", "b" * (3 * 2**20), zip=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "text.png", pnginfo=facts)
    with pytest.raises(ValueError, match="text.png"):
        read_picture(tmp_path / "text.png")


def test_other_formats_are_not_opened_whatever_their_name(tmp_path):
    (tmp_path / "script.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\nshowpage\n")
    with pytest.raises(ValueError, match="not a readable picture"):
        read_picture(tmp_path / "script.png")


def test_a_missing_codec_is_a_missing_dependency_with_its_command(tmp_path, monkeypatch):
    (tmp_path / "a.heic").write_bytes(b"....ftypheic")
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(ImportError, match="pip install pillow-heif"):
        read_header(tmp_path / "a.heic")
    (tmp_path / "a.avif").write_bytes(b"....ftypavif")
    monkeypatch.setattr(images.features, "check", lambda name: False)
    with pytest.raises(ImportError, match="AVIF.*pip install"):
        read_header(tmp_path / "a.avif")


def test_masks_must_fit_their_pictures(files, tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "mask.png")
    with pytest.raises(ValueError, match="mask.png has 4 x 4, its picture 8 x 6"):
        read_headers((files[0],), (tmp_path / "mask.png",))


@pytest.mark.parametrize("channels", [3, 4])
def test_large_pictures_are_averaged_in_bands_as_small_ones_are(channels):
    picture = np.random.default_rng(0).integers(0, 256, (1501, 1502, channels), np.uint8)
    picture[..., 3:] = 255
    found = shrink(picture, 3)
    blocks = picture[:1500, :1500].reshape(500, 3, 500, 3, channels).astype(np.int64).sum(axis=(1, 3))
    np.testing.assert_array_equal(found, (blocks + 4) // 9)
