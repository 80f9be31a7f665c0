"""Mesh files other than PLY: bytes in, stored vertices and triangles out; sizes are judged before memory is taken.

OBJ and OFF (and PLY, in ply.py) are not left to trimesh: it splits OBJ vertices at texture seams, so that a closed
surface looks torn, and refuses binary PLY of mixed polygons. STL and glTF are trimesh's, from bytes alone: a file can
name no other file or address for it to open.
"""

from __future__ import annotations

import io
import struct
import warnings

import numpy as np
import trimesh
from jaxtyping import Float, Int

from recon.files import parse_json
from recon.shapes.polygons import (
    MAX_HEADER,
    NO_FACES,
    BadShape,
    Stored,
    check_faces,
    fan,
    merge_positions,
    numbers,
    parse_count,
)


def off_counts(head: bytes) -> tuple[int, int, int]:
    """Vertices, faces and numbers a vertex of an OFF file, from its first bytes (ModelNet's 'OFF12 34 0' too)."""
    words = _without_comments(head).split(None, 4)
    kind, fused, first = words[0].partition(b"OFF") if words else (b"", b"", b"")
    widths = {b"": 3, b"N": 6, b"C": 7}  # with normals, with colours; a colour may also have 3 numbers
    if not fused or kind not in widths:
        raise BadShape(f"not an OFF file: it starts with {head[:8]!r}")
    counts = ([first] if first else []) + words[1:]
    try:
        return parse_count(counts[0].decode()), parse_count(counts[1].decode()), widths[kind]
    except (IndexError, ValueError) as error:
        raise BadShape("the OFF file has no line of counts") from error


def read_off(data: bytes, max_faces: int) -> Stored:
    """Vertices and triangulated faces of a text OFF file; colours are passed over."""
    vertices, faces, _ = off_counts(data[:MAX_HEADER])
    check_faces(faces, max_faces)
    lines = [line for line in _without_comments(data).split(b"\n") if line.strip()]
    # The counts share the first line with the magic word, or have a line of their own.
    lines = lines[1 if len(lines[0].split()) >= 3 or lines[0].strip() not in (b"OFF", b"COFF", b"NOFF") else 2 :]
    if len(lines) < vertices + faces:
        raise BadShape(
            f"the file is cut short: {vertices:,} vertices and {faces:,} faces need more than {len(lines):,} rows"
        )
    points = [line.split()[:3] for line in lines[:vertices]]
    if any(len(point) != 3 for point in points):
        raise BadShape("a vertex of the OFF file has fewer than three numbers")
    polygons = [line.split() for line in lines[vertices : vertices + faces]]
    sizes = _integers([polygon[0] for polygon in polygons])
    polygons = [polygon[1 : size + 1] for polygon, size in zip(polygons, sizes.tolist(), strict=True)]
    if any(len(polygon) != size for polygon, size in zip(polygons, sizes.tolist(), strict=True)):
        raise BadShape("a face of the OFF file has fewer corners than it says")
    corners = _integers([word for polygon in polygons for word in polygon])
    return Stored(numbers([word for point in points for word in point]).reshape(-1, 3), fan(sizes, corners))


def _without_comments(text: bytes) -> bytes:
    return b"\n".join(line.split(b"#", 1)[0] for line in text.splitlines())


