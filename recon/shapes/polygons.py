"""What mesh files hold, not yet judged: vertices, polygons made triangles; and the one error of bad files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

MAX_HEADER = 1 << 20
"""Bytes of a file that may hold its header."""


class BadShape(ValueError):
    """A file that holds no usable shape; the message says why, without the file's name."""


class TooManyFaces(BadShape):
    """A mesh above the limit."""

    def __init__(self, faces: int, limit: int) -> None:
        super().__init__(f"{faces:,} faces are more than the limit of {limit:,}; raise it with --max-faces {faces}")


@dataclass(frozen=True)
class Stored:
    """What a file holds, in its own coordinates: triangles may be none, normals (one a vertex) may be missing."""

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    normals: Float[np.ndarray, "v 3"] | None = None


NO_FACES = np.zeros((0, 3), np.int64)


def fan(sizes: Int[np.ndarray, " p"], corners: Int[np.ndarray, " c"]) -> Int[np.ndarray, "f 3"]:
    """Triangles of polygons given by their sizes and concatenated corners, by fans (exact for convex polygons)."""
    start = np.cumsum(sizes) - sizes
    triangles = np.maximum(sizes - 2, 0)
    first = np.repeat(start, triangles)
    step = np.arange(len(first)) - np.repeat(np.cumsum(triangles) - triangles, triangles)
    return np.stack([corners[first], corners[first + step + 1], corners[first + step + 2]], axis=1).astype(np.int64)


def merge_positions(vertices: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"]) -> Stored:
    """One vertex for each exact position, in order of first appearance."""
    _, first, inverse = np.unique(vertices, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return Stored(vertices[first[order]], rank[inverse.reshape(-1)][faces])


def check_faces(count: int, limit: int) -> None:
    """Refuse more faces than the limit."""
    if count > limit:
        raise TooManyFaces(count, limit)


def parse_count(word: str) -> int:
    """A whole number of things, refused when negative or absurd."""
    count = int(word)
    if not 0 <= count < 1 << 40:
        raise BadShape(f"an impossible count of {count}")
    return count


def numbers(words: list[bytes]) -> Float[np.ndarray, " n"]:
    """Words of a text file as float64."""
    try:
        return np.array(words, dtype=np.float64) if words else np.zeros(0)
    except ValueError as error:
        raise BadShape(f"text where a number was expected: {str(error)[-60:]}") from error
