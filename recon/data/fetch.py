"""A set of the catalogue brought into datasets/: whole, checked and remembered, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from recon.data.archive import BadArchive, Limits, unpack
from recon.data.catalogue import Entry, Piece, bytes_in_words, entries
from recon.data.download import OnBytes, Wanted, download, forget
from recon.data.find import datasets_home
from recon.data.record import LEARNED, learn, learned, note_fetched, place_of, problems_of, sha256_of
from recon.files import writing

try:
    import fcntl
except ImportError:  # Windows: there two downloads of one set at a time are not noticed
    fcntl = None

Say = Callable[[str], None]


class _Changed(ValueError):
    """Another file than the one that was seen before."""


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


def check_room(entry: Entry, size: int) -> None:
    """ValueError where the disk cannot hold a download of `size` bytes and what it unpacks to, as much at the least."""
    there = next(folder for folder in place_of(entry).absolute().parents if folder.is_dir())
    free, kept = shutil.disk_usage(there).free, _kept(entry)
    wanted = (size if entry.pieces else 2 * size) - kept
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
    with _alone(_part(entry.url)):
        fetched = _get_pieces(entry, on_bytes) if entry.pieces else _get_archive(entry, say, on_bytes)
        learn(entry.url, fetched.sha256, fetched.size)
        for other in entries().values():
            if place_of(other) in fetched.places:
                note_fetched(other, place_of(other), fetched.sha256)
    return fetched


def _get_archive(entry: Entry, say: Say, on_bytes: OnBytes) -> Fetched:
    """One archive, unpacked; it is forgotten once its sets have their places."""
    part = _part(entry.url)
    download(Wanted(entry.url, entry.cap, entry.size), part, on_bytes)
    digest, size = sha256_of(part), part.stat().st_size
    try:
        _check_hash(entry, digest)
        places = _unpack_and_place(entry, part, say)
    except _Changed:
        forget(part)
        raise
    except BadArchive as error:
        forget(part)
        raise BadArchive(f"the archive from {entry.url} is refused: {error}; nothing was changed") from None
    except Incomplete as error:
        raise Incomplete(
            f"the archive from {entry.url} does not hold what the catalogue says ({error}); nothing was changed. "
            f"It is kept as {part}: look into it, or delete it and fetch it anew"
        ) from None
    forget(part)
    return Fetched(tuple(places), size, digest)


def _get_pieces(entry: Entry, on_bytes: OnBytes) -> Fetched:
    """File after file into a hidden folder, which becomes the set once all are there; goes on from an earlier try."""
    room, place = _room(entry), place_of(entry)
    done, digests = 0, []
    for piece in entry.pieces:
        file = room / piece.path
        if not file.is_file():
            url = entry.url + piece.path
            part = _part(url)
            most = entry.cap - done if piece.size is None else piece.size
            download(Wanted(url, most, piece.size), part, _shifted(on_bytes, done, entry.size))
            with writing(file):
                file.parent.mkdir(parents=True, exist_ok=True)
                os.replace(part, file)
            forget(part)
        digests.append(f"{_checked(piece, file, entry)}  {piece.path}\n")
        done += file.stat().st_size
    on_bytes(done, done)
    digest = hashlib.sha256("".join(digests).encode()).hexdigest()
    try:
        _check_hash(entry, digest)
    except _Changed:
        shutil.rmtree(room)
        raise
    if wrong := problems_of(entry, room):
        raise Incomplete(f"{entry.url} does not hold what the catalogue says ({'; '.join(wrong)}); nothing was changed")
    with writing(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            raise ValueError(f"{place} has appeared while it was fetched; it is left as it is")
        os.rename(room, place)
    return Fetched((place,), done, digest)


def _shifted(on_bytes: OnBytes, done: int, total: int | None) -> OnBytes:
    """Progress of one file as progress of the set."""
    return lambda there, _: on_bytes(min(done + there, total - 1) if total else done + there, total)


def _checked(piece: Piece, file: Path, entry: Entry) -> str:
    """The hash of a piece; ValueError where it is not what the catalogue says, and the piece is deleted then."""
    digest = sha256_of(file)
    if piece.sha256 and digest != piece.sha256:
        file.unlink()
        raise _Changed(
            f"the file at {entry.url}{piece.path} has changed: its SHA-256 is {digest}, the catalogue has "
            f"{piece.sha256}; nothing was changed; compare with {entry.source}, or {entry.put_by_hand()}"
        )
    return digest


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


def _check_hash(entry: Entry, digest: str) -> None:
    """_Changed where what came is not what was seen before."""
    before = learned().get(entry.url)
    expected = before["sha256"] if before else entry.sha256
    if expected and digest != expected:
        advice = (
            f"if you trust it all the same, delete its lines from {datasets_home() / LEARNED}"
            if before
            else f"compare with {entry.source}, or {entry.put_by_hand()}"
        )
        raise _Changed(
            f"the file at {entry.url} has changed: its SHA-256 is {digest}, "
            f"{'the first download had' if before else 'the catalogue has'} {expected}; nothing was changed; {advice}"
        )


def _part(url: str) -> Path:
    """Where a file grows; the name tells a person what it is, and no two addresses share one."""
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(urlsplit(url).path).name)[:60]
    return datasets_home() / ".downloads" / f"{readable}-{hashlib.sha256(url.encode()).hexdigest()[:8]}.part"


def _room(entry: Entry) -> Path:
    """Where the pieces of a set gather."""
    return _part(entry.url).with_suffix(".pieces")


def _kept(entry: Entry) -> int:
    """Bytes that an earlier try has left."""
    if not entry.pieces:
        return part.stat().st_size if (part := _part(entry.url)).exists() else 0
    files = (_room(entry) / piece.path for piece in entry.pieces)
    return sum(file.stat().st_size for file in files if file.is_file())


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
