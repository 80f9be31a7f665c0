"""Meshes to files: ply, obj, stl, glb, in the coordinates they are given in; a file is written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import trimesh
from jaxtyping import Float, UInt8
from trimesh.exchange.gltf import export_glb

from recon.files import replacing
from recon.geometry import Mesh


def write_mesh(
    path: str | Path,
    mesh: Mesh,
    normals: Float[np.ndarray, "v 3"] | None = None,
    colors: UInt8[np.ndarray, "v 3"] | None = None,
    comment: str | None = None,
) -> None:
    """Writes a mesh in the format of the path's suffix, with vertex normals and colours where the format has them.

    The comment (what the colours mean, say) goes into the header: lines in ply and obj, the first 80 bytes in stl,
    `asset.extras` in glb. Stl has neither vertex normals nor colours. Positions are single precision, except in obj,
    and in ply where single precision would move vertices visibly.
    """
    path = Path(path)
    write = WRITERS.get(path.suffix.lower())
    if write is None:
        raise ValueError(f"a mesh is written as {', '.join(WRITERS)}; '{path.name}' has the suffix '{path.suffix}'")
    for name, given in (("normals", normals), ("colors", colors)):
        if given is not None and len(given) != len(mesh.vertices):
            raise ValueError(f"{name} must have a row for each of the {len(mesh.vertices)} vertices, got {len(given)}")
    with replacing(path) as temporary, open(temporary, "wb") as file:
        write(file, _Content(mesh, normals, colors, (comment or "").splitlines()))


@dataclass(frozen=True)
class _Content:
    mesh: Mesh
    normals: Float[np.ndarray, "v 3"] | None
    colors: UInt8[np.ndarray, "v 3"] | None
    comment: list[str]


def _write_ply(file: BinaryIO, content: _Content) -> None:
    """Binary little-endian PLY."""
    mesh, vertices = content.mesh, content.mesh.vertices
    columns = [(name, _position_type(vertices), vertices[:, i]) for i, name in enumerate("xyz")]
    if content.normals is not None:
        columns += [(name, "<f4", content.normals[:, i]) for i, name in enumerate(("nx", "ny", "nz"))]
    if content.colors is not None:
        columns += [(name, "u1", content.colors[:, i]) for i, name in enumerate(("red", "green", "blue"))]
    ply_type = {"<f4": "float", "<f8": "double", "u1": "uchar"}
    header = ["ply", "format binary_little_endian 1.0"]
    header += [f"comment {line}" for line in content.comment]
    header += [f"element vertex {len(vertices)}", *(f"property {ply_type[kind]} {name}" for name, kind, _ in columns)]
    header += [f"element face {len(mesh.faces)}", "property list uchar int vertex_indices", "end_header"]
    file.write(("\n".join(header) + "\n").encode("ascii", "replace"))
    rows = np.empty(len(vertices), [(name, kind) for name, kind, _ in columns])
    for name, _, values in columns:
        rows[name] = values
    file.write(rows.tobytes())
    faces = np.empty(len(mesh.faces), [("count", "u1"), ("indices", "<i4", 3)])
    faces["count"], faces["indices"] = 3, mesh.faces
    file.write(faces.tobytes())


def _position_type(vertices: Float[np.ndarray, "v 3"]) -> str:
    """Single precision, unless rounding to it moves a vertex by more than a millionth of the mesh's extent."""
    if not len(vertices):
        return "<f4"
    moved = np.abs(vertices.astype(np.float32) - vertices).max()
    return "<f4" if moved <= 1e-6 * np.ptp(vertices, axis=0).max() else "<f8"


def _write_obj(file: BinaryIO, content: _Content) -> None:
    """Wavefront OBJ; colours follow the position as three numbers in [0, 1], which most programs read."""
    mesh = content.mesh
    file.write("".join(f"# {line}\n" for line in ["written by recon", *content.comment]).encode())
    rows, line = mesh.vertices, "v %.9g %.9g %.9g"
    if content.colors is not None:
        rows, line = np.concatenate([rows, content.colors / 255.0], axis=1), line + " %.4g %.4g %.4g"
    _write_rows(file, line, rows)
    corner = "%d"
    if content.normals is not None:
        _write_rows(file, "vn %.6g %.6g %.6g", content.normals)
        corner = "%d//%d"
    repeats = corner.count("%")
    _write_rows(file, " ".join(["f", *[corner] * 3]), np.repeat(mesh.faces.astype(np.int64) + 1, repeats, axis=1))


def _write_rows(file: BinaryIO, line: str, rows: np.ndarray, chunk: int = 2**16) -> None:
    """One line of text for each row; formatting many rows at once is ten times faster than one by one."""
    for start in range(0, len(rows), chunk):
        part = rows[start : start + chunk]
        file.write(((line + "\n") * len(part) % tuple(part.ravel().tolist())).encode())


def _write_stl(file: BinaryIO, content: _Content) -> None:
    """Binary STL with face normals."""
    # A header that begins with "solid" would pass for a text file.
    header = ("recon: " + " ".join(content.comment)).encode("ascii", "replace")[:80]
    file.write(header.ljust(80) + np.uint32(len(content.mesh.faces)).tobytes())
    rows = np.zeros(len(content.mesh.faces), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("pad", "<u2")])
    rows["normal"], rows["corners"] = content.mesh.face_normals(), content.mesh.triangles
    file.write(rows.tobytes())


def _write_glb(file: BinaryIO, content: _Content) -> None:
    """Binary glTF 2.0; axes stay as they are, although glTF's viewers take y as up."""
    made = trimesh.Trimesh(
        content.mesh.vertices,
        content.mesh.faces,
        vertex_normals=content.normals,
        vertex_colors=content.colors,
        process=False,
    )

    def add_comment(tree: dict[str, Any]) -> None:
        tree["asset"]["generator"] = "recon"
        if content.comment:
            tree["asset"]["extras"] = {"comment": "\n".join(content.comment)}

    scene = trimesh.Scene({"surface": made})
    data = export_glb(scene, include_normals=content.normals is not None, tree_postprocessor=add_comment)
    assert isinstance(data, bytes)
    file.write(data)


WRITERS: dict[str, Callable[[BinaryIO, _Content], None]] = {
    ".ply": _write_ply,
    ".obj": _write_obj,
    ".stl": _write_stl,
    ".glb": _write_glb,
}
"""The formats that meshes are written in, by suffix."""
