"""A file to a mesh or an oriented point cloud in the file's coordinates, or one message that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from recon.geometry import Mesh
from recon.shapes.formats import off_counts, read_gltf, read_obj, read_off, read_stl, stl_faces
from recon.shapes.names import SUFFIXES
from recon.shapes.ply import ply_header, read_ply
from recon.shapes.polygons import MAX_HEADER, NO_FACES, BadShape, Stored, TooManyFaces, check_faces, numbers

MAX_FACES = 50_000_000
"""Faces above which a mesh is refused, unless the caller allows more."""

_BYTES_PER_FACE = 200
"""More than any face takes in OBJ or glTF, its share of vertices, normals and texture coordinates included."""


@dataclass(frozen=True)
class PointCloud:
    """Points of a surface with outward unit normals."""

    points: Float[np.ndarray, "n 3"]
    normals: Float[np.ndarray, "n 3"]


def read(path: str | Path, max_faces: int = MAX_FACES) -> Mesh | PointCloud:
    """Mesh or oriented point cloud, by what the file holds; raises BadShape or an OSError with the file's name."""
    path = Path(path)
    try:
        data = _bytes(path, max_faces)
        stored = _READERS[path.suffix.lower()](data, max_faces)
        return _checked_mesh(stored, max_faces) if len(stored.faces) else _checked_cloud(stored)
    except (OverflowError, MemoryError) as error:
        raise BadShape(f"{path}: its numbers are beyond any mesh ({type(error).__name__})") from error
    except TooManyFaces as error:
        raise BadShape(f"{path}: {error}") from error
    except BadShape as error:
        raise BadShape(f"{path}: {error}") from error


def read_mesh(path: str | Path, max_faces: int = MAX_FACES) -> Mesh:
    """Triangles of a ply, obj, off, stl, glb or gltf file; polygons are cut into triangles, unused vertices dropped."""
    shape = read(path, max_faces)
    if isinstance(shape, PointCloud):
        raise BadShape(f"{path}: it holds {len(shape.points):,} points and no faces; a mesh is wanted here")
    return shape


def read_points(path: str | Path) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Points and unit normals of a cloud: ply without faces, or xyz / txt rows of 'x y z nx ny nz'."""
    shape = read(path)
    if isinstance(shape, Mesh):
        raise BadShape(f"{path}: it holds a mesh of {len(shape.faces):,} faces; points with normals are wanted here")
    return shape.points, shape.normals


def from_arrays(
    vertices: Float[np.ndarray, "v 3"],
    faces: Int[np.ndarray, "f 3"] | None = None,
    normals: Float[np.ndarray, "v 3"] | None = None,
    max_faces: int = MAX_FACES,
) -> Mesh | PointCloud:
    """Mesh or, without faces, oriented point cloud of what a program holds; checked as the content of a file is."""
    if faces is not None and len(faces):
        return _checked_mesh(Stored(vertices, faces), max_faces)
    return _checked_cloud(Stored(vertices, NO_FACES, normals))


def read_xyz(data: bytes, max_faces: int) -> Stored:
    """Rows 'x y z nx ny nz', separated by blanks or commas; further columns are passed over, '#' begins a comment."""
    lines = (line.split(b"#", 1)[0].replace(b",", b" ").split() for line in data.splitlines())
    rows = [line for line in lines if line]
    if not rows:
        raise BadShape("the file holds no points")
    width = min(len(row) for row in rows)
    if width < 6:
        raise BadShape(f"a row has {width} numbers; points need their normals: 'x y z nx ny nz'")
    table = numbers([word for row in rows for word in row[:6]]).reshape(-1, 6)
    return Stored(table[:, :3], NO_FACES, table[:, 3:])


_READERS: dict[str, Callable[[bytes, int], Stored]] = {
    ".ply": read_ply,
    ".obj": read_obj,
    ".off": read_off,
    ".stl": read_stl,
    ".glb": read_gltf,
    ".gltf": read_gltf,
    ".xyz": read_xyz,
    ".txt": read_xyz,
}


def _bytes(path: Path, max_faces: int) -> bytes:
    """The file's bytes, once its header or size shows that it may be read."""
    if path.suffix.lower() not in _READERS:
        raise BadShape(f"unknown kind of file '{path.suffix}'; what can be read: {', '.join(SUFFIXES)}")
    if not path.exists():
        raise FileNotFoundError(f"no file {path}")
    if not path.is_file():
        raise BadShape("it is a folder or a device; a file is wanted")
    size = path.stat().st_size
    if size == 0:
        raise BadShape("the file is empty")
    with path.open("rb") as file:
        _refuse_large(path.suffix.lower(), file.read(MAX_HEADER), size, max_faces)
        file.seek(0)
        return file.read()


def _refuse_large(suffix: str, head: bytes, size: int, max_faces: int) -> None:
    """Refuse too many faces from the header (PLY, OFF, STL) or the size of the file, before it is read."""
    if suffix == ".ply":
        check_faces(ply_header(head).count("face"), max_faces)
    elif suffix == ".off":
        check_faces(off_counts(head)[1], max_faces)
    elif suffix == ".stl":
        check_faces(stl_faces(head, size), max_faces)
    elif size > _BYTES_PER_FACE * (max_faces + MAX_HEADER):
        check_faces(size // _BYTES_PER_FACE, max_faces)


def _checked_mesh(stored: Stored, max_faces: int) -> Mesh:
    """A mesh without unused vertices, whose numbers all make sense."""
    vertices, faces = stored.vertices, stored.faces
    check_faces(len(faces), max_faces)
    wrong = (faces < 0) | (faces >= len(vertices))
    if wrong.any():
        raise BadShape(
            f"{int(wrong.any(axis=1).sum()):,} faces name vertices that do not exist "
            f"(indices {faces.min()} to {faces.max()}, {len(vertices):,} vertices)"
        )
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    mesh = Mesh(np.ascontiguousarray(vertices[used]), (np.cumsum(used) - 1)[faces])
    _check_extent(mesh.vertices, "vertices")
    unit = mesh.vertices - mesh.vertices.mean(axis=0)
    if not Mesh(unit / np.abs(unit).max(), mesh.faces).face_areas().any():
        raise BadShape("all faces have zero area")
    return mesh


def _checked_cloud(stored: Stored) -> PointCloud:
    """Points with unit normals, whose numbers all make sense."""
    if not len(stored.vertices):
        raise BadShape("the file holds no vertices")
    if stored.normals is None:
        raise BadShape(
            f"it has {len(stored.vertices):,} vertices but no faces, and no normals to tell inside from outside"
        )
    _check_extent(stored.vertices, "points")
    length = np.linalg.norm(stored.normals, axis=1, keepdims=True)
    bad = ~(np.isfinite(length) & (length > 0))
    if bad.any():
        raise BadShape(f"{int(bad.sum()):,} of {len(length):,} normals are zero, NaN or infinite")
    return PointCloud(stored.vertices, stored.normals / length)


def _check_extent(points: Float[np.ndarray, "n 3"], what: str) -> None:
    bad = ~np.isfinite(points).all(axis=1)
    if bad.any():
        raise BadShape(f"{int(bad.sum()):,} of {len(points):,} {what} are NaN or infinite")
    extent = float(np.ptp(points / 2, axis=0).max()) * 2  # halved first, so that the difference cannot overflow
    if extent == 0:
        raise BadShape(f"zero extent: all {len(points):,} {what} are the same point")
    if not 1e-100 < extent < 1e100:
        raise BadShape(f"an extent of {extent:g} is beyond what can be computed with; scale the file")
