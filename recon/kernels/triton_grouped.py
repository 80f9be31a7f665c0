"""Grouped products as Triton kernels: gather rows, multiply by their group's matrix, scatter, in one pass.

Group k owns positions starts[k] .. starts[k + 1]; position j reads row source[j] and writes row target[j]. Nothing
waits for the device, and no sum depends on the order in which programs run. `TRITON_INTERPRET=1` (set before Triton
is imported) runs the same kernels on a CPU.

Sums are made in float32 and rounded once, to the operands' type: bfloat16 values and gradients are within u |A||B| of
the exact product of the numbers given (u = 2^-8), float32 ones within a few 2^-24 for each number summed, or within
2^-10 |A||B| where torch is told that less than "highest" will do (tf32 keeps 11 bits of each operand).
"""

from __future__ import annotations

from typing import Any, no_type_check

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from jaxtyping import Float, Int
from torch import Tensor

ROWS, COLUMNS, DEPTH = 64, 64, 32
"""Block sizes: positions, outputs, and summed numbers a program takes at once."""


def product(
    x: Float[Tensor, "n i"],
    source: Int[Tensor, " n"],
    starts: Int[Tensor, " k1"],
    weight: Float[Tensor, "k o i"],
) -> Float[Tensor, "n o"]:
    """Row j is x[source[j]] through its group's matrix; `source` is a permutation."""
    y: Any = _Product.apply(x, source, torch.arange(len(source), device=x.device), starts, weight)
    return y


