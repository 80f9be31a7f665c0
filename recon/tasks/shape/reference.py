"""The shape inside a run folder, so that a run stands alone: `reference.safetensors`, exact and without pickle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from recon.files import atomic_write_bytes, check_tensors, parse_json
from recon.geometry import Mesh, Similarity
from recon.shapes.inspect import MeshReport
from recon.shapes.load import PointCloud
from recon.shapes.shape import Shape

NAME = "reference.safetensors"
ARRAYS = ("vertices", "faces", "points", "normals")
LIMIT = 6 * 2**30
"""Bytes of the largest stored shape that is read: twice the limit of faces."""
DAMAGE = (SafetensorError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError)
"""What reading facts of the wrong kind raises."""


def write_reference(folder: Path, shape: Shape) -> None:
    """Store a shape: its normalised geometry, the way back to the input's frame, what the doctor and a repair said."""
    if shape.mesh is not None:
        arrays = {"vertices": shape.mesh.vertices.astype(np.float64), "faces": shape.mesh.faces.astype(np.int64)}
    else:
        assert shape.cloud is not None
        arrays = {"points": shape.cloud.points.astype(np.float64), "normals": shape.cloud.normals.astype(np.float64)}
    about: dict[str, Any] = {
        "name": shape.name,
        "source": shape.source,
        "centre": list(shape.transform.centre),
        "scale": shape.transform.scale,
        "report": shape.report.as_dict() if shape.report else None,
        "repair": shape.repair.lines() if shape.repair else [],
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    atomic_write_bytes(folder / NAME, save(arrays, {"shape": json.dumps(about)}))


def read_reference(folder: Path) -> Shape:
    """The stored shape. FileNotFoundError where there is none, ValueError where it is damaged."""
    with _opened(folder) as (file, about):
        arrays = {name: file.get_tensor(name) for name in file.keys() if name in ARRAYS}  # noqa: SIM118 (not a dict)
        x, y, z, scale = (float(number) for number in (*about["centre"], about["scale"]))
        if not (np.isfinite([x, y, z, scale]).all() and scale > 0):
            raise ValueError(f"centre {about['centre']} and scale {scale} are no transform")
        transform = Similarity((x, y, z), scale)
        mesh = cloud = None
        if "vertices" in arrays:
            mesh = Mesh(_rows(arrays, "vertices"), _rows(arrays, "faces"))
            if len(mesh.faces) and not 0 <= mesh.faces.min() <= mesh.faces.max() < len(mesh.vertices):
                raise ValueError("its faces name vertices that do not exist")
        else:
            cloud = PointCloud(_rows(arrays, "points"), _rows(arrays, "normals"))
        return Shape(about["name"], about["source"], mesh, cloud, transform, _report(about))


def _rows(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    """One of the arrays, if it has rows of three finite numbers."""
    array = arrays[name]
    if array.ndim != 2 or array.shape[1] != 3 or not np.isfinite(array).all():
        raise ValueError(f"'{name}' must be rows of three finite numbers")
    return array


def read_findings(folder: Path) -> tuple[str, list[str]]:
    """Source of the stored shape, and what a repair and the doctor said of it, without reading its geometry."""
    with _opened(folder) as (_, about):
        report = _report(about)
        repaired = [f"repair: {line}" for line in about.get("repair", [])]
        return str(about["source"]), [*repaired, *(report.lines() if report else [])]


def _report(about: dict[str, Any]) -> MeshReport | None:
    known = {f.name for f in fields(MeshReport)}
    return MeshReport(**{k: v for k, v in about["report"].items() if k in known}) if about["report"] else None


@contextmanager
def _opened(folder: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The file and what it says about the shape; whatever is wrong with it becomes one ValueError."""
    path = folder / NAME
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the run can't be evaluated or resumed without its shape")
    try:
        check_tensors(path, LIMIT)
        with safe_open(path, framework="numpy") as file:
            yield file, parse_json((file.metadata() or {})["shape"])
    except DAMAGE as error:
        raise ValueError(f"{path} is damaged ({error}); copy it from a backup or run again") from None
