"""What a prediction is scored against: a grid of truth, points near the surface, points on it. Cached by content."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from safetensors import SafetensorError
from safetensors.numpy import load as parse
from safetensors.numpy import save

from recon.files import atomic_write_bytes
from recon.geometry import DOMAIN
from recon.shapes.distance import CloudDistance, Distance
from recon.shapes.grid import grid_signs_and_band
from recon.shapes.shape import Shape
from recon.surfaces.normals import mesh_normals

GRID = 128
"""Points per axis of linspace(-1.2, 1.2) on which IoU and Trimap IoU are taken (Neural Experts, A.3)."""
BANDS = (0.1, 0.01, 0.005, 0.001)
"""Distances of the Trimap IoU, in normalised units."""
NEAR_SAMPLES = 1_600_000
"""Draws near the surface, of which more than a million fall within the narrowest band."""
_NEAR_SHARES = (0.1, 0.12, 0.1, 0.68)
THIN = 2e-3
"""Bands up to this are sampled along normals; wider ones are bent too much for that."""
FORMAT = 2


@dataclass(frozen=True)
class Ruler:
    """Where the grid lies, and what a unit of length is, for scores taken in another frame than the normalised one."""

    half: float = DOMAIN
    """The grid is linspace(-half, half, 128)^3 in the frame of the shape."""
    scale: float = 1.0
    """Lengths in the frame of the shape are this many times those that scores are told in."""
    units: str = "normalised units (the shape fits [-1, 1]^3)"
    grid: str = f"linspace(-{DOMAIN}, {DOMAIN}, {GRID})^3"

    @property
    def bands(self) -> tuple[float, ...]:
        """BANDS in the frame of the shape."""
        return tuple(band * self.scale for band in BANDS)


@dataclass(frozen=True)
class Truth:
    """Facts about a shape in its frame."""

    inside: Bool[np.ndarray, "r r r"]
    """Of the ruler's grid."""
    band_index: Int[np.ndarray, " b"]
    """Flat indices of the grid points within 0.1 of the surface."""
    band_distance: Float32[np.ndarray, " b"]
    """Their distances from the surface, unsigned."""
    near_points: Float32[np.ndarray, "m 3"]
    """Random points within 0.1 of the surface, most of them within 0.001."""
    near_weight: Float32[np.ndarray, " m"]
    """The volume that each stands for."""
    near_distance: Float32[np.ndarray, " m"]
    """Their distances, unsigned."""
    near_inside: Bool[np.ndarray, " m"]
    ruler: Ruler

    @cached_property
    def grid_points(self) -> Float32[np.ndarray, "n 3"]:
        """Points of the grid in the order of the flat indices."""
        axis = np.linspace(-self.ruler.half, self.ruler.half, len(self.inside), dtype=np.float32)
        return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)


def truth_of(
    shape: Shape, seed: int = 0, protocol: str = "default", cache: Path | None = None, ruler: Ruler | None = None
) -> Truth:
    """The truth about a shape, from the cache folder where it is there.

    protocol "paper": distances to the nearest input vertex, signs from its normal, as Neural Experts measured them."""
    ruler = ruler or Ruler()
    facts = f"truth {FORMAT} {shape.content_hash()} {seed} {protocol} {GRID} {NEAR_SAMPLES} {ruler.half} {ruler.scale}"
    key = hashlib.sha256(facts.encode()).hexdigest()[:32]
    path = cache / f"truth-{key}.safetensors" if cache else None
    if path and (found := _read(path, ruler)):
        return found
    distance = shape.distance
    if protocol == "paper" and shape.mesh is not None:
        distance = CloudDistance(shape.mesh.vertices, mesh_normals(shape.mesh))
    grid = grid_signs_and_band(distance, GRID, ruler.half, max(ruler.bands))
    points, volume, unsigned = _near_points(shape, distance, np.random.default_rng(seed), ruler.bands)
    inside = np.concatenate([distance.inside(part) for part in _parts(points)])
    truth = Truth(
        grid.inside,
        grid.band_index,
        np.abs(grid.band_distance).astype(np.float32),
        points.astype(np.float32),
        volume.astype(np.float32),
        unsigned.astype(np.float32),
        inside,
        ruler,
    )
    if path:
        arrays = {f.name: np.ascontiguousarray(getattr(truth, f.name)) for f in fields(Truth) if f.name != "ruler"}
        try:
            atomic_write_bytes(path, save(arrays))
        except OSError as error:  # costs only the time to make it again
            warnings.warn(f"the truth could not be cached ({error}); it will be made again next time", stacklevel=2)
    return truth


