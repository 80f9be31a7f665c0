"""What a reader finds in a folder before a picture is decoded; poses are camera-to-world with OpenGL axes."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from recon.files import parse_json
from recon.geometry import Box
from recon.scenes.scene import Layout, Split

JSON_LIMIT = 64 * 2**20
"""Bytes of the largest JSON or text file that is read: forty thousand pictures of nerfstudio's."""
EVERY = 8
"""Without a split of its own, every 8th picture of a scene is held out, as in NeRF's real scenes."""


@dataclass(frozen=True)
class Lens:
    """Intrinsics in pixels of a picture of `size`; the upper left corner of the picture is (0, 0)."""

    focal: tuple[float, float]
    centre: tuple[float, float]
    size: tuple[float, float]
    """Width and height that the other numbers are for."""
    distortion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """OpenCV's k1, k2, p1, p2."""


@dataclass(frozen=True)
class Listing:
    """v pictures and their cameras, as the files of a scene state them."""

    layout: Layout
    files: tuple[Path, ...]
    poses: Float[np.ndarray, "v 3 4"]
    lenses: tuple[Lens, ...]
    splits: dict[Split, tuple[int, ...]]
    masks: tuple[Path, ...] = ()
    """One for each picture, or none at all."""
    box: Box | None = None
    depth_range: tuple[float, float] | None = None
    points: Float[np.ndarray, "p 3"] | None = None
    white: bool = False
    notes: tuple[str, ...] = ()

    def select(self, views: list[int]) -> Listing:
        """Some of the pictures, in the order given."""
        place = {old: new for new, old in enumerate(views)}
        splits: dict[Split, tuple[int, ...]] = {
            name: tuple(place[view] for view in members if view in place) for name, members in self.splits.items()
        }
        return replace(
            self,
            files=tuple(self.files[view] for view in views),
            poses=self.poses[views],
            lenses=tuple(self.lenses[view] for view in views),
            masks=tuple(self.masks[view] for view in views) if self.masks else (),
            splits={name: members for name, members in splits.items() if members},
        )


def relative(path: Path, folder: Path) -> str:
    """A path as seen from the scene's folder, where it lies within it."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def inside(folder: Path, name: str) -> Path:
    """The file in a scene's folder that its files name; ValueError where the name leads out of the folder.

    Links are not followed: one that leads out was laid by a person."""
    for top in (Path(os.path.abspath(folder)), folder.resolve()):  # absolute names may say either
        path = Path(os.path.normpath(top / name))
        if path.is_relative_to(top):
            return folder / path.relative_to(top)
    raise ValueError(
        f"{folder}: the scene names a picture outside its folder: {name[:80]!r}; move it (or lay a link) into the "
        "folder, and name it there"
    )


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; ValueError where it is something else."""
    text = read_bytes(path)
    try:
        data = parse_json(text)
    except ValueError as error:
        raise ValueError(f"{path} is not readable JSON ({str(error)[:120]})") from None
    if not isinstance(data, dict):
        raise ValueError(f"{path} must hold a JSON object, found a {type(data).__name__}")
    return data


def read_bytes(path: Path, limit: int = JSON_LIMIT) -> bytes:
    """A regular file's bytes, if it is there and not larger than the limit."""
    check_size(path, limit)
    return path.read_bytes()


def check_size(path: Path, limit: int) -> None:
    """FileNotFoundError where there is no such file, ValueError where it is larger than the limit."""
    if not path.is_file():
        raise FileNotFoundError(f"no file {path.name} in {path.parent}")
    size = path.stat().st_size
    if size > limit:
        raise ValueError(f"{path} has {size:,} bytes, more than the {limit:,} that are read")


def read_numbers(path: Path) -> list[list[float]]:
    """The rows of numbers of a small text file; ValueError at the first word that is none."""
    rows: list[list[float]] = []
    for line in read_bytes(path, 2**20).decode("utf-8", "replace").splitlines():
        words = line.split("#", 1)[0].replace(",", " ").split()
        try:
            rows += [[float(word) for word in words]] if words else []
        except ValueError:
            raise ValueError(f"{path}: a row of numbers was wanted, found '{line[:60]}'") from None
    return rows


def find_split(
    folder: Path, names: list[str], stated: dict[str, Any] | None = None
) -> tuple[dict[Split, tuple[int, ...]], list[str]]:
    """Views of each split, and notes: from split.json, else from lists of names, else every 8th is held out."""
    source = "its own lists"
    if (folder / "split.json").is_file():
        stated, source = read_object(folder / "split.json"), "split.json"
    if stated:
        return _stated_split(names, stated, source)
    order = sorted(range(len(names)), key=lambda view: names[view])
    test = tuple(order[::EVERY])
    train = tuple(view for view in order if view not in set(test))
    return {"train": train, "test": test}, [f"no split is given: every {EVERY}th picture is held out ({len(test)})"]


def _stated_split(
    names: list[str], stated: dict[str, Any], source: str
) -> tuple[dict[Split, tuple[int, ...]], list[str]]:
    place = {_plain(name): view for view, name in enumerate(names)}
    # split.json may say 'images/1.png' where the cameras say 'images/1', and the other way round
    place |= {_plain(str(Path(name).with_suffix(""))): view for view, name in enumerate(names)}
    splits: dict[Split, tuple[int, ...]] = {}
    absent = 0
    for split in ("train", "val", "test"):
        listed = stated.get(split, [])
        if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
            raise ValueError(f"{source}: '{split}' must be a list of names of pictures")
        keys = [_plain(name) for name in listed]
        views = [place.get(key, place.get(_plain(str(Path(key).with_suffix(""))))) for key in keys]
        splits[split] = tuple(dict.fromkeys(view for view in views if view is not None))
        absent += sum(view is None for view in views)
    notes = [f"split from {source}"]
    if not splits["test"] and splits["val"]:
        splits = {"train": splits["train"], "test": splits["val"]}
        notes = [f"split from {source}; its validation pictures are the test"]
    for split in ("train", "test"):
        if not splits[split]:
            raise ValueError(f"{source} names no picture for '{split}' that is there ({absent} names are not)")
    shared = set(splits["train"]) & {view for split, views in splits.items() if split != "train" for view in views}
    if shared:
        raise ValueError(f"{source}: {names[min(shared)]} is both a training and a held-out picture; keep it in one")
    if absent:
        notes.append(f"{source} names {absent} pictures that are not there: skipped")
    unused = len(names) - len({view for views in splits.values() for view in views})
    if unused:
        notes.append(f"{unused} pictures are in no split of {source}: left out")
    return {split: views for split, views in splits.items() if views}, notes


def _plain(name: str) -> str:
    """A name without './' before it."""
    return Path(name).as_posix()
