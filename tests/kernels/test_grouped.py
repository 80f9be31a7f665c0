"""Grouped linear layers against their definition, in values and gradients."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recon.kernels.grouped import grouped_linear, grouped_linear_reference, sort_by_group

RNG = torch.Generator().manual_seed(0)
FAN_IN, FAN_OUT = 3, 2


def inputs(rows: int, groups: int) -> list[torch.Tensor]:
    """Rows, weights and biases that want gradients."""
    shapes = (rows, FAN_IN), (groups, FAN_OUT, FAN_IN), (groups, FAN_OUT)
    return [torch.randn(shape, generator=RNG, dtype=torch.float64, requires_grad=True) for shape in shapes]


def expand(sizes: list[int]) -> torch.Tensor:
    return torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes, dtype=torch.long))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_segments_equal_the_definition_in_values_and_gradients(sizes):
    x, weight, bias = inputs(sum(sizes), len(sizes))
    found = grouped_linear(x, sizes, weight, bias)
    expected = grouped_linear_reference(x, expand(sizes), weight, bias)
    torch.testing.assert_close(found, expected)
    if len(x) == 0:
        return
    out = torch.randn(expected.shape, generator=RNG, dtype=torch.float64)
    pair = (torch.autograd.grad(y, [x, weight, bias], out) for y in (found, expected))
    for a, b in zip(*pair, strict=True):
        torch.testing.assert_close(a, b)


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


def test_no_rows_give_no_rows():
    x, weight, bias = inputs(0, 3)
    assert grouped_linear(x, [0, 0, 0], weight, bias).shape == (0, FAN_OUT)


def test_finite_differences():
    x, weight, bias = inputs(5, 3)
    assert torch.autograd.gradcheck(lambda *given: grouped_linear(given[0], [2, 0, 3], *given[1:]), (x, weight, bias))


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


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20))
def test_sorting_grouping_and_putting_back_is_the_definition_in_any_order(group):
    x, weight, bias = inputs(len(group), 4)
    rows = torch.tensor(group)
    order, sizes = sort_by_group(rows, 4)
    y = torch.zeros(len(group), FAN_OUT, dtype=torch.float64).index_copy(
        0, order, grouped_linear(x[order], sizes, weight, bias)
    )
    torch.testing.assert_close(y, grouped_linear_reference(x, rows, weight, bias))
