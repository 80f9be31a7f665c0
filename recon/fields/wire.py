"""WIRE: complex Gabor wavelets exp(j omega z - |s z|^2), z = W x + b, and a real part (Saragadam et al. 2023)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from recon.fields.base import Field, FieldConfig
from recon.fields.layers import linear_macs


def complex_width(width: int) -> int:
    """Complex units that hold about as many real weights as `width` real ones: floor(width / sqrt 2)."""
    return math.isqrt(width**2 // 2)


@dataclass(frozen=True)
class WireConfig(FieldConfig):
    """WIRE: complex Gabor wavelets of linear layers."""

    paper: ClassVar[str] = "Saragadam et al. 2023"
    purpose: ClassVar[str] = "images, and signals with noise; complex weights"

    width: int = complex_width(256)
    """Complex units of each hidden layer."""
    layers: int = 4
    """Linear layers in all, first and last included."""
    omega: float = 20.0
    """Frequency of the wavelets."""
    sharpness: float = 10.0
    """s: how narrow they are."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.layers < 2:
            raise ValueError(f"wire needs a positive width and at least 2 layers, got {self.width} and {self.layers}")
        for name in ("omega", "sharpness"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}")

    def build(self, in_dim: int, out_dim: int) -> Wire:
        return Wire(self, in_dim, out_dim)


class Wire(Field):
    """Wavelets; 2 -> 212, 3 times 212 -> 212, 212 -> 3 has 136,743 parameters.

    As its papers count, a complex number is one parameter and a complex product one multiply-accumulate, though in
    memory it is two and in arithmetic four. All weights start as torch's linear layers do: real and imaginary parts
    are U(±1/sqrt(fan-in)) each. There is nothing for Muon here, which knows no complex matrices."""

    def __init__(self, config: WireConfig, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        self.omega, self.sharpness, w = config.omega, config.sharpness, config.width
        self.first = nn.Linear(in_dim, w)
        self.hidden = nn.ModuleList(nn.Linear(w, w, dtype=torch.complex64) for _ in range(config.layers - 2))
        self.out = nn.Linear(w, out_dim, dtype=torch.complex64)

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        u = self.first(x).to(
            self.first.weight.dtype
        )  # autocast makes it bfloat16, of which no complex numbers are made
        z = wavelet(u, torch.zeros_like(u), self.omega, self.sharpness)
        for layer in self.hidden:
            z = layer(z)
            z = wavelet(z.real, z.imag, self.omega, self.sharpness)
        return self.out(z).real

    def macs(self) -> int:
        return linear_macs(self)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Wire:
        """Moves and converts weights: what is asked of real numbers is done to both parts of complex ones."""
        return super()._apply(lambda t: _by_parts(fn, t), recurse)


def wavelet(
    real: Float[Tensor, "n o"], imaginary: Float[Tensor, "n o"], omega: float, sharpness: float
) -> Complex[Tensor, "n o"]:
    """exp(j omega z - |s z|^2), written in real numbers: its gradients need no case for z = 0."""
    size = torch.exp(-omega * imaginary - sharpness**2 * (real.square() + imaginary.square()))
    return torch.complex(size * torch.cos(omega * real), size * torch.sin(omega * real))


def _by_parts(fn: Callable[[Tensor], Tensor], tensor: Tensor) -> Tensor:
    """`fn` of a real tensor, or of the real and imaginary parts of a complex one; ValueError below 32 bits."""
    if not tensor.is_complex():
        return fn(tensor)
    parts = fn(torch.view_as_real(tensor))
    if parts.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"wire has complex weights, which are float32 or float64, not {parts.dtype}; use autocast")
    return torch.view_as_complex(parts)
