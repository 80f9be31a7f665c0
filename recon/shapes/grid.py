"""Truth on a regular grid: which points are inside, and the exact distance of those near the surface.

Only blocks of points that may lie near the surface are evaluated point by point; distance is 1-Lipschitz, so the
answer is exactly that of evaluating every point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from recon.shapes.distance import Distance

COARSEST, FINEST = 32, 4
"""Points on a side of the first and the last blocks."""


@dataclass(frozen=True)
class GridTruth:
    """What is true on linspace(-half_width, half_width, r)^3, flat indices in C order of [x, y, z]."""

    inside: Bool[np.ndarray, "r r r"]
    band_index: Int[np.ndarray, " m"]
    """Flat indices of the points within the band, ascending."""
    band_distance: Float[np.ndarray, " m"]
    """Their exact signed distances."""


def grid_signs_and_band(distance: Distance, resolution: int, half_width: float, band: float) -> GridTruth:
    """Signs of all points of the grid, and signed distances where |distance| <= band."""
    axis = np.linspace(-half_width, half_width, resolution)
    inside = np.zeros((resolution,) * 3, bool)
    near = []
    size = COARSEST
    blocks = _lattice(-(-resolution // size))
    while True:
        low, high = blocks * size, np.minimum((blocks + 1) * size, resolution)
        centre = (axis[low] + axis[high - 1]) / 2
        radius = np.linalg.norm(axis[high - 1] - axis[low], axis=1) / 2
        far = distance.unsigned(centre) > radius + band
        if distance.closed and far.any():
            for (i, j, k), (p, q, r) in zip(
                low[far][solid := distance.inside(centre[far])], high[far][solid], strict=True
            ):
                inside[i:p, j:q, k:r] = True
        blocks = blocks[~far]
        if size == FINEST:
            near = _points_of(blocks, size, resolution)
            break
        size //= 2
        children = (blocks[:, None] * 2 + _lattice(2)).reshape(-1, 3)
        blocks = children[(children * size < resolution).all(axis=1)]
    index = np.sort(np.ravel_multi_index(tuple(near.T), inside.shape))
    points = axis[np.stack(np.unravel_index(index, inside.shape), axis=1)]
    unsigned = distance.unsigned(points)
    if distance.closed:
        inside.reshape(-1)[index] = distance.inside(points)
    else:  # holes, or a cloud: the sign may flip far from the surface, so each point is asked for its own
        inside = _all_signs(distance, axis)
    within = unsigned <= band
    sign = np.where(inside.reshape(-1)[index[within]], -1.0, 1.0)
    return GridTruth(inside, index[within], sign * unsigned[within])


def _lattice(n: int) -> Int[np.ndarray, "m 3"]:
    return np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


def _points_of(blocks: Int[np.ndarray, "b 3"], size: int, resolution: int) -> Int[np.ndarray, "p 3"]:
    """Grid indices of all points of the blocks, those beyond the grid left out."""
    points = (blocks[:, None] * size + _lattice(size)).reshape(-1, 3)
    return points[(points < resolution).all(axis=1)]


def _all_signs(distance: Distance, axis: Float[np.ndarray, " r"]) -> Bool[np.ndarray, "r r r"]:
    plane = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    slabs = [distance.inside(np.column_stack([np.full(len(plane), x), plane])) for x in axis]
    return np.stack(slabs).reshape((len(axis),) * 3)
