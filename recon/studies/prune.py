"""Which runs may go, and their going: nothing that is training, broken, behind a link or outside `renders/`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recon.studies.runs import BROKEN, DONE, TRAINING, Found
from recon.training.lock import holding
from recon.training.places import (
    LATEST,
    follow,
    is_run,
    list_runs,
    point,
    remove_folder,
    renders,
    sweep_deleted,
)
from recon.training.saved import BEST, MODEL, OPTIMIZER, newest_first, read_state, verified

Keep = Literal["best", "newest"]


@dataclass(frozen=True)
class Choice:
    """Runs that may go, and those that stay, each with the reason."""

    gone: list[Found]
    kept: dict[Path, str]


def choose(found: Sequence[Found], keep: Keep) -> Choice:
    """Of each task, data and field the newest run stays, and with "best" also the best of those scored alike.

    `found` has the newest first."""
    kept = {one.folder: reason for one in found if (reason := _untouchable(one))}
    newest: set[tuple[str, str, str]] = set()
    best: dict[tuple[str, ...], Found] = {}
    for one in found:
        kind = (one.task, one.data, one.field)
        if _untouchable(one):
            continue
        if kind not in newest and one.step is not None:
            newest.add(kind)
            kept.setdefault(one.folder, "newest")
        rival = best.get((*kind, one.measure))
        if one.scores and (rival is None or one.rank > rival.rank):
            best[(*kind, one.measure)] = one
    for one in best.values() if keep == "best" else ():
        kept[one.folder] = "newest and best" if one.folder in kept else "best"
    return Choice([one for one in found if one.folder not in kept], kept)


def remove_run(one: Found) -> None:
    """Deletes a run's folder; ValueError where a process is at work on it, or it is not what it was."""
    root = renders().resolve()
    if one.folder.resolve() != root / one.folder.relative_to(renders()) or not is_run(one.folder):
        raise ValueError(f"{one.folder} is a link, lies behind one, or is no run: it stays")
    with holding(one.folder):
        remove_folder(one.folder)


def spare_checkpoints(one: Found) -> list[Path]:
    """Older checkpoints of a run that is done, whose newest was found whole, byte for byte; none of other runs."""
    if one.status != DONE or _untouchable(one):
        return []
    places = newest_first(one.folder / "checkpoint")
    if len(places) < 2:
        return []
    newest, *older = places
    try:
        _, files = read_state(newest)
        for name in (MODEL, OPTIMIZER):
            verified(newest / name, files[name])
    except (OSError, ValueError):
        return []
    return [place for place in older if not place.is_symlink()]


def remove_checkpoints(one: Found, places: Iterable[Path]) -> None:
    """Deletes checkpoints of a run; ValueError where a process is at work on it."""
    with holding(one.folder):
        for place in places:
            remove_folder(place)
        sweep_deleted(one.folder / "checkpoint")
        (one.folder / "checkpoint" / BEST).unlink(missing_ok=True)  # the newest is the only one


def tidy(kinds: Iterable[Path]) -> None:
    """What a kill left of earlier deletions goes; links that lead nowhere are set to the newest run, or go with the
    folders that are empty now, if they are of `kinds`."""
    runs, root = list_runs(), renders()
    for kind in (place for place in root.glob("*/*/*") if place.is_dir() and not _is_linked(place)):
        sweep_deleted(kind)
        _repair(kind / LATEST, [run for run in runs if run.parent == kind])
    for kind in kinds:
        for folder in (kind, kind.parent, kind.parent.parent):
            with contextlib.suppress(OSError):  # not empty
                folder.rmdir()
    _repair(root / LATEST, runs)


def _repair(link: Path, runs: Sequence[Path]) -> None:
    if follow(link) is not None or not os.path.lexists(link):
        return
    if runs:
        point(link, runs[-1])
    else:
        with contextlib.suppress(OSError):
            link.unlink()


def _untouchable(one: Found) -> str:
    if one.linked:
        return "behind a link"
    return one.status if one.status in (TRAINING, BROKEN) else ""


def _is_linked(kind: Path) -> bool:
    return any(place.is_symlink() for place in (kind, *list(kind.parents)[:2]))
