"""KiloNeRF: a regular grid of independent tiny ReLU networks, each of which sees its own cell as the cube [-1, 1]^d.

A point x of cell k is worth MLP_k(encoding(u)), u = 2 (x - low_k) / (high_k - low_k) - 1 (KiloNeRF, section 3.1, with
local coordinates as in its authors' code). Points beyond the cube belong to the border's cells. Nothing makes the
networks agree where cells meet; the paper distils them from one large network, here they learn alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recon.fields.base import Field, FieldConfig
from recon.fields.layers import uniform_
from recon.fields.pe_mlp import check_frequencies, positional_encoding
from recon.kernels.grouped import grouped_linear, order_by_group, permute, restore

MAX_NETS = 1 << 16
"""Refuse grids of more networks than this."""


@dataclass(frozen=True)
class KiloNerfConfig(FieldConfig):
    """KiloNeRF: independent tiny networks in a regular grid, behind a positional encoding."""

    paper: ClassVar[str] = "Reiser et al. 2021"
    purpose: ClassVar[str] = "scenes at little cost per point: one tiny network per cell"

    nets: int = 16
    """Networks per axis."""
    axis_nets: tuple[int, ...] = ()
    """Networks axis by axis, where axes differ; replaces `nets`."""
    width: int = 32
    """Units of each hidden layer of a network."""
    layers: int = 4
    """Linear layers of a network, last included."""
    frequencies: int = 6
    """Octaves of the encoding; the highest is 2^(frequencies - 1) half waves across half a cell."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.layers < 2:
            raise ValueError(f"kilonerf needs width >= 1 and layers >= 2, got {self.width} and {self.layers}")
        check_frequencies(self.frequencies)
        if min(self.axis_nets or (self.nets,)) < 1:
            raise ValueError(f"nets and axis_nets must be at least 1, got {self.nets} and {self.axis_nets}")

    def build(self, in_dim: int, out_dim: int) -> KiloNerf:
        return KiloNerf(self, in_dim, out_dim)


class KiloNerf(Field):
    """16 x 16 networks 42 -> 16 -> 16 -> 1 are 250,112 parameters and 944 products (ASMR's baseline)."""

    grid: Tensor

    def __init__(self, config: KiloNerfConfig, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        self.nets = config.axis_nets or (config.nets,) * in_dim
        if len(self.nets) != in_dim:
            raise ValueError(f"axis_nets names {len(self.nets)} axes, but points have {in_dim} coordinates")
        self.count, self.frequencies = math.prod(self.nets), config.frequencies
        if self.count > MAX_NETS:
            raise ValueError(f"nets {self.nets} make {self.count:,} networks; at most {MAX_NETS:,}")
        widths = [in_dim * (1 + 2 * config.frequencies), *[config.width] * (config.layers - 1), out_dim]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for i, o in zip(widths[:-1], widths[1:], strict=True):
            weight = nn.Parameter(torch.empty(self.count, o, i))
            uniform_(weight, math.sqrt(6 / i))  # Kaiming, by the fan-in of one network
            self.weights.append(weight)
            self.biases.append(nn.Parameter(torch.zeros(self.count, o)))
        self.register_buffer("grid", torch.tensor(self.nets, dtype=torch.float32))

    def locate(self, x: Float[Tensor, "n d"]) -> tuple[Int[Tensor, " n"], Float[Tensor, "n d"]]:
        """Network of each point, axis 0 slowest, and the point in its cell's own cube."""
        place = (x + 1) / 2 * self.grid
        cell = torch.minimum(place.detach().floor().clamp_(min=0), self.grid - 1)
        number = torch.zeros(len(x), dtype=torch.int32, device=x.device)
        for axis, n in enumerate(self.nets):  # whole numbers: bfloat16 holds none above 256 exactly
            number = number * n + cell[:, axis].int().clamp_(0, n - 1)
        return number, 2 * (place - cell) - 1

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        number, local = self.locate(x)
        order = order_by_group(number, self.count)
        sizes = order.sizes()
        h = positional_encoding(permute(local, order), self.frequencies)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = grouped_linear(torch.relu(h) if layer else h, sizes, weight, bias)
        return restore(h, order)

    def macs(self) -> int:
        """Of the one network that a point runs."""
        return sum(weight.shape[1] * weight.shape[2] for weight in self.weights)

    def profiler_macs(self) -> float:
        return float(self.macs() + sum(bias.shape[1] for bias in self.biases))

    def matrices(self) -> Iterator[nn.Parameter]:
        yield from (weight for weight in self.weights[:-1] if min(weight.shape[1:]) > 8)
