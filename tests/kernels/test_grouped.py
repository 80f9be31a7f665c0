"""Grouped linear layers against their definition, in values and gradients of first and second order."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recon.kernels import grouped
from recon.kernels.grouped import (
    grouped_linear,
    grouped_linear_reference,
    order_by_group,
    permute,
    restore,
    routed_linear,
    runs_triton,
    sort_by_group,
)

RNG = torch.Generator().manual_seed(0)
FAN_IN, FAN_OUT = 3, 2


WAYS = {"calls": (1, 0), "blocks": (2, 1 << 40), "workers": (2, 0)}
"""Threads, and the work of a group below which several groups are one product of blocks."""


@pytest.fixture(autouse=True, scope="module", params=WAYS)
def threads(request):
    """One thread takes groups call by call; several take small ones as one product, or share them out to workers."""
    count, tiny = WAYS[request.param]
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "get_num_threads", lambda: count)
        patch.setattr(grouped, "TINY_WORK", {"cpu": tiny, "cuda": tiny})
        patch.setattr(grouped, "WORTH_SHARING", 0)
        yield
    torch.set_num_threads(before)  # the workers begin with the number that was patched in


def inputs(rows: int, groups: int, fan_in: int = FAN_IN, fan_out: int = FAN_OUT) -> list[torch.Tensor]:
    """Rows, weights and biases that want gradients."""
    shapes = (rows, fan_in), (groups, fan_out, fan_in), (groups, fan_out)
    return [torch.randn(shape, generator=RNG, dtype=torch.float64, requires_grad=True) for shape in shapes]


def expand(sizes: list[int]) -> torch.Tensor:
    return torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes, dtype=torch.long))


def routed(x: torch.Tensor, group: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    order = order_by_group(group, len(weight))
    return restore(routed_linear(x, order, weight, bias), order)


def assert_same(found: torch.Tensor, expected: torch.Tensor, wanted: list[torch.Tensor]) -> None:
    """Values and gradients."""
    torch.testing.assert_close(found, expected)
    out = torch.randn(expected.shape, generator=RNG, dtype=expected.dtype)
    pair = (torch.autograd.grad(y, wanted, out) for y in (found, expected))
    for a, b in zip(*pair, strict=True):
        torch.testing.assert_close(a, b)


@settings(deadline=None)  # the first example waits for the shape checks to be compiled
@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_segments_equal_the_definition_in_values_and_gradients(sizes):
    x, weight, bias = inputs(sum(sizes), len(sizes))
    found = grouped_linear(x, sizes, weight, bias)
    assert_same(found, grouped_linear_reference(x, expand(sizes), weight, bias), [x, weight, bias])


@settings(deadline=None)
@given(group=st.lists(st.integers(0, 3), max_size=20), fan_in=st.integers(1, 5), fan_out=st.integers(1, 5))
def test_rows_in_any_order_equal_the_definition_in_values_and_gradients(group, fan_in, fan_out):
    x, weight, bias = inputs(len(group), 4, fan_in, fan_out)
    rows, shared = torch.tensor(group, dtype=torch.long), bias[0].detach().requires_grad_()
    expected = grouped_linear_reference(x, rows, weight, shared.expand(4, -1))
    assert_same(routed(x, rows, weight, shared), expected, [x, weight, shared])


@pytest.mark.parametrize("groups", [1, 64, 300, 70_000])
def test_any_number_of_groups_most_of_them_empty(groups):
    x, weight, bias = inputs(50, groups, fan_in=2, fan_out=1)
    group = torch.randint(groups, (50,), generator=RNG)
    shared = bias[0].detach().requires_grad_()
    expected = grouped_linear_reference(x, group, weight, shared.expand(groups, -1))
    assert_same(routed(x, group, weight, shared), expected, [x, weight, shared])


def test_the_definition_is_row_by_row():
    x, weight, bias = inputs(4, 3)
    group = [2, 0, 2, 1]
    rows = [weight[g] @ row + bias[g] for g, row in zip(group, x, strict=True)]
    torch.testing.assert_close(grouped_linear_reference(x, torch.tensor(group), weight, bias), torch.stack(rows))


@pytest.mark.parametrize("sizes", [[0, 0, 1], [1, 0, 0], [0, 1, 0]])
def test_one_row_goes_through_its_group_alone(sizes):
    x, weight, bias = inputs(1, 3)
    k = sizes.index(1)
    y = grouped_linear(x, sizes, weight, bias)
    torch.testing.assert_close(y[0], weight[k] @ x[0] + bias[k])
    y.sum().backward()
    assert weight.grad is not None
    assert [bool(g.any()) for g in weight.grad] == [size == 1 for size in sizes]


def test_no_rows_give_no_rows_and_no_gradient():
    x, weight, bias = inputs(0, 3)
    y = grouped_linear(x, [0, 0, 0], weight, bias)
    assert y.shape == (0, FAN_OUT)
    y.sum().backward()
    assert weight.grad is not None
    assert not weight.grad.any()


def test_finite_differences_once_and_twice():
    x, weight, bias = inputs(5, 3)

    def segments(*given):
        return grouped_linear(given[0], [2, 0, 3], *given[1:])

    assert torch.autograd.gradcheck(segments, (x, weight, bias))
    assert torch.autograd.gradgradcheck(segments, (x, weight, bias))


def test_finite_differences_through_two_sortings():
    """As two layers of different tilings do: the second sorts what the first has left sorted."""
    x, weight, bias = inputs(6, 3, fan_in=2)
    groups = torch.tensor([[2, 0, 0, 2, 1, 2], [0, 2, 1, 1, 0, 0]])
    first, second = (order_by_group(g, 3) for g in groups)

    def layers(x, weight, bias):
        h = torch.sin(routed_linear(x, first, weight, bias[0]))
        return restore(routed_linear(h, second.after(first), weight, bias[1]), second)

    assert torch.autograd.gradcheck(layers, (x, weight, bias))
    assert torch.autograd.gradgradcheck(layers, (x, weight, bias))
    h = torch.sin(grouped_linear_reference(x, groups[0], weight, bias[:1].expand(3, -1)))
    expected = grouped_linear_reference(h, groups[1], weight, bias[1:2].expand(3, -1))
    torch.testing.assert_close(layers(x, weight, bias), expected)


@pytest.mark.parametrize("sizes", [[1, 1], [3, 2, 0]])
def test_sizes_that_do_not_cover_the_rows_are_refused(sizes):
    x, weight, bias = inputs(4, len(sizes))
    with pytest.raises(ValueError, match=f"sum to {sum(sizes)}, but there are 4 rows"):
        grouped_linear(x, sizes, weight, bias)


@given(st.lists(st.integers(0, 4), max_size=30))
def test_sorting_is_a_stable_permutation_with_every_group_counted(group):
    order, sizes = sort_by_group(torch.tensor(group, dtype=torch.long), 6)
    assert order.tolist() == sorted(range(len(group)), key=group.__getitem__)
    assert sizes == [group.count(k) for k in range(6)]


@given(st.permutations(range(8)), st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_a_sorting_after_another_leads_to_the_same_rows(shuffled, group):
    before = order_by_group(torch.tensor(shuffled), 8)
    order, x = order_by_group(torch.tensor(group), 4), torch.arange(8.0)[:, None]
    assert torch.equal(permute(permute(x, before), order.after(before)), permute(x, order))
    assert torch.equal(restore(permute(x, order), order), x)


SIZES = {  # rows of each group
    "one point": [1],
    "one of many": [0, 0, 1, 0],
    "even": [32, 32],
    "empty between": [0, 33, 0, 70, 1],
    "many blocks of one": [1, 0, 2000, 1],
}
ROUNDING = 2.0**-8
"""Of bfloat16."""


def rounded(sizes: list[int], x, weight, bias):
    """Values and gradients of a loss that weighs each output, and the bounds' sums of absolute products."""
    group = expand(sizes)
    y = grouped_linear(x, sizes, weight, bias)
    assert y.dtype == x.dtype
    out = torch.randn(y.shape, generator=RNG).to(y.dtype)
    found = [y, *torch.autograd.grad(y, [x, weight, bias], out)]
    wide = [t.detach().double().requires_grad_() for t in (x, weight, bias)]
    exact = grouped_linear_reference(wide[0], group, wide[1], wide[2])
    expected = [exact, *torch.autograd.grad(exact, wide, out.double())]
    most = [t.detach().abs().requires_grad_() for t in wide]
    none = torch.zeros_like(most[2])
    product = grouped_linear_reference(most[0], group, most[1], none)
    limits = [product, *torch.autograd.grad(product, most[:2], out.double().abs())]
    return found, expected, limits, bias.detach().double()[group].abs()


