"""Feature grid: features on dense grids of several resolutions, read multilinearly, and a small ReLU network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recon.fields.base import Field, FieldConfig
from recon.fields.layers import hidden_matrices, linear_macs, relu_stack

MAX_ROWS = 1 << 27
"""Refuse tables of more grid points than this."""

WIDE = 16
"""Channels from which whole rows are scattered: 28 channels 98 ms against 188 ms, but 4 channels 25 against 18 ms."""


@dataclass(frozen=True)
class FeatureGridConfig(FieldConfig):
    """Feature grid: multi-resolution dense grids in front of a small ReLU network."""

    paper: ClassVar[str] = "Takikawa et al. 2021"
    purpose: ClassVar[str] = "surfaces and scenes within a minute on a CPU"

    resolutions: tuple[int, ...] = (16, 32, 64, 128)
    """Grid points per axis of each level, coarse to fine."""
    channels: int = 4
    """Features at each grid point."""
    width: int = 64
    """Units of each hidden layer of the network behind the grids."""
    layers: int = 3
    """Linear layers of that network, last included."""
    init: float = 1e-2
    """Features start as N(0, init^2)."""

    def __post_init__(self) -> None:
        if not self.resolutions or min(self.resolutions) < 2:
            raise ValueError(f"feature-grid needs resolutions of at least 2, got {self.resolutions}")
        if min(self.channels, self.width, self.layers) < 1 or not 0 <= self.init < math.inf:
            raise ValueError(
                f"feature-grid needs positive channels, width and layers, and a finite init >= 0, got {self}"
            )

    def build(self, in_dim: int, out_dim: int) -> FeatureGrid:
        return FeatureGrid(self, in_dim, out_dim)

    def scaled(self, factor: float) -> FeatureGridConfig:
        """Grids with `factor` times the points along each axis; the network, a small part of the whole, stays."""
        return replace(self, resolutions=tuple(max(2, round(n * factor)) for n in self.resolutions))


class FeatureGrid(Field):
    """Multi-resolution dense grids with a 64x64 network behind; the coordinates are given to it as well."""

    def __init__(self, config: FeatureGridConfig, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        self.encoding = GridEncoding(in_dim, config.resolutions, config.channels, config.init)
        self.mlp = relu_stack([self.encoding.out_dim, *[config.width] * (config.layers - 1), out_dim])

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return self.mlp(self.encoding(x))

    def macs(self) -> int:
        return self.encoding.macs() + linear_macs(self.mlp)

    def matrices(self) -> Iterator[nn.Parameter]:
        yield from hidden_matrices(self.mlp[:-1])

    def tables(self) -> Iterator[nn.Parameter]:
        yield self.encoding.table


class GridEncoding(nn.Module):
    """Points of the cube to the concatenated features of all levels and the coordinates themselves."""

    def __init__(self, in_dim: int, resolutions: tuple[int, ...], channels: int, init: float) -> None:
        super().__init__()
        rows = sum(r**in_dim for r in resolutions)
        if rows > MAX_ROWS:
            raise ValueError(
                f"grids of {resolutions} in {in_dim} dimensions hold {rows:,} points; at most {MAX_ROWS:,}"
            )
        self.in_dim, self.resolutions, self.channels = in_dim, resolutions, channels
        self.out_dim = channels * len(resolutions) + in_dim
        self.table = nn.Parameter(torch.randn(rows, channels) * init)

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n e"]:
        index, weight = grid_corners(x, self.resolutions)
        levels, corners = index.shape[1:]
        features = Lookup.apply(self.table, index.reshape(-1, corners), weight.reshape(-1, corners))
        return torch.cat([features.reshape(len(x), levels * self.channels), x], dim=1)

    def macs(self) -> int:
        """Products of the multilinear reading: 2^d corners a level and channel."""
        return len(self.resolutions) * 2**self.in_dim * self.channels


def grid_corners(
    x: Float[Tensor, "n d"], resolutions: tuple[int, ...]
) -> tuple[Int[Tensor, "n l k"], Float[Tensor, "n l k"]]:
    """Rows of the table at the 2^d corners around each point, level by level, and their multilinear weights.

    Grid points span the cube inclusively; points outside take the nearest cell's extension."""
    indices, weights, base = [], [], 0
    for resolution in resolutions:
        sides = (resolution,) * x.shape[1]
        low, t = cells(x, sides)
        indices.append(base + dense_rows(low, sides))
        weights.append(hats(t))
        base += math.prod(sides)
    return torch.stack(indices, dim=1), torch.stack(weights, dim=1)


def cells(x: Float[Tensor, "n d"], sides: Sequence[int]) -> tuple[Int[Tensor, "d n"], Float[Tensor, "d n"]]:
    """Lowest corner of each point's cell in a grid of so many points an axis, and the place within the cell."""
    last = x.new_tensor(sides)[:, None] - 1
    u = (x.T.contiguous() + 1) * (last / 2)  # each axis in one piece: sums over 3 neighbours in memory are slow
    low = torch.minimum(u.detach().floor().clamp_(min=0), last - 1)
    return low.long(), u - low


def dense_rows(low: Int[Tensor, "d n"], sides: Sequence[int]) -> Int[Tensor, "n k"]:
    """Rows of a dense table, axis 0 slowest, at the 2^d corners of each cell."""
    steps = [math.prod(sides[axis + 1 :]) for axis in range(len(sides))]
    base = (low * low.new_tensor(steps)[:, None]).sum(dim=0)
    around = [
        sum(step for step, bit in zip(steps, bits, strict=True) if bit) for bits in product((0, 1), repeat=len(steps))
    ]
    return base[:, None] + low.new_tensor(around)


def hats(t: Float[Tensor, "d n"]) -> Float[Tensor, "n k"]:
    """Multilinear weights of the 2^d corners of each cell."""
    return at_corners([(1 - s, s) for s in t], torch.mul)


def at_corners(pairs: Sequence[tuple[Tensor, Tensor]], join: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Joins what each axis has at its low and its high end [n] to all 2^d corners [n, k], axis 0 slowest."""
    joined, *others = (torch.stack(pair) for pair in pairs)
    for ends in others:
        joined = join(joined[:, None], ends[None]).flatten(0, 1)
    return joined.T.contiguous()  # points last until here: 1 ms for 65,536 points, corners last 8 ms


class Lookup(torch.autograd.Function):
    """Weighted sums of table rows. `embedding_bag` whose backward is up to 4x faster on a CPU."""

    @staticmethod
    def forward(ctx, table: Tensor, index: Tensor, weight: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(table, index, weight)
        return nn.functional.embedding_bag(index, table, per_sample_weights=weight, mode="sum")

    @staticmethod
    def backward(ctx, grad: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        table, index, weight = ctx.saved_tensors
        grad_table = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_table = _scatter(index, weight[..., None] * grad[:, None, :], table)
        if ctx.needs_input_grad[2]:
            grad_weight = (table[index] * grad[:, None, :]).sum(dim=-1)
        return grad_table, None, grad_weight


def _scatter(index: Int[Tensor, "n k"], values: Float[Tensor, "n k c"], table: Float[Tensor, "m c"]) -> Tensor:
    """Values added to the rows that `index` names of a table of zeros."""
    channels = table.shape[1]
    if channels >= WIDE:
        return torch.zeros_like(table).index_add_(0, index.flatten(), values.flatten(0, 1))
    flat = index[..., None] * channels + torch.arange(channels, device=index.device)
    zeros = torch.zeros(table.numel(), device=table.device, dtype=table.dtype)
    return zeros.scatter_add_(0, flat.flatten(), values.flatten()).reshape(table.shape)
