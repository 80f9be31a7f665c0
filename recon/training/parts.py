"""Losses of a batch too large to be held at once: gradients are taken part by part, and given when they are asked for.

To keep the graph of all parts and evaluate each again for its gradients (torch.utils.checkpoint) took a third longer,
and the little that it kept lay between the freed activations of the parts, where glibc then found no room for those of
the next: a SIREN and 14.6 million pixels took more than 12 GiB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn


def losses_in_parts(
    losses: Callable[[Tensor], dict[str, Tensor]], parts: Sequence[Tensor], parameters: Iterable[nn.Parameter]
) -> dict[str, Tensor]:
    """Named means over a whole batch from those of its parts. The gradients are those of their sum, and hang on the
    first: it is for all of them together that `backward` may be called."""
    wanted = [parameter for parameter in parameters if parameter.requires_grad]
    gradients, used = [torch.zeros_like(parameter) for parameter in wanted], [False] * len(wanted)
    total: dict[str, Tensor] = {}
    count = sum(map(len, parts))
    for part in parts:
        named = {name: value * (len(part) / count) for name, value in losses(part).items()}
        found = torch.autograd.grad(torch.stack(list(named.values())).sum(), wanted, allow_unused=True)
        for at, gradient in enumerate(found):
            if gradient is not None:
                gradients[at].add_(gradient)
                used[at] = True
        for name, value in named.items():
            total[name] = total[name] + value.detach() if name in total else value.detach()
    known = [gradient if one else None for gradient, one in zip(gradients, used, strict=True)]
    first = next(iter(total))
    return total | {first: _Known.apply(total[first], known, *wanted)}


class _Known(torch.autograd.Function):
    """A value whose gradients were found before."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: list[Tensor | None], *parameters: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return None, None, *(None if gradient is None else scale * gradient for gradient in ctx.gradients)
