"""SIREN: a network of sines (Sitzmann et al. 2020). y = W_L sin(30 (W ... sin(30 (W_1 x + b_1)) ...)) + b_L."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from recon.fields.base import Field, FieldConfig
from recon.fields.layers import Activation, ActivationName, Layer, check_sines, hidden_matrices, linear_macs


@dataclass(frozen=True)
class SirenConfig(FieldConfig):
    """SIREN: sines of linear layers."""

    paper: ClassVar[str] = "Sitzmann et al. 2020"
    purpose: ClassVar[str] = "any smooth signal: the plain network that others are measured by"

    width: int = 256
    """Units of each hidden layer."""
    layers: int = 8
    """Linear layers in all, first and last included."""
    widths: tuple[int, ...] = ()
    """Units of each hidden layer, where they differ; replaces `width` and `layers`."""
    omega: float = 30.0
    """Frequency inside each sine."""
    scale: float = 1.2
    """Coordinates are multiplied by this first: the papers' surfaces live in [-1.2, 1.2]."""
    biases: Literal["uniform", "zero"] = "uniform"
    """SIREN's own U(±1/sqrt(fan-in)), or 0 as Neural Experts' authors set them."""

    def __post_init__(self) -> None:
        if min(self.widths, default=1) < 1:
            raise ValueError(f"widths must be at least 1, got {self.widths}")
        if self.width < 1 or self.layers < 2:
            kind = type(self).__name__.removesuffix("Config").lower()
            raise ValueError(f"{kind} needs a positive width and at least 2 layers, got {self.width} and {self.layers}")
        check_sines(self.biases, omega=self.omega, scale=self.scale)

    def build(self, in_dim: int, out_dim: int) -> Siren:
        return Siren(self, in_dim, out_dim)

    def scaled(self, factor: float) -> FieldConfig:
        return replace(super().scaled(factor), widths=tuple(max(1, round(width * factor)) for width in self.widths))


class Siren(Field):
    """SIREN (Eq. 1); 3 -> 256, 6 times 256 -> 256, 256 -> 1 has 396,033 parameters."""

    activation: ActivationName = "sine"

    def __init__(self, config: SirenConfig, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        self.scale = config.scale
        act, zero = Activation(self.activation, config.omega), config.biases == "zero"
        widths = [in_dim, *(config.widths or (config.width,) * (config.layers - 1))]
        pairs = zip(widths[:-1], widths[1:], strict=True)
        self.hidden = nn.Sequential(*[Layer(i, o, act, n == 0, zero) for n, (i, o) in enumerate(pairs)])
        self.out = act.start(nn.Linear(widths[-1], out_dim), False, zero)

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return self.out(self.hidden(self.scale * x))

    def macs(self) -> int:
        return linear_macs(self)

    def matrices(self) -> Iterator[nn.Parameter]:
        yield from hidden_matrices(self.hidden)