class _Product(torch.autograd.Function):
    """y[target[j]] = W_{g(j)} x[source[j]], both permutations."""

    @staticmethod
    def forward(ctx, x: Tensor, source: Tensor, target: Tensor, starts: Tensor, weight: Tensor) -> Tensor:  # noqa: PLR0917  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x, source, target, starts, weight)
        return _launch_product(x, source, target, starts, weight)

    @staticmethod
    def backward(ctx, grad: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        x, source, target, starts, weight = ctx.saved_tensors
        needs_x, *_, needs_weight = ctx.needs_input_grad
        grad_x = _Product.apply(grad, target, source, starts, weight.mT) if needs_x else None
        grad_weight = _Outer.apply(grad, target, x, source, starts) if needs_weight else None
        return grad_x, None, None, None, grad_weight


class _Outer(torch.autograd.Function):
    """bank[k] = sum over positions j of group k of the outer product a[at_a[j]] b[at_b[j]]^T."""

    @staticmethod
    def forward(ctx, a: Tensor, at_a: Tensor, b: Tensor, at_b: Tensor, starts: Tensor) -> Tensor:  # noqa: PLR0917  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(a, at_a, b, at_b, starts)
        return _launch_outer(a, at_a, b, at_b, starts)

    @staticmethod
    def backward(ctx, grad: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        a, at_a, b, at_b, starts = ctx.saved_tensors
        grad_a = _Product.apply(b, at_b, at_a, starts, grad) if ctx.needs_input_grad[0] else None
        grad_b = _Product.apply(a, at_a, at_b, starts, grad.mT) if ctx.needs_input_grad[2] else None
        return grad_a, None, grad_b, None, None


def _launch_product(x: Tensor, source: Tensor, target: Tensor, starts: Tensor, weight: Tensor) -> Tensor:
    fan_out, fan_in = weight.shape[1:]
    y = x.new_empty(len(x), fan_out)
    if len(x) == 0:
        return y
    group, first = _blocks(starts, len(source))
    grid = len(group), triton.cdiv(fan_out, COLUMNS)
    _product_kernel[grid](
        x, source, target, starts, weight, y, group, first, len(starts) - 1, fan_in, fan_out,
        *x.stride(), *weight.stride(), *y.stride(),
        PRECISION=_precision(), ROWS=ROWS, COLUMNS=COLUMNS, DEPTH=DEPTH,
    )  # fmt: skip
    return y


def _launch_outer(a: Tensor, at_a: Tensor, b: Tensor, at_b: Tensor, starts: Tensor) -> Tensor:
    groups, fan_out, fan_in = len(starts) - 1, a.shape[1], b.shape[1]
    bank = a.new_empty(groups, fan_out, fan_in)
    grid = groups, triton.cdiv(fan_out, COLUMNS), triton.cdiv(fan_in, COLUMNS)
    _outer_kernel[grid](
        a, at_a, b, at_b, starts, bank, fan_out, fan_in,
        *a.stride(), *b.stride(), *bank.stride(),
        PRECISION=_precision(), COLUMNS=COLUMNS, DEPTH=DEPTH,
    )  # fmt: skip
    return bank


def _blocks(starts: Int[Tensor, " k1"], rows: int) -> tuple[Int[Tensor, " b"], Int[Tensor, " b"]]:
    """Group and first position of each block of at most ROWS positions of one group.

    Their number isn't known without waiting for the device: there may be more blocks than needed, with group k."""
    groups = len(starts) - 1
    ends = ((starts.diff() + ROWS - 1) // ROWS).cumsum(0)
    block = torch.arange(triton.cdiv(rows, ROWS) + groups, device=starts.device)
    group = torch.searchsorted(ends, block, right=True)
    before = torch.nn.functional.pad(ends, (1, 0))
    return group, starts[group] + (block - before[group]) * ROWS


def _precision() -> str:
    """float32 operands are rounded to tf32 where torch may do so too; bfloat16 operands are as they are."""
    return "ieee" if torch.get_float32_matmul_precision() == "highest" else "tf32"


# Kernels are compiled from their source: no_type_check keeps the tests' shape checks from wrapping them.


@triton.jit
@no_type_check
def _product_kernel(  # noqa: PLR0917
    x, source, target, starts, weight, y, group, first, groups, fan_in, fan_out,
    x_row, x_column, weight_group, weight_out, weight_in, y_row, y_column,
    PRECISION: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    own = tl.load(group + tl.program_id(0))
    if own < groups:
        position = tl.load(first + tl.program_id(0)) + tl.arange(0, ROWS)
        live = position < tl.load(starts + own + 1)
        read = tl.load(source + position, mask=live, other=0)
        column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
        total = tl.zeros((ROWS, COLUMNS), dtype=tl.float32)
        for start in range(0, fan_in, DEPTH):
            inner = start + tl.arange(0, DEPTH)
            x_at = read[:, None] * x_row + inner[None, :] * x_column
            left = tl.load(x + x_at, mask=live[:, None] & (inner[None, :] < fan_in), other=0.0)
            w_at = own * weight_group + column[None, :] * weight_out + inner[:, None] * weight_in
            right = tl.load(weight + w_at, mask=(inner[:, None] < fan_in) & (column[None, :] < fan_out), other=0.0)
            total += tl.dot(left, right, input_precision=PRECISION)
        write = tl.load(target + position, mask=live, other=0)
        y_at = write[:, None] * y_row + column[None, :] * y_column
        tl.store(y + y_at, total.to(y.dtype.element_ty), mask=live[:, None] & (column[None, :] < fan_out))


@triton.jit
@no_type_check
def _outer_kernel(  # noqa: PLR0917
    a, at_a, b, at_b, starts, bank, fan_out, fan_in,
    a_row, a_column, b_row, b_column, bank_group, bank_out, bank_in,
    PRECISION: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    own = tl.program_id(0).to(tl.int64)
    end = tl.load(starts + own + 1)
    row = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    column = tl.program_id(2) * COLUMNS + tl.arange(0, COLUMNS)
    total = tl.zeros((COLUMNS, COLUMNS), dtype=tl.float32)
    for start in range(tl.load(starts + own), end, DEPTH):
        position = start + tl.arange(0, DEPTH)
        live = position < end
        a_at = tl.load(at_a + position, mask=live, other=0)[None, :] * a_row + row[:, None] * a_column
        left = tl.load(a + a_at, mask=live[None, :] & (row[:, None] < fan_out), other=0.0)
        b_at = tl.load(at_b + position, mask=live, other=0)[:, None] * b_row + column[None, :] * b_column
        right = tl.load(b + b_at, mask=live[:, None] & (column[None, :] < fan_in), other=0.0)
        total += tl.dot(left, right, input_precision=PRECISION)
    bank_at = own * bank_group + row[:, None] * bank_out + column[None, :] * bank_in
    tl.store(
        bank + bank_at, total.to(bank.dtype.element_ty), mask=(row[:, None] < fan_out) & (column[None, :] < fan_in)
    )
