"""`recon data get`: fetches a set of the catalogue, after a look at its size and terms."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from recon.commands.common import be_quiet, print_json, say
from recon.commands.flags import read_flags
from recon.data import fetch
from recon.data.catalogue import Entry, bytes_in_words, entries, find_entry
from recon.data.download import probe

EVERY = 10.0
"""Seconds between lines of progress where there is no terminal."""


@dataclass(frozen=True)
class Get:
    """Fetch a set of the catalogue into datasets/, after a look at its size and terms."""

    name: Annotated[tuple[str, ...], tyro.conf.Positional]
    """family, lego, lucy, asian dragon ... (a wrong name is answered with the list)."""
    yes: bool = False
    """Do not ask."""
    json: bool = False
    """Print exactly one JSON object on standard output."""
    quiet: bool = False
    """No progress; what is fetched is shown all the same."""


def get(argv: Sequence[str]) -> int:
    """Show what a set is, ask, fetch it."""
    flags = read_flags(Get, argv, "recon data get")
    if not flags.name:
        raise ValueError(f"which set? The catalogue has: {', '.join(entries())}")
    entry = find_entry(" ".join(flags.name))
    if fetch.is_there(entry):
        return _report(flags, entry, {"fetched": False, "places": [str(fetch.place_of(entry))]})
    if not entry.url:
        raise ValueError(entry.offer())
    _show(entry)
    if not flags.yes and not sys.stdin.isatty():
        raise ValueError(f"nobody is there to be asked: pass --yes to fetch {entry.name} ({entry.how_large()})")
    size = entry.size or probe(entry.url) or entry.about
    say(f"  size     {'unknown' if size is None else bytes_in_words(size)}")
    fetch.check_room(entry, size or 0)
    if not flags.yes and not _agreed():
        raise ValueError("nothing was fetched")
    began = time.perf_counter()
    with _Bar(entry.name) as bar:
        fetched = fetch.get(entry, be_quiet, lambda *_: None) if flags.quiet else fetch.get(entry, say, bar.update)
    facts = {"fetched": True, "places": [str(place) for place in fetched.places]}
    facts |= {"bytes": fetched.size, "sha256": fetched.sha256, "seconds": round(time.perf_counter() - began, 3)}
    return _report(flags, entry, facts)


def _show(entry: Entry) -> None:
    """What would be fetched."""
    say(f"{entry.title}")
    say(f"  from     {entry.url}{'' if fetch.is_verified(entry) else ' (unverified address: no download seen yet)'}")
    say(f"  found in {entry.source}")
    say(f"  terms    {entry.terms}")
    say(f"  to       {fetch.place_of(entry)}")


def _agreed() -> bool:
    print("fetch it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _report(flags: Get, entry: Entry, facts: dict[str, Any]) -> int:
    """The end, for a person or a program."""
    if flags.json:
        print_json({"name": entry.name, "url": entry.url, "terms": entry.terms} | facts)
    else:
        for place in facts["places"]:
            print(f"{'fetched' if facts['fetched'] else 'already there'}: {place}")
    return 0


class _Bar:
    """Progress on standard error: a bar on a terminal, else a line now and then."""

    def __init__(self, name: str) -> None:
        console = Console(stderr=True)
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        self._bar = Progress(TextColumn(name), *columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task(name, total=None)
        self._told = time.monotonic()

    def __enter__(self) -> _Bar:
        if not self._bar.disable:
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if not self._bar.disable:
            self._bar.stop()

    def update(self, there: int, size: int | None) -> None:
        """Tell how many bytes are there, and of how many."""
        self._bar.update(self._task, completed=there, total=size)
        if there == size:
            self._say("downloaded; now verified and unpacked")
        elif self._bar.disable and time.monotonic() - self._told > EVERY:
            self._told = time.monotonic()
            self._say(f"{bytes_in_words(there)} of {'?' if size is None else bytes_in_words(size)}")

    def _say(self, line: str) -> None:
        if self._bar.disable:
            say(line)
        else:
            self._bar.console.print(line, markup=False, highlight=False)
