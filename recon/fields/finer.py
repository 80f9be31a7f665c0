"""FINER: sines whose frequency grows with their argument (Liu et al. 2024). sin(omega (|z| + 1) z), z = W x + b."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from recon.fields.base import Field, FieldConfig
from recon.fields.layers import FinerSine, check_sines, hidden_matrices, linear_macs, sine_output, uniform_


@dataclass(frozen=True)
class FinerConfig(FieldConfig):
    """FINER: variable-periodic sines of linear layers."""

    paper: ClassVar[str] = "Liu et al. 2024"
    purpose: ClassVar[str] = "signals of many frequencies, where SIREN's one is too low"

    width: int = 256
    """Units of each hidden layer."""
    layers: int = 8
    """Linear layers in all, first and last included."""
    omega: float = 30.0
    """Frequency inside each sine where its argument is 0."""
    scale: float = 1.2
    """Coordinates are multiplied by this first, as for SIREN."""
    biases: Literal["uniform", "zero"] = "uniform"
    """U(±1/sqrt(fan-in)) as the authors', or 0 as Neural Experts' authors set them."""
    first_bias: float = 0.0
    """Where not 0, the first layer's biases are U(±first_bias) instead: larger ones reach higher frequencies."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.layers < 2:
            raise ValueError(f"finer needs a positive width and at least 2 layers, got {self.width} and {self.layers}")
        check_sines(self.biases, omega=self.omega, scale=self.scale)
        if not 0 <= self.first_bias < math.inf:
            raise ValueError(f"first_bias must be finite and not negative, got {self.first_bias}")

    def build(self, in_dim: int, out_dim: int) -> Finer:
        return Finer(self, in_dim, out_dim)


class Finer(Field):
    """FINER; as many parameters as a SIREN of its size, and weights that start as SIREN's.

    While training, gradients take the scale |z| + 1 for a constant as the authors' code does, those by the points
    too; an evaluated field has true gradients."""

    def __init__(self, config: FinerConfig, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        self.scale = config.scale
        zero = config.biases == "zero"
        hidden = [FinerSine(config.width, config.width, config.omega, bias_zero=zero) for _ in range(config.layers - 2)]
        first = FinerSine(in_dim, config.width, config.omega, first=True, bias_zero=zero)
        if config.first_bias:
            uniform_(first.linear.bias, config.first_bias)
        self.hidden = nn.Sequential(first, *hidden)
        self.out = sine_output(config.width, out_dim, config.omega, zero)

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return self.out(self.hidden(self.scale * x))

    def macs(self) -> int:
        return linear_macs(self)

    def matrices(self) -> Iterator[nn.Parameter]:
        yield from hidden_matrices(self.hidden)
