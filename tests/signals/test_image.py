"""Images come back as they were stored, in every format; what can't be is noted or refused in one line."""

import io
import struct
import zlib

import numpy as np
import OpenEXR
import pytest
from PIL import Image, ImageCms, ImageOps

from recon.signals import headers, png, wide
from recon.signals.read import read_signal
from recon.signals.signal import Signal
from recon.signals.write import encode_image, write_signal

EXACT = [
    (suffix, dtype, channels)
    for suffix, dtype, kinds in [
        (".png", np.uint8, (1, 2, 3, 4)),
        (".png", np.uint16, (1, 2, 3, 4)),
        (".tif", np.uint8, (1, 2, 3, 4)),
        (".tiff", np.uint16, (1, 3, 4)),
        (".tiff", np.float32, (1, 3, 4)),
        (".exr", np.float32, (1, 2, 3, 4)),
        (".bmp", np.uint8, (1, 3, 4)),
        (".webp", np.uint8, (3, 4)),
    ]
    for channels in kinds
]


def noise(rng, dtype, *shape):
    if dtype == np.float32:
        return rng.normal(size=shape).astype(np.float32)
    values = rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    if shape[-1] in (2, 4):
        values[..., -1] = np.maximum(values[..., -1], 1)  # what cannot be seen has no colour in WebP
    return values


def saved(path, picture, **options):
    picture.save(path, **options)
    return path


def refused(path, said):
    with pytest.raises(ValueError, match=said) as caught:
        read_signal(path)
    text = str(caught.value)
    assert str(path) in text and "\n" not in text


@pytest.mark.parametrize(("suffix", "dtype", "channels"), EXACT)
def test_a_format_without_loss_gives_back_what_it_was_given(suffix, dtype, channels, tmp_path, rng):
    values = noise(rng, dtype, 5, 7, channels)
    path = write_signal(tmp_path / f"a{suffix}", values, Signal("a", "image", values, suffix))
    found = read_signal(path)
    assert found.values.dtype == dtype
    np.testing.assert_array_equal(found.values, values)
    assert found.kind == "image" and found.suffix == suffix and found.source_bytes == path.stat().st_size
    assert any("alpha" in note for note in found.notes) == (channels in (2, 4))


@pytest.mark.parametrize(("suffix", "dtype"), [(".png", np.uint8), (".jpg", np.uint8), (".tif", np.uint16)])
def test_one_pixel_is_an_image(suffix, dtype, tmp_path):
    values = np.full((1, 1, 3), 200, dtype)
    write_signal(tmp_path / f"a{suffix}", values, Signal("a", "image", values, suffix))
    np.testing.assert_allclose(read_signal(tmp_path / f"a{suffix}").values, values, atol=2)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_close(channels, tmp_path):
    values = np.broadcast_to(np.linspace(0, 255, 48).astype(np.uint8)[:, None, None], (48, 32, channels))
    path = write_signal(tmp_path / "a.jpg", values, Signal("a", "image", values, ".jpg"))
    found = read_signal(path)
    assert found.values.shape == values.shape
    assert np.abs(found.values.astype(int) - values).max() <= 3


def test_hdr_keeps_a_hundredth_of_every_magnitude(tmp_path, rng):
    values = (10.0 ** rng.uniform(-3, 4, (6, 9, 1)) * rng.uniform(0.5, 1, (6, 9, 3))).astype(np.float32)
    path = write_signal(tmp_path / "a.hdr", values, Signal("a", "image", values, ".hdr"))
    found = read_signal(path)
    np.testing.assert_allclose(found.values, values, rtol=0.02)
    assert found.scale == found.values.max()


def test_opencv_and_ours_agree_on_16_bit_png(rng, tmp_path):
    values = noise(rng, np.uint16, 9, 4, 3)
    (tmp_path / "a.png").write_bytes(wide.encode(".png", values))
    np.testing.assert_array_equal(read_signal(tmp_path / "a.png").values, values)
    np.testing.assert_array_equal(wide.decode(encode_image(values, ".png")), values)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_rows_of_a_16_bit_png_are_packed_in_parts_to_the_same_bytes(channels, rng, monkeypatch):
    values = noise(rng, np.uint16, 20, 7, channels)
    whole = encode_image(values, ".png")
    monkeypatch.setattr(png, "_ROWS", 3)
    assert encode_image(values, ".png") == whole


def test_palettes_bits_and_inks_are_converted_with_a_note(tmp_path, rng):
    colour = Image.fromarray(noise(rng, np.uint8, 6, 5, 3))
    cases = [
        (saved(tmp_path / "p.png", colour.convert("P")), 3, "palette"),
        (saved(tmp_path / "t.png", colour.convert("P"), transparency=0), 4, "palette"),
        (saved(tmp_path / "1.png", colour.convert("1")), 1, "1 bit"),
        (saved(tmp_path / "c.jpg", colour.convert("CMYK")), 3, "CMYK"),
        (saved(tmp_path / "g.png", colour.convert("L"), transparency=7), 2, "transparent colour"),
    ]
    for path, channels, said in cases:
        found = read_signal(path)
        assert found.values.shape == (6, 5, channels), path.name
        assert any(said in note for note in found.notes), (path.name, found.notes)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png16", "tif", "tif16"])
