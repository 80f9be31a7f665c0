"""Values in the format of the file that a signal came from, written whole or not at all."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from PIL import Image

from recon.files import replacing, writing
from recon.signals import wide
from recon.signals.folder import write_folder
from recon.signals.kinds import BY_SUFFIX
from recon.signals.png import encode_png16
from recon.signals.signal import BadSignal, Signal, check_values
from recon.signals.sound import write_sound
from recon.signals.video import write_video

_OPTIONS: dict[str, dict[str, object]] = {
    "png": {"format": "PNG", "compress_type": zlib.Z_RLE},
    "jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    "tiff": {"format": "TIFF", "compression": "tiff_lzw"},
    "bmp": {"format": "BMP"},
    "webp": {"format": "WEBP", "lossless": True, "quality": 20, "method": 1},
}
"""Of Pillow, for 8 bits. What is written is a reconstruction: WebP adds no errors of its own.

PNGs by runs alone: a reconstruction of 8192 x 8192 took 8 s instead of 41 and as many bytes, for it repeats no strings.
WebP with less effort: 30 s instead of 113, and a tenth more bytes."""


def write_signal(path: Path, values: Shaped[np.ndarray, "*shape c"], like: Signal) -> Path:
    """Writes values of `like`'s kind, numbers and channels in the format that `like` was read from; returns the path.

    Where the path ends otherwise than `like`, its suffix is added. Folders on the way are made; a file is replaced,
    and so is a folder of frames that were written before."""
    check_values(like.kind, values)
    if values.dtype != like.values.dtype or values.shape[-1] != like.channels:
        raise BadSignal(
            f"values for {path.name} must be {like.values.dtype} of {like.channels} channels as those of {like.name}, "
            f"got {values.dtype} of {values.shape[-1]}"
        )
    name = BY_SUFFIX.get(like.suffix)
    if name is None:
        raise BadSignal(f"'{like.suffix}' is no suffix that can be written ({', '.join(BY_SUFFIX)})")
    if like.subtype == "folder":
        write_folder(path, values, like.suffix, lambda at, frame: _write_image(at, frame, name))
        return path
    if BY_SUFFIX.get(path.suffix.lower()) != name:
        path = path.with_name(path.name + like.suffix)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, f".tmp{like.suffix}") as temporary:
        if like.kind == "image":
            _write_image(temporary, values, name)
        elif like.kind == "sound":
            write_sound(temporary, values, name, like.rate, like.subtype)
        else:
            write_video(temporary, values, name, like.rate)
    return path


def encode_image(values: Shaped[np.ndarray, "h w c"], suffix: str) -> bytes:
    """Bytes of an image in the format of a suffix (but EXR, written to files only); HDR holds nothing below 0."""
    name = BY_SUFFIX.get(suffix, "")
    channels = values.shape[2]
    if name == "hdr":
        if values.dtype != np.float32 or channels != 3:
            raise BadSignal(f"an HDR holds RGB in float32, got {channels} channels of {values.dtype}")
        return wide.encode(".hdr", np.maximum(values, 0))
    if values.dtype == np.uint16 and name == "png":
        return encode_png16(values)
    if values.dtype != np.uint8 and name == "tiff":
        return wide.encode(".tiff", values)
    if values.dtype == np.uint8 and name == "bmp" and channels == 4:  # Pillow's have no mask of alpha
        return wide.encode(".bmp", values)
    if values.dtype != np.uint8 or name not in _OPTIONS or (name == "jpeg" and channels not in (1, 3)):
        raise BadSignal(f"{suffix} can't hold {channels} channels of {values.dtype}")
    buffer = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(values[..., 0] if channels == 1 else values))
    try:
        picture.save(buffer, **_OPTIONS[name])  # pyright: ignore[reportArgumentType]
    except (OSError, ValueError, KeyError) as error:
        raise BadSignal(f"{suffix} can't hold {values.shape[1]} x {values.shape[0]} pixels ({error})") from None
    return buffer.getvalue()


def _write_image(path: Path, values: Shaped[np.ndarray, "h w c"], name: str) -> None:
    if name == "exr":
        wide.encode_exr(path, values)
    else:
        path.write_bytes(encode_image(values, path.suffix.lower()))
