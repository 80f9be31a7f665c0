"""FINER: sines whose frequency grows with their argument (Liu et al. 2024). sin(omega (|z| + 1) z), z = W x + b."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from recon.fields.layers import Layer, uniform_
from recon.fields.siren import Siren, SirenConfig


@dataclass(frozen=True)
class FinerConfig(SirenConfig):
    """FINER: variable-periodic sines of linear layers; omega is their frequency where the argument is 0."""

    paper: ClassVar[str] = "Liu et al. 2024"
    purpose: ClassVar[str] = "signals of many frequencies, where SIREN's one is too low"

    first_bias: float = 0.0
    """Where not 0, the first layer's biases are U(±first_bias): larger ones reach higher frequencies."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.first_bias < math.inf:
            raise ValueError(f"first_bias must be finite and not negative, got {self.first_bias}")

    def build(self, in_dim: int, out_dim: int) -> Finer:
        return Finer(self, in_dim, out_dim)


class Finer(Siren):
    """FINER; as many parameters as a SIREN of its size, and weights that start as SIREN's.

    While training, gradients take the scale |z| + 1 for a constant as the authors' code does, those by the points
    too; an evaluated field has true gradients."""

    activation = "finer"

    def __init__(self, config: FinerConfig, in_dim: int, out_dim: int) -> None:
        super().__init__(config, in_dim, out_dim)
        first = self.hidden[0]
        assert isinstance(first, Layer)
        if config.first_bias:
            uniform_(first.linear.bias, config.first_bias)
