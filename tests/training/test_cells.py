"""Batches of coarse cells: each once a pass, by seed and step alone, and a pass's gradients are the whole grid's."""

import math

import pytest
import torch

from recon.fields.asmr import Asmr, AsmrConfig
from recon.training.cells import CellWalk

GRIDS = {  # bases, and the cells of a grid that they make or cover
    "line": ((4, 3, 4), (48,)),
    "square": ((2, 2, 3), (12, 12)),
    "cube": ((2, 2, 2), (8, 8, 8)),
    "padded line": ((4, 3, 4), (41,)),
    "padded square": ((2, 2, 3), (5, 11)),
    "padded cube": ((2, 2, 2), (7, 8, 4)),
}
every_grid = pytest.mark.parametrize("grid", sorted(GRIDS))


def build(grid: str) -> Asmr:
    torch.manual_seed(0)
    bases, cells = GRIDS[grid]
    return AsmrConfig(width=6, bases=bases, grid=cells, omega=3.0).build(len(cells), 2).double()


def loss(values: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return torch.sin(values - target).square().sum(dim=-1)


@every_grid
def test_gradients_of_a_pass_sum_to_those_of_the_whole_grid(grid):
    field = build(grid)
    walk = CellWalk(field, 3, 3 * math.prod(field.bases[-1]))
    picture = torch.rand(*field.cells, 2, dtype=torch.float64)
    whole = loss(field.to_raster(field.nested()), picture).sum()
    expected = torch.autograd.grad(whole, [*field.parameters()])
    target, parts = field.to_nested(picture, walk.depth), []
    assert walk.steps > 1
    for step in range(walk.steps, 2 * walk.steps):
        rows = walk.rows(step)
        error = loss(field.nested(walk.depth, rows), target[rows])
        part = walk.mean(error, rows) * walk.used[rows].sum()
        parts.append(torch.autograd.grad(part, [*field.parameters()]))
    for found, wanted in zip(zip(*parts, strict=True), expected, strict=True):
        torch.testing.assert_close(sum(found), wanted)


@every_grid
@pytest.mark.parametrize("marked", [False, True])
def test_each_coarse_cell_with_data_is_taken_once_a_pass_in_a_new_order_each(grid, marked):
    field = build(grid)
    special = torch.arange(field.prefixes(field.levels - 1)) % 3 == 0 if marked else None
    walk = CellWalk(field, 5, 4 * math.prod(field.bases[-1]), special)
    assert all(walk.used[members].any(dim=1).all() for members, _ in walk.groups)
    assert sum(len(members) for members, _ in walk.groups) == int(walk.used.any(dim=1).sum())
    for members, size in walk.groups:
        turns, own = -(-len(members) // size), set(members.tolist())
        passes = [
            [row for step in range(turns * n, turns * (n + 1)) for row in walk.rows(step).tolist() if row in own]
            for n in range(3)
        ]
        assert all(sorted(p) == members.tolist() for p in passes)
        assert len({tuple(p) for p in passes}) > 1 or len(members) < 4
    assert all(len(walk.rows(step)) <= 4 for step in range(50))


def test_a_grid_that_fits_is_taken_whole_each_step():
    field = build("padded cube")
    walk = CellWalk(field, 0, 8**3, torch.ones(64, dtype=torch.bool))
    assert walk.steps == 1 and walk.points_per_step == 4 * 4 * 2 * 8
    for step in range(3):
        assert torch.equal(walk.rows(step), walk.used.any(dim=1).nonzero()[:, 0])


def test_a_step_s_cells_depend_on_seed_and_step_alone():
    field = build("cube")
    one, same, other = (CellWalk(field, seed, 10 * 8) for seed in (1, 1, 2))
    later = one.rows(9)
    assert torch.equal(same.rows(2), one.rows(2)) and torch.equal(same.rows(9), later)
    assert not torch.equal(other.rows(9), later)


def test_padding_is_no_part_of_the_mean():
    walk = CellWalk(build("padded line"), 0, 8)
    rows = torch.tensor([9, 10])  # cells 36 to 39, and 40 to 43 of 41
    error = torch.arange(8.0).reshape(2, 4)
    error[1, 1:] = torch.inf
    assert float(walk.mean(error, rows)) == pytest.approx((0 + 1 + 2 + 3 + 4) / 5)
