"""The Triton kernels against the definition, in values and gradients: interpreted where there is no CUDA device."""

import os

import pytest
import torch

from recon.kernels import grouped
from recon.kernels.grouped import grouped_linear, grouped_linear_reference, order_by_group, restore, routed_linear

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # Triton reads it when it is imported
pytest.importorskip("triton", reason="Triton isn't installed (pip install triton)")
triton_grouped = pytest.importorskip("recon.kernels.triton_grouped")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
RNG = torch.Generator().manual_seed(0)
CASES = [  # rows, groups, in, out
    (1, 1, 1, 1),
    (1, 5, 16, 3),
    (7, 3, 33, 20),
    (150, 2, 70, 65),  # several blocks of rows, of outputs and of inputs
    (40, 30, 5, 4),  # most groups hold a row or two, some none
    (64, 1, 64, 64),  # whole blocks
    (65, 2, 65, 65),  # one more than a block of each
    (3, 300, 2, 1),  # hardly any group has a row
]


def inputs(rows: int, groups: int, fan_in: int, fan_out: int) -> list[torch.Tensor]:
    shapes = (rows, fan_in), (groups, fan_out, fan_in)
    return [torch.randn(shape, generator=RNG).to(DEVICE).requires_grad_() for shape in shapes]


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found.double(), expected, atol=2e-5, rtol=1e-5)


@pytest.fixture(autouse=True)
def exact():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def reference(x: torch.Tensor, group: torch.Tensor, weight: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    none = weight.new_zeros(weight.shape[:2]).double()
    return grouped_linear_reference(x.double(), group, weight.double(), none)[rows]


@pytest.mark.parametrize(("rows", "groups", "fan_in", "fan_out"), CASES)
def test_kernels_equal_the_definition_in_values_and_gradients(rows, groups, fan_in, fan_out):
    x, weight = inputs(rows, groups, fan_in, fan_out)
    group = torch.randint(groups, (rows,), generator=RNG).to(DEVICE)
    order = order_by_group(group, groups)
    found = triton_grouped.product(x, order.rows, order.starts, weight)
    expected = reference(x, group, weight, order.rows)
    close(found, expected)
    out = torch.randn(rows, fan_out, generator=RNG).to(DEVICE)
    pair = torch.autograd.grad(found, [x, weight], out), torch.autograd.grad(expected, [x, weight], out.double())
    for a, b in zip(*pair, strict=True):
        close(a, b.double())


def test_second_derivatives_equal_the_definition_s():
    """A normal is a gradient by points, and a loss may ask for its gradient by weights."""
    x, weight = inputs(9, 3, 4, 5)
    group = torch.tensor([2, 0, 0, 2, 2, 0, 2, 2, 0]).to(DEVICE)
    order = order_by_group(group, 3)
    found = []
    for y in (triton_grouped.product(x, order.rows, order.starts, weight), reference(x, group, weight, order.rows)):
        first = torch.autograd.grad(torch.sin(y).sum(), [x, weight], create_graph=True)
        found.append(torch.autograd.grad(sum((g**2).sum() for g in first), [x, weight]))
    for a, b in zip(*found, strict=True):
        close(a, b.double())


def test_no_rows_give_no_rows_and_no_gradient():
    x, weight = inputs(0, 3, 4, 5)
    order = order_by_group(torch.zeros(0, dtype=torch.long, device=DEVICE), 3)
    y = triton_grouped.product(x, order.rows, order.starts, weight)
    assert y.shape == (0, 5)
    y.sum().backward()
    assert weight.grad is not None
    assert not weight.grad.any()


@pytest.mark.parametrize(("rows", "groups", "fan_in", "fan_out"), CASES)
def test_layers_take_the_kernels_and_their_biases_learn(rows, groups, fan_in, fan_out, monkeypatch):
    monkeypatch.setattr(grouped, "runs_triton", lambda _: True)
    monkeypatch.setattr(grouped, "_Product", None)  # the other way is not taken
    x, weight = inputs(rows, groups, fan_in, fan_out)
    bias = torch.randn(groups, fan_out, generator=RNG).to(DEVICE).requires_grad_()
    group = torch.randint(groups, (rows,), generator=RNG).sort().values.to(DEVICE)
    sizes = torch.bincount(group, minlength=groups).tolist()
    check(grouped_linear(x, sizes, weight, bias), group, [x, weight, bias])
    shuffled = group[torch.randperm(rows, generator=RNG).to(DEVICE)]
    order = order_by_group(shuffled, groups)
    shared = bias[0].detach().requires_grad_()
    check(restore(routed_linear(x, order, weight, shared), order), shuffled, [x, weight, shared])


def check(found: torch.Tensor, group: torch.Tensor, given: list[torch.Tensor]) -> None:
    """Values and gradients are the definition's."""
    x, weight, bias = (t.double() for t in given)
    expected = grouped_linear_reference(x, group, weight, bias.expand(len(weight), -1))
    close(found, expected)
    out = torch.randn(found.shape, generator=RNG).to(DEVICE)
    pair = torch.autograd.grad(found, given, out), torch.autograd.grad(expected, given, out.double())
    for a, b in zip(*pair, strict=True):
        close(a, b.double())


@pytest.mark.parametrize("sizes", [[1], [0, 100, 0, 1], [40, 70]])
def test_half_precision_is_rounded_once_at_the_end(sizes):
    """Values and gradients; the interpreter has no bfloat16 products, float16 stands for it there."""
    half, rounding = (torch.bfloat16, 2.0**-8) if DEVICE == "cuda" else (torch.float16, 2.0**-11)
    x, weight = (t.detach().to(half).requires_grad_() for t in inputs(sum(sizes), len(sizes), 70, 33))
    group = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)).to(DEVICE)
    order = order_by_group(group, len(sizes))
    found = triton_grouped.product(x, order.rows, order.starts, weight)
    out = torch.randn(found.shape, generator=RNG).to(DEVICE).to(half)
    wide = [t.detach().double().requires_grad_() for t in (x, weight)]
    most = [t.detach().abs().requires_grad_() for t in wide]
    exact, limit = (reference(a, group, w, order.rows) for a, w in (wide, most))
    gradients = torch.autograd.grad(found, [x, weight], out)
    expected = torch.autograd.grad(exact, wide, out.double())
    limits = torch.autograd.grad(limit, most, out.double().abs())
    for a, b, bound in zip((found, *gradients), (exact, *expected), (limit, *limits), strict=True):
        assert a.dtype == half
        assert ((a.double() - b).detach().abs() <= 1.01 * rounding * bound + 1e-7).all()
