"""Folders of fits that nobody asked to keep: temporary ones, which go when their result or the process does."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from functools import cache
from pathlib import Path

from recon.data.find import cache_home, datasets_home


class Temporary:
    """A folder that lasts as long as this object, or until `discard`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="recon-"))
        self._end = weakref.finalize(self, _remove, self.folder, os.getpid())

    def discard(self) -> None:
        """Removes it now."""
        self._end()


def cache_folder() -> Path:
    """Where exact distances and the like are kept: in `datasets/` where there is one, else for this process only."""
    return cache_home() if datasets_home().is_dir() else _of_process().folder


@cache
def _of_process() -> Temporary:
    return Temporary()


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked process holds copies of its parent's results
        shutil.rmtree(folder, ignore_errors=True)
