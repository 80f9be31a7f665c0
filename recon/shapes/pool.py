"""A large pool of points with exact distances: made once, cached on disk, and walked in a new order each pass."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

from recon.files import atomic_write_bytes
from recon.shapes.distance import CHUNK
from recon.shapes.sampling import GROUPS, PerGroup, SamplerConfig, draw
from recon.shapes.shape import Shape

FORMAT = 1
"""Raised when the same settings would make another pool, so that old cache files are not taken for it."""


@dataclass(frozen=True)
class Batch:
    """Training points with their targets, float32."""

    points: Float[Tensor, "n 3"]
    distance: Float[Tensor, " n"]
    """Signed distance; or, for the target "inside", -1 inside, 1 outside, 0 on the surface."""
    weight: Float[Tensor, " n"]


class Pool:
    """Points with targets. Batch `step` depends on the seed and the step alone, so a resumed run goes on exactly."""

    def __init__(
        self,
        points: Float32[np.ndarray, "n 3"],
        distance: Float32[np.ndarray, " n"],
        group: UInt8[np.ndarray, " n"],
        config: SamplerConfig,
        seed: int,
    ) -> None:
        self.points, self.distance, self.group = points, distance, group
        self.config, self.seed = config, seed
        rows = np.column_stack([points, distance])
        self._members = [rows[group == g] for g in range(len(GROUPS))]
        self._passes: dict[tuple[int, int], Tensor] = {}

    def __len__(self) -> int:
        return len(self.points)

    @property
    def weights(self) -> PerGroup:
        """Weight of a point of each group."""
        return self.config.weights

    def batch(self, step: int, size: int) -> Batch:
        """Batch number `step` of batches of one size: each group gives its share, the next of its current pass."""
        parts, weights = [], []
        counts = self.config.counts(size)
        for group, (count, weight) in enumerate(zip(counts, astuple(self.weights), strict=True)):
            if count:
                parts += self._stretch(group, step * count, count)
                weights.append(torch.full((count,), float(weight)))
        rows = torch.cat(parts) if parts else torch.zeros(0, 4)
        weight = torch.cat(weights) if weights else torch.zeros(0)
        return Batch(rows[:, :3].contiguous(), rows[:, 3].contiguous(), weight)

    def _stretch(self, group: int, start: int, count: int) -> list[Float[Tensor, "m 4"]]:
        """Rows start .. start + count of the group's endless walk, in which every pass holds each row once."""
        length = len(self._members[group])
        if not length:
            raise ValueError(f"a pool of {len(self)} points has none in the group '{GROUPS[group]}'; make it larger")
        parts, end = [], start + count
        while start < end:
            index, offset = divmod(start, length)
            part = self._pass(group, index)[offset : offset + end - start]
            parts.append(part)
            start += len(part)
        return parts

    def _pass(self, group: int, index: int) -> Float[Tensor, "m 4"]:
        """The group's rows in the order of one pass, kept until the next but one is asked for."""
        if (group, index) not in self._passes:
            for key in [key for key in self._passes if key[0] == group and key[1] != index - 1]:
                del self._passes[key]
            order = np.random.default_rng([self.seed, group, index]).permutation(len(self._members[group]))
            self._passes[group, index] = torch.from_numpy(self._members[group][order])
        return self._passes[group, index]


def build_pool(
    shape: Shape,
    config: SamplerConfig,
    size: int,
    seed: int,
    cache: Path | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Pool:
    """Pool of `size` points with exact targets, from the cache folder if there; `progress` hears (done, total)."""
    if size < 1:
        raise ValueError(f"a pool needs at least one point, got {size}")
    key = _key(shape, config, size, seed)
    path = cache / f"pool-{key[:32]}.safetensors" if cache else None
    arrays = _read(path, key, size) if path and path.exists() else None
    if arrays is None:
        arrays = _make(shape, config, size, seed, progress)
        if path:
            _write(path, key, arrays)
    return Pool(arrays["points"], arrays["distance"], arrays["group"], config, seed)


def _make(
    shape: Shape, config: SamplerConfig, size: int, seed: int, progress: Callable[[int, int], None] | None
) -> dict[str, np.ndarray]:
    points, group = draw(shape, config, size, np.random.default_rng(seed))
    answer = shape.signed_distance if config.target == "distance" else _sign_of(shape)
    distance = np.zeros(size, np.float32)
    off = np.flatnonzero(group > 0)  # points drawn on the surface are at distance 0, whatever rounding says
    for start in range(0, len(off), CHUNK):
        rows = off[start : start + CHUNK]
        distance[rows] = answer(points[rows].astype(np.float64))
        if progress:
            progress(start + len(rows), len(off))
    return {"points": points, "distance": distance, "group": group}


def _sign_of(shape: Shape) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.where(shape.inside(x), -1.0, 1.0)


# -- the cache --------------------------------------------------------------------------------------------------------


def _key(shape: Shape, config: SamplerConfig, size: int, seed: int) -> str:
    """Names everything the pool's points depend on; weights are no part of it."""
    settings = {name: value for name, value in asdict(config).items() if name != "weights"}
    facts = {"format": FORMAT, "shape": shape.content_hash(), "settings": settings, "size": size, "seed": seed}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _digest(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def _read(path: Path, key: str, size: int) -> dict[str, np.ndarray] | None:
    """The arrays of a cache file, or none (and a warning) if it is not whole and the right one."""
    try:
        with safe_open(path, framework="numpy") as file:
            facts = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError) as error:
        found = str(error)
    else:
        whole = {"points": (size, 3), "distance": (size,), "group": (size,)}
        if {name: array.shape for name, array in arrays.items()} != whole:
            found = "it holds something else"
        elif facts.get("key") != key or facts.get("sha256") != _digest(arrays):
            found = "its checksum is wrong"
        else:
            return arrays
    warnings.warn(f"the cached pool {path} is damaged ({found}); making it again", stacklevel=3)
    return None


def _write(path: Path, key: str, arrays: dict[str, np.ndarray]) -> None:
    """A full disk costs only the cache."""
    try:
        atomic_write_bytes(path, save(arrays, {"key": key, "sha256": _digest(arrays)}))
    except OSError as error:
        warnings.warn(
            f"the pool could not be cached at {path} ({error}); it will be made again next time", stacklevel=3
        )
