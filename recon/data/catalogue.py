"""Sets that can be fetched, as catalogue.toml lists them: names with underscores, places below datasets/."""

from __future__ import annotations

import difflib
import functools
import sys
from dataclasses import dataclass, fields
from importlib.resources import files as packaged
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FORMATS = ("zip", "tar.gz", "gz", "bz2")


@dataclass(frozen=True)
class Entry:
    """One set: what it is, where it comes from, and what must be there when it has come."""

    name: str
    title: str
    source: str
    """Where the address was found."""
    format: str
    """Kind of archive; one of FORMATS."""
    cap: int
    """Most bytes that are downloaded."""
    unpacked: int
    """Most bytes that it may unpack to."""
    terms: str
    by_hand: str
    """Where a person finds it."""
    place: str
    """File or folder that it becomes, below datasets/."""
    member: str
    """File or folder of the archive that becomes `place`."""
    files: dict[str, list[int]]
    """Pattern to least and most files; empty for a set that is one file."""
    paired: tuple[str, ...] = ()
    """Two patterns that must match equally many files."""
    url: str = ""
    """Empty: no stable address is known."""
    verified: bool = False
    size: int | None = None
    """Bytes of the archive, exactly."""
    about: int | None = None
    """Bytes of the archive, roughly."""
    sha256: str = ""
    """Of the archive; empty: learned at the first download."""

    def __post_init__(self) -> None:
        parts = self.place.split("/")
        if self.format not in FORMATS:
            raise ValueError(f"catalogue, {self.name}: format must be one of {', '.join(FORMATS)}, got {self.format}")
        if not all(parts) or any(part.startswith(".") for part in parts):
            raise ValueError(f"catalogue, {self.name}: place must lie below datasets/, got {self.place}")

    def how_large(self) -> str:
        """Size of the download in words."""
        if self.size is not None:
            return bytes_in_words(self.size)
        return f"about {bytes_in_words(self.about)}" if self.about is not None else "of a size that the server tells"

    def offer(self) -> str:
        """What fetching it means: what, from where, how large, under which terms."""
        if not self.url:
            return f"{self.title}: no stable address is known: {self.put_by_hand()}; terms: {self.terms}"
        what = f"`recon data get {self.name}` fetches {self.title}"
        return f"{what}; from {self.url}, {self.how_large()}; terms: {self.terms}"

    def put_by_hand(self) -> str:
        """What a person can put where instead."""
        return f"take it from {self.by_hand} and put it at datasets/{self.place}"


@functools.cache
def entries() -> dict[str, Entry]:
    """Every set by its name."""
    text = (packaged("recon.data") / "catalogue.toml").read_text(encoding="utf-8")
    groups = tomllib.loads(text).values()
    return {name: _entry(name, group, own) for group in groups for name, own in group["sets"].items()}


def plain(name: str) -> str:
    """A name as the catalogue spells it: 'Asian Dragon' is asian_dragon."""
    return "_".join(name.lower().replace("-", " ").replace("_", " ").split())


def find_entry(name: str) -> Entry:
    """The set of that name; ValueError with the nearest names where there is none."""
    known = entries()
    if plain(name) in known:
        return known[plain(name)]
    near = difflib.get_close_matches(plain(name), known, n=1)
    hint = f"perhaps you meant {near[0]}" if near else f"it has: {', '.join(known)}"
    raise ValueError(f"the catalogue has no set '{name}'; {hint}")


def bytes_in_words(size: int) -> str:
    """A size for a person: 870 B, 4.9 MB, 1.3 GB."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} B"


def _entry(name: str, group: dict[str, Any], own: dict[str, Any]) -> Entry:
    """A set from its own lines laid over those of its group."""
    said = {"files": {}, **{key: value for key, value in group.items() if key != "sets"}, **own}
    title_name = name.replace("_", " ").title()
    for key, value in said.items():
        if isinstance(value, str):
            said[key] = value.replace("{name}", name).replace("{Name}", title_name)
    unknown = said.keys() - {field.name for field in fields(Entry)}
    if unknown:
        raise ValueError(f"catalogue, {name}: unknown keys {', '.join(sorted(unknown))}")
    return Entry(**{**said, "name": name, "paired": tuple(said.get("paired", ()))})
