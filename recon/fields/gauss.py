"""Gauss: a network of bumps (Ramasinghe and Lucey 2022). Each layer is exp(-(s (W x + b))^2), the last one linear."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recon.fields.base import Field, FieldConfig
from recon.fields.layers import Linear, hidden_matrices, linear_macs


@dataclass(frozen=True)
class GaussConfig(FieldConfig):
    """Gauss: bumps of linear layers."""

    paper: ClassVar[str] = "Ramasinghe and Lucey 2022"
    purpose: ClassVar[str] = "a network without periods that needs no special start"

    width: int = 256
    """Units of each hidden layer."""
    layers: int = 4
    """Linear layers in all, first and last included."""
    sharpness: float = 30.0
    """s: how narrow each bump is."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.layers < 2:
            raise ValueError(f"gauss needs a positive width and at least 2 layers, got {self.width} and {self.layers}")
        if not 0 < self.sharpness < math.inf:
            raise ValueError(f"sharpness must be positive and finite, got {self.sharpness}")

    def build(self, in_dim: int, out_dim: int) -> Gauss:
        return Gauss(self, in_dim, out_dim)


class Gauss(Field):
    """Gaussian layers. All weights start as torch's linear layers do, U(±1/sqrt(fan-in)): so WIRE's authors have it."""

    def __init__(self, config: GaussConfig, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        self.sharpness = config.sharpness
        widths = [in_dim, *[config.width] * (config.layers - 1)]
        pairs = zip(widths[:-1], widths[1:], strict=True)
        self.hidden = nn.ModuleList(Linear(fan_in, fan_out) for fan_in, fan_out in pairs)
        self.out = nn.Linear(config.width, out_dim)

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        for layer in self.hidden:
            x = torch.exp(layer(x).square() * -(self.sharpness**2))
        return self.out(x)

    def macs(self) -> int:
        return linear_macs(self)

    def matrices(self) -> Iterator[nn.Parameter]:
        yield from hidden_matrices(self.hidden)
