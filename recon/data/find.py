"""From what a person typed to a file or a folder: a path, a name in `datasets/` or RECON_DATA, or a shape of ours.

Loads nothing: neither numpy nor torch."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from recon.data.catalogue import entries, plain
from recon.data.shapenet import find_model
from recon.shapes.names import PROCEDURAL_NAMES, SUFFIXES

FOLDERS = ("shapes", "shapenet/watertight")
"""Where names of shapes are looked up, below `datasets/` and below each folder of RECON_DATA."""
SCENE_FOLDERS = ("scenes", "TanksAndTemple")
"""Where names of scenes are."""
SIGNAL_FOLDERS = {"images": "image", "audio": "sound", "video": "video"}
"""Where pictures, sounds and films are, and what they are called."""
NOTES = (".txt", ".md", ".json")
FIGURINES = "figurines"
"""The scene that is made at its first use."""

NAMED = tuple(suffix for suffix in SUFFIXES if suffix != ".txt")
"""Kinds of file that go by name; a text file is more often a readme, so a cloud in one is given by its path."""


def home() -> Path:
    """Where `datasets/` and `renders/` lie: RECON_HOME, or the working directory."""
    return Path(os.environ.get("RECON_HOME") or Path.cwd())


def datasets_home() -> Path:
    """Downloaded and generated data."""
    return home() / "datasets"


def cache_home() -> Path:
    """What can be made again at the cost of time."""
    return datasets_home() / ".cache"


def shape_folders() -> list[Path]:
    """Folders that are searched for named shapes, the first hit winning."""
    return [datasets_home(), *(root / folder for root in roots() for folder in FOLDERS)]


def scene_folders() -> list[Path]:
    """Folders that are searched for named scenes, the first hit winning."""
    return [root / folder for root in roots() for folder in SCENE_FOLDERS]


def find_shape(name: str) -> Path | str:
    """The file that a path or a name means, or the procedural name itself; names are found whatever their case."""
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if path.suffix.lower() not in SUFFIXES and len(path.parts) == 2 and (model := find_model(name, roots())):
        return model
    if path.suffix.lower() in SUFFIXES or len(path.parts) != 1:
        raise FileNotFoundError(_missing_path(path))
    known = named_shapes()
    if name.lower() in known:
        return known[name.lower()]
    if name.lower() in PROCEDURAL_NAMES:
        return name.lower()
    if model := find_model(name, roots()):
        return model
    names = sorted({*known, *PROCEDURAL_NAMES})
    near = difflib.get_close_matches(name.lower(), names, n=3) or names
    raise FileNotFoundError(
        f"no shape '{name}'; {_offer(name, 'shape') or 'perhaps: ' + ', '.join(near[:12])}. "
        f"Searched {_searched(shape_folders())}, and the procedural shapes ({', '.join(PROCEDURAL_NAMES)})"
    )


def find_scene(name: str) -> Path:
    """The folder that a path or a name means, whatever the name's case.

    FileNotFoundError where there is none: it says what `recon data get` would fetch, or the nearest names."""
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise FileNotFoundError(f"{path} is a file; a scene is a folder: give {path.parent}")
    if len(path.parts) != 1:
        raise FileNotFoundError(f"no folder {path}" + ("" if path.parent.is_dir() else f", nor {path.parent}"))
    known = named_scenes()
    if name.lower() in known:
        return known[name.lower()]
    fetched = {entry.name for entry in entries().values() if entry.kind == "scene"}
    names = sorted({*known, *fetched, FIGURINES})
    near = difflib.get_close_matches(name.lower(), names, n=3) or names
    raise FileNotFoundError(
        f"no scene '{name}'; {_offer(name, 'scene') or 'perhaps: ' + ', '.join(near[:16])}. "
        f"Searched {_searched(scene_folders())}"
    )


def find_signal(name: str) -> Path:
    """The file (or the folder of frames) that a path or a name means, whatever the name's case.

    FileNotFoundError where there is none: it says where was looked, and the nearest names."""
    path = Path(name).expanduser()
    if path.exists():
        return path
    if len(path.parts) != 1:
        raise FileNotFoundError(f"no file {path}" + ("" if path.parent.is_dir() else f": no folder {path.parent}"))
    known = named_signals()
    for word in (path.name.lower(), path.stem.lower()):
        if word in known:
            return known[word]
    near = difflib.get_close_matches(name.lower(), sorted(known), n=3) or sorted(known)
    offer = f"perhaps: {', '.join(near[:12])}. " if near else ""
    raise FileNotFoundError(f"no picture, sound or film '{name}'; {offer}Searched {_searched(signal_folders())}")


def signal_folders() -> list[Path]:
    """Folders that are searched for named signals, the first hit winning."""
    return [root / folder for root in roots() for folder in SIGNAL_FOLDERS]


def named_signals() -> dict[str, Path]:
    """Lower-case name to file, over all folders and what lies one folder below."""
    known: dict[str, Path] = {}
    for folder in signal_folders():
        for file in sorted((*folder.glob("*"), *folder.glob("*/*"))) if folder.is_dir() else []:
            if file.is_file() and not file.name.startswith(".") and file.suffix.lower() not in NOTES:
                known.setdefault(file.stem.lower(), file)
                known.setdefault(file.name.lower(), file)
    return known


def roots() -> list[Path]:
    """`datasets/`, then the folders of RECON_DATA."""
    return [datasets_home(), *(Path(part) for part in os.environ.get("RECON_DATA", "").split(os.pathsep) if part)]


def _searched(folders: list[Path]) -> str:
    return ", ".join(str(folder) for folder in folders if folder.is_dir()) or "no folder (set RECON_DATA)"


def _offer(name: str, kind: str) -> str:
    """What the catalogue has of that name, if it is of that kind."""
    entry = entries().get(plain(name))
    return entry.offer() if entry is not None and entry.kind == kind else ""


def named_scenes() -> dict[str, Path]:
    """Lower-case name to folder, over all folders."""
    known: dict[str, Path] = {}
    for folder in scene_folders():
        for inside in sorted(folder.iterdir()) if folder.is_dir() else []:
            if inside.is_dir() and not inside.name.startswith("."):
                known.setdefault(inside.name.lower(), inside)
    return known


def named_shapes() -> dict[str, Path]:
    """Lower-case name to file, over all folders."""
    known: dict[str, Path] = {}
    for folder in shape_folders():
        for file in sorted(folder.iterdir()) if folder.is_dir() else []:
            if file.suffix.lower() in NAMED and file.is_file():
                known.setdefault(file.stem.lower(), file)
    return known


def _missing_path(path: Path) -> str:
    """What is missing, and what stands near where it was looked for."""
    if path.is_dir():
        return f"{path} is a folder; a mesh or point cloud file is wanted"
    if not path.parent.is_dir():
        return f"no file {path}: there is no folder {path.parent}"
    there = sorted(file.name for file in path.parent.iterdir() if file.suffix.lower() in SUFFIXES)
    near = difflib.get_close_matches(path.name, there, n=3) or there[:5]
    return f"no file {path}" + (f"; perhaps: {', '.join(near)}" if near else f"; no shapes are in {path.parent}")
