"""Layers that several fields share: sine layers with their initialisation, and plain stacks of linear layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

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


class Sine(nn.Module):
    """sin(omega (W x + b)) (SIREN, Eq. 1 and section 3.2)."""

    def __init__(self, fan_in: int, fan_out: int, omega: float = 30.0, first: bool = False, bias_zero: bool = False):
        super().__init__()
        self.omega = omega
        self.linear = nn.Linear(fan_in, fan_out)
        uniform_(self.linear.weight, sine_bound(fan_in, omega, first))
        if bias_zero:
            nn.init.zeros_(self.linear.bias)

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        # omega goes into the small weight, not the large activation: one pass over the batch less
        return torch.sin(linear(x, self.omega * self.linear.weight, self.omega * self.linear.bias))


def finer_sine(z: Tensor, omega: float, frozen: bool) -> Tensor:
    """sin(omega (|z| + 1) z) (FINER); `frozen` takes |z| + 1 for a constant in gradients, as its code does."""
    scale = z.abs() + 1
    return torch.sin(omega * (scale.detach() if frozen else scale) * z)


class FinerSine(Sine):
    """`finer_sine` of a linear layer. The scale is frozen only in training: an evaluated surface has true normals."""

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        return finer_sine(linear(x, self.linear.weight, self.linear.bias), self.omega, self.training)


def sine_output(fan_in: int, fan_out: int, omega: float = 30.0, bias_zero: bool = False) -> nn.Linear:
    """The linear layer that ends a sine network, initialised as its hidden layers are."""
    layer = nn.Linear(fan_in, fan_out)
    uniform_(layer.weight, sine_bound(fan_in, omega, False))
    if bias_zero:
        nn.init.zeros_(layer.bias)
    return layer


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
