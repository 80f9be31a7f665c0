"""Links in run folders: a run may come from a stranger, and what recon writes must stay within it."""

from __future__ import annotations

import os
from pathlib import Path


def refuse_links(folder: Path) -> Path:
    """The folder; ValueError where anything below it is a link that leads out of it.

    Through such a link a checkpoint would be written, or old ones deleted, in any place that a stranger chose."""
    top = folder.resolve()
    for place, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = Path(place, name)
            if path.is_symlink() and not _target(path).is_relative_to(top):
                raise ValueError(
                    f"{path} is a link that leads out of the run folder, to {os.readlink(path)}: recon writes within a "
                    "run only; put what it names in its place, or remove it"
                )
    return folder


def _target(link: Path) -> Path:
    try:
        return link.resolve()
    except (OSError, RuntimeError):  # it leads in circles
        return Path("/")
