"""All data that can be named: what lies in datasets/ and in RECON_DATA, what can be fetched, and what is made here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from recon.data.catalogue import Entry, entries, plain
from recon.data.find import FIGURINES, FOLDERS, NAMED, NOTES, SCENE_FOLDERS, SIGNAL_FOLDERS, datasets_home, roots
from recon.data.record import extent_of, places_of, problems_of
from recon.data.shapenet import FOLDER, classes, count_models
from recon.shapes.names import PROCEDURAL_NAMES

KINDS = ("shape", "scene", "image", "sound", "video")


@dataclass(frozen=True)
class Found:
    """Something of a name in a folder that is searched."""

    name: str
    kind: str
    path: Path
    files: int
    bytes: int | None
    """None where counting would take long."""
    hidden_by: Path | None = None
    """What the same name means instead, for it lies in a folder that is searched before."""
    entry: Entry | None = None
    """The set of the catalogue that it is, by its place."""
    problems: tuple[str, ...] = ()
    """What it lacks to be that set."""


@dataclass(frozen=True)
class Made:
    """Something that needs no file."""

    name: str
    kind: str
    about: str


def made() -> list[Made]:
    """What is made here, at each use or at the first."""
    shapes = [Made(name, "shape", about) for name, about in PROCEDURAL_NAMES.items()]
    there = (datasets_home() / "scenes" / FIGURINES).is_dir()
    about = "statuettes, 120 views, " + ("made already" if there else "made at first use")
    return [*shapes, Made(FIGURINES, "scene", about)]


def found(kind: str | None = None) -> list[Found]:
    """What lies in the folders that are searched, in their order, by name within each."""
    sets = {path: entry for entry in entries().values() for path in places_of(entry)}
    first: dict[tuple[str, str], Path] = {}
    rows = []
    for path, what in _things():
        name = (path.name if path.is_dir() else path.stem).lower()
        before = first.setdefault((what, name), path)
        if kind in (None, what):
            rows.append(_row(name, what, path, None if before == path else before, sets.get(path)))
    return rows


def to_fetch(kind: str | None = None) -> list[Entry]:
    """Sets of the catalogue that are nowhere, or not whole where they are."""
    sets = (entry for entry in entries().values() if kind in (None, entry.kind))
    return [e for e in sets if all(problems_of(e, path) for path in places_of(e))]


def places(name: str) -> list[Found]:
    """Everything that a name means, the first of each kind being what commands take."""
    return [row for row in found() if row.name in (name.lower(), plain(name))]


def _things() -> list[tuple[Path, str]]:
    """Files and folders that have a name, and their kinds, folder by folder as they are searched."""
    things = [(file, "shape") for file in _inside(datasets_home()) if _is_shape(file)]
    for root in roots():
        things += [(file, "shape") for folder in FOLDERS for file in _inside(root / folder) if _is_shape(file)]
        if next(classes(root), None) is not None:
            things.append((root / FOLDER, "shape"))
        things += [(path, "scene") for folder in SCENE_FOLDERS for path in _inside(root / folder) if path.is_dir()]
        for folder, what in SIGNAL_FOLDERS.items():
            things += [(p, what) for p in _inside(root / folder) if p.is_dir() or p.suffix.lower() not in NOTES]
    return list(dict.fromkeys(things))


def _inside(folder: Path) -> list[Path]:
    visible = (path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else ()
    return sorted(visible, key=lambda path: os.fsencode(path.name.lower()))


def _is_shape(file: Path) -> bool:
    return file.suffix.lower() in NAMED and file.is_file()


def _row(name: str, kind: str, path: Path, hidden_by: Path | None, entry: Entry | None) -> Found:
    if path.name == FOLDER and kind == "shape" and path.is_dir():
        files, size = count_models(path.parent)[1], None
    else:
        files, size = extent_of(path)
    problems = () if entry is None else tuple(problems_of(entry, path))
    return Found(name, kind, path, files, size, hidden_by, entry, problems)
