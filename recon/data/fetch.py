"""A set of the catalogue brought into datasets/: whole, checked and remembered, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from recon.data.archive import BadArchive, Limits, unpack
from recon.data.catalogue import Entry, bytes_in_words, entries
from recon.data.download import OnBytes, Wanted, download, forget
from recon.data.find import datasets_home
from recon.files import atomic_write_json, writing

try:
    import fcntl
except ImportError:  # Windows: there two downloads of one set at a time are not noticed
    fcntl = None

Say = Callable[[str], None]
LEARNED = ".learned-hashes.json"


class Incomplete(ValueError):
    """A sound archive without the files that the catalogue names."""


@dataclass(frozen=True)
class Fetched:
    """What `get` brought."""

    places: tuple[Path, ...]
    size: int
    """Bytes of the archive."""
    sha256: str
    """Of the archive."""


def place_of(entry: Entry) -> Path:
    """Where a set lies, or will lie."""
    return datasets_home() / entry.place


def problems_of(entry: Entry, path: Path) -> list[str]:
    """What a folder or file lacks to be this set; empty where nothing."""
    if not entry.files:
        return [] if path.is_file() and _begins_well(path) else [f"{path.name} is no {path.suffix[1:]} file"]
    if not path.is_dir():
        return [f"{path.name} is no folder"]
    found = {pattern: sum(file.is_file() for file in path.glob(pattern)) for pattern in [*entry.files, *entry.paired]}
    wrong = [
        f"{found[pattern]} x {pattern} instead of {least if least == most else f'{least} to {most}'}"
        for pattern, (least, most) in entry.files.items()
        if not least <= found[pattern] <= most
    ]
    if len({found[pattern] for pattern in entry.paired}) > 1:
        wrong.append(" but ".join(f"{found[pattern]} x {pattern}" for pattern in entry.paired))
    return wrong


def is_there(entry: Entry) -> bool:
    """Whether the set lies in datasets/; ValueError where what lies there is not whole."""
    path = place_of(entry)
    if not path.exists():
        return False
    if wrong := problems_of(entry, path):
        raise ValueError(
            f"{path} is not whole ({'; '.join(wrong)}); it is left as it is: move it away, then get it anew"
        )
    return True


def is_verified(entry: Entry) -> bool:
    """Whether a download from this address is known to have worked, here or by the catalogue."""
    return entry.verified or entry.url in learned()


def learned() -> dict[str, Any]:
    """Size and hash of every archive that was fetched, by address."""
    path = datasets_home() / LEARNED
    if not path.is_file():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, dict) and all(isinstance(known, dict) and "sha256" in known for known in data.values()):
        return data
    raise ValueError(f"{path} is damaged; delete it, and hashes are learned anew")


def check_room(entry: Entry, size: int) -> None:
    """ValueError where the disk cannot hold an archive of `size` bytes and what it unpacks to, as much at the least."""
    there = next(folder for folder in place_of(entry).absolute().parents if folder.is_dir())
    free, part = shutil.disk_usage(there).free, _part(entry.url)
    wanted = 2 * size - (part.stat().st_size if part.exists() else 0)
    if free < wanted:
        raise ValueError(
            f"{entry.name} needs about {bytes_in_words(wanted)} more on the disk of {there}, which has "
            f"{bytes_in_words(free)} free; make room, or set RECON_HOME to a folder on a larger disk"
        )


def get(entry: Entry, say: Say, on_bytes: OnBytes = lambda there, size: None) -> Fetched:
    """Download, verify, unpack, check, and only then show the set, with the sets that share its archive.

    A failure leaves every finished set as it was; what was downloaded stays for the next try, unless it is wrong.
    Raises ValueError for wrong content, and what `download` raises."""
    if not entry.url:
        raise ValueError(entry.offer())
    if is_there(entry):
        raise ValueError(f"{place_of(entry)} is there already")
    part = _part(entry.url)
    with _alone(part):
        download(Wanted(entry.url, entry.cap, entry.size), part, on_bytes)
        digest, size = _sha256(part), part.stat().st_size
        _check_hash(entry, part, digest)
        try:
            places = _unpack_and_place(entry, part, say)
        except BadArchive as error:
            forget(part)
            raise BadArchive(f"the archive from {entry.url} is refused: {error}; nothing was changed") from None
        except Incomplete as error:
            raise Incomplete(
                f"the archive from {entry.url} does not hold what the catalogue says ({error}); nothing was changed. "
                f"It is kept as {part}: look into it, or delete it and fetch it anew"
            ) from None
        _learn(entry.url, digest, size)
        forget(part)
    return Fetched(tuple(places), size, digest)


def _unpack_and_place(entry: Entry, part: Path, say: Say) -> list[Path]:
    """Unpack beside the place, check, rename."""
    place = place_of(entry)
    room = place.parent / f".{part.stem}.unpacking"
    with writing(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(room, ignore_errors=True)  # of a run that was killed
        try:
            unpack(part, entry.format, room, Limits(entry.unpacked), PurePosixPath(entry.member).name)
            return _place_all(entry, room, say)
        finally:
            shutil.rmtree(room, ignore_errors=True)


def _place_all(entry: Entry, room: Path, say: Say) -> list[Path]:
    """Move the set, which must be whole, and its siblings, which may be missing, to where they belong."""
    siblings = [other for other in entries().values() if other.url == entry.url and other.name != entry.name]
    found = {place_of(entry): _whole(entry, room, shared=bool(siblings))}
    for sibling in siblings:
        if not place_of(sibling).exists():
            try:
                found[place_of(sibling)] = _whole(sibling, room, shared=True)
            except Incomplete as error:
                say(f"warning: {sibling.name}, from the same archive, is left out: {error}")
    for place, path in found.items():
        if place.exists():
            raise ValueError(f"{place} has appeared while it was fetched; it is left as it is")
        place.parent.mkdir(parents=True, exist_ok=True)
        os.rename(path, place)
    return list(found)


def _whole(entry: Entry, room: Path, shared: bool) -> Path:
    """The set within what was unpacked, whatever folders lie around it; the room itself may be it, unless `shared`."""
    parts = tuple(part.lower() for part in PurePosixPath(entry.member).parts)
    inside = sorted(room.rglob("*"), key=lambda path: (len(path.parts), path))
    fitting = [p for p in inside if tuple(part.lower() for part in p.relative_to(room).parts)[-len(parts) :] == parts]
    for candidate in [*fitting, *([room] if entry.files and not shared else [])]:
        if not problems_of(entry, candidate):
            return candidate
    raise Incomplete("; ".join(problems_of(entry, fitting[0])) if fitting else f"there is no {entry.member} in it")


def _begins_well(path: Path) -> bool:
    with open(path, "rb") as file:
        return path.suffix != ".ply" or file.read(4) in (b"ply\n", b"ply\r")


def _check_hash(entry: Entry, part: Path, digest: str) -> None:
    """ValueError where the archive is not the one that was seen before; it is deleted then."""
    before = learned().get(entry.url)
    expected = before["sha256"] if before else entry.sha256
    if expected and digest != expected:
        forget(part)
        advice = (
            f"if you trust it all the same, delete its lines from {datasets_home() / LEARNED}"
            if before
            else f"compare with {entry.source}, or {entry.put_by_hand()}"
        )
        raise ValueError(
            f"the file at {entry.url} has changed: its SHA-256 is {digest}, "
            f"{'the first download had' if before else 'the catalogue has'} {expected}; nothing was changed; {advice}"
        )


def _learn(url: str, digest: str, size: int) -> None:
    atomic_write_json(datasets_home() / LEARNED, learned() | {url: {"sha256": digest, "size": size}})


def _part(url: str) -> Path:
    """Where an archive grows; the name tells a person what it is, and no two addresses share one."""
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(urlsplit(url).path).name)[:60]
    return datasets_home() / ".downloads" / f"{readable}-{hashlib.sha256(url.encode()).hexdigest()[:8]}.part"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[None]:
    """One download of an archive at a time; the lock ends with the process, whatever its end."""
    with writing(part):
        part.parent.mkdir(parents=True, exist_ok=True)
        lock = open(part.with_suffix(".lock"), "w")
    with lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(f"another `recon data get` is bringing {part.stem} just now; wait for it") from None
        yield
