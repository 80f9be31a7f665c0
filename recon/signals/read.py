"""A file, or a folder of frames, to a signal, or one message that says what was wanted, found, and what to do."""

from __future__ import annotations

from pathlib import Path

from recon.signals.folder import RATE, read_folder
from recon.signals.image import read_image
from recon.signals.kinds import BY_SUFFIX, FORMATS, HEAD, format_of, titles
from recon.signals.signal import BadSignal, Signal
from recon.signals.sound import read_sound
from recon.signals.video import read_video

MOST_BYTES = 4 * 2**30
"""Bytes of the largest file that is read."""


def read_signal(path: str | Path, *, most_frames: int | None = None) -> Signal:
    """Image, sound or video, by what the file holds; of a video the first `most_frames`.

    FileNotFoundError where there is none, ImportError for a missing library, ValueError for everything else."""
    path = Path(path)
    if most_frames is not None and most_frames < 1:
        raise ValueError(f"most_frames must be positive, got {most_frames}")
    if not path.exists():
        raise FileNotFoundError(f"no file or folder {path}")
    try:
        return _folder(path, most_frames) if path.is_dir() else _file(path, most_frames)
    except BadSignal as error:
        raise BadSignal(f"{path}: {error}") from None


def _folder(path: Path, most_frames: int | None) -> Signal:
    values, suffix, size, notes = read_folder(path, most_frames)
    name = path.resolve().name
    return Signal(name, "video", values, suffix, RATE, str(path), size, tuple(notes), "folder")


def _file(path: Path, most_frames: int | None) -> Signal:
    if not path.is_file():
        raise BadSignal("it is a device or a pipe; a file or a folder of frames is wanted")
    size = path.stat().st_size
    if size == 0:
        raise BadSignal(f"the file is empty (zero bytes); {titles()} are read")
    if size > MOST_BYTES:
        raise BadSignal(f"{size:,} bytes are more than the {MOST_BYTES:,} that are read; cut or shrink it")
    with open(path, "rb") as file:
        name, notes = format_of(path, file.read(HEAD))
    suffix = path.suffix.lower() if BY_SUFFIX.get(path.suffix.lower()) == name else FORMATS[name].suffixes[0]
    kind, rate, subtype = FORMATS[name].kind, 0.0, ""
    if kind == "image":
        values, more = read_image(path, name)
    elif kind == "sound":
        values, rate, subtype, more = read_sound(path, name)
    else:
        values, rate, more = read_video(path, name, most_frames)
    return Signal(path.stem, kind, values, suffix, rate, str(path), size, (*notes, *more), subtype)
