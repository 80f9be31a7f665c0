"""Linear layers that keep the promise "float32 in and out, bfloat16 inside" on processors where torch does not."""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

SMALLEST = 64
"""Rounding and widening the rows costs more than it saves where a side of the matrix is smaller."""


def linear(x: Float[Tensor, "n i"], weight: Float[Tensor, "o i"], bias: Float[Tensor, " o"]) -> Float[Tensor, "n o"]:
    """x W^T + b, in the precision inside that `torch.set_float32_matmul_precision` asks for. Where it is we who round
    the operands, the product itself is rounded to bfloat16 too, before the bias is added."""
    if rounds(x, weight):
        return x.bfloat16() @ weight.bfloat16().T + bias  # the sum with a float32 bias is float32
    return torch.nn.functional.linear(x, weight, bias)


def rounds(x: Tensor, weight: Tensor) -> bool:
    """Whether the product is worth rounding here: torch was told "medium", and would not do it itself."""
    return (
        torch.get_float32_matmul_precision() == "medium"
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and min(weight.shape) >= SMALLEST
        and torch_ignores_medium()
    )


@cache
def torch_ignores_medium() -> bool:
    """oneDNN rounds float32 operands only for AMX tiles: with AVX-512's bf16 instructions alone (AMD's Zen 4 and 5) it
    stays in float32, at half the speed of bfloat16 operands (torch 2.13: 104 against 209 GFLOP/s a core)."""
    capable, tiles = torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported
    return bool(capable()) and not tiles()
