"""Scenes told by transforms files: Blender's (one a split), and instant-ngp's and nerfstudio's; axes are OpenGL's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recon.scenes.images import SUFFIXES, read_header
from recon.scenes.listing import Lens, Listing, find_split, inside, read_object, relative
from recon.scenes.poses import matrix
from recon.scenes.scene import Split

NGP_SCALE = 0.33
"""instant-ngp multiplies positions by this and shifts them by 0.5 before its box of `aabb_scale` is laid around."""
MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "RADIAL", "SIMPLE_RADIAL", "PERSPECTIVE")
"""Kinds of camera that are pinholes with at most k1, k2, p1, p2."""
FOCAL = ("fl_x", "fl_y", "camera_angle_x", "camera_angle_y")
"""Ways to state the focal length."""


@dataclass(frozen=True)
class Frame:
    """One entry of a transforms file whose picture is there."""

    file: Path
    pose: np.ndarray
    lens: Lens
    mask: Path | None


def read_blender(folder: Path) -> Listing:
    """transforms_train.json, and _val and _test where they are there; without either every 8th is held out."""
    frames: list[Frame] = []
    splits: dict[Split, tuple[int, ...]] = {}
    notes = ["Blender: poses are camera-to-world with OpenGL axes"]
    for split in ("train", "val", "test"):
        path = folder / f"transforms_{split}.json"
        if path.is_file() or split == "train":
            found, said = _frames(path, folder)
            splits[split] = tuple(range(len(frames), len(frames) + len(found)))
            frames, notes = frames + found, notes + said
    if "test" not in splits and "val" in splits:
        splits["test"] = splits.pop("val")
        notes.append("no transforms_test.json: the validation pictures are the test")
    if "test" not in splits or (folder / "split.json").is_file():
        splits, said = find_split(folder, [relative(frame.file, folder) for frame in frames])
        notes += said
    return _listing("blender", frames, splits, notes)


def read_transforms(folder: Path) -> Listing:
    """transforms.json of instant-ngp or nerfstudio; split.json, its own lists of names, or every 8th held out."""
    path = folder / "transforms.json"
    data = read_object(path)
    frames, said = _frames(path, folder, data)
    own = {split: data.get(f"{split}_filenames", []) for split in ("train", "val", "test")}
    names = [relative(frame.file, folder) for frame in frames]
    splits, split_said = find_split(folder, names, own if any(own.values()) else None)
    notes = ["transforms.json: poses are camera-to-world with OpenGL axes", *said, *split_said, *_box_of(data)]
    return _listing("instant-ngp", frames, splits, notes)


def _listing(layout: Any, frames: list[Frame], splits: dict[Split, tuple[int, ...]], notes: list[str]) -> Listing:
    masks = tuple(frame.mask for frame in frames if frame.mask is not None)
    if masks and len(masks) < len(frames):
        notes = [*notes, f"mask_path is given for {len(masks)} of {len(frames)} pictures only: masks not used"]
    return Listing(
        layout=layout,
        files=tuple(frame.file for frame in frames),
        poses=np.stack([frame.pose for frame in frames]),
        lenses=tuple(frame.lens for frame in frames),
        splits=splits,
        masks=masks if len(masks) == len(frames) else (),
        notes=tuple(notes),
    )


def _frames(path: Path, folder: Path, data: dict[str, Any] | None = None) -> tuple[list[Frame], list[str]]:
    """The entries whose pictures are there, and notes."""
    data = read_object(path) if data is None else data
    entries = data.get("frames")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{path}: 'frames' must be a list of objects, each with file_path and transform_matrix")
    if not entries:
        raise ValueError(f"{path}: it lists no frames")
    found: list[Frame] = []
    missing: list[str] = []
    for entry in entries:
        name = entry.get("file_path")
        if not isinstance(name, str) or not name or "\0" in name:
            raise ValueError(f"{path}: a frame's file_path must be text, found {str(name)[:60]!r}")
        file = _picture(folder, name)
        if file is None:
            missing.append(name)
            continue
        where = f"{path.name}, {name}"
        pose = matrix(entry.get("transform_matrix"), where)
        found.append(Frame(file, pose, _lens(_facts(data, entry), where, file), _mask(folder, entry)))
    if not found:
        raise FileNotFoundError(f"none of the {len(entries)} pictures that {path} lists is there (first: {missing[0]})")
    notes = [f"{path.name} lists {len(missing)} of {len(entries)} pictures that are not there: skipped"]
    return found, notes if missing else []


def _picture(folder: Path, name: str) -> Path | None:
    """The file that a frame names, whose ending may be left out."""
    for ending in ("", *SUFFIXES, *(suffix.upper() for suffix in SUFFIXES)):
        path = inside(folder, f"{name}{ending}")
        try:
            if path.is_file():
                return path
        except OSError:  # a name no file can have
            return None
    return None


def _mask(folder: Path, entry: dict[str, Any]) -> Path | None:
    name = entry.get("mask_path")
    if name is None:
        return None
    path = inside(folder, str(name).replace("\0", ""))
    if not path.is_file():
        raise FileNotFoundError(f"no mask {path}, which the frame of {entry.get('file_path')} names")
    return path


def _facts(data: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """What holds for a frame: its own entry, else what all share; any focal length of its own rules out all shared."""
    own = any(key in entry for key in FOCAL)
    return {key: value for key, value in data.items() if not (own and key in FOCAL)} | entry


def _lens(facts: dict[str, Any], where: str, file: Path) -> Lens:
    """Intrinsics of one frame: its own, else those shared by all; sizes that are not stated are the picture's."""
    _refuse_other_models(facts, where)
    if "w" in facts and "h" in facts:
        width, height = _number(facts, "w", where), _number(facts, "h", where)
    else:
        header = read_header(file)
        width, height = float(header.width), float(header.height)
    fx = _focal(facts, "x", width, where)
    fy = _focal(facts, "y", height, where)
    if fx is None and fy is None:
        raise ValueError(f"{where}: neither fl_x nor camera_angle_x is given, so the focal length is unknown")
    return Lens(
        focal=(fx or fy or 0.0, fy or fx or 0.0),
        centre=(_number(facts, "cx", where, width / 2), _number(facts, "cy", where, height / 2)),
        size=(width, height),
        distortion=(
            _number(facts, "k1", where, 0.0),
            _number(facts, "k2", where, 0.0),
            _number(facts, "p1", where, 0.0),
            _number(facts, "p2", where, 0.0),
        ),
    )


