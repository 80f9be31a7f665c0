"""Hash grid: features on grids of many resolutions, fine ones folded into tables by a hash, and a small ReLU network.

Level l has floor(base * growth^l) grid points an axis, spanning the cube inclusively. A level that fits its table is
stored densely; of the others, grid point c has row (c_0 ^ 2654435761 c_1 ^ 805459861 c_2) mod T (Instant-NGP, Eq. 4),
and colliding points share it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recon.fields.base import Field, FieldConfig
from recon.fields.feature_grid import MAX_ROWS, Lookup, at_corners, cells, dense_rows, hats
from recon.fields.layers import hidden_matrices, linear_macs, relu_stack

PRIMES = (1, 2654435761, 805459861)


@dataclass(frozen=True)
class HashGridConfig(FieldConfig):
    """Hash grid: Instant-NGP's multi-resolution hashed features in front of a small ReLU network."""

    paper: ClassVar[str] = "Müller et al. 2022"
    purpose: ClassVar[str] = "scenes, surfaces and pictures within minutes"

    levels: int = 16
    """Grids, coarse to fine."""
    features: int = 2
    """Features at each grid point."""
    table_log2: int = 19
    """Rows of a level's table are at most 2^table_log2."""
    coarsest: int = 16
    """Grid points per axis of the first level."""
    finest: int = 2048
    """Grid points per axis of the last level."""
    width: int = 64
    """Units of each hidden layer of the network behind the grids."""
    layers: int = 3
    """Linear layers of that network, last included."""
    init: float = 1e-4
    """Features start as U(-init, init)."""

    def __post_init__(self) -> None:
        if min(self.levels, self.features, self.width, self.layers) < 1 or not 0 <= self.init < math.inf:
            raise ValueError(f"hash-grid needs positive levels, features, width and layers, and init >= 0, got {self}")
        if not 2 <= self.coarsest <= self.finest <= 1 << 20:
            raise ValueError(f"hash-grid needs 2 <= coarsest <= finest <= 2^20, got {self.coarsest} and {self.finest}")
        if not 1 <= self.table_log2 <= 24:
            raise ValueError(f"table_log2 must lie in [1, 24], got {self.table_log2}")

    def build(self, in_dim: int, out_dim: int) -> HashGrid:
        return HashGrid(self, in_dim, out_dim)

    def scaled(self, factor: float) -> HashGridConfig:
        """`factor` times the rows: tables double or halve, and levels make up the rest; the network stays."""
        size = self.table_log2 + math.log2(factor)
        table_log2 = min(max(round(size), 1), 24)
        return replace(self, table_log2=table_log2, levels=max(1, round(self.levels * 2 ** (size - table_log2))))

    def resolutions(self) -> list[int]:
        """Grid points per axis of each level, growing geometrically (Eq. 2 and 3)."""
        growth = (self.finest / self.coarsest) ** (1 / max(1, self.levels - 1))
        # The last would fall just below `finest` where the root is rounded down.
        return [math.floor(self.coarsest * growth**level + 1e-6) for level in range(self.levels)]


class HashGrid(Field):
    """Points read 2^d rows of each level, weighted multilinearly; their concatenation feeds the network."""

    def __init__(self, config: HashGridConfig, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        if in_dim > len(PRIMES):
            raise ValueError(f"hash-grid hashes up to {len(PRIMES)} coordinates, but points have {in_dim}")
        self.config, self.resolutions = config, config.resolutions()
        sizes = [min(r**in_dim, 1 << config.table_log2) for r in self.resolutions]
        if sum(sizes) > MAX_ROWS:
            raise ValueError(f"a hash grid of {config} holds {sum(sizes):,} rows; at most {MAX_ROWS:,}")
        self.starts = [sum(sizes[:level]) for level in range(config.levels)]
        self.table = nn.Parameter(torch.empty(sum(sizes), config.features).uniform_(-config.init, config.init))
        self.mlp = relu_stack([config.levels * config.features, *[config.width] * (config.layers - 1), out_dim])

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        rows, weights = [], []
        for resolution, start in zip(self.resolutions, self.starts, strict=True):
            low, t = cells(x, (resolution,) * self.in_dim)
            rows.append(start + self.rows(low, resolution))
            weights.append(hats(t))
        features = Lookup.apply(self.table, torch.cat(rows, dim=0), torch.cat(weights, dim=0))
        return self.mlp(features.unflatten(0, (self.config.levels, len(x))).transpose(0, 1).flatten(1))

    def rows(self, low: Int[Tensor, "d n"], resolution: int) -> Int[Tensor, "n k"]:
        """Rows, within a level's table, of the corners of each cell: dense where the level fits, else hashed."""
        if resolution**self.in_dim <= 1 << self.config.table_log2:
            return dense_rows(low, (resolution,) * self.in_dim)
        ends = [(c * prime, (c + 1) * prime) for c, prime in zip(low, PRIMES, strict=False)]
        return at_corners(ends, torch.bitwise_xor) & ((1 << self.config.table_log2) - 1)

    def macs(self) -> int:
        return self.config.levels * 2**self.in_dim * self.config.features + linear_macs(self.mlp)

    def matrices(self) -> Iterator[nn.Parameter]:
        yield from hidden_matrices(self.mlp[:-1])

    def tables(self) -> Iterator[nn.Parameter]:
        yield self.table
