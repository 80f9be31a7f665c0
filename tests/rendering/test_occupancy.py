"""The occupancy grid against a known density, and against brute force over its cells."""

import math

import pytest
import torch

from recon.rendering.occupancy import OccupancyGrid


def ball(u, radius=0.5):
    return 10.0 * (u.norm(dim=1) < radius)


def centres(n):
    at = (torch.arange(n) + 0.5) / n * 2 - 1
    return torch.stack(torch.meshgrid(at, at, at, indexing="ij"), dim=-1).reshape(-1, 3)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_new_grid_is_occupied_everywhere():
    grid = OccupancyGrid(5)
    assert grid.occupied.all()
    assert grid.holds(torch.rand(50, 3) * 4 - 2).all()


def test_a_ball_is_found_within_a_few_updates():
    grid, n = OccupancyGrid(24), 24
    for seed in range(6):
        grid.update(ball, 1.0, rng(seed))
    distance, half_cell = centres(n).norm(dim=1), math.sqrt(3) / n
    assert grid.occupied[distance < 0.5 - half_cell].all()
    assert not grid.occupied[distance > 0.5 + half_cell].any()
    # Cells that the surface crosses are found unless chance missed the ball six times.
    mostly_inside = (distance < 0.5) & (distance > 0.5 - half_cell)
    assert float(grid.occupied[mostly_inside].float().mean()) > 0.95


def test_a_density_that_goes_away_is_forgotten_as_fast_as_it_decays():
    grid = OccupancyGrid(8, decay=0.5)
    grid.update(ball, 1.0, rng())
    found = grid.occupied.sum()
    updates = 0
    while grid.occupied[grid.cell_of(torch.zeros(1, 3))]:
        # A mean near zero would lower the threshold: the corners stay filled.
        grid.update(lambda u: 20.0 * (u.abs().amax(dim=1) > 0.9), 1.0, rng(updates))
        updates += 1
    assert found > 0
    assert updates == 4  # 10 / 2^4 is the first below 1


def test_the_threshold_falls_to_the_mean_of_a_thin_density():
    grid = OccupancyGrid(8)
    grid.update(lambda u: 0.01 * (u[:, 0] > 0), 1.0, rng())
    assert torch.equal(grid.occupied, centres(8)[:, 0] > 0)


def test_only_the_cells_asked_for_are_looked_at():
    grid, seen = OccupancyGrid(4), []

    def density(u):
        seen.append(u)
        return torch.zeros(len(u))

    grid.update(density, 1.0, rng(), torch.tensor([3, 17]))
    assert torch.equal(grid.cell_of(seen[0]), torch.tensor([3, 17]))
    unknown = torch.ones(64, dtype=torch.bool)
    unknown[[3, 17]] = False
    assert grid.density[unknown].isinf().all()
    assert torch.equal(grid.occupied, unknown)


def test_a_random_point_of_a_cell_lies_in_it():
    grid = OccupancyGrid(7)
    index = torch.arange(7**3).repeat(3)
    assert torch.equal(grid.cell_of(grid.points(index, rng())), index)


def test_points_on_borders_and_beyond_belong_to_a_cell():
    grid = OccupancyGrid(4)
    x = torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.999, 1.0, 50.0])
    cells = grid.cell_of(torch.stack([x, -torch.ones(7), -torch.ones(7)], dim=1)) // 16
    assert cells.tolist() == [0, 0, 1, 2, 3, 3, 3]


def test_a_grid_is_saved_and_restored():
    grid, other = OccupancyGrid(6), OccupancyGrid(6)
    grid.update(ball, 1.0, rng())
    other.load_state_dict(grid.state_dict())
    assert torch.equal(other.occupied, grid.occupied)
    for one in (grid, other):
        one.update(lambda u: ball(u, 0.2), 1.0, rng(1))
    assert torch.equal(other.density, grid.density)


@pytest.mark.parametrize("cells", [0, 1, 2, 5])
def test_dilation_reaches_all_cells_within_its_distance(cells):
    grid, n = OccupancyGrid(9), 9
    grid.occupied.copy_(torch.rand(n**3, generator=rng()) < 0.01)
    place = centres(n) * n / 2
    near = (place[:, None] - place[grid.occupied]).abs().amax(dim=-1).amin(dim=1) < cells + 0.5
    assert 0 < near.sum() and torch.equal(grid.dilated(cells).flatten(), near)


def test_grids_refuse_one_cell_and_a_decay_that_never_fades():
    for settings in ({"resolution": 1}, {"decay": 1.0}, {"decay": -0.1}):
        with pytest.raises(ValueError, match="decay in"):
            OccupancyGrid(**settings)