def _near_points(
    shape: Shape, distance: Distance, rng: np.random.Generator, bands: tuple[float, ...]
) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Random points, the volume that each stands for, and their distances: layer by layer, evenly within each."""
    kept, inner = [], 0.0
    for outer, share in sorted(zip(bands, _NEAR_SHARES, strict=True)):
        draws = round(share * NEAR_SAMPLES)
        if outer <= THIN:
            points, least, volume = _along_normals(shape, rng, inner, outer, draws)
        else:
            points, least, volume = _in_cells(shape, distance, rng, outer, draws)
        unsigned = np.concatenate([distance.unsigned(part) for part in _parts(points)])
        member = (unsigned >= least) & (unsigned <= outer) & ((unsigned > inner) | (inner == 0))
        kept.append((points[member], np.full(np.count_nonzero(member), volume / draws), unsigned[member]))
        inner = outer
    points, volumes, distances = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    return points, volumes, distances


def _along_normals(
    shape: Shape, rng: np.random.Generator, inner: float, outer: float, draws: int
) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, " m"], float]:
    """Surface points moved along their normals, the distance that each must have, and the volume of all.

    A point belongs to the surface point below it only where that is its nearest: else it would count twice."""
    base, normal = shape.surface(draws, rng)
    away = rng.uniform(inner, outer, draws) * rng.choice((-1.0, 1.0), draws)
    area = float(shape.mesh.face_areas().sum()) if shape.mesh is not None else 1.0
    return base + away[:, None] * normal, np.abs(away) * (1 - 1e-3) - 1e-6, 2 * (outer - inner) * area


def _in_cells(
    shape: Shape, distance: Distance, rng: np.random.Generator, reach: float, draws: int
) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, " m"], float]:
    """Points spread evenly over cubes that cover everything within `reach` of the surface, 0, and the cubes' volume."""
    assert shape.mesh is not None or shape.cloud is not None
    around = shape.mesh.vertices if shape.mesh is not None else shape.cloud.points  # pyright: ignore
    low, extent = around.min(axis=0) - reach, float(np.ptp(around, axis=0).max()) + 2 * reach
    cells, side, half = np.zeros((1, 3)), extent, np.stack(np.meshgrid(*[(0, 1)] * 3), axis=-1).reshape(-1, 3)
    while side > max(2 * reach, extent / 128):
        cells, side = (2 * cells[:, None] + half).reshape(-1, 3), side / 2
        # distance is 1-Lipschitz: no point of a cell is nearer than its middle less half its diagonal
        cells = cells[distance.unsigned(low + (cells + 0.5) * side) <= reach + side * np.sqrt(3) / 2]
    points = low + (cells[rng.integers(len(cells), size=draws)] + rng.random((draws, 3))) * side
    return points, np.zeros(draws), len(cells) * side**3


def _parts(points: Float[np.ndarray, "m 3"], size: int = 200_000) -> Iterator[Float[np.ndarray, "p 3"]]:
    for start in range(0, len(points), size):
        yield points[start : start + size]


def _read(path: Path, ruler: Ruler) -> Truth | None:
    """A cache file's truth; none where it is missing or not whole, in which case it is made again."""
    try:
        return Truth(**parse(path.read_bytes()), ruler=ruler)
    except (OSError, SafetensorError, TypeError, ValueError):
        return None
