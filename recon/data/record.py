"""Whether a set is whole, and what is remembered of downloads: hashes of archives, and of every file of a set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from recon.data.catalogue import Entry, is_below
from recon.data.find import datasets_home, roots
from recon.data.shapenet import FOLDER, count_models
from recon.files import atomic_write_json, parse_json, read_json

LEARNED = ".learned-hashes.json"
FETCHED = ".fetched"
"""Folder of one JSON file for each set that was fetched: the size and hash of its files."""
_FEW = 3


@dataclass(frozen=True)
class Verdict:
    """What a look at a set found."""

    entry: Entry
    path: Path
    files: int
    bytes: int
    hashed: int
    """Files whose hash was compared."""
    problems: tuple[str, ...]


def place_of(entry: Entry) -> Path:
    """Where a set lies once it is fetched."""
    return datasets_home() / entry.place


def places_of(entry: Entry) -> list[Path]:
    """Where a set lies, in datasets/ and the folders of RECON_DATA, in the order in which they are searched."""
    return [path for root in roots() if (path := root / entry.place).exists()]


def problems_of(entry: Entry, path: Path) -> list[str]:
    """What a folder or file lacks to be this set; empty where nothing."""
    if entry.is_file:
        return [] if path.is_file() and _begins_well(path) else [f"{path.name} is no {path.suffix[1:]} file"]
    if not path.is_dir():
        return [f"{path.name} is no folder"]
    if entry.place == FOLDER and not entry.files:
        return [] if count_models(path.parent)[1] else [f"no folder CLASS/MODEL is in {path}"]
    wanted = entry.files or {}
    found = {pattern: sum(file.is_file() for file in path.glob(pattern)) for pattern in [*wanted, *entry.paired]}
    wrong = [
        f"{found[pattern]} x {pattern} instead of {least if least == most else f'{least} to {most}'}"
        for pattern, (least, most) in wanted.items()
        if not least <= found[pattern] <= most
    ]
    if len({found[pattern] for pattern in entry.paired}) > 1:
        wrong.append(" but ".join(f"{found[pattern]} x {pattern}" for pattern in entry.paired))
    return wrong


def verify(entry: Entry, path: Path) -> Verdict:
    """A set counted, and each of its files compared with what is known of it: from the catalogue, or from the fetch."""
    known = {piece.path: (piece.size, piece.sha256) for piece in entry.pieces}
    if path == place_of(entry):
        known |= _recorded(entry)
    missing, changed, hashed = [], [], 0
    for name, (size, digest) in known.items():
        file = path if name == "." else path / name
        if not file.is_file():
            missing.append(name)
        elif (size is not None and file.stat().st_size != size) or (digest and sha256_of(file) != digest):
            changed.append(name)
        elif digest:
            hashed += 1
    problems = problems_of(entry, path)
    problems += [f"missing: {_some(missing)}"] if missing else []
    problems += [f"not as it was published or fetched: {_some(changed)}"] if changed else []
    files, size = extent_of(path)
    return Verdict(entry, path, files, size, hashed, tuple(problems))


def extent_of(path: Path) -> tuple[int, int]:
    """Files at or below a path, and their bytes."""
    sizes = [file.stat().st_size for file in _files(path)]
    return len(sizes), sum(sizes)


def note_fetched(entry: Entry, path: Path, archive: str) -> None:
    """Remember the size and hash of every file of a set that has just come; `archive` is the hash of the download."""
    files = {
        "." if file == path else file.relative_to(path).as_posix(): [file.stat().st_size, sha256_of(file)]
        for file in _files(path)
    }
    about = {"url": entry.url, "sha256": archive, "when": datetime.now().isoformat(timespec="seconds")}
    atomic_write_json(_record_file(entry), {**about, "files": files})


def learned() -> dict[str, Any]:
    """Size and hash of every archive that was fetched, by address."""
    path = datasets_home() / LEARNED
    if not path.is_file():
        return {}
    try:
        data = parse_json(path.read_text(encoding="utf-8"))
    except ValueError:
        data = None
    if isinstance(data, dict) and all(isinstance(known, dict) and "sha256" in known for known in data.values()):
        return data
    raise ValueError(f"{path} is damaged; delete it, and hashes are learned anew")


def is_verified(entry: Entry) -> bool:
    """Whether a download from this address is known to have worked, here or by the catalogue."""
    return entry.verified or entry.url in learned()


def learn(url: str, digest: str, size: int) -> None:
    """Remember an archive."""
    atomic_write_json(datasets_home() / LEARNED, learned() | {url: {"sha256": digest, "size": size}})


def sha256_of(path: Path) -> str:
    """Hash of a file, which may be larger than the memory."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _recorded(entry: Entry) -> Mapping[str, tuple[int | None, str]]:
    """Size and hash of each file as it was fetched; empty where the set came another way."""
    path = _record_file(entry)
    if not path.is_file():
        return {}
    try:
        files = read_json(path)["files"]
        known = {str(name): (int(size), str(digest)) for name, (size, digest) in files.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ValueError(f"{path} is damaged; delete it, and files are counted but not compared") from None
    if not all(name == "." or is_below(name) for name in known):
        raise ValueError(f"{path} names files outside of the set; delete it")
    return known


def _record_file(entry: Entry) -> Path:
    return datasets_home() / FETCHED / f"{entry.name}.json"


def _begins_well(path: Path) -> bool:
    with open(path, "rb") as file:
        return path.suffix != ".ply" or file.read(4) in (b"ply\n", b"ply\r")


def _files(path: Path) -> Iterable[Path]:
    """The file itself, or what lies in the folder, but for what is hidden."""
    inside = sorted(file for file in path.rglob("[!.]*") if file.is_file()) if path.is_dir() else [path]
    return [file for file in inside if not any(part.startswith(".") for part in file.relative_to(path).parts)]


def _some(names: list[str]) -> str:
    return ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")