def test_pictures_are_turned_upright_as_pillow_turns_them(kind, turn, tmp_path):
    exif = Image.Exif()
    exif[274] = turn
    grey = np.zeros((16, 24), np.uint8)
    grey[:8, :12] = 250
    grey[8:, :12] = 120
    picture = Image.fromarray(np.stack([grey] * 3, axis=2))
    path = tmp_path / f"a.{kind[:3]}"
    picture.save(buffer := io.BytesIO(), format={"jpg": "JPEG", "png": "PNG", "tif": "TIFF"}[kind[:3]], exif=exif)
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(buffer.getvalue()))))
    data = buffer.getvalue()
    if kind == "png16":
        at = data.index(b"eXIf") - 4
        length = struct.unpack(">I", data[at : at + 4])[0] + 12
        deep = encode_image(np.asarray(picture).astype(np.uint16) * 257, ".png")
        data = deep[:33] + data[at : at + length] + deep[33:]
    if kind == "tif16":
        data = tiff16(np.asarray(picture).astype(np.uint16) * 257, turn)
    path.write_bytes(data)
    found = read_signal(path)
    np.testing.assert_allclose(found.normalised(), wanted / np.float32(255), atol=0.03)
    assert any("upright" in note for note in found.notes) == (turn != 1)


def tiff16(values, turn=1, bits=16, photometric=2):
    """The simplest TIFF: one strip, not packed."""
    height, width, channels = values.shape
    data = values.astype("<u2").tobytes()
    rows = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, 8 + len(data)), (259, 3, 1, 1)]
    rows += [(262, 3, 1, photometric), (273, 4, 1, 8), (274, 3, 1, turn), (277, 3, 1, channels), (278, 3, 1, height)]
    rows += [(279, 4, 1, len(data))]
    depth = struct.pack(f"<{channels}H", *[bits] * channels)
    entries = b"".join(struct.pack("<HHII", *row) for row in rows)
    head = b"II*\0" + struct.pack("<I", 8 + len(data) + len(depth))
    return head + data + depth + struct.pack("<H", len(rows)) + entries + bytes(4)


def test_a_transparent_colour_of_16_bits_becomes_alpha_and_a_grey_is_ignored_with_a_note(tmp_path, rng):
    for channels, kept, said in [(3, 4, "alpha is kept"), (1, 1, "transparent grey")]:
        values = noise(rng, np.uint16, 3, 4, channels)
        data = encode_image(values, ".png")
        chunk = b"tRNS" + values[0, 0].astype(">u2").tobytes()
        chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        (tmp_path / "a.png").write_bytes(data[:33] + chunk + data[33:])
        found = read_signal(tmp_path / "a.png")
        assert found.channels == kept and any(said in note for note in found.notes)
        np.testing.assert_array_equal(found.values[..., :channels], values)


def test_a_colour_profile_is_noted(tmp_path, rng):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    picture = Image.fromarray(noise(rng, np.uint8, 3, 4, 3))
    found = read_signal(saved(tmp_path / "a.png", picture, icc_profile=profile))
    assert any("profile" in note for note in found.notes)
    np.testing.assert_array_equal(found.values, np.asarray(picture))


def test_the_content_decides_where_the_name_lies(tmp_path, rng):
    path = saved(tmp_path / "a.jpg", Image.fromarray(noise(rng, np.uint8, 3, 4, 3)), format="PNG")
    found = read_signal(path)
    assert found.suffix == ".png" and any("PNG" in note for note in found.notes)
    back = write_signal(tmp_path / "out" / "a.jpg", found.values, found)
    assert back.name == "a.jpg.png"
    np.testing.assert_array_equal(read_signal(back).values, found.values)


def exr(path, channels, **header):
    OpenEXR.File({"type": OpenEXR.scanlineimage, **header}, channels).write(str(path))
    return path


def test_an_exr_of_halves_is_widened_and_other_channels_are_left_out(tmp_path, rng):
    planes = {name: rng.normal(size=(4, 5)).astype(np.float16) for name in ("R", "G", "B", "Z")}
    found = read_signal(exr(tmp_path / "a.exr", dict(planes)))
    np.testing.assert_array_equal(found.values[..., 1], planes["G"].astype(np.float32))
    assert found.channels == 3 and any("Z" in note for note in found.notes)
    assert any("16-bit floats" in note for note in found.notes)


