"""Marching cubes on a list of grid cells: inside is below the level, faces wind so that normals point outside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import mcubes
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from recon.geometry import Mesh

CORNERS = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)])
"""The corners of a cell, [8, 3]; bit i of a cell's case says that corner i is inside."""

MARGIN = 1e-3
"""Vertices keep this fraction of an edge away from grid points, so that no face collapses to a line or a point,
and single-precision files keep vertices apart."""


@dataclass(frozen=True)
class Cells:
    """Cells that the surface crosses: index of the lowest corner and the values at the corners, ordered as CORNERS."""

    index: Int[np.ndarray, "m 3"]
    values: Float[np.ndarray, "m 8"]

    @staticmethod
    def join(parts: list[Cells]) -> Cells:
        """All cells of several lists."""
        if not parts:
            return Cells(np.zeros((0, 3), np.int64), np.zeros((0, 8), np.float32))
        return Cells(np.concatenate([p.index for p in parts]), np.concatenate([p.values for p in parts]))


@dataclass(frozen=True)
class _Table:
    """Triangles of case c: rows first[c] to first[c + 1] of `edges`; an edge is its start corner * 3 + its axis."""

    first: Int[np.ndarray, "257"]
    edges: Int[np.ndarray, "t 3"]


@cache
def _table() -> _Table:
    """The case table of PyMCubes, read off by running it on each of the 256 single cells."""
    first, edges = [0], []
    for case in range(256):
        inside = (case >> np.arange(8)) & 1
        vertices, faces = mcubes.marching_cubes(np.where(inside, -1.0, 1.0).reshape(2, 2, 2), 0.0)
        start = np.floor(vertices).astype(np.int64) @ (4, 2, 1)
        edge = start * 3 + np.argmax(vertices % 1 > 0, axis=1)
        # PyMCubes winds faces towards the smaller values.
        edges.append(edge[faces.astype(np.int64)[:, ::-1]])
        first.append(first[-1] + len(faces))
    return _Table(np.array(first), np.concatenate(edges))


def crossed(inside: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x-1 y-1 z-1"]:
    """Cells of a grid whose corners are not all on one side."""
    cases = cell_cases(inside)
    return (cases != 0) & (cases != 255)


def cell_cases(inside: Bool[np.ndarray, "x y z"]) -> UInt8[np.ndarray, "x-1 y-1 z-1"]:
    """The case of each cell of a grid, from 0 (all outside) to 255 (all inside)."""
    x, y, z = (size - 1 for size in inside.shape)
    bits = inside.astype(np.uint8)
    cases = np.zeros((x, y, z), np.uint8)
    for bit, (i, j, k) in enumerate(CORNERS):
        cases |= bits[i : i + x, j : j + y, k : k + z] << np.uint8(bit)
    return cases


def polygonise(cells: Cells, axis: Float[np.ndarray, " n"], level: float = 0.0) -> Mesh:
    """The surface within the cells, welded, in the frame of `axis`: the coordinate of each grid index, on any axis.

    The result depends on the set of cells only, not on their order.
    """
    size, table = len(axis), _table()
    order = np.argsort(_point_key(cells.index, size))
    index, values = cells.index[order].astype(np.int64), cells.values[order].astype(np.float64) - level
    cases = (values < 0) @ (1 << np.arange(8))
    count = table.first[cases + 1] - table.first[cases]
    cell = np.repeat(np.arange(len(index)), count)
    nth = np.arange(len(cell)) - np.repeat(np.cumsum(count) - count, count)
    edge = table.edges[table.first[cases[cell]] + nth]

    corner, along = np.divmod(edge.reshape(-1), 3)
    cell = np.repeat(cell, 3)
    key = _point_key(index[cell] + CORNERS[corner], size) * 3 + along
    _, once, vertex_of = np.unique(key, return_index=True, return_inverse=True)
    vertices = _cut_edges(index[cell[once]], values[cell[once]], corner[once], along[once], axis)
    return Mesh(vertices, vertex_of.reshape(-1, 3))


def _cut_edges(
    index: Int[np.ndarray, "v 3"],
    values: Float[np.ndarray, "v 8"],
    corner: Int[np.ndarray, " v"],
    along: Int[np.ndarray, " v"],
    axis: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "v 3"]:
    """Where the surface, at value 0, cuts one edge of each cell; values are taken as linear along it."""
    row, step = np.arange(len(index)), np.array([4, 2, 1])
    start, end = values[row, corner], values[row, corner + step[along]]
    t = np.clip(start / (start - end), MARGIN, 1 - MARGIN)
    from_index = index + CORNERS[corner]
    points = axis[from_index]
    lowest = from_index[row, along]
    points[row, along] += t * (axis[lowest + 1] - axis[lowest])
    return points


def _point_key(index: Int[np.ndarray, "m 3"], size: int) -> Int[np.ndarray, " m"]:
    """One number for each grid point."""
    return (index[:, 0].astype(np.int64) * size + index[:, 1]) * size + index[:, 2]