def _integers(words: list[bytes]) -> Int[np.ndarray, " n"]:
    try:
        return np.array([int(word) for word in words], dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise BadShape(f"a face holds something that is no index: {str(error)[:80]}") from error


def read_obj(data: bytes, max_faces: int) -> Stored:
    """Vertices and triangulated faces of an OBJ file; materials, texture coordinates and normals are passed over."""
    points, sizes, corners = [], [], []
    for line in data.replace(b"\\\n", b" ").splitlines():
        words = line.split()
        if words[:1] == [b"v"]:
            if len(words) < 4:
                raise BadShape("a vertex of the OBJ file has fewer than three numbers")
            points += words[1:4]
        elif words[:1] == [b"f"]:
            sizes.append(len(words) - 1)
            found = _integers([word.split(b"/", 1)[0] for word in words[1:]])
            if (found == 0).any():
                raise BadShape("a face of the OBJ file names vertex 0; they count from 1")
            # Negative indices count back from the vertices read so far.
            corners.append(np.where(found > 0, found - 1, found + len(points) // 3))
            check_faces(len(sizes), max_faces)
    flat = np.concatenate(corners) if corners else np.zeros(0, np.int64)
    return Stored(numbers(points).reshape(-1, 3), fan(np.array(sizes, np.int64), flat))


def stl_faces(head: bytes, size: int) -> int:
    """Faces of an STL file of `size` bytes: exact for a binary file, an upper bound for a text one."""
    if len(head) >= 84 and size == 84 + 50 * (count := struct.unpack("<I", head[80:84])[0]):
        return count
    return size // 90 if head.lstrip()[:5].lower() == b"solid" else 0


def read_stl(data: bytes, max_faces: int) -> Stored:
    """Triangles of an STL file, whose corners are joined where their positions are equal."""
    check_faces(stl_faces(data[:84], len(data)), max_faces)
    meshes = _by_trimesh(data, "stl")
    vertices, faces = _concatenate([(mesh.vertices, mesh.faces) for mesh in meshes.geometry.values()])
    return merge_positions(vertices, faces)


def read_gltf(data: bytes, max_faces: int) -> Stored:
    """All triangles of a glTF scene (.glb, or .gltf with everything inside) in the scene's frame, corners joined.

    A glTF vertex is a corner with its own normal and texture place, so equal positions are one vertex of the surface.
    """
    kind = "glb" if data.startswith(b"glTF") else "gltf"
    check_faces(_gltf_corners(data, kind) // 3, max_faces)
    scene = _by_trimesh(data, kind)
    parts, total = [], 0
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        mesh = scene.geometry[name]
        if isinstance(mesh, trimesh.Trimesh):
            total += len(mesh.faces)
            check_faces(total, max_faces)
            mirrored = np.linalg.det(transform[:3, :3]) < 0
            parts.append((_transformed(mesh.vertices, transform), mesh.faces[:, ::-1] if mirrored else mesh.faces))
    vertices, faces = _concatenate(parts)
    if not ((faces >= 0) & (faces < len(vertices))).all():
        raise BadShape("a face names a vertex that does not exist")
    return merge_positions(vertices, faces)


def _gltf_corners(data: bytes, kind: str) -> int:
    """Largest number of corners the scene's accessors claim; refuses references to other files."""
    try:
        text = data[20 : 20 + struct.unpack("<I", data[12:16])[0]] if kind == "glb" else data
        root = parse_json(text)
        for buffer in root.get("buffers", []):
            if not str(buffer.get("uri", "data:")).startswith("data:"):
                raise BadShape(f"its data is in another file ({str(buffer['uri'])[:60]}); save it as one .glb file")
        accessors = root.get("accessors", [])
        counts = [parse_count(str(accessor["count"])) for accessor in accessors]
        # An accessor without a buffer is all zeros, of any length: memory that no byte of the file pays for.
        if sum(n for n, accessor in zip(counts, accessors, strict=True) if "bufferView" not in accessor) > len(data):
            raise BadShape("it claims more corners than it holds")
    except BadShape:
        raise
    except (struct.error, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise BadShape("not a glTF file") from error
    except ValueError as error:
        raise BadShape(f"not a glTF file: {error}") from error
    return max(counts, default=0)


def _by_trimesh(data: bytes, kind: str) -> trimesh.Scene:
    """Let trimesh parse bytes, without a resolver: it can open nothing else. Whatever it raises becomes one message."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return trimesh.load_scene(io.BytesIO(data), file_type=kind, process=False, skip_materials=True)
        except Exception as error:  # a third party's parser on bytes of any kind: every failure means the same here
            raise BadShape(f"not a readable {kind} file ({type(error).__name__}: {str(error)[:100]})") from error


def _transformed(points: Float[np.ndarray, "v 3"], matrix: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "v 3"]:
    return np.asarray(points, np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def _concatenate(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    if not parts:
        return np.zeros((0, 3)), NO_FACES
    starts = np.cumsum([0] + [len(vertices) for vertices, _ in parts])
    vertices = np.concatenate([np.asarray(vertices, np.float64) for vertices, _ in parts])
    return vertices, np.concatenate(
        [np.asarray(faces, np.int64) + s for (_, faces), s in zip(parts, starts, strict=False)]
    )
