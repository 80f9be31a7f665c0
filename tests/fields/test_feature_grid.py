"""Reading grids against torch's `grid_sample`, the custom gradient against plain indexing and finite differences."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recon.fields import feature_grid
from recon.fields.feature_grid import FeatureGridConfig, GridEncoding, Lookup, grid_corners

RNG = torch.Generator().manual_seed(0)


def points(n: int, dims: int, reach: float = 1.0) -> torch.Tensor:
    return (torch.rand(n, dims, generator=RNG, dtype=torch.float64) * 2 - 1) * reach


def by_grid_sample(encoding: GridEncoding, x: torch.Tensor) -> torch.Tensor:
    """The same features from torch's own reader, level by level (2 or 3 dimensions; constant outside)."""
    dims, base, parts = encoding.in_dim, 0, []
    for r in encoding.resolutions:
        level = encoding.table[base : base + r**dims].T.reshape(1, -1, *[r] * dims)
        # grid_sample wants the last axis first
        where = x.flip(1).reshape(1, -1, *[1] * (dims - 1), dims)
        read = torch.nn.functional.grid_sample(level, where, align_corners=True, padding_mode="border")
        parts.append(read.reshape(encoding.channels, -1).T)
        base += r**dims
    return torch.cat([*parts, x], dim=1)


@pytest.mark.parametrize("dims", [2, 3])
def test_features_are_those_of_grid_sample(dims):
    encoding, x = GridEncoding(dims, (2, 3, 7), 4, 1.0).double(), points(200, dims)
    torch.testing.assert_close(encoding(x), by_grid_sample(encoding, x))


@pytest.mark.parametrize("dims", [2, 3])
def test_gradients_are_those_of_grid_sample(dims):
    encoding, x = GridEncoding(dims, (3, 5), 2, 1.0).double(), points(40, dims).requires_grad_()
    weight = torch.randn(40, encoding.out_dim, generator=RNG, dtype=torch.float64)
    found, expected = (
        torch.autograd.grad((read(x) * weight).sum(), [encoding.table, x])
        for read in (encoding, lambda x: by_grid_sample(encoding, x))
    )
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_a_linear_function_on_the_grid_is_read_exactly_inside_and_goes_on_outside():
    encoding = GridEncoding(1, (5,), 1, 0.0).double()
    with torch.no_grad():
        encoding.table[:, 0] = 3 * torch.linspace(-1, 1, 5) + 1
    x = points(60, 1, reach=1.5)
    torch.testing.assert_close(encoding(x)[:, :1], 3 * x + 1)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_grid_points_including_the_border_read_their_own_row(dims):
    encoding = GridEncoding(dims, (4,), 3, 1.0).double()
    axis = torch.linspace(-1, 1, 4, dtype=torch.float64)
    corners = torch.cartesian_prod(*[axis] * dims).reshape(-1, dims)
    torch.testing.assert_close(encoding(corners)[:, :3], encoding.table.detach())


@given(
    x=st.lists(st.floats(-3, 3), min_size=2, max_size=2),
    resolutions=st.lists(st.integers(2, 9), min_size=1, max_size=3),
)
def test_corner_weights_sum_to_one_and_rows_stay_in_their_level(x, resolutions):
    index, weight = grid_corners(torch.tensor([x], dtype=torch.float64), tuple(resolutions))
    torch.testing.assert_close(weight.sum(dim=-1), torch.ones(1, len(resolutions), dtype=torch.float64))
    ends = [*itertools.accumulate((r**2 for r in resolutions), initial=0)]
    for level, (start, end) in enumerate(itertools.pairwise(ends)):
        rows = index[0, level]
        assert len(set(rows.tolist())) == 4
        assert ((rows >= start) & (rows < end)).all()
    if max(map(abs, x)) <= 1:
        assert weight.min() >= -1e-12


def plain_lookup(table: torch.Tensor, index: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (table[index] * weight[..., None]).sum(dim=1)


@pytest.mark.parametrize("rows", [0, 1, 30])
def test_lookup_equals_plain_indexing_in_values_and_gradients(rows):
    table = torch.randn(9, 4, generator=RNG, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(rows, 8, generator=RNG, dtype=torch.float64, requires_grad=True)
    index = torch.randint(9, (rows, 8), generator=RNG)  # rows repeat, within a sum too
    out = torch.randn(rows, 4, generator=RNG, dtype=torch.float64)
    found, expected = Lookup.apply(table, index, weight), plain_lookup(table, index, weight)
    torch.testing.assert_close(found, expected)
    for a, b in zip(*(torch.autograd.grad(y, [table, weight], out) for y in (found, expected)), strict=True):
        torch.testing.assert_close(a, b)


def test_lookup_passes_finite_differences_once_and_twice():
    table = torch.randn(5, 2, generator=RNG, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 4, generator=RNG, dtype=torch.float64, requires_grad=True)
    index = torch.randint(5, (6, 4), generator=RNG)
    assert torch.autograd.gradcheck(lambda t, w: Lookup.apply(t, index, w), (table, weight))
    assert torch.autograd.gradgradcheck(lambda t, w: Lookup.apply(t, index, w), (table, weight))


def test_lookup_makes_only_the_gradients_that_are_asked_for():
    table, weight = torch.randn(5, 2, requires_grad=True), torch.rand(3, 4)
    Lookup.apply(table, torch.zeros(3, 4, dtype=torch.long), weight).sum().backward()
    assert table.grad is not None
    assert weight.grad is None
    torch.testing.assert_close(table.grad[0], weight.sum().expand(2))
    assert not table.grad[1:].any()


def test_counts():
    field = FeatureGridConfig(resolutions=(4, 8), channels=3, width=16, layers=3).build(3, 2)
    network = [(9, 16), (16, 16), (16, 2)]  # 2 levels of 3 channels and 3 coordinates
    assert sum(p.numel() for p in field.parameters()) == (4**3 + 8**3) * 3 + sum(i * o + o for i, o in network)
    assert field.macs() == 2 * 8 * 3 + sum(i * o for i, o in network)


def test_the_default_holds_9_6_million_numbers():
    """PERFORMANCE.md: 16, 32, 64 and 128 cubed, 4 channels."""
    assert FeatureGridConfig().build(3, 1).encoding.table.numel() == 4 * (16**3 + 32**3 + 64**3 + 128**3) == 9_584_640


def test_features_start_small_and_normal():
    torch.manual_seed(0)
    table = GridEncoding(2, (100,), 4, 0.01).table.detach()
    assert float(table.std()) == pytest.approx(0.01, rel=0.02)
    assert abs(float(table.mean())) < 3e-4


def test_a_table_too_large_for_memory_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr(feature_grid, "MAX_ROWS", 1000)
    assert GridEncoding(3, (10,), 1, 0.0).table.shape == (1000, 1)
    with pytest.raises(ValueError, match=r"hold 1,331 points; at most 1,000"):
        GridEncoding(3, (11,), 1, 0.0)


def test_scaled_grids_have_so_many_times_the_points_along_each_axis_and_the_same_network():
    config = FeatureGridConfig(resolutions=(4, 30), width=20)
    assert config.scaled(1.5).resolutions == (6, 45)
    assert config.scaled(1.5).width == 20
    assert config.scaled(0.01).resolutions == (2, 2)
