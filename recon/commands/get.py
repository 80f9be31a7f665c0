"""`recon data get`: fetches a set of the catalogue, after a look at its size and terms."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from recon.commands.common import be_quiet, print_json, say
from recon.commands.flags import read_flags
from recon.data import fetch
from recon.data.catalogue import Entry, bytes_in_words, entries, find_entry
from recon.data.download import probe
from recon.data.find import FIGURINES
from recon.data.record import extent_of, is_verified, place_of, places_of, problems_of
from recon.shapes.names import PROCEDURAL_NAMES

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
        raise ValueError(f"which set? recon data list tells more of them: {', '.join(entries())}")
    name = " ".join(flags.name)
    if name.lower() in (*PROCEDURAL_NAMES, FIGURINES):
        raise ValueError(f"{name.lower()} needs no fetching: recon makes it")
    entry = find_entry(name)
    here = [path for path in places_of(entry) if not problems_of(entry, path)]
    if fetch.is_there(entry) or (here and not entry.url):
        return _report(flags, entry, {"fetched": False, "places": [str(here[0])]})
    if not entry.url:
        raise ValueError(entry.offer())
    for path in here:
        say(f"{entry.name} is here already, in a folder of RECON_DATA: {path}")
    _show(entry)
    if not flags.yes and not sys.stdin.isatty():
        raise ValueError(f"nobody is there to be asked: pass --yes to fetch {entry.name} ({entry.how_large()})")
    try:
        fetched, seconds = _fetch(entry, flags)
    except (ConnectionError, FileNotFoundError) as error:
        if error.errno is not None:  # a trouble of this computer's
            raise
        raise type(error)(f"{error}; or {entry.put_by_hand()}") from None
    facts = {"fetched": True, "places": [str(place) for place in fetched.places]}
    facts |= {"bytes": fetched.size, "sha256": fetched.sha256, "seconds": round(seconds, 3)}
    return _report(flags, entry, facts)


def _fetch(entry: Entry, flags: Get) -> tuple[fetch.Fetched, float]:
    """Tell the size, ask, fetch; and the seconds that the fetching took."""
    size = entry.size or (None if entry.pieces else probe(entry.url)) or entry.about
    say(f"  size     {'unknown' if size is None else bytes_in_words(size)}")
    fetch.check_room(entry, size or 0)
    if not flags.yes and not _agreed():
        raise ValueError("nothing was fetched")
    began = time.perf_counter()
    with _Bar(entry.name) as bar:
        fetched = fetch.get(entry, be_quiet, lambda *_: None) if flags.quiet else fetch.get(entry, say, bar.update)
    return fetched, time.perf_counter() - began


def _show(entry: Entry) -> None:
    """What would be fetched."""
    doubt = "" if is_verified(entry) else " (unverified address: no download seen yet)"
    many = f", {len(entry.pieces)} files" if entry.pieces else ""
    say(f"{entry.title}")
    for word, text in (
        ("from", f"{entry.url}{many}{doubt}"),
        ("found in", entry.source),
        ("terms", entry.terms),
        ("to", str(place_of(entry))),
    ):
        say(_folded(f"  {word:<8} {text}"))


def _folded(line: str) -> str:
    """A line as several, where a terminal would break it within words."""
    if not sys.stderr.isatty():
        return line
    columns = max(shutil.get_terminal_size().columns, 40)
    return textwrap.fill(
        line, columns, subsequent_indent=" " * 11, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )


def _agreed() -> bool:
    print("fetch it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _report(flags: Get, entry: Entry, facts: dict[str, Any]) -> int:
    """The end, for a person or a program."""
    if flags.json:
        print_json({"name": entry.name, "url": entry.url, "terms": entry.terms} | facts)
    else:
        for place in facts["places"]:
            files, size = extent_of(Path(place))
            counted = f"{files:,} file{'s' * (files != 1)}, {bytes_in_words(size)}"
            print(f"{'fetched' if facts['fetched'] else 'already there'}: {place} ({counted}, whole)")
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
