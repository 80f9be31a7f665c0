"""Grouped linear layers: row i is multiplied by the matrix of its own group. Banks of matrices are [groups, out, in].

`routed_linear` takes rows in any order and leaves them sorted by group, so that layers with different groups pass rows
on with one gather each. Nothing here has a Python object per group in autograd's graph, and empty groups cost nothing.

How far values and gradients may be from the exact products A B of the numbers given, with u = 2^-8, the rounding of
bfloat16, and |.| taken number by number: for float32 operands that torch rounds inside 3u |A||B| (each operand is
rounded, and the product or its blocks; where torch does not round, neither do we: groups have new sizes at each step,
and oneDNN compiles a bfloat16 product for each size it meets); for bfloat16 operands 2u |A||B| (blocks, and their
sum, which is made in float32). Then a bias is added, in bfloat16 at the cost of 2u of it and of the sum.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from recon.kernels.products import exact_where_torch_is

TINY_WORK = {"cpu": 1 << 17, "cuda": 1 << 22}
"""Multiply-accumulates of a group's product, on average, below which a call for each group costs more than it does: all
groups then run as one batched product of equal blocks of rows."""

WORTH_SHARING = 1 << 22
"""Multiply-accumulates of all groups from which they are shared out to workers with one thread each. If each call had
all threads, they would be woken for each: 16,384 rows in 64 groups, 2 threads that sleep while they wait, float32, in
products of the plain layer's time: 64 wide 5.3 in calls, 2.5 in blocks, 1.3 shared out; 256 wide 1.9, 2.1 and 1.2."""


@dataclass(frozen=True)
class Order:
    """A permutation that sorts rows by group (stable): sorted row j is row `rows[j]`, row i is sorted row `places[i]`.

    Group k owns the sorted rows from `starts[k]` to `starts[k + 1]`."""

    rows: Int[Tensor, " n"]
    places: Int[Tensor, " n"]
    starts: Int[Tensor, " k1"]

    def after(self, before: Order) -> Order:
        """The same sorting for rows that `before` has already sorted its own way."""
        rows, places = before.places.index_select(0, self.rows), self.places.index_select(0, before.rows)
        return Order(rows, places, self.starts)

    def sizes(self) -> list[int]:
        """Rows of each group (waits for the device)."""
        return self.starts.diff().tolist()


def order_by_group(group: Int[Tensor, " n"], groups: int) -> Order:
    """Sorts rows by group, without waiting for the device."""
    if group.device.type == "cpu":
        # NumPy sorts narrow integers by radix: 0.04 ms for 16,384 rows of 64 groups, against torch's 0.6 ms.
        key = group.numpy().astype(np.uint8 if groups <= 1 << 8 else np.uint16 if groups <= 1 << 16 else np.int64)
        rows = torch.from_numpy(np.argsort(key, kind="stable"))
        starts = torch.from_numpy(np.bincount(key, minlength=groups)).cumsum(0)
        starts = torch.nn.functional.pad(starts, (1, 0))
    else:
        key, rows = torch.sort(group, stable=True)
        starts = torch.searchsorted(key, torch.arange(groups + 1, device=group.device))
    places = torch.empty_like(rows).scatter_(0, rows, torch.arange(len(rows), device=rows.device))
    return Order(rows, places, starts)


def sort_by_group(group: Int[Tensor, " n"], groups: int) -> tuple[Int[Tensor, " n"], list[int]]:
    """Order that brings rows of one group together (stable), and the size of each group."""
    order = order_by_group(group, groups)
    return order.rows, order.sizes()


def routed_linear(
    x: Float[Tensor, "n i"], order: Order, weight: Float[Tensor, "k o i"], bias: Float[Tensor, " o"]
) -> Float[Tensor, "n o"]:
    """Row j is x[rows[j]] through its group's matrix, plus the shared bias: sorted rows out, whatever came in."""
    x, weight = _autocast(x, weight)
    if runs_triton(x):
        y = _triton_product(x, order.rows, order.starts, weight)
    else:
        y = _Product.apply(permute(x, order), weight, Segments(order.sizes()))
    return y.add_(bias.to(y.dtype))


