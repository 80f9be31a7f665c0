"""Adam for tables of which a step touches few rows: the others, and their moments, stay as they are."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


class LazyAdam(torch.optim.Optimizer):
    """Each row is trained by an Adam of its own that only sees the steps that touch it.

    `torch.optim.SparseAdam` counts steps for the whole table, so a row touched late for the first time moves 3 rates
    instead of 1; here each row has its own count. A dense gradient touches the rows where it isn't all zero.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        for parameter in (p for group in self.param_groups for p in group["params"]):
            if parameter.ndim == 0 or parameter.is_complex():
                raise ValueError(f"a sparse group takes real tables [rows, ...], found {list(parameter.shape)}")

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update of the touched rows of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in (p for p in group["params"] if p.grad is not None):
                state = self.state[parameter]
                if not state:
                    state["count"] = torch.zeros(len(parameter), dtype=torch.int32, device=parameter.device)
                    state["first"] = torch.zeros_like(parameter)
                    state["second"] = torch.zeros_like(parameter)
                rows, gradient = touched(parameter.grad)
                _step_rows(parameter, state, rows, gradient, group)


def touched(gradient: Tensor) -> tuple[Int[Tensor, " n"], Float[Tensor, "n ..."]]:
    """Rows that a gradient (sparse along rows, or dense) touches, each once, and their gradients."""
    if gradient.is_sparse:
        gradient = gradient.coalesce()
        if gradient.sparse_dim() != 1:
            raise ValueError(f"a table's gradient must be sparse along rows only, found {gradient.sparse_dim()} axes")
        return gradient.indices()[0], gradient.values()
    rows = (gradient.reshape(len(gradient), -1) != 0).any(1).nonzero()[:, 0]
    return rows, gradient[rows]


def _step_rows(
    table: Tensor,
    state: dict[str, Tensor],
    rows: Int[Tensor, " n"],
    gradient: Float[Tensor, "n ..."],
    group: dict[str, Any],
) -> None:
    """Adam's update, Kingma and Ba's algorithm 1, with a count for each row."""
    decay1, decay2 = group["betas"]
    count = state["count"][rows] + 1
    first = state["first"][rows].lerp_(gradient, 1 - decay1)
    second = state["second"][rows].mul_(decay2).addcmul_(gradient, gradient, value=1 - decay2)
    for name, value in (("count", count), ("first", first), ("second", second)):
        state[name].index_copy_(0, rows, value)
    steps = count.double().reshape(-1, *[1] * (gradient.ndim - 1))
    mean = first / (1 - decay1**steps).to(first.dtype)
    spread = (second / (1 - decay2**steps).to(second.dtype)).sqrt_().add_(group["eps"])
    moved = table[rows].mul_(1 - group["lr"] * group["weight_decay"]).addcdiv_(mean, spread, value=-group["lr"])
    table.index_copy_(0, rows, moved)
