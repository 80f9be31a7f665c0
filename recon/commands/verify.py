"""A set of the catalogue recounted and compared with the known hashes of its files: a part of `recon data check`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recon.commands.common import print_json, say
from recon.data.catalogue import Entry, bytes_in_words, entries, plain
from recon.data.find import named_scenes
from recon.data.record import Verdict, places_of, verify

DIFFERENT = 2
"""Exit code: the set is not whole, or not as it was."""


def check_set(name: str) -> Verdict | None:
    """What is found of the set that a name or a path means, all problems said; None where it means no set.

    FileNotFoundError for a set that is not here, but for scenes, which are left to those who look for scenes."""
    found = _find(name)
    if found is None:
        return None
    verdict = verify(*found)
    for problem in verdict.problems:
        say(f"warning: {verdict.entry.name}: {problem}")
    return verdict


def report_set(verdict: Verdict, json: bool) -> int:
    """The end for a set that is no scene."""
    if json:
        print_json(facts_of(verdict))
    else:
        print(line_of(verdict))
    return DIFFERENT if verdict.problems else 0


def facts_of(verdict: Verdict) -> dict[str, Any]:
    """For a program."""
    return {
        "name": verdict.entry.name,
        "path": str(verdict.path),
        "files": verdict.files,
        "bytes": verdict.bytes,
        "hashed": verdict.hashed,
        "problems": [*verdict.problems],
    }


def line_of(verdict: Verdict) -> str:
    """For a person."""
    hashes = f"{verdict.hashed:,} of known SHA-256" if verdict.hashed else "no hashes known to compare"
    counted = f"{verdict.files:,} file{'s' * (verdict.files != 1)}, {bytes_in_words(verdict.bytes)}, {hashes}"
    return f"{verdict.path}\n  {'not whole' if verdict.problems else 'whole'}: {counted}"


def _find(name: str) -> tuple[Entry, Path] | None:
    if (typed := Path(name).expanduser()).exists():
        places = ((entry, path) for entry in entries().values() for path in places_of(entry))
        return next((found for found in places if found[1].resolve() == typed.resolve()), None)
    entry = entries().get(plain(name))
    if entry is None:
        return None
    places = places_of(entry)
    if entry.kind == "scene":
        path = named_scenes().get(name.lower())
        return (entry, path) if path in places and path is not None else None
    if not places:
        raise FileNotFoundError(f"{entry.name} is not here; {entry.offer()}")
    return entry, places[0]
