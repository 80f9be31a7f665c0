"""Layers that several fields share: sine layers with their initialisation, and plain stacks of linear layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recon.kernels.products import linear


def uniform_(weight: Tensor, bound: float) -> None:
    """Fill with U(-bound, bound)."""
    with torch.no_grad():
        weight.uniform_(-bound, bound)


def sine_bound(fan_in: int, omega: float, fed_by_coordinates: bool) -> float:
    """Half width of SIREN's uniform weights: 1/n for the layer that sees coordinates, sqrt(6/n)/omega for the rest."""
    return 1 / fan_in if fed_by_coordinates else math.sqrt(6 / fan_in) / omega


def check_sines(biases: str, **factors: float) -> None:
    """Refuse what no sine network can be built or trained with."""
    for name, value in factors.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be positive and finite, got {value}")
    if biases not in ("uniform", "zero"):
        raise ValueError(f"biases must be uniform or zero, got '{biases}'")


class Linear(nn.Linear):
    """torch's linear layer, its product in the precision that was asked for (`recon.kernels.products`)."""

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return linear(x, self.weight, self.bias)


def finer_sine(z: Tensor, omega: float, frozen: bool) -> Tensor:
    """sin(omega (|z| + 1) z) (FINER); `frozen` takes |z| + 1 for a constant in gradients, as its code does."""
    scale = z.abs() + 1
    return torch.sin(omega * (scale.detach() if frozen else scale) * z)


ActivationName = Literal["sine", "finer", "softplus", "softplus-fourier"]


@dataclass(frozen=True)
class Activation:
    """sin(omega z), FINER's sin(omega (|z| + 1) z), or SoftPlus with beta 100, of z = W x + b."""

    name: ActivationName
    omega: float

    @property
    def gain(self) -> float:
        """W and b are multiplied by this first: a pass over small weights instead of one over the batch."""
        return self.omega if self.name == "sine" else 1.0

    def __call__(self, z: Float[Tensor, "*n c"], training: bool) -> Float[Tensor, "*n c"]:
        """Values at gain (W x + b). In training FINER's scale counts as a constant in gradients, as in its code."""
        if self.name == "sine":
            return torch.sin(z)
        if self.name == "finer":
            return finer_sine(z, self.omega, frozen=training)
        return nn.functional.softplus(z, beta=100.0)

    def bound(self, fan_in: int, fed_by_coordinates: bool = False) -> float:
        """Half width of the uniform weights: SIREN's, or He's for SoftPlus, whose start the paper does not tell."""
        if self.name in ("sine", "finer"):
            return sine_bound(fan_in, self.omega, fed_by_coordinates)
        return math.sqrt(6 / fan_in)

    def start(self, layer: nn.Linear, fed_by_coordinates: bool, bias_zero: bool) -> nn.Linear:
        """The layer with the weights it begins with; biases are torch's own U(±1/sqrt(fan-in)) or 0."""
        uniform_(layer.weight, self.bound(layer.in_features, fed_by_coordinates))
        if bias_zero:
            nn.init.zeros_(layer.bias)
        return layer


class Layer(nn.Module):
    """activation(W x + b)."""

    def __init__(self, fan_in: int, fan_out: int, activation: Activation, first: bool = False, bias_zero: bool = False):
        super().__init__()
        self.activation = activation
        self.linear = activation.start(nn.Linear(fan_in, fan_out), first, bias_zero)

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        gain = self.activation.gain
        return self.activation(linear(x, gain * self.linear.weight, gain * self.linear.bias), self.training)


def relu_stack(widths: Sequence[int], activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers of these widths with ReLU (or what is near it) between; the last is linear.

    Kaiming-uniform weights, zero biases."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in zip(widths[:-1], widths[1:], strict=True):
        linear = nn.Linear(fan_in, fan_out)
        nn.init.kaiming_uniform_(linear.weight, nonlinearity="relu")
        nn.init.zeros_(linear.bias)
        layers += [linear, activation()]
    return nn.Sequential(*layers[:-1])


def linear_macs(module: nn.Module) -> int:
    """Multiply-accumulates of all plain linear layers inside, each applied once to a point."""
    return sum(m.in_features * m.out_features for m in module.modules() if isinstance(m, nn.Linear))


def hidden_matrices(module: nn.Module) -> list[nn.Parameter]:
    """Weights of linear layers that are not fed by bare coordinates: both sides wider than 8. Leave the output out."""
    linears = (m for m in module.modules() if isinstance(m, nn.Linear))
    return [m.weight for m in linears if min(m.weight.shape) > 8]  # pyright: ignore[reportReturnType]
