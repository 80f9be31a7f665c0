"""Which process works on a run: a lock on its folder, which the system lifts when the process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nobody is seen at work there
    fcntl = None

_HELD: dict[Path, int] = {}
"""Folders that this process holds."""


@contextlib.contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Works on a run alone; ValueError where another process does. Within a block that holds it already, nothing."""
    place = folder.resolve()
    if place in _HELD or fcntl is None:
        yield
        return
    descriptor = _lock(place)
    if descriptor is None:
        raise ValueError(f"another process is at work on {folder}; wait until it ends, or stop it")
    _HELD[place] = descriptor
    try:
        yield
    finally:
        del _HELD[place]
        os.close(descriptor)


def is_held(folder: Path) -> bool:
    """Whether a process is at work on a run."""
    if fcntl is None:
        return False
    descriptor = _lock(folder)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


def _lock(folder: Path) -> int | None:
    """An open, locked folder; None where somebody else holds it. A disk that knows no locks does not stop a run."""
    assert fcntl is not None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            os.close(descriptor)
            return None
    return descriptor
