"""`recon data list`: all data that can be named, whether it is here, how large it is, and under which terms."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from recon.commands.common import print_json
from recon.commands.flags import read_flags
from recon.data.catalogue import Entry, bytes_in_words
from recon.data.find import datasets_home, home, roots
from recon.data.listing import Found, Made, found, made, to_fetch
from recon.data.record import is_verified
from recon.files import printable

NARROW = 40
"""Columns below which lines are not cut any more."""


@dataclass(frozen=True)
class List:
    """Table of all data that can be named: what is here, what is made here, and what can be fetched."""

    kind: Literal["shape", "scene", "image", "sound", "video"] | None = None
    """One kind only."""
    here: bool = False
    """Only what is here."""
    json: bool = False
    """Print exactly one JSON object on standard output."""


def list(argv: Sequence[str]) -> int:
    """Look, print."""
    flags = read_flags(List, argv, "recon data list")
    there = found(flags.kind)
    own = [thing for thing in made() if flags.kind in (None, thing.kind)]
    sets = [] if flags.here else to_fetch(flags.kind)
    if flags.json:
        rows = [*map(_found_facts, there), *map(_made_facts, own), *map(_set_facts, sets)]
        print_json({"home": str(home()), "data": [str(root) for root in roots()[1:]], "sets": rows})
    else:
        _print(there, own, sets)
    return 0


def _print(there: Sequence[Found], own: Sequence[Made], sets: Sequence[Entry]) -> None:
    """Tables for a person, as wide as the terminal."""
    names = [row.name for row in (*there, *own, *sets)]
    wide = min(max(map(len, names), default=0), 28) + 2
    for folder, rows in groupby(there, lambda row: row.path.parent):
        print(f"{folder}{os.sep}")
        for row in rows:
            size = "" if row.bytes is None else bytes_in_words(row.bytes)
            _line(row.name, wide, row.kind, size, _note(row))
        print()
    if own:
        print("made by recon, no file needed")
        for thing in own:
            _line(thing.name, wide, thing.kind, "", thing.about)
        print()
    if by_net := [entry for entry in sets if entry.url]:
        print("to be fetched by: recon data get NAME")
        for collection, of_it in groupby(by_net, lambda entry: entry.collection):
            _print_collection(collection, [*of_it], wide)
        print()
    if by_hand := [entry for entry in sets if not entry.url]:
        print("your own copy: recon data get NAME says where from and where to")
        for entry in by_hand:
            _line(entry.name, wide, entry.kind, "", entry.licence)
        print()
    if not there:
        print(f"nothing is here yet (recon data where shows the folders): {datasets_home()}{os.sep}")


def _print_collection(collection: str, sets: Sequence[Entry], wide: int) -> None:
    """Sets that belong together."""
    together = len(sets) > 1 and len({entry.url for entry in sets}) == 1
    print(f" {collection}{' (one archive for all)' if together else ''}")
    for entry in sets:
        exact, about = entry.size, entry.about
        size = bytes_in_words(exact) if exact is not None else f"~{bytes_in_words(about)}" if about else "?"
        _line(entry.name, wide, entry.kind, size, entry.licence)


def _line(name: str, wide: int, kind: str, size: str, rest: str) -> None:
    """One row; cut only where a terminal would break it."""
    line = f"  {name:<{wide}}{kind:<6} {size:>8}  {rest}".rstrip()
    columns = shutil.get_terminal_size().columns
    if sys.stdout.isatty() and NARROW <= columns < len(line):
        line = line[: columns - 3].rstrip() + "..."
    print(printable(line))


def _note(row: Found) -> str:
    """What a person should know of something that is here."""
    said = []
    if row.hidden_by is not None:
        said.append(f"hidden by {row.hidden_by.parent}")
    if row.bytes is None:
        said.append(f"{row.files:,} models: --shape CLASS/MODEL")
    if row.problems:
        said.append(f"not all: {row.problems[0]}")
    elif row.entry is not None:
        said.append(row.entry.licence)
    elif row.path.is_dir():
        said.append(f"{row.files:,} files")
    return "; ".join(said)


def _found_facts(row: Found) -> dict[str, Any]:
    entry = row.entry
    return {
        "name": row.name,
        "kind": row.kind,
        "here": True,
        "path": str(row.path),
        "files": row.files,
        "bytes": row.bytes,
        "hidden_by": None if row.hidden_by is None else str(row.hidden_by),
        "problems": [*row.problems],
        "set": None if entry is None else entry.name,
        "title": None if entry is None else entry.title,
        "terms": None if entry is None else entry.terms,
    }


def _made_facts(thing: Made) -> dict[str, Any]:
    facts = {"name": thing.name, "kind": thing.kind, "here": True, "path": None, "title": thing.about}
    return {**facts, "terms": "made by recon"}


def _set_facts(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "kind": entry.kind,
        "here": False,
        "path": str(Path("datasets") / entry.place),
        "download_bytes": entry.size,
        "download_bytes_about": entry.about,
        "set": entry.name,
        "title": entry.title,
        "terms": entry.terms,
        "url": entry.url or None,
        "source": entry.source,
        "verified": is_verified(entry) if entry.url else None,
        "by_hand": entry.by_hand,
    }