@pytest.mark.parametrize("sizes", SIZES)
def test_bfloat16_inside_is_within_its_bound_and_stays_asked_for(sizes):
    """Where torch rounds, and where it doesn't."""
    before = torch.get_float32_matmul_precision()
    given = [t.detach().float().requires_grad_() for t in inputs(sum(SIZES[sizes]), len(SIZES[sizes]), 70, 65)]
    torch.set_float32_matmul_precision("medium")
    try:
        found, expected, limits, _ = rounded(SIZES[sizes], *given)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    for a, b, limit in zip(found, expected, limits, strict=False):
        assert a.dtype == torch.float32
        assert ((a.double() - b).detach().abs() <= 3.01 * ROUNDING * limit).all()
    torch.testing.assert_close(found[3].double(), expected[3], rtol=1e-4, atol=1e-4)  # biases are summed in float32


@pytest.mark.parametrize("sizes", SIZES)
def test_bfloat16_operands_are_within_their_bound(sizes):
    given = [t.detach().bfloat16().requires_grad_() for t in inputs(sum(SIZES[sizes]), len(SIZES[sizes]), 70, 65)]
    found, expected, limits, bias = rounded(SIZES[sizes], *given)
    extra = [2.01 * ROUNDING * (bias + expected[0].abs()), 0.0, 0.0]
    for a, b, limit, more in zip(found, expected, limits, extra, strict=False):
        assert a.dtype == torch.bfloat16
        assert ((a.double() - b).detach().abs() <= 2.01 * ROUNDING * limit + more).all()


def test_gradients_of_biases_do_not_stop_growing_in_bfloat16():
    """300 ones, summed in bfloat16, are 256."""
    weight, bias = torch.zeros(2, 1, 1), torch.zeros(2, 1, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        grouped_linear(torch.zeros(301, 1), [1, 300], weight, bias).sum().backward()
    assert bias.grad is not None
    assert bias.grad.tolist() == [[1.0], [300.0]]


def test_autocast_is_followed_as_torch_s_own_layers_follow_it():
    x, weight, bias = (t.detach().float() for t in inputs(20, 2, 8, 8))
    with torch.autocast("cpu", torch.bfloat16):
        y = routed(x, torch.arange(20) % 2, weight, bias[0])
        assert y.dtype == torch.nn.functional.linear(x, weight[0]).dtype == torch.bfloat16


def test_triton_is_for_cuda_alone():
    assert not runs_triton(torch.zeros(3, 2))
    assert not runs_triton(torch.zeros(3, 2, device="meta"))