def test_an_exr_without_colours_of_ours_is_refused(tmp_path):
    planes = {name: np.ones((4, 5), np.float32) for name in ("U", "V")}
    refused(exr(tmp_path / "a.exr", planes), "channels U, V")
    refused(exr(tmp_path / "b.exr", {"Z": np.ones((4, 5), np.uint32)}), "whole numbers")


@pytest.mark.parametrize("suffix", [".exr", ".tiff"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_refused(suffix, bad, tmp_path):
    values = np.ones((3, 4, 3), np.float32)
    like = Signal("a", "image", values, suffix)
    path = write_signal(tmp_path / f"a{suffix}", values, like)
    values = values.copy()
    values[1, 2, 0] = bad
    if suffix == ".exr":
        exr(path, {"RGB": values})
    else:
        path.write_bytes(encode_image(values, ".tiff"))
    refused(path, "1 of 36 values are NaN or infinite")


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [(suffix, np.uint8) for suffix in (".png", ".jpg", ".tif", ".bmp", ".webp")]
    + [(".png", np.uint16), (".tif", np.uint16), (".tif", np.float32), (".exr", np.float32), (".hdr", np.float32)],
)
def test_half_a_file_is_refused_in_one_line(suffix, dtype, tmp_path, rng):
    values = np.abs(noise(rng, dtype, 32, 33, 3))
    path = write_signal(tmp_path / f"a{suffix}", values, Signal("a", "image", values, suffix))
    whole = path.read_bytes()
    for share in (0.2, 0.5, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        refused(path, ".")


def png_of(width, height, bits=8, colour=2):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [8, 16])
def test_a_bomb_is_refused_by_its_header(bits, tmp_path):
    (tmp_path / "a.png").write_bytes(png_of(2**16, 2**15, bits))
    refused(tmp_path / "a.png", "more than the 134,217,728")
    (tmp_path / "b.tif").write_bytes(tiff16(np.zeros((2, 2, 3), np.uint16)).replace(*_wide()))
    refused(tmp_path / "b.tif", "more than the 134,217,728")
    (tmp_path / "c.hdr").write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 99999 +X 99999\n")
    refused(tmp_path / "c.hdr", "more than the 134,217,728")


def _wide():
    short = [struct.pack("<HHII", tag, 3, 1, 2) for tag in (256, 257)]
    wide = [struct.pack("<HHII", tag, 4, 1, 2**16) for tag in (256, 257)]
    return b"".join(short), b"".join(wide)


def test_8192_squared_is_within_the_limit():
    headers.check_size(8192, 8192)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.png", b"", "empty"),
        ("a.png", b"this is a text, and no picture at all", "it holds text, and no PNG"),
        ("a.xyz", bytes(range(200, 256)) * 2, "unknown bytes"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "cut short"),
        ("a.tif", b"II*\0\xff\xff\xff\xff", "cut short"),
        ("a.tif", b"II*\0\x08\0\0\0\0\0\0\0\0\0", "without width"),
        ("a.hdr", b"#?RADIANCE\n\n+Y 3 +X 4\n", "rows from the top"),
        ("a.exr", b"v/1\x01" + bytes(100), "EXR"),
        ("a.avif", b"\0\0\0\x20ftypavif" + bytes(40), "AVIF"),
    ],
)
def test_what_is_no_image_is_refused(name, data, said, tmp_path):
    (tmp_path / name).write_bytes(data)
    refused(tmp_path / name, said)


def test_a_tiff_of_16_bit_inks_is_refused(tmp_path, rng):
    (tmp_path / "a.tif").write_bytes(tiff16(noise(rng, np.uint16, 3, 4, 4), photometric=5))
    refused(tmp_path / "a.tif", "photometric 5")


def test_a_missing_file_is_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        read_signal(tmp_path / "none.png")


@pytest.mark.parametrize(
    ("suffix", "dtype", "channels"),
    [
        (".jpg", np.uint16, 3),
        (".jpg", np.uint8, 4),
        (".hdr", np.float32, 1),
        (".tif", np.uint16, 2),
        (".bmp", np.float32, 3),
    ],
)
def test_what_a_format_cannot_hold_is_not_written(suffix, dtype, channels, tmp_path):
    values = np.zeros((2, 2, channels), dtype)
    with pytest.raises(ValueError, match="hold"):
        write_signal(tmp_path / f"a{suffix}", values, Signal("a", "image", values, suffix))
    assert not list(tmp_path.iterdir())


def test_values_of_another_kind_are_not_written(tmp_path):
    like = Signal("a", "image", np.zeros((2, 2, 3), np.uint8), ".png")
    with pytest.raises(ValueError, match="uint8 of 3 channels"):
        write_signal(tmp_path / "a.png", np.zeros((2, 2, 3), np.float32), like)
    assert read_signal(write_signal(tmp_path / "a.png", np.zeros((4, 6, 3), np.uint8), like)).shape == (4, 6)
