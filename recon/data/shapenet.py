"""A person's own copy of ShapeNetCore below shapenet/: CLASS/MODEL/..., as its archives unpack."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

FOLDER = "shapenet"
MODELS = ("models/model_normalized.obj", "model.obj")
"""The mesh within a model's folder: version 2, version 1."""
_CLASS = re.compile(r"\d{8}")
_NAME = re.compile(r"(?:(\d{8})/)?([0-9A-Za-z_-]{3,64})")


def find_model(name: str, roots: list[Path]) -> Path | None:
    """The mesh that CLASS/MODEL or MODEL means, such as 03001627/1007e20d5e81; none if it is not here."""
    if (typed := _NAME.fullmatch(name)) is None:
        return None
    for root in roots:
        for folder in classes(root):
            if typed[1] in (None, folder.name):
                for inside in MODELS:
                    if (file := folder / typed[2] / inside).is_file():
                        return file
    return None


def classes(root: Path) -> Iterator[Path]:
    """Folders of classes below `root`'s shapenet/, or below one folder of it, such as ShapeNetCore.v2."""
    for parent in (root / FOLDER, *_folders(root / FOLDER)):
        yield from (folder for folder in _folders(parent) if _CLASS.fullmatch(folder.name))


def count_models(root: Path) -> tuple[int, int]:
    """Classes and models that lie below `root`."""
    counts = [sum(1 for _ in _folders(folder)) for folder in classes(root)]
    return len(counts), sum(counts)


def model_name(file: Path) -> str:
    """What a model is called, for its file is called as all others; empty for any other file."""
    for inside in MODELS:
        parts = inside.split("/")
        if file.parts[-len(parts) :] == tuple(parts) and len(file.parts) > len(parts) + 1:
            folder = file.parents[len(parts) - 1]
            return folder.name if _CLASS.fullmatch(folder.parent.name) else ""
    return ""


def _folders(parent: Path) -> list[Path]:
    return sorted(folder for folder in parent.iterdir() if folder.is_dir()) if parent.is_dir() else []
