"""NSVF's layout (its Tanks and Temples): rgb/, pose/ with OpenCV axes, intrinsics.txt in one of its forms, bbox.txt."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recon.geometry import Box
from recon.scenes.images import pictures_in, read_header, read_headers
from recon.scenes.listing import Lens, Listing, find_split, read_numbers
from recon.scenes.poses import from_opencv, matrix
from recon.scenes.scene import Split

SHRUNK = 0.03
"""How far, in parts, a principal point may be from a picture's middle when it tells the native size."""


def read_nsvf(folder: Path) -> Listing:
    """Prefix 0_ is training and 1_ test; where 2_ is there, 1_ is validation and 2_ test."""
    pictures = {path.stem: path for path in pictures_in(folder / "rgb")}
    poses = {path.stem: path for path in sorted((folder / "pose").glob("*.txt")) if not path.name.startswith(".")}
    if not pictures:
        raise FileNotFoundError(f"no pictures in {folder / 'rgb'}")
    bare = sorted(set(pictures) - set(poses))
    if bare:
        raise FileNotFoundError(f"{len(bare)} pictures have no pose: no {folder / 'pose' / (bare[0] + '.txt')}")
    stems = sorted(pictures)
    notes = ["NSVF: poses from OpenCV axes (right, down, forwards)"]
    if len(poses) > len(stems):
        notes.append(f"{len(poses) - len(stems)} poses have no picture: skipped")
    splits, said = _splits(folder, stems)
    lens, scaled = _lens(folder / "intrinsics.txt", tuple(pictures[stem] for stem in stems))
    box = _box(folder / "bbox.txt") if (folder / "bbox.txt").is_file() else None
    return Listing(
        layout="nsvf",
        files=tuple(pictures[stem] for stem in stems),
        poses=from_opencv(np.stack([matrix(read_numbers(poses[stem]), f"{poses[stem]}") for stem in stems])),
        lenses=(lens,) * len(stems),
        splits=splits,
        box=box,
        white=True,
        notes=(*notes, *said, *scaled, *(["box from bbox.txt"] if box else [])),
    )


def _splits(folder: Path, stems: list[str]) -> tuple[dict[Split, tuple[int, ...]], list[str]]:
    of = {prefix: tuple(v for v, stem in enumerate(stems) if stem.startswith(f"{prefix}_")) for prefix in "012"}
    if (folder / "split.json").is_file() or not any(of.values()):
        return find_split(folder, [f"rgb/{stem}" for stem in stems])
    other = len(stems) - sum(map(len, of.values()))
    said = [f"{other} pictures without a prefix 0_, 1_ or 2_: left out"] if other else []
    if of["2"]:
        named: dict[Split, tuple[int, ...]] = {"train": of["0"], "val": of["1"], "test": of["2"]}
        return {name: views for name, views in named.items() if views}, [*said, "1_ is validation, 2_ test"]
    return {"train": of["0"], "test": of["1"]}, [*said, "0_ is training, 1_ test"]


def _box(path: Path) -> Box:
    """Least and greatest corner; what follows them, the size of a voxel, is not needed."""
    numbers = [value for row in read_numbers(path) for value in row]
    if len(numbers) < 6:
        raise ValueError(f"{path}: six numbers (least and greatest corner) were wanted, found {len(numbers)}")
    try:
        return Box((numbers[0], numbers[1], numbers[2]), (numbers[3], numbers[4], numbers[5]))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _lens(path: Path, pictures: tuple[Path, ...]) -> tuple[Lens, list[str]]:
    """The lens, for the native size of the pictures: the principal point tells where they were shrunk since."""
    fx, fy, cx, cy = _intrinsics(path)
    header = read_header(pictures[0])
    ratio = np.array([2 * cx / header.width, 2 * cy / header.height])
    if np.abs(ratio - 1).max() < 0.25:
        return Lens((fx, fy), (cx, cy), (float(header.width), float(header.height))), []
    mean = float(np.nan_to_num(ratio.mean(), posinf=0.0, neginf=0.0))
    whole = float(round(mean)) if mean > 1 else 1 / max(round(1 / max(mean, 1e-6)), 1)
    if not np.abs(ratio / whole - 1).max() < SHRUNK:
        read_headers(pictures)  # tells pictures of different sizes, of which the first may be the odd one
        raise ValueError(
            f"{path}: the principal point ({cx:g}, {cy:g}) is far from the middle of pictures of {header.width} x "
            f"{header.height}; intrinsics and pictures do not belong together"
        )
    size = (header.width * whole, header.height * whole)
    said = f"the principal point says that pictures had {size[0]:g} x {size[1]:g} when the intrinsics were written"
    return Lens((fx, fy), (cx, cy), size), [said]


def _intrinsics(path: Path) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy from any of the forms that NSVF's sets come in."""
    rows = read_numbers(path)
    widths = [len(row) for row in rows]
    if widths in ([16], [9]):
        rows = np.array(rows[0]).reshape(-1, 4 if widths == [16] else 3).tolist()
        widths = [len(row) for row in rows]
    if widths in ([4] * 4, [4] * 3, [3] * 3) and rows[2][:3] == [0, 0, 1]:
        if rows[0][1] or rows[1][0]:
            raise ValueError(f"{path}: a camera with skew ({rows[0][1]:g}) is not supported")
        return rows[0][0], rows[1][1], rows[0][2], rows[1][2]
    if widths and widths[0] in (3, 4):  # the oldest form, 'f cx cy 0' and further rows: Ignatius has it
        f, cx, cy = rows[0][:3]
        return f, f, cx, cy
    raise ValueError(
        f"{path}: a 4 x 4 or 3 x 3 matrix, one row of 16 numbers, or a first row 'f cx cy 0' was wanted, "
        f"found rows of {widths[:6]} numbers"
    )
