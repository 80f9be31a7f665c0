"""PE MLP: sines and cosines of the coordinates at doubling frequencies, then a ReLU network (NeRF, Eq. 4)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recon.fields.base import Field, FieldConfig
from recon.fields.layers import hidden_matrices, linear_macs, relu_stack

MAX_FREQUENCIES = 64
"""Octaves at most; float32 places in the cube are no finer than 24."""


def positional_encoding(x: Float[Tensor, "n d"], frequencies: int) -> Float[Tensor, "n e"]:
    """[x, sin(2^k pi x), cos(2^k pi x) for k < frequencies]; e = d (1 + 2 frequencies) (NeRF, Eq. 4, with identity)."""
    factors = math.pi * 2.0 ** torch.arange(frequencies, device=x.device, dtype=x.dtype)
    angles = (x[:, None, :] * factors[:, None]).flatten(1)
    return torch.cat([x, torch.sin(angles), torch.cos(angles)], dim=1)


def check_frequencies(frequencies: int) -> None:
    """ValueError for octaves below none, or so many that the highest is no number in float32."""
    if not 0 <= frequencies <= MAX_FREQUENCIES:
        raise ValueError(f"frequencies must lie in [0, {MAX_FREQUENCIES}], got {frequencies}")


@dataclass(frozen=True)
class PeMlpConfig(FieldConfig):
    """PE MLP: positional encoding and a ReLU network, as in NeRF."""

    paper: ClassVar[str] = "Mildenhall et al. 2020"
    purpose: ClassVar[str] = "scenes: the plain network of NeRF"

    width: int = 256
    """Units of each hidden layer."""
    layers: int = 6
    """Linear layers in all, last included."""
    frequencies: int = 6
    """Octaves of the encoding; the highest is 2^(frequencies - 1) half waves across half the cube."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.layers < 2:
            raise ValueError(f"pe-mlp needs width >= 1 and layers >= 2, got {self.width} and {self.layers}")
        check_frequencies(self.frequencies)

    def build(self, in_dim: int, out_dim: int) -> PeMlp:
        return PeMlp(self, in_dim, out_dim)


class PeMlp(Field):
    """The encoding of NeRF (Eq. 4) and a plain ReLU network."""

    def __init__(self, config: PeMlpConfig, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        self.frequencies = config.frequencies
        encoded = in_dim * (1 + 2 * config.frequencies)
        self.mlp = relu_stack([encoded, *[config.width] * (config.layers - 1), out_dim])

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return self.mlp(positional_encoding(x, self.frequencies))

    def macs(self) -> int:
        return linear_macs(self)

    def matrices(self) -> Iterator[nn.Parameter]:
        yield from hidden_matrices(self.mlp[:-1])
