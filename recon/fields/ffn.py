"""FFN: random Fourier features [sin, cos](2 pi B x), B ~ N(0, sigma^2), and a ReLU network (Tancik et al. 2020)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recon.fields.base import Field, FieldConfig
from recon.fields.layers import hidden_matrices, linear_macs, relu_stack
from recon.kernels.products import linear

ACTIVATIONS = {"relu": nn.ReLU, "softplus": partial(nn.Softplus, beta=100)}


@dataclass(frozen=True)
class FfnConfig(FieldConfig):
    """FFN: Gaussian Fourier features, then a ReLU or SoftPlus network."""

    paper: ClassVar[str] = "Tancik et al. 2020"
    purpose: ClassVar[str] = "images and low-dimensional signals; one setting decides how fine"

    rows: int = 128
    """Random directions, each a sine and a cosine; 0 gives the network the bare coordinates."""
    sigma: float = 10.0
    """Standard deviation of their frequencies, in periods per unit: half the cube."""
    width: int = 256
    """Units of each hidden layer."""
    layers: int = 4
    """Linear layers in all, last included."""
    activation: Literal["relu", "softplus"] = "relu"
    """Between the layers; softplus is as sharp as Neural Experts' (beta 100)."""
    coordinates: bool = False
    """Whether the network is given the coordinates too."""
    normalise: bool = False
    """Whether the features are divided by sqrt(rows), so that they have length 1."""
    widths: tuple[int, ...] = ()
    """Units of each hidden layer, where they differ; replaces `width` and `layers`."""

    def __post_init__(self) -> None:
        if min(self.widths, default=1) < 1:
            raise ValueError(f"widths must be at least 1, got {self.widths}")
        if self.width < 1 or self.layers < 2 or self.rows < 0:
            raise ValueError(f"ffn needs width >= 1, layers >= 2 and rows >= 0, got {self}")
        if not 0 < self.sigma < math.inf:
            raise ValueError(f"sigma must be positive and finite, got {self.sigma}")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be relu or softplus, got '{self.activation}'")

    def build(self, in_dim: int, out_dim: int) -> Ffn:
        return Ffn(self, in_dim, out_dim)

    def scaled(self, factor: float) -> FieldConfig:
        return replace(super().scaled(factor), widths=tuple(max(1, round(width * factor)) for width in self.widths))


class FourierFeatures(nn.Module):
    """[x, sin(2 pi B x), cos(2 pi B x)]; B never trains and is part of the state. x only where `coordinates`."""

    def __init__(self, in_dim: int, rows: int, sigma: float, coordinates: bool, normalise: bool) -> None:
        super().__init__()
        self.coordinates, self.factor = coordinates, 1 / math.sqrt(rows) if normalise else 1.0
        self.out_dim = 2 * rows + in_dim * coordinates
        self.directions: Tensor
        self.register_buffer("directions", torch.randn(rows, in_dim) * sigma)

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n e"]:
        turns = linear(2 * math.pi * x, self.directions)
        features = torch.cat([torch.sin(turns), torch.cos(turns)], dim=1) * self.factor
        return torch.cat([x, features], dim=1) if self.coordinates else features


class Ffn(Field):
    """The features and the network; 256 -> 256 -> 256 -> 3 has 132,355 parameters.

    As the papers count, B is no parameter and its product costs nothing."""

    def __init__(self, config: FfnConfig, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        self.encoding: FourierFeatures | None = None
        if config.rows:
            self.encoding = FourierFeatures(in_dim, config.rows, config.sigma, config.coordinates, config.normalise)
        encoded = self.encoding.out_dim if self.encoding else in_dim
        widths = [encoded, *(config.widths or (config.width,) * (config.layers - 1)), out_dim]
        self.mlp = relu_stack(widths, ACTIVATIONS[config.activation])

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return self.mlp(self.encoding(x) if self.encoding else x)

    def macs(self) -> int:
        return linear_macs(self)

    def matrices(self) -> Iterator[nn.Parameter]:
        yield from hidden_matrices(self.mlp[:-1])
