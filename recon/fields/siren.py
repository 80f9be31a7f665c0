"""SIREN: a network of sines (Sitzmann et al. 2020). y = W_L sin(30 (W ... sin(30 (W_1 x + b_1)) ...)) + b_L."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from recon.fields.base import Field, FieldConfig
from recon.fields.layers import Sine, check_sines, hidden_matrices, linear_macs, sine_output


@dataclass(frozen=True)
class SirenConfig(FieldConfig):
    """SIREN: sines of linear layers."""

    width: int = 256
    """Units of each hidden layer."""
    layers: int = 8
    """Linear layers in all, first and last included."""
    omega: float = 30.0
    """Frequency inside each sine."""
    scale: float = 1.2
    """Coordinates are multiplied by this first: the papers' surfaces live in [-1.2, 1.2]."""
    biases: Literal["uniform", "zero"] = "uniform"
    """SIREN's own U(±1/sqrt(fan-in)), or 0 as Neural Experts' authors set them."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.layers < 2:
            raise ValueError(f"siren needs a positive width and at least 2 layers, got {self.width} and {self.layers}")
        check_sines(self.biases, omega=self.omega, scale=self.scale)

    def build(self, in_dim: int, out_dim: int) -> Siren:
        return Siren(self, in_dim, out_dim)


class Siren(Field):
    """SIREN (Eq. 1); 3 -> 256, 6 times 256 -> 256, 256 -> 1 has 396,033 parameters."""

    def __init__(self, config: SirenConfig, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        self.scale = config.scale
        zero = config.biases == "zero"
        hidden = [Sine(config.width, config.width, config.omega, bias_zero=zero) for _ in range(config.layers - 2)]
        first = Sine(in_dim, config.width, config.omega, first=True, bias_zero=zero)
        self.hidden = nn.Sequential(first, *hidden)
        self.out = sine_output(config.width, out_dim, config.omega, zero)

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return self.out(self.hidden(self.scale * x))

    def macs(self) -> int:
        return linear_macs(self)

    def matrices(self) -> Iterator[nn.Parameter]:
        yield from hidden_matrices(self.hidden)
