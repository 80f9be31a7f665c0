"""Sets that can be fetched, as catalogue.toml lists them: names with underscores, places below datasets/."""

from __future__ import annotations

import difflib
import functools
import sys
from dataclasses import dataclass, fields
from importlib.resources import files as packaged
from pathlib import PurePosixPath
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ARCHIVES = ("zip", "tar.gz", "gz", "bz2")
FORMATS = (*ARCHIVES, "files")
KINDS = ("shape", "scene", "image")
"""What a set is: shapes, a scene, or a set of pictures."""


@dataclass(frozen=True)
class Piece:
    """One file of a set that has no archive."""

    path: str
    """Below the set's address, and below its place."""
    size: int | None = None
    sha256: str = ""


@dataclass(frozen=True)
class Entry:
    """One set: what it is, where it comes from, and what must be there when it has come."""

    name: str
    title: str
    kind: str
    """One of KINDS."""
    collection: str
    """What it belongs to, in few words."""
    source: str
    """Where the address was found."""
    licence: str
    """The terms in few words."""
    terms: str
    by_hand: str
    """Where a person finds it."""
    place: str
    """File or folder that it becomes, below datasets/."""
    format: str = "zip"
    """Kind of archive, or "files" for a set without one; one of FORMATS."""
    cap: int = 0
    """Most bytes that are downloaded."""
    unpacked: int = 0
    """Most bytes that it may unpack to."""
    member: str = ""
    """File or folder of the archive that becomes `place`."""
    layout: str = ""
    """Of a set that a person brings: how it lies in its place, and what it is called then."""
    files: dict[str, list[int]] | None = None
    """Pattern to least and most files; none for a set that is one file."""
    paired: tuple[str, ...] = ()
    """Two patterns that must match equally many files."""
    pieces: tuple[Piece, ...] = ()
    """The files of a set without an archive."""
    url: str = ""
    """Of the archive, or of the folder with the pieces. Empty: no stable address is known."""
    verified: bool = False
    size: int | None = None
    """Bytes of the download, exactly."""
    about: int | None = None
    """Bytes of the download, roughly."""
    sha256: str = ""
    """Of the archive; empty: learned at the first download."""

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"catalogue, {self.name}: format must be one of {', '.join(FORMATS)}, got {self.format}")
        if self.kind not in KINDS:
            raise ValueError(f"catalogue, {self.name}: kind must be one of {', '.join(KINDS)}, got {self.kind}")
        if not is_below(self.place):
            raise ValueError(f"catalogue, {self.name}: place must lie below datasets/, got {self.place}")
        for piece in self.pieces:
            if not is_below(piece.path):
                raise ValueError(f"catalogue, {self.name}: a piece must lie below its place, got {piece.path}")
        if bool(self.pieces) != (self.format == "files"):
            raise ValueError(f"catalogue, {self.name}: pieces and format 'files' belong together")

    @property
    def is_file(self) -> bool:
        """Whether the set is one file, not a folder."""
        return bool(PurePosixPath(self.place).suffix)

    def how_large(self) -> str:
        """Size of the download in words."""
        if self.size is not None:
            return bytes_in_words(self.size)
        return f"about {bytes_in_words(self.about)}" if self.about is not None else "of a size that the server tells"

    def offer(self) -> str:
        """What fetching it means: what, from where, how large, under which terms."""
        if not self.url:
            return f"{self.title} is not fetched by recon: {self.put_by_hand()}; terms: {self.terms}"
        what = f"`recon data get {self.name}` fetches {self.title}"
        return f"{what}; from {self.url}, {self.how_large()}; terms: {self.terms}"

    def put_by_hand(self) -> str:
        """What a person can put where instead."""
        layout = f", {self.layout}" if self.layout else ""
        return f"take it from {self.by_hand} and put it at datasets/{self.place}{layout}"


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
    said = {**{key: value for key, value in group.items() if key != "sets"}, **own}
    words = {"{name}": name, "{Name}": name.replace("_", " ").title(), "{licence}": str(said.get("licence"))}
    for key, value in said.items():
        if isinstance(value, str):
            for word, meant in words.items():
                said[key] = said[key].replace(word, meant)
    unknown = said.keys() - {field.name for field in fields(Entry)}
    if unknown:
        raise ValueError(f"catalogue, {name}: unknown keys {', '.join(sorted(unknown))}")
    said |= {"name": name, "paired": tuple(said.get("paired", ())), "pieces": _pieces(said.get("pieces", []))}
    sizes = [piece.size for piece in said["pieces"]]
    if sizes and None not in sizes:
        said["size"] = sum(size for size in sizes if size is not None)
    return Entry(**said)


def _pieces(lines: list[str]) -> tuple[Piece, ...]:
    """Pieces from lines of "PATH SIZE SHA256", of which the last ones may be missing."""
    rows = [[*line.split(), "", ""][:3] for line in lines]
    return tuple(Piece(path, int(size) if size else None, digest) for path, size, digest in rows)


def is_below(path: str) -> bool:
    """Whether a path with slashes stays below the folder that it is joined to, and none of its parts is hidden."""
    parts = path.split("/")
    return all(parts) and not any(part.startswith(".") or "\\" in part for part in parts)
