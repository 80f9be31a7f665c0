"""Muon, for matrices and for batches of them: momentum, then the nearest orthogonal matrix as the update."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from jaxtyping import BFloat16, Float
from torch import Tensor


class Muon(torch.optim.Optimizer):
    """Keller Jordan's Muon (https://kellerjordan.github.io/posts/muon) with Nesterov momentum.

    Takes weights [out, in] as `torch.optim.Muon` does, with the same values, and also batches [k, out, in] (the
    layout of experts and tiles), each matrix on its own. All matrices of one shape are orthogonalised together.
    """

    def __init__(self, params: Any, lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        for parameter in (p for group in self.param_groups for p in group["params"]):
            if parameter.ndim not in (2, 3) or parameter.is_complex():
                kind = f"{list(parameter.shape)}, {parameter.dtype}"
                raise ValueError(f"Muon takes real matrices [out, in] or batches [k, out, in], found {kind}")

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            alike: dict[Any, list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for parameter in (p for p in group["params"] if p.grad is not None):
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                update = _wide(parameter.grad.lerp(momentum, group["momentum"]))
                alike[update.shape[1:], update.dtype, update.device].append((parameter, update))
            for pairs in alike.values():
                together = orthogonalize(torch.cat([update for _, update in pairs]))
                for (parameter, _), update in zip(pairs, together.split([len(u) for _, u in pairs]), strict=True):
                    _move(parameter, update, group["lr"], group["weight_decay"])


def orthogonalize(matrices: Float[Tensor, "k a b"], steps: int = 5) -> BFloat16[Tensor, "k a b"]:
    """About U V^T of each matrix U S V^T (a <= b): singular values near 1, between 0.7 and 1.2 unless they were tiny.

    Newton-Schulz quintic in bfloat16 with the coefficients of the post above, as torch does it.
    """
    x = matrices.bfloat16()
    x = x / torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return x


def _wide(matrices: Float[Tensor, "*k a b"]) -> Float[Tensor, "k c d"]:
    """A batch of one or more, transposed where that makes the products smaller."""
    batch = matrices if matrices.ndim == 3 else matrices[None]
    return batch.mT if batch.shape[1] > batch.shape[2] else batch


def _move(parameter: Tensor, update: Float[Tensor, "k c d"], rate: float, weight_decay: float) -> None:
    """Undoes `_wide` and takes the step; taller maps (out > in) step further, as the post says."""
    out_features, in_features = parameter.shape[-2:]
    update = (update.mT if out_features > in_features else update).reshape(parameter.shape)
    parameter.mul_(1 - rate * weight_decay)
    parameter.add_(update, alpha=-rate * max(1.0, out_features / in_features) ** 0.5)
