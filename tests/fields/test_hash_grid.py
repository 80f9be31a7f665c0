"""The hash grid against Instant-NGP's formulas point by point, and counts."""

import itertools
import math

import pytest
import torch

from recon.fields import hash_grid
from recon.fields.hash_grid import HashGrid, HashGridConfig

RNG = torch.Generator().manual_seed(0)


def build(in_dim: int = 3, out_dim: int = 2, **settings) -> HashGrid:
    torch.manual_seed(0)
    defaults: dict = {"levels": 4, "features": 2, "table_log2": 6, "coarsest": 3, "finest": 20, "width": 7, "init": 0.5}
    return HashGridConfig(**defaults | settings).build(in_dim, out_dim).double()


def row(corner: tuple[int, ...], resolution: int, log2: int) -> int:
    """Eq. 4, or the dense number where the level fits."""
    if resolution ** len(corner) <= 2**log2:
        number = 0
        for c in corner:
            number = number * resolution + c
        return number
    number = 0
    for c, prime in zip(corner, (1, 2_654_435_761, 805_459_861), strict=False):
        number ^= c * prime
    return number % 2**log2


def slow_features(field: HashGrid, x: torch.Tensor) -> torch.Tensor:
    """One point, level and corner after the other."""
    rows = []
    for point in ((x + 1) / 2).tolist():
        found = []
        for resolution, start in zip(field.resolutions, field.starts, strict=True):
            u = [p * (resolution - 1) for p in point]
            low = [min(int(v), resolution - 2) for v in u]
            total = torch.zeros(field.config.features, dtype=x.dtype)
            for bits in itertools.product((0, 1), repeat=len(point)):
                corner = tuple(c + b for c, b in zip(low, bits, strict=True))
                weight = math.prod(v - c if b else 1 - v + c for v, c, b in zip(u, low, bits, strict=True))
                total = total + weight * field.table[start + row(corner, resolution, field.config.table_log2)]
            found.append(total)
        rows.append(torch.cat(found))
    return torch.stack(rows)


@pytest.mark.parametrize("in_dim", [1, 2, 3])
def test_values_and_gradients_are_the_formulas_point_by_point(in_dim):
    """Coarse levels are dense here, fine ones hashed (in one dimension all are dense)."""
    field, x = build(in_dim), torch.rand(20, in_dim, generator=RNG, dtype=torch.float64) * 2 - 1
    x[0], x[1] = 1.0, -1.0
    found, expected = field(x), field.mlp(slow_features(field, x))
    torch.testing.assert_close(found, expected)
    out = torch.randn(found.shape, generator=RNG, dtype=torch.float64)
    pair = (torch.autograd.grad(y, [*field.parameters()], out) for y in (found, expected))
    for a, b in zip(*pair, strict=True):
        torch.testing.assert_close(a, b)


def test_levels_grow_geometrically_from_the_coarsest_to_the_finest():
    """Instant-NGP, section 3: 16 levels from 16 to 2048 grow by 1.38."""
    resolutions = HashGridConfig().resolutions()
    assert (resolutions[0], resolutions[-1], len(resolutions)) == (16, 2048, 16)
    for low, high in itertools.pairwise(resolutions):
        assert high / low == pytest.approx(128 ** (1 / 15), abs=2 / low)  # both are rounded down
    assert HashGridConfig(levels=1).resolutions() == [16]


def test_a_hash_spreads_neighbours_over_the_table():
    field = build(table_log2=10, finest=512)
    low = torch.cartesian_prod(*[torch.arange(200, 210)] * 3).T
    rows = field.rows(low, 512)
    assert int(rows.min()) >= 0
    assert int(rows.max()) < 1024
    assert len(rows.unique()) > 600  # 11^3 corners thrown at random would fill 73 %


def test_coarse_levels_take_no_more_rows_than_they_have_points():
    field = build(table_log2=9, coarsest=3, finest=20)
    sizes = [b - a for a, b in itertools.pairwise([*field.starts, len(field.table)])]
    assert sizes == [min(r**3, 512) for r in field.resolutions]


def test_counts_of_the_default():
    field = HashGridConfig().build(3, 16)
    network = [(32, 64), (64, 64), (64, 16)]
    assert field.macs() == 16 * 8 * 2 + sum(i * o for i, o in network)
    rows = sum(min(r**3, 1 << 19) for r in HashGridConfig().resolutions())
    assert sum(p.numel() for p in field.parameters()) == 2 * rows + sum(i * o + o for i, o in network)
    assert float(field.table.detach().abs().max()) <= 1e-4


def test_what_cannot_be_hashed_or_held_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="up to 3 coordinates, but points have 4"):
        build(4)
    monkeypatch.setattr(hash_grid, "MAX_ROWS", 100)
    with pytest.raises(ValueError, match="rows; at most 100"):
        build(3)


@pytest.mark.parametrize("factor", [0.1, 0.5, 0.7, 1.0, 1.3, 2.0, 4.0])
def test_a_scaled_grid_has_about_so_many_times_the_rows_and_the_same_network(factor):
    config = HashGridConfig(levels=12, table_log2=12, coarsest=16, finest=256)
    scaled = config.scaled(factor)
    rows, expected = len(scaled.build(3, 1).table), factor * len(config.build(3, 1).table)
    assert 0.85 * expected < rows < 1.15 * expected
    assert (scaled.width, scaled.finest, scaled.features) == (config.width, config.finest, config.features)