def grouped_linear(
    x: Float[Tensor, "n i"], sizes: list[int], weight: Float[Tensor, "k o i"], bias: Float[Tensor, "k o"]
) -> Float[Tensor, "n o"]:
    """Contiguous segments of `x`, each through its own linear layer; empty groups cost nothing."""
    if sum(sizes) != len(x):
        raise ValueError(f"group sizes sum to {sum(sizes)}, but there are {len(x)} rows")
    x, weight = _autocast(x, weight)
    counts = torch.tensor(sizes, dtype=torch.long)
    if runs_triton(x):
        starts = torch.nn.functional.pad(counts.cumsum(0), (1, 0)).to(x.device)
        y = _triton_product(x, torch.arange(len(x), device=x.device), starts, weight)
    else:
        y = _Product.apply(x, weight, Segments(sizes))
    group = torch.repeat_interleave(torch.arange(len(sizes)), counts)
    # The rows are rounded, not the biases: else their gradients would be summed in the precision of the rows.
    return y.add_(bias.index_select(0, group.to(y.device)).to(y.dtype))


def grouped_linear_reference(
    x: Float[Tensor, "n i"], group: Int[Tensor, " n"], weight: Float[Tensor, "k o i"], bias: Float[Tensor, "k o"]
) -> Float[Tensor, "n o"]:
    """The definition: each row by its group's gathered matrix. Slow; rows in any order."""
    return torch.einsum("noi,ni->no", weight[group], x) + bias[group]


def permute(x: Float[Tensor, "n c"], order: Order) -> Float[Tensor, "n c"]:
    """x[rows]. Its gradient is a gather as well, where torch would scatter."""
    y: Any = _Permute.apply(x, order.rows, order.places)
    return y


def restore(x: Float[Tensor, "n c"], order: Order) -> Float[Tensor, "n c"]:
    """Undoes `permute`."""
    y: Any = _Permute.apply(x, order.places, order.rows)
    return y


def runs_triton(x: Tensor) -> bool:
    """Whether the products of these rows run as Triton kernels: on CUDA, where Triton is, and not in doubles (the
    kernels sum in float32)."""
    return x.device.type == "cuda" and x.dtype != torch.float64 and _triton_is_here()


def _triton_product(x: Tensor, rows: Tensor, starts: Tensor, weight: Tensor) -> Any:
    """Row j is x[rows[j]] through its group's matrix."""
    # Triton exists on few machines, and compiles at first use: it is loaded where it runs.
    from recon.kernels import triton_grouped  # noqa: PLC0415

    return triton_grouped.product(x, rows, starts, weight)


@cache
def _triton_is_here() -> bool:
    return find_spec("triton") is not None


