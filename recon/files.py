"""Files written whole or not at all, and JSON read with care: a kill or a full disk leaves what was there before."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

JSON_LIMIT = 32 * 2**20
"""Bytes of the largest JSON file that is read; ours are far smaller."""
JSON_DEPTH = 64
"""Lists and objects within each other, at most: Python's parser takes hundreds, at which what walks over them fails."""
TENSORS_HEADER_LIMIT = 16 * 2**20
"""Bytes of the longest list of contents of a safetensors file that is parsed: about 100,000 tensors."""
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but for tabs and ends of lines, marks that turn the direction of writing, halves of characters."""
STALE_SECONDS = 3600.0
"""Age from which the temporary file of a small write is the leftover of a killed process."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an operating system's refusal to write `path` into one sentence that says what to do; keeps the errno."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "no space left on the disk; what was written before is intact: free some space, then go on"
        else:
            advice = f"{error.strerror or error}; choose a place that can be written"
        if str(error.strerror).startswith("cannot write"):
            raise  # it was said already
        raise type(error)(error.errno, f"cannot write {path}: {advice}") from error


@contextlib.contextmanager
def replacing(path: Path, suffix: str = ".tmp") -> Iterator[Path]:
    """A hidden sibling of `path` to write: it takes its place when the block ends well, and vanishes when it does not.

    The folder must be there. `suffix` is for writers that tell the format by it."""
    with writing(path):
        if not path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, f"{path.parent} is not a folder")
        _remove_stale(path)
        temporary = path.with_name(f".{path.name}.{os.getpid()}-{time.monotonic_ns()}{suffix}")
        try:
            yield temporary
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Writes `path` whole or not at all; makes its folder."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        write_and_sync(temporary, data)


def atomic_write_text(path: Path, text: str) -> None:
    """As `atomic_write_bytes`, in UTF-8."""
    atomic_write_bytes(path, text.encode("utf-8"))


def atomic_write_json(path: Path, data: Any) -> None:
    """As `atomic_write_bytes`; NaN and infinity are refused: JSON has no such numbers (write null and a reason)."""
    try:
        text = json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"cannot write {path}: its content is not JSON ({error})") from None
    atomic_write_text(path, text + "\n")


def write_and_sync(path: Path, data: bytes) -> None:
    """Writes a file and waits until the disk has it."""
    with open(path, "wb") as file:
        _write(file, data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Makes renames within `folder` last through a power cut, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_json(path: Path, limit: int = JSON_LIMIT) -> dict[str, Any]:
    """The JSON object in a file; ValueError where it is something else, FileNotFoundError where it is missing."""
    if not path.is_file():
        raise FileNotFoundError(f"no {path.name} in {path.parent}")
    if path.stat().st_size > limit:
        raise ValueError(f"{path} has {path.stat().st_size} bytes, more than the {limit} that are read")
    try:
        data = parse_json(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not readable JSON ({error}); restore it or start a new run") from None
    if not isinstance(data, dict):
        raise ValueError(f"{path} must hold a JSON object, found a {type(data).__name__}")
    return data


def parse_json(text: str | bytes) -> Any:
    """What a text in JSON says; ValueError where it is none, or nested deeper than anything of ours."""
    try:
        data = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    level = [data]
    for _ in range(JSON_DEPTH):
        level = [part for one in level for part in _parts(one)]
        if not level:
            return data
    raise ValueError("it is nested too deeply")


def _parts(value: Any) -> Iterable[Any]:
    """Lists and objects directly within a list or an object."""
    within = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (part for part in within if isinstance(part, dict | list))


def printable(text: str) -> str:
    """Text from a file as a terminal may show it: what would move the cursor or set a title is spelt out."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def check_tensors(path: Path, limit: int) -> None:
    """ValueError where a safetensors file is larger than `limit`, or lists more than any of ours; nothing is parsed."""
    if (size := path.stat().st_size) > limit:
        raise ValueError(f"{path} has {size:,} bytes, more than the {limit:,} that are read")
    with open(path, "rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > min(TENSORS_HEADER_LIMIT, size - 8):
        raise ValueError(f"{path} is no safetensors file: it says that its header has {header:,} bytes")


def _write(file: BinaryIO, data: bytes) -> None:
    """The one place where bytes reach a disk: tests make it fail."""
    file.write(data)


def _remove_stale(path: Path) -> None:
    """Leftovers of writes of this file that were killed long ago; younger ones may be another process at work."""
    for leftover in path.parent.glob(f".{path.name}.*.tmp*"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > STALE_SECONDS:
                leftover.unlink()
