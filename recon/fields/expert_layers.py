"""Layers of Neural Experts: encoders from the coordinates, and all experts' layers as stacks of matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recon.fields.ffn import FourierFeatures
from recon.fields.layers import Activation, Layer
from recon.kernels.grouped import grouped_linear
from recon.kernels.products import linear

FOURIER_ROWS = 64
"""Random directions in front of each encoder of `softplus-fourier`."""


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
