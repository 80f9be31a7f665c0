"""A run folder kept in another place: the copy appears there whole or not at all, and replaces nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from recon.files import sync_folder, writing
from recon.training.places import claim, folder_path, fresh_folder, renders
from recon.training.run import Run


def copy_run(
    run: Run, out: Path | None = None, complete: Callable[[Run, Path], object] = lambda copy, place: None
) -> Run:
    """Copy a run to a new or empty folder, or (None) to a place of its own under `renders/`, where it becomes `latest`.

    `complete` may add to the copy before anybody sees it, and hears where that will be. FileExistsError where the place
    holds something."""
    config, mine = run.read_config(), out is None or not out.exists()
    if out is None:
        target = fresh_folder(renders() / folder_path(config["task"], config["data"], config["field"]))
    else:
        target = claim(out.absolute())
    with writing(target):
        hidden = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        copy = Run(hidden / target.name)
        with writing(target):
            shutil.copytree(run.folder, copy.folder, symlinks=True)
        complete(copy, target)
        with writing(target):
            sync_folder(copy.folder)
            target.rmdir()  # it is empty; Windows renames onto nothing that is there
            os.rename(copy.folder, target)
            sync_folder(target.parent)
    except BaseException:
        if mine:
            with contextlib.suppress(OSError):  # it may hold what somebody else has put there meanwhile
                target.rmdir()
        raise
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    kept = Run(target)
    if out is None:
        kept.make_latest()
    return kept
