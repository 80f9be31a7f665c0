"""Samplers are built as the settings say; the occupancy grid follows the field's density and is looked at in parts."""

import math
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from recon.geometry import Box, Space
from recon.rendering.samplers import HierarchicalSampler, OccupancySampler, UniformSampler
from recon.tasks.nerf.job import build_lit
from recon.tasks.nerf.sampling import RaySamplerConfig


def test_each_kind_is_built_with_its_own_numbers(space):
    uniform = RaySamplerConfig("uniform", count=7).build(space)
    coarse_to_fine = RaySamplerConfig("hierarchical", count=7, fine=9).build(space)
    march = RaySamplerConfig("occupancy", steps=24, grid=10).build(space)
    assert type(uniform) is UniformSampler and uniform.count == 7
    assert isinstance(coarse_to_fine, HierarchicalSampler) and (coarse_to_fine.count, coarse_to_fine.fine) == (7, 9)
    assert isinstance(march, OccupancySampler) and march.grid.resolution == 10
    assert march.step == pytest.approx(1.2 / 24)


@pytest.mark.parametrize(
    "space, length",
    [
        (Space("box", Box((0.0, 0.0, 0.0), (1.0, 2.0, 6.0))), 3.0 / 40),
        (Space("contracted", Box((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)), near=0.1), 2.0 / 40),
        (Space("ndc", Box((-1.0, -1.0, -9.0), (1.0, 1.0, -1.0)), near=0.8), 0.8 / 40),
    ],
)
def test_a_step_is_a_share_of_the_mean_side(space, length):
    assert RaySamplerConfig(steps=40).step_length(space) == pytest.approx(length)


@pytest.mark.parametrize("opacity", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("kind", ["box", "contracted", "ndc"])
def test_the_threshold_is_the_density_of_which_one_step_has_the_opacity(opacity, kind):
    space = Space(kind, Box((-2.0, -2.0, -2.0), (2.0, 2.0, 2.0)), near=1.0)
    config = RaySamplerConfig(steps=64, opacity=opacity)
    # In the middle of a box, or just behind the near plane of a frustum: a step there is `step_length` long.
    place = torch.tensor([[0.0, 0.0, -1.0 if kind == "ndc" else 0.0]])
    step = config.step_length(space) * float(space.rate(place))
    assert 1 - math.exp(-config.threshold(space) * step) == pytest.approx(opacity, rel=1e-5)


def lit_with(tiny, space, values):
    """A field of voxels whose raw density is `values` along the first axis."""
    lit = build_lit(tiny("voxel"), space)
    with torch.no_grad():
        table = lit.radiance.field.table
        table.zero_()
        table[:, 0] = values.repeat_interleave(len(table) // len(values))
    return lit


def test_a_whole_look_finds_the_dense_half_and_only_it(tiny, space):
    lit = lit_with(tiny, space, torch.cat([torch.full((8,), -9.0), torch.full((8,), 9.0)]))
    lit.update_grid(torch.Generator().manual_seed(0), everywhere=True)
    occupied = lit.grid.occupied.reshape(8, 8, 8)
    assert not occupied[:3].any() and occupied[5:].all()


def test_a_look_in_part_keeps_what_is_occupied_and_finds_new_cells_in_time(tiny, space):
    dense_right = torch.cat([torch.full((8,), -9.0), torch.full((8,), 9.0)])
    lit, rng = lit_with(tiny, space, dense_right), torch.Generator().manual_seed(0)
    lit.update_grid(rng, everywhere=True)
    with torch.no_grad():
        lit.radiance.field.table[:, 0] = dense_right.flip(0).repeat_interleave(256)
    lit.update_grid(rng, everywhere=False)
    first = lit.grid.occupied.reshape(8, 8, 8).clone()
    assert first[5:].all()  # values fade, they do not vanish
    assert 0.05 < first[:3].float().mean() < 0.9  # only some were looked at
    for _ in range(60):
        lit.update_grid(rng, everywhere=False)
    last = lit.grid.occupied.reshape(8, 8, 8)
    assert last[:3].float().mean() > 0.95 and not last[5:].any()


def test_rays_follow_the_grid_at_once(tiny, space, ball):
    lit = lit_with(tiny, space, torch.cat([torch.full((8,), -9.0), torch.full((8,), 9.0)]))
    rays = ball.cameras.view_rays(0)
    before = lit.sampler(rays, lit.radiance.density, None)
    lit.update_grid(torch.Generator().manual_seed(0), everywhere=True)
    after = lit.sampler(rays, lit.radiance.density, None)
    x = rays.origin[after.ray] + after.middle[:, None] * rays.direction[after.ray]
    assert 0 < len(after) < len(before) and (x[:, 0] > -0.3).all()


@pytest.mark.parametrize("kind", ["uniform", "hierarchical"])
def test_samplers_without_a_grid_have_nothing_to_update(tiny, space, kind):
    lit = build_lit(tiny("voxel", rays=kind), space)
    assert lit.grid is None
    lit.update_grid(torch.Generator(), everywhere=True)
    lit.refresh()


def test_the_grid_is_part_of_the_state(tiny, space):
    lit = build_lit(tiny("voxel"), space)
    assert {name for name in lit.state_dict() if name.startswith("sampler.grid")} == {
        "sampler.grid.density",
        "sampler.grid.occupied",
        "sampler.grid.possible",
    }


def test_a_look_at_asmr_reads_a_table_of_the_weights_as_they_are_now(tiny, space, monkeypatch):
    """A table kept from an earlier look would show old weights, and another grid after a resume."""
    torch.manual_seed(0)
    settings = tiny("asmr")
    lit = build_lit(replace(settings, field=replace(settings.field, offset=False)), space)
    grids = []
    for change in (0.0, 0.3):
        with torch.no_grad():
            lit.radiance.field.linears[-1].bias += change
        with monkeypatch.context() as patch:
            patch.setattr(lit.radiance.field, "forward", None)  # eight cells a point: not gone through
            lit.update_grid(torch.Generator().manual_seed(0), everywhere=True)
        seen = lit.grid.density.clone()
        lit.grid.density.fill_(torch.inf)
        with monkeypatch.context() as patch:
            patch.setattr(lit.radiance, "reading", lambda _: nullcontext())
            lit.update_grid(torch.Generator().manual_seed(0), everywhere=True)
        torch.testing.assert_close(seen, lit.grid.density, atol=1e-4, rtol=1e-4)
        lit.grid.density.fill_(torch.inf)
        grids.append(seen)
    assert (grids[1] - grids[0]).abs().min() > 0.01
