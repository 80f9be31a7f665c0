"""Linear layers that keep the promise "float32 in and out, bfloat16 inside" on processors where torch does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

SMALLEST = 64
"""Rounding and widening the rows costs more than it saves where a side of the matrix is smaller."""
NARROW = 8
"""Inputs up to which rows are taken for coordinates."""


def linear(x: Float[Tensor, "n i"], weight: Float[Tensor, "o i"], bias: Tensor | None = None) -> Float[Tensor, "n o"]:
    """x W^T + b, in the precision inside that `torch.set_float32_matmul_precision` asks for. Where it is we who round
    the operands, the product itself is rounded to bfloat16 too, before the bias is added: values and gradients are
    within 3 * 2^-8 |A||B| of the exact products A B, number by number."""
    if _coordinates(x) and torch.get_float32_matmul_precision() != "highest":
        wide = torch.nn.functional.linear(x.double(), weight.double(), None if bias is None else bias.double())
        return wide.to(x.dtype)
    if rounds(x, weight):
        y = x.bfloat16() @ weight.bfloat16().T
        return y.to(x.dtype) if bias is None else y + bias  # the sum with a float32 bias is float32
    return torch.nn.functional.linear(x, weight, bias)


def _coordinates(x: Tensor) -> bool:
    """Whether these rows may be points, on a device that would round them: TF32 tells 1,024 places apart, and a fast
    sine many more. (oneDNN leaves products of so few inputs in float32.)"""
    return x.device.type == "cuda" and x.dtype == torch.float32 and x.shape[1] <= NARROW


def rounds(x: Tensor, weight: Tensor) -> bool:
    """Whether the product is worth rounding here: torch was told "medium", and would not do it itself."""
    return (
        torch.get_float32_matmul_precision() == "medium"
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and min(weight.shape) >= SMALLEST
        and torch_ignores_medium()
    )


@contextmanager
def exact_where_torch_is() -> Iterator[None]:
    """Within, products of float32 whose sizes are ever new, on a processor where torch does not round them: told
    "medium", it would still have oneDNN compile each, and keep it (a step of LoE: 1.6 times as long)."""
    asked = torch.get_float32_matmul_precision()
    if asked != "medium" or not torch_ignores_medium():
        yield
        return
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(asked)


@cache
def torch_ignores_medium() -> bool:
    """oneDNN rounds float32 operands only for AMX tiles: with AVX-512's bf16 instructions alone (AMD's Zen 4 and 5) it
    stays in float32, at half the speed of bfloat16 operands (torch 2.13: 104 against 209 GFLOP/s a core)."""
    capable, tiles = torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported
    return bool(capable()) and not tiles()
