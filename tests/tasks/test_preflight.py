"""What a run is foreseen to take: counts that can be checked, refusals, and nothing changed by the trial."""

import re
from dataclasses import replace

import pytest
import torch

from recon import memory, runtime
from recon.fields import FIELDS
from recon.geometry import Box, Cameras, Space
from recon.tasks import preflight
from recon.tasks.bench import Bench
from recon.tasks.nerf.needs import needs_of as needs_of_scene
from recon.tasks.nerf.run import Plan as ScenePlan
from recon.tasks.nerf.settings import preset as scene_preset
from recon.tasks.preflight import Needs, foresee, refuse_impossible, try_out, try_step
from recon.tasks.shape.needs import needs_of
from recon.tasks.shape.run import Plan
from recon.tasks.shape.settings import preset

GIB = 2.0**30
CPU = torch.device("cpu")


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A CPU with 8 GiB available, and a list of what was said."""
    monkeypatch.setenv("RECON_HOME", str(tmp_path))
    monkeypatch.setattr(memory, "available_bytes", lambda: 8 * GIB)
    monkeypatch.setattr(memory, "own_bytes", lambda: 0.0)
    said = []
    return Bench(runtime.Runtime(CPU, "float32", ("cpu",)), tmp_path / "cache", said.append), said


def needs(held=GIB, disk=GIB):
    return Needs(held, disk, 60.0, "--pool")


def test_what_fits_is_told_in_one_line(bench):
    machine, said = bench
    foresee(needs(), machine)
    assert len(said) == 1
    assert re.fullmatch(
        r"needs: memory about 1\.0 GiB \(8\.0 GiB .*; disk 1\.0 GiB .*; training 30 s to 2:00 min", said[0]
    )


def test_a_tight_run_is_warned_of_with_what_to_lower(bench):
    machine, said = bench
    foresee(needs(7 * GIB), machine)
    assert said[1].startswith("warning: memory is tight") and said[1].endswith("--pool")


@pytest.mark.parametrize(("wanted", "what"), [(needs(13 * GIB), "of memory"), (needs(disk=1e18), "of disk .* --pool")])
def test_what_clearly_cannot_fit_is_refused(bench, wanted, what):
    with pytest.raises(ValueError, match=what):
        foresee(wanted, bench[0])


def test_a_GPU_that_is_too_small_is_refused_though_the_machine_has_room(bench, monkeypatch):
    monkeypatch.setattr(runtime, "free_bytes", lambda device: GIB)
    with pytest.raises(ValueError, match="of GPU memory"):
        foresee(replace(needs(), on_device=2 * GIB), bench[0])


def test_weights_beyond_the_memory_are_refused_without_being_made(monkeypatch):
    monkeypatch.setattr(memory, "total_bytes", lambda: GIB)
    with torch.device("meta"):
        small, large = torch.nn.Linear(1000, 1000), torch.nn.Linear(10_000, 10_000)
    refuse_impossible([small])
    with pytest.raises(ValueError, match="GiB of memory, and 1 are here"):
        refuse_impossible([small, large])


def test_the_trial_counts_what_the_backward_pass_keeps_and_leaves_nothing_behind():
    layer = torch.nn.Linear(3, 100, bias=False)
    before, state = layer.weight.detach().clone(), torch.random.get_rng_state()

    def loss(n):
        return layer(torch.rand(n, 3)).sin().sum()  # keeps its input (3 numbers a point) and the sine's (100)

    cost = try_out(list(layer.parameters()), loss, CPU)
    assert cost.bytes_per_point == 4 * 103
    assert cost.seconds_per_point > 0 and cost.step(1000) > cost.step(10)
    assert layer.weight.grad is None and torch.equal(layer.weight, before)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_whole_step_is_tried_at_once():
    weight = torch.nn.Parameter(torch.ones(8))
    cost = try_step([weight], lambda n: (weight * torch.ones(64, 8)).square().sum(), 64, CPU)
    assert cost.step(0) == cost.step(10**9) > 0


@pytest.mark.parametrize("field", ["neural-experts", "asmr", "bacon"])
@pytest.mark.parametrize("task", ["sdf", "occ"])
def test_every_kind_of_field_is_tried_by_its_own_loss(bench, field, task):
    settings = preset(task, "quick", field)
    small = {"neural-experts": {"experts": 2}, "asmr": {"bases": (2, 4, 4), "width": 16}}.get(field, {})
    if field == "neural-experts":
        small["grid"] = replace(settings.field.grid, resolutions=(8, 16))
    settings = replace(settings, field=replace(settings.field, **small), resolution=32)
    one = needs_of(Plan(task, field, "quick", settings), bench[0])
    assert 0 < one.seconds < 36_000 and preflight.LEAST_PER_PARAMETER < one.memory < 4 * GIB and one.on_device is None


def test_larger_settings_take_more(bench):
    settings = preset("sdf", "quick", "siren")
    plan = Plan("sdf", "siren", "quick", replace(settings, resolution=16, pool=1000))
    small = needs_of(plan, bench[0])
    more_points = replace(plan.settings, train=replace(settings.train, batch=1 << 22))
    assert needs_of(replace(plan, settings=more_points), bench[0]).memory > small.memory + 16 * GIB
    finer = replace(plan.settings, resolution=1024)
    assert needs_of(replace(plan, settings=finer), bench[0]).memory > small.memory + 10 * GIB
    wider = replace(plan.settings, field=replace(FIELDS["siren"], width=400))
    assert needs_of(replace(plan, settings=wider), bench[0]).disk > small.disk + 10 * 2**20


@pytest.mark.parametrize("kind", ["occupancy", "uniform", "hierarchical"])
def test_a_scene_run_counts_its_voxels_and_the_samples_of_its_rays(bench, kind):
    settings = scene_preset("quick", "pe-mlp")
    settings = replace(settings, rays=replace(settings.rays, kind=kind))
    space = Space("box", Box((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)))
    pose = torch.eye(4, dtype=torch.float64)[:3].repeat(50, 1, 1)
    cameras = Cameras(pose, pose[:, 0, :2] + 1, pose[:, 0, :2], pose[:, 0], 100, 100)
    one = needs_of_scene(ScenePlan("pe-mlp", "quick", settings), cameras, space, bench[0])
    voxels = 52 * 4 * 100**3
    assert one.memory > voxels and one.disk > 48 * 4 * 100**3 and one.seconds > 0
    none = replace(settings, voxels=replace(settings.voxels, share=0.0))
    without = needs_of_scene(ScenePlan("pe-mlp", "quick", none), cameras, space, bench[0])
    assert without.disk < one.disk - voxels / 2
