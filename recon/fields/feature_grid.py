"""Feature grid: features on dense grids of several resolutions, read multilinearly, and a small ReLU network."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recon.fields.base import Field, FieldConfig
from recon.fields.layers import hidden_matrices, linear_macs, relu_stack

MAX_ROWS = 1 << 27
"""Refuse tables of more grid points than this."""


@dataclass(frozen=True)
class FeatureGridConfig(FieldConfig):
    """Feature grid: multi-resolution dense grids in front of a small ReLU network."""

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
        if self.channels < 1 or self.width < 1 or self.layers < 1 or self.init < 0:
            raise ValueError(f"feature-grid needs positive channels, width and layers, and init >= 0, got {self}")

    def build(self, in_dim: int, out_dim: int) -> FeatureGrid:
        return FeatureGrid(self, in_dim, out_dim)


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
    dims = x.shape[1]
    indices, weights, base = [], [], 0
    for resolution in resolutions:
        u = (x + 1) * ((resolution - 1) / 2)
        cell = u.detach().floor().clamp_(0, resolution - 2)
        t = u - cell
        strides = [resolution ** (dims - 1 - axis) for axis in range(dims)]
        low = base + (cell.long() * torch.tensor(strides, device=x.device)).sum(dim=1)
        steps = [sum(s for s, bit in zip(strides, bits, strict=True) if bit) for bits in _corner_bits(dims)]
        indices.append(low[:, None] + torch.tensor(steps, device=x.device))
        weight = torch.ones(len(x), 1, device=x.device, dtype=x.dtype)
        for axis in range(dims):
            pair = torch.stack([1 - t[:, axis], t[:, axis]], dim=1)
            weight = (weight[:, :, None] * pair[:, None, :]).flatten(1)
        weights.append(weight)
        base += resolution**dims
    return torch.stack(indices, dim=1), torch.stack(weights, dim=1)


def _corner_bits(dims: int) -> Iterator[tuple[int, ...]]:
    return itertools.product((0, 1), repeat=dims)


class Lookup(torch.autograd.Function):
    """Weighted sums of table rows. As `embedding_bag`, but backward scatters numbers, not rows: 4x faster on a CPU."""

    @staticmethod
    def forward(ctx, table: Tensor, index: Tensor, weight: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(table, index, weight)
        return nn.functional.embedding_bag(index, table, per_sample_weights=weight, mode="sum")

    @staticmethod
    def backward(ctx, grad: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        table, index, weight = ctx.saved_tensors
        grad_table = grad_weight = None
        if ctx.needs_input_grad[0]:
            channels = table.shape[1]
            flat = index[..., None] * channels + torch.arange(channels, device=index.device)
            values = weight[..., None] * grad[:, None, :]
            grad_table = torch.zeros(table.numel(), device=table.device, dtype=table.dtype)
            grad_table = grad_table.scatter_add_(0, flat.flatten(), values.flatten()).reshape(table.shape)
        if ctx.needs_input_grad[2]:
            grad_weight = (table[index] * grad[:, None, :]).sum(dim=-1)
        return grad_table, None, grad_weight
