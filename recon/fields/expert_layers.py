"""Layers of Neural Experts: what follows each linear map, how it starts, and all experts' layers as stacks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recon.fields.ffn import FourierFeatures
from recon.fields.layers import finer_sine, sine_bound, uniform_
from recon.kernels.grouped import grouped_linear
from recon.kernels.products import linear

ActivationName = Literal["sine", "finer", "softplus", "softplus-fourier"]

FOURIER_ROWS = 64
"""Random directions in front of each encoder of `softplus-fourier`."""


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


def encoder_stack(widths: Sequence[int], activation: Activation, bias_zero: bool) -> nn.Sequential:
    """Layers from the coordinates (behind Fourier features, where the activation's name says so) to an encoding."""
    front: list[FourierFeatures] = []
    if activation.name == "softplus-fourier":
        front.append(FourierFeatures(widths[0], FOURIER_ROWS, sigma=1.0, coordinates=True, normalise=True))
    fans = [front[0].out_dim if front else widths[0], *widths[1:]]
    pairs = zip(fans[:-1], fans[1:], strict=True)
    return nn.Sequential(*front, *[Layer(i, o, activation, n == 0, bias_zero) for n, (i, o) in enumerate(pairs)])


class ExpertStack(nn.Module):
    """All experts' layers as stacks of matrices [experts, out, in]; the last layer is linear."""

    def __init__(self, experts: int, widths: Sequence[int], activation: Activation, bias_zero: bool) -> None:
        super().__init__()
        self.activation = activation
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for i, o in zip(widths[:-1], widths[1:], strict=True):
            bound = activation.bound(i)
            self.weights.append(nn.Parameter(torch.empty(experts, o, i).uniform_(-bound, bound)))
            bias = torch.empty(experts, o).uniform_(-1 / math.sqrt(i), 1 / math.sqrt(i))
            self.biases.append(nn.Parameter(torch.zeros_like(bias) if bias_zero else bias))

    def forward(self, encoded: Float[Tensor, "n e"]) -> Float[Tensor, "n k c"]:
        """All experts. They share their input, so the first layer is one product; the rest are batched products."""
        act, gain = self.activation, self.activation.gain
        (first, first_bias), *hidden, (last, last_bias) = self._layers()
        k, width = first.shape[:2]
        h = linear(encoded, gain * first.flatten(0, 1), gain * first_bias.flatten())
        h = act(h, self.training).reshape(-1, k, width).transpose(0, 1)
        for weight, bias in hidden:
            h = act(torch.baddbmm(gain * bias[:, None], h, gain * weight.transpose(1, 2)), self.training)
        return torch.baddbmm(last_bias[:, None], h, last.transpose(1, 2)).transpose(0, 1)

    def grouped(self, encoded: Float[Tensor, "n e"], sizes: list[int]) -> Float[Tensor, "n c"]:
        """Rows sorted by expert, each through its own expert's layers."""
        act, gain = self.activation, self.activation.gain
        *hidden, (last, last_bias) = self._layers()
        h = encoded
        for weight, bias in hidden:
            h = act(grouped_linear(h, sizes, gain * weight, gain * bias), self.training)
        return grouped_linear(h, sizes, last, last_bias)

    def _layers(self) -> list[tuple[Float[Tensor, "k o i"], Float[Tensor, "k o"]]]:
        # A slice of a ParameterList would make new parameters of what functional_call puts in their place.
        return list(zip(self.weights, self.biases, strict=True))

    def macs(self) -> int:
        """Of one expert."""
        return sum(w.shape[1] * w.shape[2] for w in self.weights)
