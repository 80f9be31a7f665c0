"""From what a program holds to what is learned or asked: shapes and signals as arrays, objects or files, points, fields
by name or settings."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from PIL import Image

from recon.data.find import find_signal
from recon.data.load import load
from recon.fields import FIELDS, FieldConfig
from recon.geometry import Mesh
from recon.shapes.load import PointCloud, from_arrays
from recon.shapes.shape import Centre, Shape, from_mesh, from_points
from recon.signals.arrays import MEMORY, from_array, from_picture
from recon.signals.kinds import BY_SUFFIX, FORMATS
from recon.signals.read import read_signal
from recon.signals.signal import KINDS, Signal

ShapeLike = str | os.PathLike[str] | trimesh.Trimesh | Mesh | PointCloud | Shape | tuple[Any, Any]
"""A path, a known name, a mesh of trimesh or of recon, (vertices, faces), or a cloud of points with normals."""
SignalLike = str | os.PathLike[str] | np.ndarray | torch.Tensor | Image.Image | Signal
"""A path, a known name, numbers (with kind= and rate=), a picture of Pillow's, or a signal of recon's."""


def as_shape(given: Any, *, centre: Centre, repair: bool, seed: int) -> Shape:
    """The shape that is meant by a `ShapeLike`. ValueError or FileNotFoundError where it is none."""
    if isinstance(given, Shape):
        return given
    if isinstance(given, str | os.PathLike):
        return load(os.fspath(given), centre=centre, repair=repair, seed=seed)
    if isinstance(given, PointCloud):
        if repair:
            raise ValueError("repair works on meshes, and this is a point cloud")
        points, normals = _array(given.points, "points"), _array(given.normals, "normals")
        if len(points) != len(normals):
            raise ValueError(f"a cloud needs one normal a point; got {len(points):,} points, {len(normals):,} normals")
        cloud = from_arrays(points, normals=normals)
        assert isinstance(cloud, PointCloud)
        return from_points("cloud", cloud, MEMORY, centre)
    name, vertices, faces = _triangles(given)
    mesh = from_arrays(_array(vertices, "vertices"), _faces(faces))
    assert isinstance(mesh, Mesh)
    return from_mesh(name, mesh, MEMORY, centre=centre, seed=seed, repair=repair)


def as_signal(given: Any, *, kind: Any, rate: int | float | None, frames: int | None) -> Signal:
    """The signal that is meant by a `SignalLike`. ValueError or FileNotFoundError where it is none."""
    if kind is not None:
        one_of("kind", kind, KINDS)
    if frames is not None and frames < 1:
        raise ValueError(f"frames must be at least 1, got {frames}")
    if isinstance(given, np.ndarray | torch.Tensor):
        if kind is None:
            raise ValueError(
                "an array may be an image [h w] or [h w c], a sound [n] or [n c], or a video [t h w c]: say "
                'kind="image", kind="sound" or kind="video"'
            )
        if frames is not None:
            raise ValueError("frames is for films in files; of an array give fewer: film[:frames]")
        return from_array(_numbers(given), kind, float(rate or 0))
    found = _known_signal(given, frames)
    if kind not in (None, found.kind) or rate not in (None, found.rate):
        what = f"kind {found.kind}" + (f" and rate {found.rate:g}" if found.rate else "")
        raise ValueError(f"{found.name} is of {what} by itself: leave kind and rate out, they are for arrays")
    if frames is not None and found.kind != "video":
        raise ValueError(f"frames is for videos, and {found.name} is of kind {found.kind}")
    return found


def _known_signal(given: Any, frames: int | None) -> Signal:
    """The signal of something that knows its kind."""
    if isinstance(given, str | os.PathLike):
        return read_signal(find_signal(os.fspath(given)), most_frames=frames)
    if isinstance(given, Image.Image):
        return from_picture(given)
    if not isinstance(given, Signal):
        raise ValueError(
            "a signal is a path, a known name, a numpy array or torch tensor with its kind, a picture of Pillow's or a "
            f"Signal; got {type(given).__name__}"
        )
    form = FORMATS.get(BY_SUFFIX.get(given.suffix, ""))
    if form is None or form.kind != ("image" if given.subtype == "folder" else given.kind):
        raise ValueError(f"'{given.suffix}' is no suffix that a {given.kind} is written with: give its Signal another")
    return given


def as_points(given: Any, axes: int) -> torch.Tensor:
    """Points [..., axes] as a tensor: one that was given as it is, of anything else a copy."""
    points = given if isinstance(given, torch.Tensor) else np.array(given, order="C")
    if isinstance(points, np.ndarray) and points.dtype.kind in "fiu":
        points = torch.from_numpy(points)
    if isinstance(points, torch.Tensor) and not points.is_complex() and points.dtype != torch.bool:
        if points.ndim and points.shape[-1] == axes:
            return points
    count = {1: "one number", 2: "two numbers", 3: "three numbers"}[axes]
    raise ValueError(f"points are rows of {count}, [..., {axes}]; got {points.dtype} of {list(points.shape)}")


def _triangles(given: Any) -> tuple[str, Any, Any]:
    """Name, vertices and faces of something that should be a mesh."""
    if isinstance(given, trimesh.Trimesh):
        named = given.metadata.get("name") or Path(str(given.metadata.get("file_name") or "mesh")).stem
        return str(named), given.vertices, given.faces
    if isinstance(given, Mesh):
        return "mesh", given.vertices, given.faces
    if isinstance(given, tuple | list) and len(given) == 2:
        return "mesh", *given
    if isinstance(given, trimesh.Scene):
        raise ValueError("this is a trimesh.Scene, which may hold many meshes; give one: scene.to_mesh()")
    raise ValueError(
        "a shape is a path, a known name, a trimesh.Trimesh, (vertices, faces) or recon.PointCloud(points, normals); "
        f"got {type(given).__name__}"
    )


def _array(given: Any, what: str) -> np.ndarray:
    array = _numbers(given)
    if array.ndim != 2 or array.shape[1] != 3:
        raise ValueError(f"{what} must be rows of three numbers, [n, 3]; got an array of shape {list(array.shape)}")
    return np.ascontiguousarray(array, np.float64)


def _faces(given: Any) -> np.ndarray:
    array = _numbers(given)
    if array.dtype.kind not in "iu":
        hint = "for points with normals give recon.PointCloud(points, normals)"
        raise ValueError(f"faces must be whole numbers, rows of three vertex indices; got {array.dtype} ({hint})")
    if array.ndim != 2 or array.shape[1] != 3 or not len(array):
        raise ValueError(f"faces must be triangles, [f, 3], one at least; got an array of shape {list(array.shape)}")
    return np.ascontiguousarray(array, np.int64)


def _numbers(given: Any) -> np.ndarray:
    if isinstance(given, torch.Tensor):
        given = (given.float() if given.dtype == torch.bfloat16 else given).detach().cpu().numpy()  # numpy has no bf16
    array = np.asarray(given)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"numbers are wanted, got an array of {array.dtype}")
    return array


def one_of(what: str, given: str, known: Sequence[str]) -> None:
    """ValueError with the nearest known name where one is unknown."""
    if given not in known:
        near = difflib.get_close_matches(given, known, n=1)
        hint = f"perhaps you meant {near[0]}" if near else f"known: {', '.join(known)}"
        raise ValueError(f"{what} '{given}' is unknown; {hint}")


def named_field(field: Any) -> str:
    """The name of a field that was given by name or by its settings."""
    if isinstance(field, str):
        one_of("field", field, list(FIELDS))
        return field
    if not isinstance(field, FieldConfig):
        raise ValueError(f"a field is a name or its settings, such as SirenConfig(width=128); got {field!r:.80}")
    names = [name for name, config in FIELDS.items() if type(config) is type(field)]
    if not names:
        kind = type(field).__name__
        raise ValueError(f"{kind} is none of recon.FIELDS; name it first: recon.FIELDS['my-field'] = {kind}()")
    return names[0]


def check_steps(steps: int | None) -> None:
    """ValueError for no steps at all."""
    if steps is not None and steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")


def refuse_both(settings: object, **others: object) -> None:
    """ValueError where complete settings come with what they hold already."""
    given = [name for name, value in others.items() if value is not None]
    if settings is not None and given:
        raise ValueError(f"settings hold everything, {' and '.join(given)} too: give one or the other")
