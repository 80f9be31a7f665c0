"""Where runs lie, `renders/<task>/<data>/<field>/<time>/`: folders that appear whole, found by any sensible name."""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import re
import shutil
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from recon.files import STALE_SECONDS, atomic_write_text, writing

CONFIG, LATEST = "config.json", "latest"
BEGUN, DELETED = ".begun-", ".deleted-"
"""Prefixes of folders that are not there yet, and no longer."""


def renders() -> Path:
    """The folder of all runs: below RECON_HOME, or below the working directory."""
    return Path(os.environ.get("RECON_HOME") or ".").absolute() / "renders"


# --- making a folder --------------------------------------------------------------------------------------------------


def folder_path(*parts: str) -> Path:
    """Names of any kind as folder names."""
    return Path(*(re.sub(r"[^\w.+-]+", "-", part).strip("-.") or "unnamed" for part in parts))


def fresh_names(parent: Path) -> Iterator[Path]:
    """Places named by the time; a second one within the second ends in `-2`."""
    stamp, count = datetime.now().strftime("%Y-%m-%d_%H%M%S"), 1
    while True:
        yield parent / (stamp if count == 1 else f"{stamp}-{count}")
        count += 1


def fresh_folder(parent: Path) -> Path:
    """A new folder named by the time."""
    with writing(parent):
        parent.mkdir(parents=True, exist_ok=True)
        for folder in fresh_names(parent):
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                return folder
    raise AssertionError("names never end")


def claim(folder: Path) -> Path:
    """The folder that a person asked for: new, or empty."""
    check_free(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def check_free(folder: Path) -> None:
    """FileExistsError where a place is taken by anything but an empty folder."""
    if is_run(folder):
        raise FileExistsError(f"{folder} holds a run already; resume it, or choose a new folder")
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; the output must be a new or an empty folder")
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty and is no run ({_holds(folder)}); choose a new or empty folder")


@contextlib.contextmanager
def building(parent: Path) -> Iterator[Path]:
    """A hidden folder in `parent` to fill and to rename: whoever sees it under its name sees it whole."""
    hidden = parent / f"{BEGUN}{os.getpid()}-{time.monotonic_ns()}"
    with writing(parent):
        parent.mkdir(parents=True, exist_ok=True)
        _sweep(parent)
        hidden.mkdir()
    try:
        yield hidden
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def appear(hidden: Path, names: Iterator[Path]) -> Path:
    """Renames a folder to the first of the names that is free."""
    for place in names:
        try:
            with writing(place):
                os.rename(hidden, place)
            return place
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    raise FileExistsError(f"all places for {hidden} are taken")


def point(link: Path, target: Path) -> None:
    """Moves a link in one step; a text file where there are no symbolic links. A convenience: it never stops a run."""
    relative = os.path.relpath(target, link.parent)
    temporary = link.with_name(f".{link.name}.{os.getpid()}.link")
    with contextlib.suppress(OSError):
        link.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.unlink(missing_ok=True)
            os.symlink(relative, temporary)
        except (OSError, NotImplementedError):
            atomic_write_text(link, relative + "\n")
        else:
            os.replace(temporary, link)


def remove_folder(folder: Path) -> None:
    """Deletes a folder that is renamed first: a kill leaves all of it, or nothing under its name. Follows no link."""
    hidden = folder.with_name(f"{DELETED}{folder.name}-{time.monotonic_ns()}")
    with writing(folder):
        os.rename(folder, hidden)
        shutil.rmtree(hidden)


def sweep_deleted(parent: Path) -> None:
    """Deletes what a kill left of `remove_folder`."""
    for leftover in parent.glob(f"{DELETED}*"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Leftovers of beginnings that were killed long ago; younger ones may be another process at work."""
    for leftover in (*parent.glob(f"{BEGUN}*"), *parent.glob(f".{LATEST}.*.link")):
        with contextlib.suppress(OSError):
            if time.time() - leftover.lstat().st_mtime > STALE_SECONDS:
                shutil.rmtree(leftover) if leftover.is_dir() and not leftover.is_symlink() else leftover.unlink()


# --- finding a folder -------------------------------------------------------------------------------------------------


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run."""
    return (folder / CONFIG).is_file()


def list_runs() -> list[Path]:
    """Folders of all runs under `renders/`, oldest first (their names are their times)."""
    root = renders()
    places = (path.parent for path in root.glob(f"*/*/*/*/{CONFIG}"))
    return sorted({place for place in places if not _is_hidden(place.relative_to(root))}, key=age_key)


def age_key(folder: Path) -> list[int]:
    """Sorts folders that are named by their times, oldest first."""
    return [int(number) for number in re.findall(r"\d+", folder.name)]


def find_run(name: str) -> Path:
    """The folder that a person meant, with every link followed.

    `latest` is the newest of all, `sdf/latest` the newest of a task, `armadillo/latest` the newest of some data."""
    if name == LATEST and (newest := follow(renders() / LATEST)):
        return newest
    for place in (Path(name), renders() / name):
        if found := follow(place) or follow(place / LATEST):
            return found
    runs = list_runs()
    if name == LATEST and runs:
        return runs[-1]
    below = [run.relative_to(renders()) for run in runs]
    *rest, last = Path(name).parts or (".",)
    newest_of_several = bool(rest) and last == LATEST
    matches = [path for path in below if _contains(path.parts, rest if newest_of_several else [*rest, last])]
    kinds = list(dict.fromkeys(str(path.parent) for path in matches))
    if len(kinds) == 1 or (kinds and newest_of_several):
        return renders() / matches[-1]
    if kinds:
        raise ValueError(
            f"'{name}' could be any of {_some(kinds)}; say which, with more of the path, or {name}/{LATEST} for the"
            " newest of them"
        )
    if Path(name).is_dir():
        raise FileNotFoundError(f"{name} is a folder but no run: it has no {CONFIG} ({_holds(Path(name))})")
    if not runs:
        raise FileNotFoundError(f"no run '{name}': there is no such folder, and there are no runs under {renders()}")
    known = [*map(str, below), *{part for path in below for part in path.parts}, LATEST]
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"perhaps you meant {_some(close)}" if close else f"the newest is {below[-1]}"
    raise FileNotFoundError(f"no run '{name}' here or under {renders()}; {hint} (recon runs lists them)")


def follow(place: Path) -> Path | None:
    """The run at a folder, a symbolic link or a text file that names a folder; None where there is none."""
    with contextlib.suppress(OSError, ValueError):
        if place.is_file() and place.name == LATEST:
            place = place.parent / place.read_text("utf-8")[:4096].strip()
        if is_run(place):
            return place.resolve()
    return None


def _is_hidden(path: Path) -> bool:
    """Whether it is a link of ours, or something that is not there yet or no longer."""
    return path.name == LATEST or any(part.startswith(".") for part in path.parts)


def _contains(parts: tuple[str, ...], wanted: list[str]) -> bool:
    """Whether some of a path's parts, side by side, are the wanted ones, in whatever case."""
    have, want = [part.casefold() for part in parts], [part.casefold() for part in wanted]
    return bool(want) and any(have[at : at + len(want)] == want for at in range(len(have) - len(want) + 1))


def _some(names: list[Any]) -> str:
    return ", ".join(map(str, names[:8])) + (", ..." if len(names) > 8 else "")


def _holds(folder: Path) -> str:
    return f"it holds {_some(sorted(entry.name for entry in folder.iterdir()) or ['nothing'])}"
