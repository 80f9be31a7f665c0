"""What a prediction is scored against: a grid of truth, points near the surface, points on it. Cached by content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from safetensors import SafetensorError
from safetensors.numpy import load as parse
from safetensors.numpy import save

from recon.geometry import DOMAIN
from recon.shapes.distance import CloudDistance
from recon.shapes.grid import grid_signs_and_band
from recon.shapes.shape import Shape
from recon.surfaces.normals import mesh_normals
from recon.training.files import atomic_write_bytes

GRID = 128
"""Points per axis of linspace(-1.2, 1.2) on which IoU and Trimap IoU are taken (Neural Experts, A.3)."""
BANDS = (0.1, 0.01, 0.005, 0.001)
"""Distances of the Trimap IoU, in normalised units."""
NEAR_SAMPLES = 1_400_000
"""Draws near the surface, of which more than a million fall within the narrowest band."""
_NEAR_SHARES = (0.07, 0.08, 0.08, 0.77)
FORMAT = 1


@dataclass(frozen=True)
class Truth:
    """Facts about a shape in the normalised frame; all arrays can be stored."""

    inside: Bool[np.ndarray, "r r r"]
    """Of the grid linspace(-1.2, 1.2, 128)^3."""
    band_index: Int[np.ndarray, " b"]
    """Flat indices of the grid points within 0.1 of the surface."""
    band_distance: Float32[np.ndarray, " b"]
    """Their distances from the surface, unsigned."""
    near_points: Float32[np.ndarray, "m 3"]
    """Random points within 0.1 of the surface, most of them within 0.001."""
    near_distance: Float32[np.ndarray, " m"]
    """Their distances, unsigned."""
    near_inside: Bool[np.ndarray, " m"]

    def near_weights(self) -> Float[np.ndarray, " m"]:
        """One over the density from which each near point was drawn, up to a constant."""
        return 1 / _density(self.near_distance.astype(np.float64))

    @cached_property
    def grid_points(self) -> Float32[np.ndarray, "n 3"]:
        """Points of the grid in the order of the flat indices."""
        axis = np.linspace(-DOMAIN, DOMAIN, len(self.inside), dtype=np.float32)
        return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)


def truth_of(shape: Shape, seed: int = 0, protocol: str = "default", cache: Path | None = None) -> Truth:
    """The truth about a shape, from the cache folder where it is there.

    protocol "paper": distances to the nearest input vertex, signs from its normal, as Neural Experts measured them."""
    key = hashlib.sha256(f"truth {FORMAT} {shape.content_hash()} {seed} {protocol} {GRID} {NEAR_SAMPLES}".encode())
    path = cache / f"truth-{key.hexdigest()[:32]}.safetensors" if cache else None
    if path and (found := _read(path)):
        return found
    distance = shape.distance
    if protocol == "paper" and shape.mesh is not None:
        distance = CloudDistance(shape.mesh.vertices, mesh_normals(shape.mesh))
    grid = grid_signs_and_band(distance, GRID, DOMAIN, max(BANDS))
    points, away = _near_points(shape, np.random.default_rng(seed))
    unsigned = np.concatenate([distance.unsigned(part) for part in _parts(points)])
    if protocol != "paper":
        # A point belongs to the surface point below it only where that is its nearest: else it would count twice.
        own = unsigned >= np.abs(away) * (1 - 1e-3) - 1e-6
        points, unsigned = points[own], unsigned[own]
    inside = np.concatenate([distance.inside(part) for part in _parts(points)])
    truth = Truth(
        grid.inside,
        grid.band_index,
        np.abs(grid.band_distance).astype(np.float32),
        points.astype(np.float32),
        unsigned.astype(np.float32),
        inside,
    )
    if path:
        atomic_write_bytes(path, save({f.name: np.ascontiguousarray(getattr(truth, f.name)) for f in fields(Truth)}))
    return truth


def _near_points(shape: Shape, rng: np.random.Generator) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, " m"]]:
    """Surface points moved along their normals by random offsets, and the offsets."""
    base, normal = shape.surface(NEAR_SAMPLES, rng)
    reach = rng.choice(np.asarray(BANDS), size=NEAR_SAMPLES, p=_NEAR_SHARES)
    away = rng.uniform(-1, 1, NEAR_SAMPLES) * reach
    return base + away[:, None] * normal, away


def _density(distance: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """Density of the offsets: a mixture of uniform ones, one for each band."""
    parts = [share / (2 * band) * (distance <= band) for share, band in zip(_NEAR_SHARES, BANDS, strict=True)]
    return np.maximum(np.sum(parts, axis=0), _NEAR_SHARES[0] / (2 * BANDS[0]))


def _parts(points: Float[np.ndarray, "m 3"], size: int = 200_000) -> Iterator[Float[np.ndarray, "p 3"]]:
    for start in range(0, len(points), size):
        yield points[start : start + size]


def _read(path: Path) -> Truth | None:
    """A cache file's truth; none where it is missing or not whole, in which case it is made again."""
    try:
        return Truth(**parse(path.read_bytes()))
    except (OSError, SafetensorError, TypeError, ValueError):
        return None
