"""What every field is: a network from points of the cube [-1, 1]^d to c numbers, its settings, and its cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

CHUNK = 1 << 16
"""Points evaluated at once where nothing needs gradients."""


@dataclass(frozen=True)
class FieldConfig:
    """Settings of a field. Subclasses are frozen dataclasses that check themselves and build their module."""

    def build(self, in_dim: int, out_dim: int) -> Field:
        """The network, freshly initialised from torch's global random state."""
        raise NotImplementedError(f"{type(self).__name__} must say how it is built")

    def for_grid(self, shape: Sequence[int]) -> FieldConfig:  # noqa: ARG002
        """These settings adapted to data that lives on a regular grid of this shape."""
        return self


class Field(nn.Module):
    """A network from the cube to `out_dim` numbers; its last layer is linear."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        if in_dim < 1 or out_dim < 1:
            raise ValueError(f"a field needs at least one input and one output, got {in_dim} and {out_dim}")
        self.in_dim, self.out_dim = in_dim, out_dim

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Values at points of the cube."""
        raise NotImplementedError

    def macs(self) -> int:
        """Multiply-accumulates per point in matrix products, everything that a training step evaluates."""
        raise NotImplementedError

    def matrices(self) -> Iterator[nn.Parameter]:
        """Hidden weight matrices ([out, in] or a stack [k, out, in]): those that Muon may orthogonalise."""
        yield from ()

    def tables(self) -> Iterator[nn.Parameter]:
        """Tables [rows, channels] of which a batch of points reads few rows: those for lazy optimisers."""
        yield from ()

    @torch.no_grad()
    def on_grid(self, shape: Sequence[int]) -> Float[Tensor, "*shape c"]:
        """Values at the cell centres of a regular grid over the cube, axis 0 first."""
        like = next(self.parameters())
        centres = [(torch.arange(n, device=like.device, dtype=like.dtype) + 0.5) * (2 / n) - 1 for n in shape]
        values = torch.empty(*shape, self.out_dim, device=like.device, dtype=like.dtype)
        rows = max(1, CHUNK // max(1, math.prod(shape[1:])))
        for start in range(0, shape[0], rows):
            axes = torch.meshgrid(centres[0][start : start + rows], *centres[1:], indexing="ij")
            points = torch.stack(axes, dim=-1)
            flat = chunked(self, points.reshape(-1, self.in_dim))
            values[start : start + rows] = flat.reshape(*points.shape[:-1], self.out_dim)
        return values

    def evaluator(self) -> Callable[[Tensor], Tensor]:
        """The fastest way to the same values for very many points, without gradients; made after training."""
        return lambda x: chunked(self, x)


@runtime_checkable
class Mixture(Protocol):
    """A field with one loss per expert. `forward` is weighted by the gate in training and routed in evaluation."""

    def experts(self, x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n k c"], Float[Tensor, "n k"]]:
        """Outputs of all experts, and the gate's probabilities."""
        ...

    def pretrain_loss(self, x: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
        """How far the gate is from the assignment it is pretrained to."""
        ...


@torch.no_grad()
def chunked(function: Callable[[Tensor], Tensor], x: Float[Tensor, "n d"], size: int = CHUNK) -> Float[Tensor, "n c"]:
    """`function` over many points in bounded memory, without gradients."""
    if len(x) <= size:
        return function(x)
    return torch.cat([function(part) for part in x.split(size)])
