"""Size and kind of an image from its header, before anything is decoded: PNG, TIFF and HDR, where Pillow can't say."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from recon.signals.signal import BadSignal

MOST_PIXELS = 2**27
"""Pixels of the largest image that is decoded: 8192 x 16384."""
_TAGS = {256: "width", 257: "height", 258: "bits", 262: "photometric", 274: "turn", 277: "channels", 339: "numbers"}
_TURN = 274
_SIZES = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4), 16: ("Q", 8)}
"""Kinds of whole numbers in a TIFF, and their bytes."""
_MOST_TAGS = 4096


@dataclass(frozen=True)
class TiffHeader:
    """What the first picture of a TIFF is."""

    width: int
    height: int
    bits: tuple[int, ...] = (1,)
    """Of each channel."""
    channels: int = 1
    numbers: int = 1
    """1 whole, 2 with a sign, 3 floating point."""
    photometric: int = 1
    """0 white is zero, 1 black is zero, 2 RGB, 3 palette, and others."""
    turn: int = 1
    """EXIF orientation,"""
    turn_at: int = 0
    """and where in the file it stands; 0 for nowhere."""
    pages: bool = False
    """More pictures follow."""


def check_size(width: int, height: int) -> None:
    """ValueError for no pixels, or for more than are decoded."""
    if width < 1 or height < 1:
        raise BadSignal(f"an image of zero size ({width} x {height}); it has nothing to fit")
    if width * height > MOST_PIXELS:
        raise BadSignal(
            f"{width} x {height} pixels are more than the {MOST_PIXELS:,} that are decoded (a decompression bomb?); "
            "if it is real, shrink or crop it"
        )


def png_depth(data: bytes) -> tuple[int, int]:
    """Bits of a PNG's channels and its colour type (0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA)."""
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise BadSignal("a PNG that is cut short: it has no header; copy the file again")
    width, height, bits, colour = struct.unpack(">IIBB", data[16:26])
    check_size(width, height)
    return bits, colour


def hdr_size(data: bytes) -> tuple[int, int]:
    """Width and height of a Radiance picture whose rows run from the top and whose colours are RGB."""
    head = data[:65536].partition(b"\n\n")
    if b"FORMAT=32-bit_rle_xyze" in head[0]:
        raise BadSignal("an HDR of CIE XYZ; convert it to RGB")
    found = re.match(rb"-Y (\d{1,9}) \+X (\d{1,9})\n", head[2])
    if found is None:
        raise BadSignal("an HDR without a line '-Y height +X width'; save it anew, with rows from the top")
    height, width = (int(number) for number in found.groups())
    check_size(width, height)
    return width, height


def tiff_header(data: bytes) -> TiffHeader:
    """Of the first picture in a TIFF, or in a BigTIFF."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    count, entry, offset = ("Q", 20, "Q") if big else ("H", 12, "I")
    try:
        (at,) = struct.unpack_from(order + offset, data, 8 if big else 4)
        (tags,) = struct.unpack_from(order + count, data, at)
        if tags > _MOST_TAGS:
            raise BadSignal(f"a TIFF that lists {tags:,} tags; it is damaged")
        at += struct.calcsize("=" + count)
        found: dict[str, tuple[int, ...]] = {}
        turn_at = 0
        for number in range(tags):
            tag, kind = struct.unpack_from(order + "HH", data, at + number * entry)
            if tag in _TAGS and kind in _SIZES and (tag != _TURN or kind == 3):
                found[_TAGS[tag]] = _numbers(data, at + number * entry + 4, order, offset, kind)
                if tag == _TURN:
                    turn_at = at + number * entry + 4 + struct.calcsize("=" + offset)
        (following,) = struct.unpack_from(order + offset, data, at + tags * entry)
    except (struct.error, OverflowError):
        raise BadSignal("a TIFF that is cut short: its list of contents is not whole; copy the file again") from None
    if "width" not in found or "height" not in found:
        raise BadSignal("a TIFF without width and height; it is damaged")
    first = {name: numbers[0] for name, numbers in found.items() if name != "bits"}
    check_size(first["width"], first["height"])
    return TiffHeader(**first, bits=found.get("bits", (1,)), turn_at=turn_at, pages=following != 0)


def upright_tiff(data: bytes, header: TiffHeader) -> bytes:
    """The same file without its orientation: decoders differ in whether they follow it."""
    if header.turn == 1 or not header.turn_at:
        return data
    return data[: header.turn_at] + struct.pack("<H" if data[:2] == b"II" else ">H", 1) + data[header.turn_at + 2 :]


def _numbers(data: bytes, at: int, order: str, offset: str, kind: int) -> tuple[int, ...]:
    """Values of one entry: within it if they fit, or elsewhere in the file. Only of as many as channels may be."""
    code, size = _SIZES[kind]
    (count,) = struct.unpack_from(order + offset, data, at)
    width = struct.calcsize("=" + offset)
    at += width
    if count * size > width:
        (at,) = struct.unpack_from(order + offset, data, at)
    if not 1 <= count <= 64:
        raise BadSignal(f"a TIFF whose tags have {count:,} values where a few are wanted; it is damaged")
    return struct.unpack_from(f"{order}{count}{code}", data, at)
