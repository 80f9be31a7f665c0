"""`recon runs` and `recon runs prune`: the runs under renders/, and room for others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recon.commands.common import print_json, say
from recon.commands.flags import nearest_of, read_flags
from recon.data.catalogue import bytes_in_words
from recon.files import printable
from recon.studies.compare.results import SCORES, SHORT, as_text
from recon.studies.prune import Keep, choose, remove_checkpoints, remove_run, spare_checkpoints, tidy
from recon.studies.runs import BROKEN, Found, as_plain, select, size_of, survey
from recon.training.places import renders
from recon.training.progress import duration

SHOWN = 3
"""Scores of a run in the table."""
ACTIONS = {"prune": "delete runs"}
"""Besides listing."""


@dataclass(frozen=True)
class List:
    """The runs under renders/, newest first. (recon runs prune --help: how to delete some.)"""

    task: str | None = None
    """Only those of a task: sdf, occ, nerf, fit."""
    data: str | None = None
    """Only those on a shape or a scene."""
    field: str | None = None
    """Only those of a field."""
    json: bool = False
    """Print exactly one JSON object on standard output."""


@dataclass(frozen=True)
class Prune(List):
    """Delete runs under renders/, after a look at the list. What is training, broken or behind a link stays, and runs
    elsewhere (--out) and those of comparisons are not touched."""

    keep: Keep = "best"
    """What stays of each task, data and field: best: its best run (of each way of scoring) and its newest; newest: its
    newest run alone."""
    what: Literal["runs", "checkpoints"] = "runs"
    """checkpoints: all runs stay, but of those that are done only the newest checkpoint."""
    yes: bool = False
    """Do not ask."""


def main(name: str, argv: Sequence[str]) -> int:
    """List, or choose, ask and delete."""
    del name
    if argv and argv[0] == "prune":
        return _prune(read_flags(Prune, argv[1:], "recon runs prune"))
    if argv and not argv[0].startswith("-"):
        raise ValueError(f"recon runs lists, and recon runs prune deletes; there is no recon runs {argv[0]}")
    flags = read_flags(List, argv, "recon runs")
    found = _selected(flags)
    if flags.json:
        print_json({"renders": str(renders()), "runs": [as_plain(one) for one in found]})
    elif found:
        _print_table(found)
    else:
        print(f"no runs under {renders()} yet; begin with: recon sdf --shape idol")
    return 0


def _selected(flags: List) -> list[Found]:
    """The runs asked for; ValueError where there is none of that name."""
    found = survey()
    for key in ("task", "data", "field"):
        value = getattr(flags, key)
        if value is not None and not select(found, **{key: value}):
            known = sorted({getattr(one, key) for one in found})
            raise ValueError(f"no run under {renders()} has {key} {value}; {nearest_of(value, known or ['none'])}")
    return select(found, task=flags.task, data=flags.data, field=flags.field)


def _print_table(found: Sequence[Found]) -> None:
    head = ["  run", "preset", "scores", "steps", "time", "size", "status"]
    rows = [
        [
            f"{'*' if one.latest else '+' if one.latest_of_kind else ' '} {one.name}",
            one.preset or "-",
            _scores(one) or "-",
            "-" if one.step is None else f"{one.step:,}",
            "-" if one.seconds is None else duration(one.seconds),
            bytes_in_words(one.bytes),
            _status(one),
        ]
        for one in found
    ]
    print(printable(as_text([head, *rows])))
    total = bytes_in_words(sum(one.bytes for one in found))
    print(
        f"\n{len(found)} runs, {total}. * latest; + latest of its task, data and field. Prune: recon runs prune --help"
    )
    for one in found:
        if one.problem:
            print(printable(f"broken: {one.name}: {one.problem}"))


def _scores(one: Found) -> str:
    names = [name for name in (*SCORES.get(one.task, ()), *one.scores) if name in one.scores]
    shown = list(dict.fromkeys(names))[:SHOWN]
    return ", ".join(f"{SHORT.get(name, name)} {one.scores[name]:.4g}" for name in shown)


def _status(one: Found) -> str:
    if one.step is None or one.steps is None or one.step >= one.steps or one.status == BROKEN:
        return one.status
    return f"{one.status} at {one.step / one.steps:.0%}"


# -- deleting ----------------------------------------------------------------------------------------------------------


def _prune(flags: Prune) -> int:
    found = _selected(flags)
    if flags.what == "checkpoints":
        return _prune_checkpoints(flags, found)
    choice = choose(found, flags.keep)
    size = sum(one.bytes for one in choice.gone)
    for one in choice.gone:
        say(f"  delete {one.name}  {_scores(one) or 'no scores'}  {_status(one)}  {bytes_in_words(one.bytes)}")
    for one in found:
        if one.folder in choice.kept:
            say(f"  keep   {one.name}  {_scores(one) or 'no scores'}  ({choice.kept[one.folder]})")
    if choice.gone:
        _ask(flags, f"delete {len(choice.gone)} runs of {len(found)}, {bytes_in_words(size)}")
    gone = [one for one in choice.gone if _done(remove_run, one)]
    tidy({one.folder.parent for one in gone})
    return _told(flags, gone, choice.kept, sum(one.bytes for one in gone))


def _prune_checkpoints(flags: Prune, found: Sequence[Found]) -> int:
    spare = {one.folder: places for one in found if (places := spare_checkpoints(one))}
    owners = [one for one in found if one.folder in spare]
    sizes = {place: size_of(place) for places in spare.values() for place in places}
    for place, size in sizes.items():
        say(f"  delete {place.relative_to(renders())}  {bytes_in_words(size)}")
    if sizes:
        _ask(
            flags, f"delete {len(sizes)} older checkpoints of {len(owners)} runs, {bytes_in_words(sum(sizes.values()))}"
        )
    gone = [one for one in owners if _done(lambda one: remove_checkpoints(one, spare[one.folder]), one)]
    return _told(flags, gone, {}, sum(sizes[place] for one in gone for place in spare[one.folder]))


def _ask(flags: Prune, what: str) -> None:
    """ValueError unless a person agrees, or did so in advance."""
    if flags.yes:
        return
    if not sys.stdin.isatty():
        raise ValueError(f"nobody is there to be asked: pass --yes to {what}")
    print(f"{what}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ValueError("nothing was deleted")


def _done(delete: Callable[[Found], object], one: Found) -> bool:
    """Whether it went; what stands in the way of one is told, and stops no other."""
    try:
        delete(one)
    except (OSError, ValueError) as error:
        say(f"warning: {one.name} stays: {error}")
        return False
    return True


def _told(flags: Prune, gone: Sequence[Found], kept: Mapping[Path, str], freed: int) -> int:
    """The end, for a person or a program."""
    if flags.json:
        reasons = {str(folder.relative_to(renders())): reason for folder, reason in kept.items()}
        print_json({"what": flags.what, "runs": [one.name for one in gone], "kept": reasons, "bytes": freed})
    else:
        thing = {"runs": "runs", "checkpoints": "runs' older checkpoints"}[flags.what]
        print(f"deleted {len(gone)} {thing}, {bytes_in_words(freed)}" if gone else "nothing to delete")
    return 0
