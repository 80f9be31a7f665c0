"""What every field is: a network from points of the cube [-1, 1]^d to c numbers, its settings, and its cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

CHUNK = 1 << 16
"""Points evaluated at once where nothing needs gradients."""


@dataclass(frozen=True)
class FieldConfig:
    """Settings of a field. Subclasses are frozen dataclasses that check themselves and build their module."""

    paper: ClassVar[str] = ""
    """Where the field comes from, for `recon fields`."""
    purpose: ClassVar[str] = ""
    """What it is for, in a few words."""

    def build(self, in_dim: int, out_dim: int) -> Field:
        """The network, freshly initialised from torch's global random state."""
        raise NotImplementedError(f"{type(self).__name__} must say how it is built")

    def for_grid(self, shape: Sequence[int]) -> FieldConfig:  # noqa: ARG002
        """These settings adapted to data that lives on a regular grid of this shape."""
        return self

    def scaled(self, factor: float) -> FieldConfig:
        """A field of the same kind whose size is about `factor` times this one's: every width grows with it."""
        widths = {f.name: getattr(self, f.name) for f in fields(self) if f.name.endswith("width")}
        return replace(self, **{name: max(1, round(width * factor)) for name, width in widths.items()})


class Field(nn.Module):
    """A network from the cube to `out_dim` numbers; its last layer is linear.

    Points outside the cube are no error: networks go on by their formula, grids and tiles by their outermost cells."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        if in_dim < 1 or out_dim < 1:
            raise ValueError(f"a field needs at least one input and one output, got {in_dim} and {out_dim}")
        self.in_dim, self.out_dim = in_dim, out_dim
        self.register_forward_pre_hook(_check_points)

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Values at points of the cube."""
        raise NotImplementedError

    def macs(self) -> int:
        """Multiply-accumulates per point in matrix products, everything that a training step evaluates."""
        raise NotImplementedError

    def routed_macs(self) -> int:
        """The same where nothing trains: a mixture then runs one expert a point."""
        return self.macs()

    def profiler_macs(self) -> float:
        """As ASMR's profiler counts (section 4): products, and one for each bias that is added."""
        linears = (m for m in self.modules() if isinstance(m, nn.Linear) and m.bias is not None)
        return float(self.macs() + sum(linear.bias.numel() for linear in linears))

    def matrices(self) -> Iterator[nn.Parameter]:
        """Hidden weight matrices ([out, in] or a stack [k, out, in]): those that Muon may orthogonalise."""
        yield from ()

    def tables(self) -> Iterator[nn.Parameter]:
        """Tables [rows, channels] of which a batch of points reads few rows: those for lazy optimisers."""
        yield from ()

    @torch.no_grad()
    def on_grid(self, shape: Sequence[int]) -> Float[Tensor, "*shape c"]:
        """Values at the cell centres of a regular grid over the cube, axis 0 first."""
        like = next(self.parameters(), torch.empty(0))
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


def _check_points(field: nn.Module, given: tuple[Tensor, ...]) -> None:
    """Raises ValueError for what no field takes. On a GPU not-a-number passes: to see it would mean to wait."""
    assert isinstance(field, Field)
    (x,) = given
    name = type(field).__name__
    if x.ndim != 2 or x.shape[1] != field.in_dim:
        raise ValueError(f"{name} takes points of shape [n, {field.in_dim}] (in_dim), got {list(x.shape)}")
    own = next((p.dtype for p in field.parameters()), x.dtype)
    if x.device.type == "cpu" and torch.float16 in (x.dtype, own):
        raise ValueError(f"{name} does not run in float16 on a CPU; use float32 or bfloat16, or --device cuda")
    if x.dtype != own and not torch.is_autocast_enabled(x.device.type):
        raise ValueError(f"{name} has weights of {own}, but the points are {x.dtype}; convert one of them")
    if x.device.type == "cpu" and not math.isfinite(float(x.detach().sum())):
        raise ValueError(f"{name} was given points that are infinite or not numbers; check where they come from")


@runtime_checkable
class Mixture(Protocol):
    """A field with one loss per expert. `forward` is weighted by the gate in training and routed in evaluation."""

    def experts(self, x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n k c"], Float[Tensor, "n k"]]:
        """Outputs of all experts, and the gate's probabilities."""
        ...

    def pretrain_loss(self, x: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
        """How far the gate is from the assignment it is pretrained to."""
        ...


@runtime_checkable
class MultiScale(Protocol):
    """A field of several levels of detail. `forward` gives the finest; a loss may weigh all of them."""

    def outputs(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n s c"]:
        """Values at every level, coarse to fine."""
        ...


@torch.no_grad()
def chunked(function: Callable[[Tensor], Tensor], x: Float[Tensor, "n d"], size: int = CHUNK) -> Float[Tensor, "n c"]:
    """`function` over many points in bounded memory, without gradients."""
    if len(x) <= size:
        return function(x)
    return torch.cat([function(part) for part in x.split(size)])
