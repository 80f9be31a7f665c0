"""MFN, as FourierNet: products of sines (Fathony et al. 2021). z_1 = g_1(x), z_{i+1} = (W_i z_i + b_i) g_{i+1}(x)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recon.fields.base import Field, FieldConfig
from recon.fields.layers import Linear, hidden_matrices, linear_macs, uniform_
from recon.kernels.products import linear


@dataclass(frozen=True)
class MfnConfig(FieldConfig):
    """MFN: a linear layer between sine filters of the coordinates, multiplied."""

    paper: ClassVar[str] = "Fathony et al. 2021"
    purpose: ClassVar[str] = "images and video: a sum of very many sines"

    width: int = 256
    """Units of each layer."""
    layers: int = 4
    """Linear layers in all, last included; as many filters."""
    frequency: float = 256.0
    """How fine the signal may start: each filter's frequencies are U(±frequency / sqrt(layers d))."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.layers < 2:
            raise ValueError(f"mfn needs a positive width and at least 2 layers, got {self.width} and {self.layers}")
        if not 0 < self.frequency < math.inf:
            raise ValueError(f"frequency must be positive and finite, got {self.frequency}")

    def build(self, in_dim: int, out_dim: int) -> Mfn:
        return Mfn(self, in_dim, out_dim)


class Wave(nn.Linear):
    """sin(omega x + phi), omega the weight and phi the bias."""

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n w"]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return torch.sin(linear(x, self.weight, self.bias))


class Mfn(Field):
    """FourierNet, g(x) = sin(omega x + phi); 3 filters 2 -> 256 and 3 outputs have 134,659 parameters.

    As in the authors' code phi is U(±pi), W is U(±1/sqrt(width)), and omega is torch's U(±1/sqrt(d)) times a factor;
    the rest starts as torch's linear layers do."""

    def __init__(self, config: MfnConfig, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        w = config.width
        filters = [Wave(in_dim, w) for _ in range(config.layers)]
        hidden = [Linear(w, w) for _ in range(config.layers - 1)]
        for layer in filters:
            uniform_(layer.weight, config.frequency / math.sqrt(config.layers * in_dim))
            uniform_(layer.bias, math.pi)
        for layer in hidden:
            uniform_(layer.weight, 1 / math.sqrt(w))
        self.filters, self.hidden = nn.ModuleList(filters), nn.ModuleList(hidden)
        self.out = nn.Linear(w, out_dim)

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        z = self.filters[0](x)
        for layer, wave in zip(self.hidden, self.filters[1:], strict=True):
            z = layer(z) * wave(x)
        return self.out(z)

    def macs(self) -> int:
        return linear_macs(self)

    def matrices(self) -> Iterator[nn.Parameter]:
        yield from hidden_matrices(self.hidden)