def _focal(facts: dict[str, Any], axis: str, extent: float, where: str) -> float | None:
    """A focal length in pixels, from itself or from the angle of view; none where neither is given."""
    if f"fl_{axis}" in facts:
        return _positive(_number(facts, f"fl_{axis}", where), f"fl_{axis}", where)
    if f"camera_angle_{axis}" not in facts:
        return None
    angle = _number(facts, f"camera_angle_{axis}", where)
    if not 0 < angle < math.pi:
        raise ValueError(f"{where}: camera_angle_{axis} must lie between 0 and pi radians, found {angle:g}")
    return _positive(0.5 * extent / math.tan(0.5 * angle), f"camera_angle_{axis}", where)


def _positive(focal: float, key: str, where: str) -> float:
    if not focal > 0:
        raise ValueError(f"{where}: singular intrinsics: a focal length of {focal:g} pixels from {key}")
    return focal


def _refuse_other_models(facts: dict[str, Any], where: str) -> None:
    model = facts.get("camera_model")
    if (model is not None and model not in MODELS) or facts.get("is_fisheye"):
        kind = model if model is not None and model not in MODELS else "fisheye"
        raise ValueError(f"{where}: cameras of the kind {str(kind)[:40]} are not supported ({', '.join(MODELS)} are)")
    for key in ("k3", "k4"):
        if _number(facts, key, where, 0.0):
            raise ValueError(f"{where}: {key} is not supported (k1, k2, p1, p2 are); undistort the pictures first")


def _number(facts: dict[str, Any], key: str, where: str, default: float | None = None) -> float:
    value = facts.get(key, default)
    try:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError
        return float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{where}: {key} must be a finite number, found {str(value)[:40]}") from None


def _box_of(data: dict[str, Any]) -> list[str]:
    """What instant-ngp's aabb_scale means in the units of the file."""
    if "aabb_scale" not in data:
        return []
    scale = _number(data, "aabb_scale", "transforms.json")
    half = 0.5 * scale / NGP_SCALE
    return [f"aabb_scale {scale:g}: instant-ngp would take a box of half width {half:.3g} about the origin"]