def _autocast(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """What autocast does to the operands of torch's own products."""
    if not torch.is_autocast_enabled(x.device.type):
        return x, weight
    dtype = torch.get_autocast_dtype(x.device.type)
    return x.to(dtype), weight.to(dtype)


class _Permute(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, rows: Tensor, places: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(rows, places)
        return x.index_select(0, rows)

    @staticmethod
    def backward(ctx, grad: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        rows, places = ctx.saved_tensors
        return _Permute.apply(grad, places, rows), None, None


class Segments:
    """Sizes of contiguous segments of rows, and how they are cut into blocks of equal size, the last ones padded."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes
        self.live = [size for size in sizes if size]

    def tiny(self, bank: Tensor) -> bool:
        """Whether the groups' products are too small to be called one by one."""
        several = bank.device.type != "cpu" or torch.get_num_threads() > 1
        limit = TINY_WORK["cpu" if bank.device.type == "cpu" else "cuda"] * len(self.live)
        return several and len(self.live) > 1 and self.work(bank) < limit

    def work(self, bank: Tensor) -> int:
        """Multiply-accumulates of all products with a bank."""
        return sum(self.live) * bank.shape[1] * bank.shape[2]

    def shares(self, bank: Tensor) -> int:
        """Among how many workers the products are shared out: 1 where that doesn't pay, as with one group for all."""
        threads = torch.get_num_threads()
        uneven = max(self.live, default=0) * threads > 1.5 * sum(self.live)
        alone = bank.device.type != "cpu" or uneven or self.work(bank) < WORTH_SHARING
        return 1 if alone else threads

    @cached_property
    def height(self) -> int:
        """Rows of a block: about the average segment's, a power of two from 32 to 256."""
        mean = sum(self.live) / max(1, len(self.live))
        return 1 << min(8, max(5, round(math.log2(max(1.0, mean)))))

    @cached_property
    def blocks(self) -> tuple[Int[Tensor, " n"], Int[Tensor, " b"]]:
        """Where each row lies among the rows of all blocks, and the group of each block."""
        sizes = np.asarray(self.sizes)
        count = -(-sizes // self.height)
        shift = (np.cumsum(count) - count) * self.height - (np.cumsum(sizes) - sizes)
        slots = np.arange(int(sizes.sum())) + np.repeat(shift, sizes)
        return torch.from_numpy(slots), torch.from_numpy(np.repeat(np.arange(len(sizes)), count))

    def cut(self, x: Float[Tensor, "n c"]) -> Float[Tensor, "b h c"]:
        """The rows in blocks, zeros where there are none."""
        slots, owner = self.blocks
        padded = x.new_zeros(len(owner) * self.height, x.shape[1])
        return padded.index_copy_(0, slots.to(x.device), x).unflatten(0, (len(owner), self.height))

    def join(self, blocks: Float[Tensor, "b h c"]) -> Float[Tensor, "n c"]:
        """The rows of `cut` again."""
        return blocks.flatten(0, 1).index_select(0, self.blocks[0].to(blocks.device))


class _Product(torch.autograd.Function):
    """Sorted rows [n, i] by a bank [k, o, i] -> [n, o]. Its gradients are one more of itself and an `_Outer`."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, segments: Segments) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(x, weight)
        ctx.segments = segments
        with exact_where_torch_is():
            if segments.tiny(weight):
                owner = segments.blocks[1].to(x.device)
                return segments.join(torch.bmm(segments.cut(x), weight[owner].mT))
            y = x.new_empty(len(x), weight.shape[1])
            parts = y.split(segments.live), x.split(segments.live), _living(weight.mT, segments)
            _multiply(list(zip(*parts, strict=True)), segments.shares(weight))
        return y

    @staticmethod
    def backward(ctx, grad: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        x, weight = ctx.saved_tensors
        grad_x = _Product.apply(grad, weight.mT, ctx.segments) if ctx.needs_input_grad[0] else None
        grad_weight = _Outer.apply(grad, x, ctx.segments) if ctx.needs_input_grad[1] else None
        return grad_x, grad_weight, None


class _Outer(torch.autograd.Function):
    """Sorted rows a [n, o], b [n, i] -> sums of outer products by group [k, o, i], written straight into the bank."""

    @staticmethod
    def forward(ctx, a: Tensor, b: Tensor, segments: Segments) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(a, b)
        ctx.segments = segments
        bank = a.new_zeros(len(segments.sizes), a.shape[1], b.shape[1])
        with exact_where_torch_is():
            if segments.tiny(bank):
                sums = torch.bmm(segments.cut(a).mT, segments.cut(b))
                # A group may have many blocks: they are summed in float32 at least.
                wide = torch.promote_types(a.dtype, torch.float32)
                return bank.to(wide).index_add_(0, segments.blocks[1].to(a.device), sums.to(wide)).to(a.dtype)
            parts = _living(bank, segments), a.T.split(segments.live, dim=1), b.split(segments.live)
            _multiply(list(zip(*parts, strict=True)), segments.shares(bank))
        return bank

    @staticmethod
    def backward(ctx, grad: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        a, b = ctx.saved_tensors
        grad_a = _Product.apply(b, grad, ctx.segments) if ctx.needs_input_grad[0] else None
        grad_b = _Product.apply(a, grad.mT, ctx.segments) if ctx.needs_input_grad[1] else None
        return grad_a, grad_b, None


def _living(bank: Tensor, segments: Segments) -> Iterator[Tensor]:
    """Matrices of the groups that have rows."""
    return (matrix for matrix, size in zip(bank.unbind(), segments.sizes, strict=True) if size)


Triple = tuple[Tensor, Tensor, Tensor]
"""Where a product goes, and its factors."""


def _multiply(products: list[Triple], workers: int) -> None:
    """All products, each by one worker alone; every worker has about as many."""
    if workers == 1:
        return _multiply_some(products)
    cuts = [len(products) * part // workers for part in range(workers + 1)]
    futures = [_crew(workers).submit(_multiply_some, products[a:b]) for a, b in itertools.pairwise(cuts)]
    for future in futures:
        future.result()
    return None


@torch.no_grad()  # the workers' threads have a mode of their own
def _multiply_some(products: list[Triple]) -> None:
    for out, left, right in products:
        torch.mm(left, right, out=out)


@cache
def _crew(workers: int) -> ThreadPoolExecutor:
    """Threads whose own products use one thread each. What others use stays as it was."""
    before, ready = torch.get_num_threads(), threading.Barrier(workers + 1)

    def begin() -> None:
        torch.get_num_threads()  # a thread takes torch's number when it first asks: before it is given its own
        torch.set_num_threads(1)
        ready.wait()

    crew = ThreadPoolExecutor(workers, "recon-products")
    for _ in range(workers):
        crew.submit(begin)
    ready.wait()
    torch.set_num_threads(before)
    return crew
