"""Presets of scene runs are valid, have the paper's sizes, rescale, train, and come back from JSON as they were."""

import json
from dataclasses import replace

import pytest
import torch

from recon.fields import FIELDS
from recon.tasks.nerf.job import NerfJob, build_lit, build_voxels, voxel_sides
from recon.tasks.nerf.run import Plan
from recon.tasks.nerf.sampling import RaySamplerConfig
from recon.tasks.nerf.settings import PRESETS, REFUSED, NerfSettings, VoxelStage, preset
from recon.training.optim import build_optimizer
from recon.training.settings import from_plain, to_plain

LEARNERS = [name for name in FIELDS if name not in REFUSED]


@pytest.mark.parametrize("field", LEARNERS)
def test_every_field_builds_and_trains_two_steps_of_each_stage(field, tiny, ball, space, cpu):
    settings = tiny(field, steps=4)
    if settings.voxels.share:
        settings = replace(settings, voxels=replace(settings.voxels, share=0.5))
    torch.manual_seed(0)
    job = NerfJob(ball, space, settings, cpu)
    before = {name: value.clone() for name, value in job.state().items()}
    optimizers = build_optimizer(job.parameter_groups(), settings.train.optim)
    for step in range(4):
        losses = job.loss(step)
        optimizers.zero_grad()
        sum(losses.values()).backward()
        assert all(value.isfinite() for value in losses.values())
        optimizers.step(1.0)
    moved = {name for name, value in job.state().items() if not torch.equal(value, before[name])}
    assert any(name.startswith("lit.radiance.field") for name in moved)
    assert bool(settings.voxels.share) == any(name.startswith("voxels.radiance") for name in moved)


@pytest.mark.parametrize("field", LEARNERS)
@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_and_comes_back_from_json(name, field, space):
    settings = preset(name, field)
    saved = json.loads(json.dumps(to_plain(settings)))
    assert from_plain(settings, saved) == (settings, [])
    assert from_plain(preset("quick", field), saved) == (settings, [])  # whatever it is laid over
    with torch.device("meta"):
        assert build_lit(settings, space).radiance.macs() > 0
        build_voxels(settings, space)


@pytest.mark.parametrize("name, count", [("pe-mlp", 316_548), ("loe", 17_847_684)])
def test_sizes_are_the_papers_and_experts_cost_no_products(name, count, space):
    with torch.device("meta"):
        radiance = build_lit(preset("paper", name), space).radiance
    assert sum(p.numel() for p in radiance.parameters()) == count
    assert radiance.macs() == 315_136


@pytest.mark.parametrize("field", REFUSED)
@pytest.mark.parametrize("name", PRESETS)
def test_a_field_that_cannot_learn_from_pixels_is_refused_with_the_reason(name, field):
    with pytest.raises(ValueError, match="a pixel mixes many points.*use loe"):
        preset(name, field)


@pytest.mark.parametrize("field", ["loe", "voxel"])
@pytest.mark.parametrize("steps", [1, 7, 100, 10_000])
def test_other_numbers_of_steps_stretch_stages_and_warm_up(field, steps):
    whole, other = preset("quick", field), preset("quick", field).with_steps(steps)
    plan, ratio = other.staged(), steps / whole.train.steps
    assert plan.steps == steps
    assert other.train.optim.warmup == round(whole.train.optim.warmup * ratio)
    names = [plan.span_at(step)[0].name for step in range(steps)]
    assert names.count("voxels") == round(steps * whole.voxels.share)
    assert sorted(names, reverse=True) == names  # voxels, then the field
    assert [stage.trains for stage in plan.stages][-1] == ("field",)
    if (boundary := names.count("voxels")) > 50:  # each stage has a curve of its own
        assert plan.rate_factor(boundary + other.train.optim.warmup) == pytest.approx(1, abs=0.01)
        assert plan.rate_factor(boundary - 1) < 0.05


def test_settings_of_a_plan_stand_in_config_json_whole(tiny):
    plan = Plan("loe", "quick", tiny("loe"), "bf16-inside")
    saved = plan.as_settings()
    assert json.loads(json.dumps(saved)) == saved
    assert (saved["preset"], saved["precision"]) == ("quick", "bf16-inside")
    del saved["preset"], saved["precision"], saved["threads"]
    assert from_plain(preset("best", "loe"), saved) == (plan.settings, [])


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: VoxelStage(share=1.0), "share in"),
        (lambda: VoxelStage(share=-0.1), "share in"),
        (lambda: VoxelStage(share=float("nan")), "share in"),
        (lambda: VoxelStage(teach=1.5), "teach in"),
        (lambda: VoxelStage(weight=-1.0), "weight >= 0"),
        (lambda: VoxelStage(weight=float("inf")), "weight >= 0"),
        (lambda: VoxelStage(resolution=7), "at least 8"),
        (lambda: VoxelStage(batch=0), "rays"),
        (lambda: VoxelStage(rate=0.0), "positive rate"),
        (lambda: VoxelStage(rate=float("inf")), "positive rate"),
        (lambda: RaySamplerConfig(steps=0), "steps must be at least 1"),
        (lambda: RaySamplerConfig(grid=1), "grid must be at least 2"),
        (lambda: RaySamplerConfig(refresh=0), "refresh must be at least 1"),
        (lambda: RaySamplerConfig(count=0), "count must be at least 1"),
        (lambda: RaySamplerConfig(fine=-1), "fine must be at least 1"),
        (lambda: RaySamplerConfig(opacity=1.0), "opacity must lie"),
        (lambda: RaySamplerConfig(opacity=float("nan")), "opacity must lie"),
    ],
)
def test_values_that_make_no_sense_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize(
    "change, said",
    [
        ({"samples": 0}, "samples must be at least 1"),
        ({"distortion": -1e-3}, "distortion must be zero or more"),
        ({"entropy": float("nan")}, "entropy must be zero or more"),
        ({"entropy": float("inf")}, "entropy must be zero or more"),
        ({"matrix_rate": 0.0}, "matrix_rate must be positive"),
        ({"matrix_rate": float("inf")}, "matrix_rate must be positive"),
        ({"full_precision_from": 1.1}, "full_precision_from must lie"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, said):
    settings = preset("quick", "voxel")
    with pytest.raises(ValueError, match=said):
        replace(settings, **change)
    assert isinstance(settings, NerfSettings)


@pytest.mark.parametrize("mean", [12, 100])
def test_voxels_are_cubes_in_world_space(mean):
    from recon.geometry import Box, Space  # noqa: PLC0415

    space = Space("box", Box((0.0, 0.0, 0.0), (1.0, 2.0, 3.0)))
    x, y, z = voxel_sides(space, mean)
    assert max(8, mean // 2) == x and y == mean and z == pytest.approx(1.5 * mean, abs=1)
