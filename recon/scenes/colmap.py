"""COLMAP's models, text and binary, by a reader of our own; its poses are world-to-camera with OpenCV axes."""

from __future__ import annotations

import math
import mmap
import struct
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from jaxtyping import Float

from recon.scenes.images import SUFFIXES
from recon.scenes.listing import Lens, Listing, check_size, find_split, relative
from recon.scenes.poses import from_opencv

MODEL_LIMIT = 2 * 2**30
"""Bytes of the largest file of a model that is read; it is read piece by piece."""
LINE_LIMIT = 64 * 2**20
"""Bytes of the longest line of a text model: all that COLMAP found in one picture."""
MAX_POINTS = 200_000
"""Sparse points that are kept; of more, every n-th."""
QUANTILES = (0.001, 0.999)
"""Of the depths of sparse points: some of them are always wrong."""
WHERE = ("sparse", ".", "colmap/sparse", "colmap", "distorted/sparse", "dense/sparse")
"""Folders in which a model, or numbered models, are looked for; the first that has any is taken."""

_MODELS = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE", "FULL_OPENCV", "FOV",
           "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "THIN_PRISM_FISHEYE", "RAD_TAN_THIN_PRISM_FISHEYE")  # fmt: skip
_COUNTS = {"SIMPLE_PINHOLE": 3, "PINHOLE": 4, "SIMPLE_RADIAL": 4, "RADIAL": 5, "OPENCV": 8}
T = TypeVar("T")


@dataclass(frozen=True)
class View:
    """One registered picture: a unit quaternion (w, x, y, z) and a shift from world to camera."""

    name: str
    camera: int
    rotation: tuple[float, ...]
    shift: tuple[float, ...]


def models_in(folder: Path) -> list[Path]:
    """Folders that hold a model, all of one place: models of other places may be of other pictures."""
    for place in WHERE:
        top = folder / place
        numbered = sorted(path for path in top.iterdir() if path.is_dir()) if top.is_dir() and place != "." else []
        found = [path for path in (top, *numbered) if _file(path, "cameras") and _file(path, "images")]
        if found:
            return found
    return []


