"""Samplers against closed forms and a brute-force march; intervals ascend, and cover what they should."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from recon.geometry import Box, Rays, Space
from recon.rendering.occupancy import OccupancyGrid
from recon.rendering.samplers import HierarchicalSampler, OccupancySampler, UniformSampler, invert_cdf

UNIT = Box((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))
SPACES = {
    "box": Space("box", Box((-1.0, -2.0, -0.5), (1.0, 2.0, 1.5))),
    "box with near": Space("box", UNIT, near=0.7),
    "contracted": Space("contracted", Box((-1.0, -1.5, -0.5), (1.0, 1.0, 1.0)), near=0.05),
    "ndc": Space("ndc", Box((-0.6, -0.5, -1e3), (0.6, 0.5, -1.0)), near=1.0),
}


def rays_in(space, count, seed=0, spread=2.0):
    """Rays from anywhere around to anywhere within; forwards in ndc."""
    rng = torch.Generator().manual_seed(seed)
    origin = torch.randn(count, 3, generator=rng) * spread
    target = torch.rand(count, 3, generator=rng) * 3 - 1.5
    if space.kind == "ndc":
        origin, target = origin * 0.2, target * 0.4 - torch.tensor([0.0, 0.0, 2.0])
    return Rays(origin, normalize(target - origin, dim=1))


def nothing(x):
    return x.new_zeros(len(x))


def random_grid(resolution=12, share=0.05, seed=0):
    grid = OccupancyGrid(resolution)
    grid.occupied.copy_(torch.rand(resolution**3, generator=torch.Generator().manual_seed(seed)) < share)
    return grid


def samplers(space):
    return {
        "uniform": UniformSampler(space, 16),
        "hierarchical": HierarchicalSampler(space, 8, 8),
        "occupancy": OccupancySampler(space, random_grid(share=0.3), space.near / 20 if space.kind == "ndc" else 0.06),
    }


ALL = [(space, sampler) for space in SPACES for sampler in ("uniform", "hierarchical", "occupancy")]


@pytest.mark.parametrize(("space", "name"), ALL)
def test_packed_samples_ascend_and_stay_between_the_ends(space, name):
    space = SPACES[space]
    rays = rays_in(space, 200)
    near, far = space.bounds(rays)
    for rng in (None, torch.Generator().manual_seed(1)):
        samples = samplers(space)[name](rays, nothing, rng)
        assert len(samples) > 0
        assert (samples.ray.diff() >= 0).all()
        assert (samples.length > 0).all()
        same = samples.ray.diff() == 0
        slack = 1e-5 * samples.t1[:-1][same]
        assert (samples.t0[1:][same] >= samples.t1[:-1][same] - slack).all()
        assert (samples.t0 >= near[samples.ray] - 1e-6).all()
        assert (samples.t1 <= far[samples.ray] * (1 + 1e-4)).all()


@pytest.mark.parametrize(("space", "name"), ALL)
def test_samplers_are_deterministic_alone_and_under_a_seed(space, name):
    space = SPACES[space]
    rays = rays_in(space, 50)

    def run(seed):
        rng = None if seed is None else torch.Generator().manual_seed(seed)
        return samplers(space)[name](rays, nothing, rng)

    for seed in (None, 3):
        assert torch.equal(run(seed).t0, run(seed).t0)
    one, other = run(3).t0, run(4).t0
    assert len(one) != len(other) or not torch.equal(one, other)


@pytest.mark.parametrize("name", ["uniform", "hierarchical", "occupancy"])
def test_rays_that_miss_the_box_have_no_samples(name):
    space = Space("box", UNIT)
    origin = torch.tensor([[0.0, 3.0, 0.0], [0.0, 0.0, 3.0], [-3.0, 1.02, 0.0], [1.0001, 0.0, 0.0], [-3.0, 0.0, 0.0]])
    direction = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.01, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    rays = Rays(origin, normalize(direction, dim=1))
    for rng in (None, torch.Generator().manual_seed(0)):
        assert samplers(space)[name](rays, nothing, rng).ray.unique().tolist() == [4]
        assert len(samplers(space)[name](rays[:4], nothing, rng)) == 0
        assert len(samplers(space)[name](rays[:0], nothing, rng)) == 0


# -- uniform ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("count", [1, 2, 33])
@pytest.mark.parametrize("jitter", [False, True])
def test_strata_cover_a_ray_from_end_to_end(space, count, jitter):
    space = SPACES[space]
    rays = rays_in(space, 100)
    near, far = space.bounds(rays)
    rng = torch.Generator().manual_seed(0) if jitter else None
    sampler = UniformSampler(space, count)
    edges, (low, high) = sampler.edges(rays, rng), (space.to_even(near), space.to_even(far))
    meets = far > near
    assert torch.equal(edges[:, 0], low)
    assert torch.equal(edges[meets, -1], high[meets])
    width = ((high - low) / count)[meets, None]
    length = edges[meets].diff(dim=1) / width
    whole = length[:, 1:-1] if jitter else length  # jittered, the first and the last share one interval
    torch.testing.assert_close(whole, torch.ones_like(whole), rtol=0, atol=2e-3)
    assert ((length > -1e-6) & (length < 1 + 2e-3)).all()
    samples = sampler(rays, nothing, rng)
    covered = torch.zeros(len(rays)).index_add(0, samples.ray, samples.length)
    torch.testing.assert_close(covered[meets], (far - near)[meets], rtol=1e-3, atol=1e-5)


def test_every_place_on_a_ray_is_evaluated_equally_often():
    space = SPACES["box"]
    rays = rays_in(space, 4000)
    rng = torch.Generator().manual_seed(0)
    near, far = space.bounds(rays)
    rays, near, far = rays[far > near], near[far > near], far[far > near]
    samples = UniformSampler(space, 8)(rays, nothing, rng)
    place = 8 * (samples.middle - near[samples.ray]) / (far - near)[samples.ray]
    inner = place[(place > 1) & (place < 7)]
    share = torch.histc(inner % 1, 10, 0, 1) / len(inner)
    torch.testing.assert_close(share, torch.full((10,), 0.1), atol=0.01, rtol=0)


# -- hierarchical -----------------------------------------------------------------------------------------------------


def test_the_inverse_of_a_distribution_in_closed_form():
    # Density 2 s on [0, 1] has the distribution s^2; its inverse is the root.
    edges = torch.linspace(0, 1, 2001, dtype=torch.float64)[None]
    mass = (edges[:, 1:] + edges[:, :-1]) * edges.diff(dim=1)
    share = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)[None]
    torch.testing.assert_close(invert_cdf(edges, mass, share), share.sqrt(), atol=1e-6, rtol=0)


def test_an_interval_without_mass_gets_no_place():
    found = invert_cdf(
        torch.tensor([[0.0, 1.0, 5.0, 6.0]]), torch.tensor([[1.0, 0.0, 1.0]]), torch.linspace(0, 1, 200)[None]
    )
    assert ((found <= 1) | (found >= 5)).all()
    assert 0.3 < float((found <= 1).float().mean()) < 0.7


@pytest.mark.parametrize("jitter", [False, True])
def test_fine_edges_gather_where_the_wall_is_and_leave_no_gap(jitter):
    space = Space("box", UNIT)
    rays = rays_in(space, 64, spread=0.2)
    near, far = space.bounds(rays)
    sampler = HierarchicalSampler(space, 20, 200)

    def wall(x):  # a shell of radius 0.8 around all cameras
        return 200.0 * ((x.norm(dim=1) - 0.85).abs() < 0.05)

    samples = sampler(rays, wall, torch.Generator().manual_seed(0) if jitter else None)
    covered = torch.zeros(64).index_add(0, samples.ray, samples.length)
    torch.testing.assert_close(covered, far - near)
    first = torch.cat([torch.tensor([True]), samples.ray.diff() > 0])
    torch.testing.assert_close(samples.t0[first], near)
    torch.testing.assert_close(samples.t0[~first], samples.t1[:-1][~first[1:]])
    radius = (rays.origin[samples.ray] + samples.middle[:, None] * rays.direction[samples.ray]).norm(dim=1)
    near_wall = (radius > 0.65) & (radius < 1.0)  # one coarse interval is up to 0.17 long
    starts_inside = rays.origin.norm(dim=1)[samples.ray] < 0.6
    assert float(near_wall[starts_inside].float().mean()) > 0.8


# -- occupancy --------------------------------------------------------------------------------------------------------


def brute_force(space, grid, step, rays, offset):
    """Every step of every ray, looked up alone: (ray, place of the step) and its ends."""
    near, far = space.bounds(rays)
    near, far = space.to_even(near), space.to_even(far)
    start = near - (1 - offset) * step
    found = []
    for ray in range(len(rays)):
        if not far[ray] > near[ray]:
            continue
        # The same float32 places as the march has: borders of cells are knife edges.
        block = torch.arange(math.ceil(float((far[ray] - start[ray]) / step) / 4) + 1) * (4 * step)
        s = ((start[ray] + block)[:, None] + torch.arange(4) * step).flatten()
        s = s[(s < far[ray]) & (s + step > near[ray])]
        t = space.from_even(s + step / 2)
        u = space.to_cube(rays.origin[ray] + t[:, None] * rays.direction[ray])
        cell = ((u + 1) / 2 * grid.resolution).floor().clamp(0, grid.resolution - 1).long()
        occupied = grid.occupied.reshape(3 * [grid.resolution])[cell[:, 0], cell[:, 1], cell[:, 2]]
        ends = [space.from_even(torch.clamp(s + d, near[ray], far[ray])) for d in (0, step)]
        kept = torch.stack([torch.full_like(t, ray), *ends], dim=1)[occupied]
        found.append(kept)
    return torch.cat([torch.zeros(0, 3), *found])


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("spread", [0.3, 2.0, 8.0])
@pytest.mark.parametrize("steps", [7, 40])
def test_the_march_keeps_exactly_the_steps_in_occupied_cells(name, spread, steps):
    space = SPACES[name]
    step = space.near / steps if space.kind == "ndc" else 2 / steps
    for seed, share in enumerate((0.002, 0.02, 0.4)):
        grid, rays = random_grid(16, share, seed), rays_in(space, 60, seed, spread)
        for rng in (None, torch.Generator().manual_seed(seed)):
            offset = torch.rand(60, generator=torch.Generator().manual_seed(seed)) if rng else torch.full((60,), 0.5)
            samples = OccupancySampler(space, grid, step)(rays, nothing, rng)
            expected = brute_force(space, grid, step, rays, offset)
            assert samples.ray.tolist() == expected[:, 0].tolist()
            torch.testing.assert_close(samples.t0, expected[:, 1])
            torch.testing.assert_close(samples.t1, expected[:, 2])


@pytest.mark.parametrize("name", SPACES)
def test_a_full_grid_covers_rays_whole_and_an_empty_one_not_at_all(name):
    space = SPACES[name]
    rays, grid = rays_in(space, 80), OccupancyGrid(8)
    step = space.near / 30 if space.kind == "ndc" else 0.05
    near, far = space.bounds(rays)
    samples = OccupancySampler(space, grid, step)(rays, nothing, torch.Generator().manual_seed(2))
    covered = torch.zeros(80).index_add(0, samples.ray, samples.length)
    torch.testing.assert_close(covered, (far - near).clamp(min=0), rtol=1e-3, atol=1e-5)
    grid.occupied.fill_(False)
    assert len(OccupancySampler(space, grid, step)(rays, nothing)) == 0


def test_a_ray_that_starts_inside_the_box_begins_at_its_origin():
    space = Space("box", UNIT)
    rays = Rays(torch.tensor([[0.3, 0.1, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]]))
    for rng in (None, torch.Generator().manual_seed(5)):
        samples = OccupancySampler(space, OccupancyGrid(4), 0.1)(rays, nothing, rng)
        assert float(samples.t0[0]) == 0
        assert float(samples.t1[-1]) == pytest.approx(0.7)


def test_a_ray_that_misses_a_corner_by_less_than_a_step_has_no_samples():
    space, along = Space("box", UNIT), torch.tensor([[1.0, 1.0, 0.0]]) / math.sqrt(2)
    for gap, some in ((-0.01, True), (0.01, False)):
        rays = Rays(torch.tensor([[-1.0 - gap, 1.0 + gap, 0.0]]) - 3 * along, along)
        for seed in range(5):
            samples = OccupancySampler(space, OccupancyGrid(4), 0.1)(rays, nothing, torch.Generator().manual_seed(seed))
            assert (len(samples) > 0) == some
            assert (samples.length > 0).all()


def test_a_sampler_sees_a_changed_grid_after_refresh():
    space, grid = Space("box", UNIT), OccupancyGrid(8)
    grid.occupied.fill_(False)
    sampler, rays = OccupancySampler(space, grid, 0.1), rays_in(space, 20, spread=0.3)
    assert len(sampler(rays, nothing)) == 0
    grid.occupied.fill_(True)
    sampler.refresh()
    assert sampler(rays, nothing).ray.unique().tolist() == list(range(20))


def test_samplers_refuse_counts_and_steps_of_nothing():
    space = Space("box", UNIT)
    for build in (
        lambda: UniformSampler(space, 0),
        lambda: HierarchicalSampler(space, 4, 0),
        lambda: OccupancySampler(space, OccupancyGrid(4), 0.0),
    ):
        with pytest.raises(ValueError, match="at least one|above 0"):
            build()
