"""A folder of frames to a video, and back: images of one size, in the natural order of their names."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from recon.files import sync_folder, writing
from recon.signals.image import image_size, read_image
from recon.signals.kinds import BY_SUFFIX, FORMATS, HEAD, format_of
from recon.signals.signal import BadSignal
from recon.signals.video import check_frames

RATE = 24.0
"""Frames a second of a folder, which does not say."""
WRITTEN = re.compile(r"\d{5,}\.\w+")
"""Names of frames that are written."""


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key by which 2 comes before 10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.lower())
    return [(0, int(p[:40]), "") if "0" <= p[0] <= "9" else (1, 0, p) for p in parts]


def frames_in(folder: Path) -> list[Path]:
    """Images of a folder in their natural order; hidden ones, and what lies in folders within, are none."""
    names = [path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file()]
    images = [path for path in names if FORMATS.get(BY_SUFFIX.get(path.suffix.lower(), ""), _NONE).kind == "image"]
    return sorted(images, key=lambda path: (natural(path.name), path.name))


_NONE = FORMATS["gif"]


def read_folder(folder: Path, most_frames: int | None) -> tuple[Shaped[np.ndarray, "t h w c"], str, int, list[str]]:
    """Frames, their suffix, their bytes and notes; BadSignal says what is wrong, without the folder's path."""
    paths = frames_in(folder)
    if not paths:
        wanted = ", ".join(one.title for one in FORMATS.values() if one.kind == "image")
        raise BadSignal(f"the folder holds no frames; images are wanted in it ({wanted})")
    count = len(paths)
    paths = paths[:most_frames]
    names = [_named(path) for path in paths]
    check_frames(len(paths), *_of(paths[0], lambda: image_size(paths[0], names[0])))  # the others must be as large
    values, notes = None, {f"{RATE:g} frames a second are assumed: a folder doesn't say": None}
    for number, (path, name) in enumerate(zip(paths, names, strict=True)):
        frame, said = _of(path, lambda p=path, n=name: read_image(p, n))
        notes |= dict.fromkeys(said)
        if values is None:
            values = np.empty((len(paths), *frame.shape), frame.dtype)
        if frame.shape != values.shape[1:] or frame.dtype != values.dtype:
            raise BadSignal(
                f"frames differ: {paths[0].name} has {_told(values[0])}, {path.name} has {_told(frame)}; a video needs "
                "one size and one kind"
            )
        values[number] = frame
    assert values is not None
    if len(paths) < count:
        notes[f"the first {len(paths):,} of {count:,} frames"] = None
    suffix = paths[0].suffix.lower() if len(set(names)) == 1 else FORMATS[names[0]].suffixes[0]
    return values, suffix, sum(path.stat().st_size for path in paths), list(notes)


def write_folder(folder: Path, frames: Shaped[np.ndarray, "t h w c"], suffix: str, encode: Callable) -> None:
    """Writes frames 00000, 00001, ... whole or not at all; a folder of earlier ones is replaced, no other is.

    `encode(path, frame)` writes one."""
    if folder.exists() and (not folder.is_dir() or any(not WRITTEN.fullmatch(p.name) for p in folder.iterdir())):
        raise FileExistsError(f"{folder} holds other things than frames that were written before; choose another place")
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
        try:
            made.chmod(0o755)
            for number, frame in enumerate(frames):
                encode(made / f"{number:05d}{suffix}", frame)
            if folder.exists():
                shutil.rmtree(folder)
            made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        sync_folder(folder.parent)


def _named(path: Path) -> str:
    with open(path, "rb") as file:
        name = _of(path, lambda: format_of(path, file.read(HEAD))[0])
    if FORMATS[name].kind != "image":
        raise BadSignal(f"frame {path.name}: it holds {FORMATS[name].title}, an image is wanted")
    return name


def _of(path: Path, read: Callable):  # noqa: ANN202 (whatever is read)
    """What is read of a frame, whose name stands in what goes wrong."""
    try:
        return read()
    except BadSignal as error:
        raise BadSignal(f"frame {path.name}: {error}") from None


def _told(frame: np.ndarray) -> str:
    return f"{frame.shape[1]} x {frame.shape[0]} pixels of {frame.shape[2]} channels in {frame.dtype}"
