"""Coordinate embedding: features of one dense grid beside a positional encoding, then a ReLU network (LoE's "PE + CE").

y = MLP([features(x), encoding(x)]), features read multilinearly between the grid's points (LoE, section 4).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recon.fields.base import Field, FieldConfig
from recon.fields.feature_grid import GridEncoding
from recon.fields.layers import hidden_matrices, linear_macs, relu_stack
from recon.fields.pe_mlp import check_frequencies, positional_encoding


@dataclass(frozen=True)
class CoordinateEmbeddingConfig(FieldConfig):
    """Coordinate embedding: one dense grid of features beside a positional encoding, then a ReLU network."""

    paper: ClassVar[str] = "Hao et al. 2022, baseline"
    purpose: ClassVar[str] = "what a plain grid of features adds to a positional encoding"

    resolution: int = 64
    """Grid points per axis."""
    channels: int = 64
    """Features at each grid point."""
    frequencies: int = 9
    """Octaves of the encoding; the highest is 2^(frequencies - 1) half waves across half the cube."""
    width: int = 256
    """Units of each hidden layer."""
    layers: int = 6
    """Linear layers in all, last included."""
    init: float = 1e-2
    """Features start as N(0, init^2)."""

    def __post_init__(self) -> None:
        if self.resolution < 2 or self.channels < 1 or not 0 <= self.init < float("inf"):
            raise ValueError(f"coordinate-embedding needs resolution >= 2, channels >= 1 and init >= 0, got {self}")
        if self.width < 1 or self.layers < 2:
            raise ValueError(f"coordinate-embedding needs width >= 1 and layers >= 2, got {self}")
        check_frequencies(self.frequencies)

    def build(self, in_dim: int, out_dim: int) -> CoordinateEmbedding:
        return CoordinateEmbedding(self, in_dim, out_dim)

    def scaled(self, factor: float) -> FieldConfig:
        return replace(super().scaled(factor), channels=max(1, round(self.channels * factor)))


class CoordinateEmbedding(Field):
    """64^3 points of 64 features, (57 + 64) -> 256, 4 times 256 -> 256, -> 3: 17,072,387 parameters."""

    def __init__(self, config: CoordinateEmbeddingConfig, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        self.frequencies = config.frequencies
        self.embedding = GridEncoding(in_dim, (config.resolution,), config.channels, config.init)
        encoded = config.channels + in_dim * (1 + 2 * config.frequencies)
        self.mlp = relu_stack([encoded, *[config.width] * (config.layers - 1), out_dim])

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        waves = positional_encoding(x, self.frequencies)[:, self.in_dim :]  # the embedding has the coordinates already
        return self.mlp(torch.cat([self.embedding(x), waves], dim=1))

    def macs(self) -> int:
        """Of the network: the paper's count leaves the reading of the grid out (2^d products a channel)."""
        return linear_macs(self.mlp)

    def matrices(self) -> Iterator[nn.Parameter]:
        yield from hidden_matrices(self.mlp[:-1])

    def tables(self) -> Iterator[nn.Parameter]:
        yield self.embedding.table
