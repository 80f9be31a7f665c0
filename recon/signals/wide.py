"""Images of 16 bits a colour and of floats, which Pillow cannot hold: by OpenCV (PNG, TIFF, HDR) and OpenEXR."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped

from recon.signals.headers import check_size
from recon.signals.signal import BadSignal


def decode(data: bytes) -> Shaped[np.ndarray, "h w c"]:
    """A PNG, TIFF or HDR as stored, with channels in the order of RGBA."""
    cv2 = _opencv()
    try:
        values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise BadSignal(f"it can't be decoded ({' '.join(str(error.err).split())[:120]}); save it again") from None
    if values is None:
        raise BadSignal("it is damaged or cut short; copy or save it again")
    return _swapped(values if values.ndim == 3 else values[..., None])


def encode(suffix: str, values: Shaped[np.ndarray, "h w c"]) -> bytes:
    """Bytes of a PNG (.png), TIFF (.tiff) or HDR (.hdr); 1, 3 or 4 channels."""
    cv2 = _opencv()
    try:
        done, data = cv2.imencode(suffix, _swapped(values))
    except cv2.error as error:
        raise BadSignal(f"{suffix} can't hold {values.shape} of {values.dtype} ({error.err})") from None
    if not done:
        raise BadSignal(f"{suffix} can't hold {values.shape} of {values.dtype}")
    return data.tobytes()


def exr_size(path: Path) -> tuple[int, int]:
    """Height and width of an EXR's first part."""
    with _exr() as openexr, openexr.File(str(path), header_only=True) as file:
        return _size(file)


def read_exr(path: Path) -> tuple[Float32[np.ndarray, "h w c"], list[str]]:
    """R, G, B and perhaps A of an EXR, or its one channel, as 32-bit floats; and notes."""
    with _exr() as openexr:
        with openexr.File(str(path), header_only=True) as file:
            size = _size(file)
            names, notes = _wanted([str(channel.name) for channel in file.header()["channels"]])
        with openexr.File(str(path), separate_channels=True) as file:
            stored = file.channels()
            planes = [np.asarray(stored[name].pixels) for name in names]
    if any(plane.shape != size for plane in planes):
        raise BadSignal("an EXR whose channels have different sizes (subsampled colour); convert it to RGB")
    if any(plane.dtype not in (np.float16, np.float32) for plane in planes):
        raise BadSignal("an EXR of whole numbers; 16 or 32-bit floats are read")
    if planes[0].dtype == np.float16:
        notes.append("16-bit floats became 32-bit ones")
    return np.stack([plane.astype(np.float32) for plane in planes], axis=2), notes


def encode_exr(path: Path, values: Float32[np.ndarray, "h w c"]) -> None:
    """An EXR of 32-bit floats, packed without loss: Y, YA, RGB or RGBA."""
    names = {1: "Y", 2: "YA", 3: "RGB", 4: "RGBA"}[values.shape[2]]
    with _exr() as openexr:
        header = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage}
        planes = {name: np.ascontiguousarray(values[..., number]) for number, name in enumerate(names)}
        openexr.File(header, planes).write(str(path))


def _size(file: Any) -> tuple[int, int]:
    low, high = file.header()["dataWindow"]
    width, height = (int(b) - int(a) + 1 for a, b in zip(low, high, strict=True))
    check_size(width, height)
    return height, width


def _wanted(names: list[str]) -> tuple[list[str], list[str]]:
    """Channels to read, and a note of those left out."""
    for chosen in (["R", "G", "B", "A"], ["R", "G", "B"], ["Y", "A"], ["Y"], names):
        if set(chosen) <= set(names) and 1 <= len(chosen) <= (4 if chosen is not names else 1):
            left = sorted(set(names) - set(chosen))
            return chosen, [f"channels left out: {', '.join(left)[:200]}"] if left else []
    raise BadSignal(f"an EXR with the channels {', '.join(names)[:200]}; R, G, B (A), or Y, or a single one is wanted")


def _swapped(values: Shaped[np.ndarray, "h w c"]) -> Shaped[np.ndarray, "h w c"]:
    """RGB(A) to OpenCV's BGR(A), and back."""
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(values.shape[2])
    return np.ascontiguousarray(values[..., order] if order else values)


def _opencv() -> ModuleType:
    """OpenCV, told to keep its messages to itself; loaded here since few images need it."""
    try:
        import cv2  # noqa: PLC0415
    except ImportError as error:
        raise ImportError(
            f"OpenCV is missing here ({error}): pip install opencv-python-headless (16-bit colour, float TIFF and HDR)"
        ) from None
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


@contextlib.contextmanager
def _exr() -> Iterator[ModuleType]:
    """OpenEXR, which prints what it finds wrong; all of it becomes one BadSignal."""
    try:
        import OpenEXR  # noqa: PLC0415
    except ImportError as error:
        raise ImportError(f"OpenEXR is missing here ({error}): pip install OpenEXR") from None
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), _without_messages():
            yield OpenEXR
    except (BadSignal, MemoryError, FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # of every kind, for garbled files
        text = " ".join((said.getvalue() or str(error)).split())[:160]
        raise BadSignal(f"an EXR that is damaged or cut short ({text}); copy or save it again") from None


@contextlib.contextmanager
def _without_messages() -> Iterator[None]:
    """Without what a library in C writes to the error output."""
    try:
        kept = os.dup(2)
    except OSError:  # there is none
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
