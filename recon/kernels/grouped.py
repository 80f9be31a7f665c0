"""A grouped linear layer: row i is multiplied by the matrix of its own group. Rows come sorted by group."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def sort_by_group(group: Int[Tensor, " n"], groups: int) -> tuple[Int[Tensor, " n"], list[int]]:
    """Order that brings rows of one group together (stable), and the size of each group."""
    order = torch.argsort(group, stable=True)
    return order, torch.bincount(group, minlength=groups).tolist()


def grouped_linear(
    x: Float[Tensor, "n i"], sizes: list[int], weight: Float[Tensor, "k o i"], bias: Float[Tensor, "k o"]
) -> Float[Tensor, "n o"]:
    """Contiguous segments of `x`, each through its own linear layer; empty groups cost nothing."""
    if sum(sizes) != len(x):
        raise ValueError(f"group sizes sum to {sum(sizes)}, but there are {len(x)} rows")
    parts = [
        torch.nn.functional.linear(rows, weight[k], bias[k]) for k, rows in enumerate(x.split(sizes)) if len(rows) > 0
    ]
    return torch.cat(parts) if parts else x.new_zeros(0, weight.shape[1])


def grouped_linear_reference(
    x: Float[Tensor, "n i"], group: Int[Tensor, " n"], weight: Float[Tensor, "k o i"], bias: Float[Tensor, "k o"]
) -> Float[Tensor, "n o"]:
    """The definition: each row by its group's gathered matrix. Slow; rows in any order."""
    return torch.einsum("noi,ni->no", weight[group], x) + bias[group]
