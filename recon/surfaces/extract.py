"""Level set of a function over the box [-half, half]^3 as a mesh in the same frame; the function is negative inside.

Dense and adaptive extraction give the same mesh where the adaptive one misses nothing, and say if that is proven.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from recon.geometry import DOMAIN, Mesh
from recon.surfaces.grid import Function, Progress, SparseGrid, evaluate, grid_axis, offsets
from recon.surfaces.marching import CORNERS, Cells, crossed, polygonise

ASSUMED_SLOPE = 1.5
"""Change of the function per unit length that is assumed where no bound is known: a learned signed distance has
slope 1 on average and somewhat more in places."""

_FINEST = 2
_BATCH = 2**15


@dataclass(frozen=True)
class Extraction:
    """A mesh, what it cost, and whether it holds every part of the surface that the grid can see."""

    mesh: Mesh
    evaluations: int
    """Points at which the function was computed."""
    complete: bool
    """True where it is proven that dense extraction would give the same mesh."""
    note: str
    """The reason, in words for a person."""


def extract_dense(
    f: Function,
    resolution: int,
    half: float = DOMAIN,
    level: float = 0.0,
    *,
    chunk: int = 2**18,
    progress: Progress | None = None,
) -> Extraction:
    """Marching cubes on linspace(-half, half, resolution)^3, a few layers at a time."""
    axis, level = grid_axis(resolution, half), float(np.float32(level))
    thick = max(1, chunk // resolution**2)
    total, parts = resolution**3, []
    last = np.zeros((0, resolution, resolution), np.float32)
    for start in range(0, resolution, thick):
        layers = axis[start : start + thick]
        points = np.stack(np.meshgrid(layers, axis, axis, indexing="ij"), axis=-1, dtype=np.float32)
        values = evaluate(f, points.reshape(-1, 3), chunk).reshape(points.shape[:3])
        slab = np.concatenate([last, values])
        parts.append(_crossed_cells(slab, level, first=start - len(last)))
        last = values[-1:]
        if progress:
            progress(min(start + thick, resolution) * resolution**2, total)
    mesh = polygonise(Cells.join(parts), axis, level)
    note = f"every point of the {resolution}^3 grid was evaluated" + _open_note(mesh, half)
    return Extraction(mesh, total, True, note)


def extract_adaptive(
    f: Function,
    resolution: int,
    lipschitz: float | None,
    half: float = DOMAIN,
    level: float = 0.0,
    *,
    chunk: int = 2**18,
    coarse: int | None = None,
    progress: Progress | None = None,
) -> Extraction:
    """As `extract_dense`, but computes f only in blocks of cells that may hold the surface, from coarse to fine.

    `lipschitz` bounds how fast f changes per unit length (1 for a true signed distance): a block is left out where
    |f - level| at its centre is more than the bound times the way to its farthest corner. Without a bound,
    ASSUMED_SLOPE and the signs at the corners choose the blocks. Either way the surface is then followed: a sign
    change on the face of a block brings in the block behind it. `coarse` limits the blocks an axis to begin with.
    """
    if lipschitz is not None and not lipschitz > 0:
        raise ValueError(f"lipschitz must be positive, or None where no bound is known; got {lipschitz}")
    axis, level = grid_axis(resolution, half), float(np.float32(level))
    grid = SparseGrid(f, axis, chunk, progress)
    cells = resolution - 1
    # Without a bound a feature is found only where the first blocks see it, so there are more of them on fine grids.
    coarse = coarse or (32 if lipschitz is not None else min(64, max(32, resolution // 8)))
    size = _FINEST
    while -(-cells // size) > coarse:
        size *= 2
    blocks = offsets(-(-cells // size)) * size
    while True:
        blocks = blocks[_may_hold(grid, blocks, size, lipschitz, level)]
        if size == _FINEST:
            break
        size //= 2
        children = (blocks[:, None] + offsets(2) * size).reshape(-1, 3)
        blocks = children[(children < cells).all(axis=1)]

    found, followed, steepest = _follow(grid, blocks, cells, level)
    mesh = polygonise(found, axis, level)
    complete, note = _verdict(lipschitz, followed, steepest * cells / (2 * half))
    return Extraction(mesh, grid.evaluations, complete, note + _open_note(mesh, half))


def _may_hold(
    grid: SparseGrid, blocks: Int[np.ndarray, "b 3"], size: int, lipschitz: float | None, level: float
) -> Bool[np.ndarray, " b"]:
    """Whether the level may pass through each block: `size` cells from its lowest corner, less at the box's end."""
    last = len(grid.axis) - 1
    spacing = float(grid.axis[-1] - grid.axis[0]) / last
    centre, end = np.minimum(blocks + size // 2, last), np.minimum(blocks + size, last)
    reach = spacing * np.linalg.norm(np.maximum(centre - blocks, end - centre), axis=1)
    value = grid.read(centre)
    slope = ASSUMED_SLOPE if lipschitz is None else lipschitz
    # The last term covers the rounding of values computed in single precision.
    near = np.abs(value - level) <= slope * reach * (1 + 1e-5) + 1e-6 * max(1.0, abs(level))
    if lipschitz is None:
        corners = np.minimum(blocks[:, None] + CORNERS * size, last)
        near |= ((grid.read(corners) < level) != (value < level)[:, None]).any(axis=1)
    return near


def _follow(grid: SparseGrid, blocks: Int[np.ndarray, "b 3"], cells: int, level: float) -> tuple[Cells, int, float]:
    """Crossed cells of the finest blocks and of all blocks that the surface enters from them.

    Returns the cells, how many blocks were added by following, and the largest change of f along one grid edge.
    """
    across = -(-cells // _FINEST)
    active = np.zeros((across,) * 3, bool)
    front, parts, followed, steepest = blocks // _FINEST, [], 0, 0.0
    active[tuple(front.T)] = True
    while len(front):
        behind = []
        for start in range(0, len(front), _BATCH):
            some = front[start : start + _BATCH]
            points = np.minimum(some[:, None] * _FINEST + offsets(_FINEST + 1), cells)
            values = grid.read(points).reshape(-1, *(_FINEST + 1,) * 3)
            parts.extend(_block_cells(some * _FINEST, values, cells, level))
            behind.append(_behind(some, values < level))
            steepest = max([steepest, *(float(np.abs(np.diff(values, axis=a)).max()) for a in (1, 2, 3))])
        front = np.concatenate(behind)
        front = front[((front >= 0) & (front < across)).all(axis=1)]
        front = np.unique(front[~active[tuple(front.T)]], axis=0)
        active[tuple(front.T)] = True
        followed += len(front)
    return Cells.join(parts), followed, steepest


def _behind(blocks: Int[np.ndarray, "b 3"], inside: Bool[np.ndarray, "b s s s"]) -> Int[np.ndarray, "m 3"]:
    """Neighbours of the blocks across faces on which the sign changes."""
    found = []
    for axis in range(3):
        for side, step in ((0, -1), (-1, 1)):
            face = inside.take(side, axis=axis + 1).reshape(len(blocks), -1)
            mixed = face.any(axis=1) & ~face.all(axis=1)
            found.append(blocks[mixed] + step * np.eye(3, dtype=np.int64)[axis])
    return np.concatenate(found)


def _block_cells(
    origin: Int[np.ndarray, "b 3"], values: Float[np.ndarray, "b s s s"], cells: int, level: float
) -> list[Cells]:
    """Crossed cells of many blocks; a block at the box's far faces may stick out, its cells there do not count."""
    parts = []
    for i, j, k in offsets(values.shape[1] - 1):
        corners = values[:, i : i + 2, j : j + 2, k : k + 2].reshape(-1, 8)
        inside = corners < level
        index = origin + (i, j, k)
        keep = inside.any(axis=1) & ~inside.all(axis=1) & (index < cells).all(axis=1)
        parts.append(Cells(index[keep], corners[keep]))
    return parts


def _crossed_cells(slab: Float[np.ndarray, "x y z"], level: float, first: int) -> Cells:
    """Crossed cells of a few layers of the grid, the first of which has index `first`."""
    inside = slab < level
    if len(slab) < 2 or inside.all() or not inside.any():
        return Cells.join([])
    index = np.argwhere(crossed(inside))
    corners = index[:, None] + CORNERS
    return Cells(index + (first, 0, 0), slab[corners[..., 0], corners[..., 1], corners[..., 2]])


def _verdict(lipschitz: float | None, followed: int, slope: float) -> tuple[bool, str]:
    """Whether nothing can be missing, and why."""
    if lipschitz is None:
        return False, (
            "completeness is unproven: no bound on the function's slope is known,"
            f" {ASSUMED_SLOPE:g} was assumed (steepest seen: {slope:.3g}) and the surface followed by its signs"
        )
    if followed or slope > 1.01 * lipschitz:
        return False, (
            f"completeness is unproven: the bound {lipschitz:g} on the slope does not hold"
            f" (steepest seen: {slope:.3g}; {followed} blocks were found only by following signs)"
        )
    return True, f"nothing is missing, given that the function changes by at most {lipschitz:g} per unit"


def _open_note(mesh: Mesh, half: float) -> str:
    """A warning where the surface runs into the faces of the box."""
    touches = len(mesh.vertices) and np.abs(mesh.vertices).max() >= half * (1 - 1e-9)
    return "; the surface reaches the faces of the box and is open there" if touches else ""