def read_colmap(folder: Path) -> Listing:
    """The model with the most pictures, and the pictures of it that are there."""
    models = [(path, _parsed(path, "images", _binary_views, _text_views)) for path in models_in(folder)]
    path, views = max(models, key=lambda model: len(model[1]))
    where = path.relative_to(folder).as_posix()
    notes = [f"COLMAP: model {where} with {len(views)} pictures; poses from world-to-camera, OpenCV axes"]
    if len(models) > 1:
        notes.append(
            f"the largest of {len(models)} models ({', '.join(str(len(other)) for _, other in models)} pictures)"
        )
    if not views:
        raise ValueError(f"{path}: the model has no registered pictures")
    cameras = _parsed(path, "cameras", _binary_cameras, _text_cameras)
    unknown = [view.name for view in views if view.camera not in cameras]
    if unknown:
        raise ValueError(f"{path}: {unknown[0]} was taken with a camera that the model does not hold")
    views = sorted(views, key=lambda view: view.name)
    # a model of pictures as they were taken, beside undistorted ones of the same names
    order = ("input", "images", "rgb") if where.startswith("distorted") else ("images", "input", "rgb")
    place, missing = _picture_folder(folder, views, order)
    if missing:
        notes.append(f"{len(missing)} of {len(views)} pictures are not in {place.name}/: skipped")
        views = [view for view in views if view.name not in missing]
    poses = np.stack([_pose(view, path) for view in views])
    lenses = tuple(cameras[view.camera] for view in views)
    points = _parsed(path, "points3D", _binary_points, _text_points) if _file(path, "points3D") else np.zeros((0, 3))
    points = points[np.isfinite(points).all(axis=1)][:: max(1, len(points) // MAX_POINTS)]
    files = tuple(place / view.name for view in views)
    splits, said = find_split(folder, [relative(file, folder) for file in files])
    return Listing(
        layout="colmap",
        files=files,
        poses=poses,
        lenses=lenses,
        splits=splits,
        depth_range=_depth_range(poses, lenses, points),
        points=points if len(points) else None,
        notes=(*notes, *said),
    )


def _file(folder: Path, stem: str) -> Path | None:
    """The binary form where both are there."""
    return next((path for path in (folder / f"{stem}.bin", folder / f"{stem}.txt") if path.is_file()), None)


def _parsed(folder: Path, stem: str, binary: Callable[[mmap.mmap], T], text: Callable[[Iterator[str]], T]) -> T:
    path = _file(folder, stem)
    assert path is not None
    check_size(path, MODEL_LIMIT)
    try:
        with open(path, "rb") as file:
            if path.suffix != ".bin":
                return text(_lines(file))
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return binary(data)
    except (struct.error, IndexError, KeyError, OverflowError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged or cut short ({str(error)[:80]})") from None
    except ValueError as error:
        raise ValueError(f"{path}: {str(error)[:200]}") from None


def _picture_folder(folder: Path, views: list[View], order: tuple[str, ...]) -> tuple[Path, set[str]]:
    """The folder with the most of the pictures (the first of the best), and the names that it lacks."""
    for view in views:
        if "\0" in view.name or Path(view.name).is_absolute() or ".." in Path(view.name).parts:
            raise ValueError(f"the model names a picture outside its folder: {view.name[:80]!r}")
    folders = [folder / name for name in order]
    folders += sorted(path for path in folder.glob("images_*") if path.is_dir()) + [folder]
    best, lacks = folder, {view.name for view in views}
    for place in folders:
        missing = {view.name for view in views if not _there(place / view.name)}
        if len(missing) < len(lacks):
            best, lacks = place, missing
    if len(lacks) == len(views):
        raise FileNotFoundError(
            f"none of the {len(views)} pictures of the model is in {folders[0]} (first: {views[0].name}; "
            f"kinds that are read: {', '.join(SUFFIXES)})"
        )
    return best, lacks


def _there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name no file can have
        return False


def _pose(view: View, path: Path) -> Float[np.ndarray, "3 4"]:
    """Camera to world, OpenGL axes."""
    length = math.hypot(*view.rotation)
    if not abs(length - 1) < 1e-2:  # NaN is not less
        raise ValueError(f"{path}: {view.name}: its rotation is a quaternion of length {length:g} instead of 1")
    w, x, y, z = (part / length for part in view.rotation)
    world_to_camera = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    position = -world_to_camera.T @ np.array(view.shift)
    return from_opencv(np.concatenate([world_to_camera.T, position[:, None]], axis=1)[None])[0]


def _lens(model: str, width: int, height: int, numbers: list[float]) -> Lens:
    if model not in _COUNTS:
        raise ValueError(
            f"cameras of the kind {model[:40]} are not supported ({', '.join(_COUNTS)} are): "
            "undistort the pictures with `colmap image_undistorter` first"
        )
    if len(numbers) != _COUNTS[model]:
        raise ValueError(f"a {model} camera has {_COUNTS[model]} numbers, found {len(numbers)}")
    if model in ("PINHOLE", "OPENCV"):
        fx, fy, cx, cy, *bend = numbers
    else:
        fx, cx, cy, *bend = numbers
        fy = fx
    k1, k2, p1, p2 = [*bend, 0.0, 0.0, 0.0, 0.0][:4]
    return Lens((fx, fy), (cx, cy), (float(width), float(height)), (k1, k2, p1, p2))


def _depth_range(
    poses: Float[np.ndarray, "v 3 4"], lenses: tuple[Lens, ...], points: Float[np.ndarray, "p 3"]
) -> tuple[float, float] | None:
    """Least and greatest depth of the sparse points that appear in the pictures, but for a few outliers."""
    sparse, depths = points[:: max(1, len(points) // 5000)], []
    for pose, lens in zip(poses, lenses, strict=True):
        local = (sparse - pose[:, 3]) @ pose[:, :3]
        ahead = local[-local[:, 2] > 1e-9]
        plane = ahead[:, :2] / -ahead[:, 2:] * np.array(lens.focal)
        inside = (np.abs(plane) < 0.55 * np.array(lens.size)).all(axis=1)
        depths.append(-ahead[inside, 2])
    every = np.concatenate(depths)
    if len(every) < 20:
        return None
    near, far = (float(value) for value in np.quantile(every, QUANTILES))
    return (near, far) if 0 < near < far else None


# -- text -----------------------------------------------------------------------------------------------------------


def _lines(file: BinaryIO) -> Iterator[str]:
    while line := file.readline(LINE_LIMIT):
        if len(line) == LINE_LIMIT:
            raise ValueError(f"a line has more than {LINE_LIMIT:,} bytes")
        yield line.decode("utf-8")


def _rows(lines: Iterator[str]) -> Iterator[list[str]]:
    return (line.split() for line in lines if line.strip() and not line.lstrip().startswith("#"))


def _text_cameras(lines: Iterator[str]) -> dict[int, Lens]:
    return {
        int(row[0]): _lens(row[1], int(row[2]), int(row[3]), [float(word) for word in row[4:]]) for row in _rows(lines)
    }


def _text_views(lines: Iterator[str]) -> list[View]:
    """Two lines a picture, the second, with its points, possibly empty."""
    views = []
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        words = line.strip().split(None, 9)
        numbers = [float(word) for word in words[1:8]]
        views.append(View(words[9], int(words[8]), tuple(numbers[:4]), tuple(numbers[4:])))
        next(lines, "")
    return views


def _text_points(lines: Iterator[str]) -> Float[np.ndarray, "p 3"]:
    points = array("d")
    for row in _rows(lines):
        points.extend((float(row[1]), float(row[2]), float(row[3])))
    return np.frombuffer(points, np.float64).reshape(-1, 3)


# -- binary ---------------------------------------------------------------------------------------------------------


def _count(data: mmap.mmap, least: int) -> int:
    """How many entries follow, if the file is long enough for them."""
    (count,) = struct.unpack_from("<Q", data)
    if count * least > len(data):
        raise ValueError(f"it says that {count:,} entries follow, which {len(data):,} bytes cannot hold")
    return count


def _binary_cameras(data: mmap.mmap) -> dict[int, Lens]:
    cameras, at = {}, 8
    for _ in range(_count(data, 24)):
        number, model, width, height = struct.unpack_from("<iiQQ", data, at)
        name = _MODELS[model] if 0 <= model < len(_MODELS) else f"number {model}"
        count = _COUNTS.get(name, 0)
        numbers = struct.unpack_from(f"<{count}d", data, at + 24)
        cameras[number] = _lens(name, width, height, list(numbers))
        at += 24 + 8 * count
    return cameras


def _binary_views(data: mmap.mmap) -> list[View]:
    views, at = [], 8
    for _ in range(_count(data, 73)):
        _, *numbers, camera = struct.unpack_from("<i7di", data, at)
        if (end := data.find(b"\0", at + 64)) < 0:
            raise ValueError("it is cut short")
        views.append(View(data[at + 64 : end].decode("utf-8"), camera, tuple(numbers[:4]), tuple(numbers[4:])))
        (points,) = struct.unpack_from("<Q", data, end + 1)
        at = end + 9 + 24 * points
    if at > len(data):
        raise ValueError("it is cut short")
    return views


def _binary_points(data: mmap.mmap) -> Float[np.ndarray, "p 3"]:
    points, at = array("d"), 8
    for _ in range(_count(data, 51)):
        points.extend(struct.unpack_from("<3d", data, at + 8))
        (length,) = struct.unpack_from("<Q", data, at + 43)
        at += 51 + 8 * length
    return np.frombuffer(points, np.float64).reshape(-1, 3)
