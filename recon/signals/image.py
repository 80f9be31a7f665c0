"""Image files to values [h w c]: as stored but upright, 16 bits and floats kept; what had to be converted is noted."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from PIL import ExifTags, Image, UnidentifiedImageError

from recon.signals import wide
from recon.signals.headers import check_size, hdr_size, png_depth, tiff_header, upright_tiff
from recon.signals.signal import BadSignal

Decoded = tuple[Shaped[np.ndarray, "h w c"], list[str]]
"""Values and notes."""
_PILLOW = {"png": "PNG", "jpeg": "JPEG", "tiff": "TIFF", "bmp": "BMP", "webp": "WEBP"}
_KEPT = ("L", "LA", "RGB", "RGBA", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's modes that are taken as they are."""
_TURNS = {
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: x.swapaxes(0, 1)[:, ::-1],
    7: lambda x: x.swapaxes(0, 1)[::-1, ::-1],
    8: lambda x: x.swapaxes(0, 1)[::-1],
}
"""What makes a picture upright, by its EXIF orientation."""


def read_image(path: Path, name: str) -> Decoded:
    """Values and notes of an image in the format of this name; BadSignal says what is wrong, without the path."""
    if name == "exr":
        return _with_alpha(wide.read_exr(path))
    data = path.read_bytes()
    if name == "hdr":
        hdr_size(data)
        return wide.decode(data), []
    if name == "tiff":
        return _with_alpha(_tiff(data))
    if name == "png":
        bits, colour = png_depth(data)
        if bits == 16 and colour != 0:  # Pillow would drop half of the bits, but finds all damage, and knows the turn
            values, notes, turn = _pillow(data, name, check_only=True)
            values = wide.decode(data)
            if colour == 4:
                values = np.ascontiguousarray(values[..., [0, -1]])
            return _with_alpha(_upright(values, notes, turn))
    return _with_alpha(_upright(*_pillow(data, name)))


def from_pillow(picture: Image.Image) -> Decoded:
    """Values and notes of a picture that Pillow holds."""
    with _decoding():
        return _with_alpha(_upright(*_loaded(picture)))


def image_size(path: Path, name: str) -> tuple[int, int]:
    """Height and width as stored, from the header."""
    if name == "exr":
        return wide.exr_size(path)
    with open(path, "rb") as file:
        data = file.read(2**16)
    if name == "hdr":
        width, height = hdr_size(data)
        return height, width
    if name == "tiff":
        header = tiff_header(path.read_bytes())
        return header.height, header.width
    with _decoding(), Image.open(path, formats=[_PILLOW[name]]) as picture:
        return picture.height, picture.width


def _tiff(data: bytes) -> Decoded:
    header = tiff_header(data)
    data = upright_tiff(data, header)
    notes = ["it has several pages: the first is read"] if header.pages else []
    if all(bits <= 8 for bits in header.bits):
        values, more, _ = _pillow(data, "tiff")
        return _upright(values, [*more, *notes], header.turn)
    kind = (header.numbers, *set(header.bits))
    if kind not in ((1, 16), (3, 32)) or header.photometric not in (1, 2) or header.channels not in (1, 3, 4):
        raise BadSignal(
            f"a TIFF of {header.channels} channels with {'/'.join(map(str, header.bits))} bits (photometric "
            f"{header.photometric}, sample format {header.numbers}); grey, RGB or RGBA of 8 or 16 whole bits or 32-bit "
            "floats are read: convert it"
        )
    values = wide.decode(data)
    if values.shape != (header.height, header.width, header.channels):
        raise BadSignal(f"a TIFF of {header.height} x {header.width} x {header.channels} that decodes to another size")
    return _upright(values, notes, header.turn)


def _pillow(data: bytes, name: str, check_only: bool = False) -> tuple[np.ndarray, list[str], int]:
    """What Pillow decodes, its notes and the EXIF orientation."""
    with _decoding(), Image.open(io.BytesIO(data), formats=[_PILLOW[name]]) as picture:
        return _loaded(picture, check_only)


def _loaded(picture: Image.Image, check_only: bool = False) -> tuple[np.ndarray, list[str], int]:
    check_size(*picture.size)
    picture.load()
    notes = _notes(picture)
    try:
        turn = int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a damaged EXIF block says nothing, and harms nothing
        turn = 1
    if check_only:
        return np.empty((0, 0, 1), np.uint8), notes, turn
    values = np.array(_kept(picture, notes))
    if values.ndim == 2:
        values = values[..., None]
    return values.astype(values.dtype.newbyteorder("="), copy=False), notes, turn


def _kept(picture: Image.Image, notes: list[str]) -> Image.Image:
    """The picture in a mode that is kept; a note where it has to be converted."""
    mode, transparent = picture.mode, "transparency" in picture.info
    if mode in _KEPT and not (transparent and mode in ("L", "RGB")):
        if transparent and mode.startswith("I"):
            notes.append("its transparent grey is ignored")
        return picture
    if mode in ("L", "RGB"):
        notes.append("its transparent colour became alpha")
        return picture.convert("RGBA").convert("LA") if mode == "L" else picture.convert("RGBA")
    if mode in ("P", "PA"):
        notes.append("its palette was expanded to RGB" + ("A" if transparent or mode == "PA" else ""))
        return picture.convert("RGBA" if transparent or mode == "PA" else "RGB")
    if mode == "1":
        notes.append("1 bit a pixel became 8")
        return picture.convert("L")
    if mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX"):
        notes.append(f"{mode} was converted to RGB")
        return picture.convert("RGB")
    if mode in ("La", "RGBa"):
        notes.append("alpha was premultiplied, and is so no more")
        return picture.convert(mode[:-1] + "A")
    raise BadSignal(f"an image of the kind '{mode}'; grey, RGB or RGBA of 8 or 16 bits are read: convert it")


def _notes(picture: Image.Image) -> list[str]:
    notes = []
    if picture.info.get("icc_profile"):
        notes.append("its colour profile is ignored: values are as stored")
    if getattr(picture, "n_frames", 1) > 1 and picture.format != "TIFF":
        notes.append("it has several frames: the first is read")
    return notes


def _upright(values: Shaped[np.ndarray, "a b c"], notes: list[str], turn: int) -> Decoded:
    """Turned as its EXIF orientation asks."""
    if turn not in _TURNS:
        return values, notes
    return np.ascontiguousarray(_TURNS[turn](values)), [*notes, f"turned upright (EXIF orientation {turn})"]


def _with_alpha(decoded: Decoded) -> Decoded:
    values, notes = decoded
    return values, [*notes, "alpha is kept as the last channel"] if values.shape[2] in (2, 4) else notes


@contextlib.contextmanager
def _decoding() -> Iterator[None]:
    """Pillow without its warnings; whatever it raises becomes a BadSignal that says what to do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (UnidentifiedImageError, Image.DecompressionBombError) as error:
            why = "too many pixels" if isinstance(error, Image.DecompressionBombError) else "its header is damaged"
            raise BadSignal(f"{why}; save or copy it again") from None
        except (BadSignal, MemoryError):
            raise
        except Exception as error:  # decoders answer garbled files with errors of every kind
            text = " ".join(str(error).split())[:120] or type(error).__name__
            raise BadSignal(f"it is damaged or cut short ({text}); copy or save it again") from None
