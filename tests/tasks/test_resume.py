"""The law of resuming, for every task and every field: a stop and a resume leave what one sitting leaves, bit for bit.

Through `start` and `fit`, as the commands call them; what the commands add to it is tested in tests/commands."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from recon.fields import FIELDS
from recon.geometry import Mesh
from recon.runtime import seed_all
from recon.shapes.shape import from_mesh
from recon.tasks.bench import Bench
from recon.tasks.nerf import run as scenes
from recon.tasks.nerf.scores import mean_scores, score_views
from recon.tasks.nerf.settings import REFUSED
from recon.tasks.shape import run as shapes
from recon.tasks.shape.settings import preset
from recon.training import checkpoint

STEPS, STOP = 6, 3
TIMES = ("seconds", "points_per_second", "peak_memory")
"""Of log and checkpoint: they differ from sitting to sitting."""


@pytest.fixture(scope="module")
def solid():
    """A ring of few faces."""
    ring = trimesh.creation.torus(1.0, 0.4, major_sections=12, minor_sections=8)
    return from_mesh("ring", Mesh(np.array(ring.vertices), np.array(ring.faces, np.int64)))


@pytest.fixture(scope="module")
def bench(cpu, tmp_path_factory):
    """One cache for all, so that points are drawn once."""
    return Bench(cpu, tmp_path_factory.mktemp("cache"), lambda line: None, quiet=True)


@pytest.fixture
def shape_run(solid, bench, small, tmp_path):
    """Begins a shape run: its folder, one sitting of it, and its scores."""

    def begin(task, field, name, seed=0):
        settings = preset(task, "quick", field).with_steps(STEPS)
        train = replace(settings.train, batch=128, checkpoint_every=4, log_every=2, seed=seed)
        settings = replace(settings, field=replace(settings.field, **small[field]), train=train, pool=2000)
        run = shapes.start(shapes.Plan(task, field, "quick", settings), solid, bench, tmp_path / name)

        def sit(resume, stop):
            plan, warnings = shapes.read_plan(run)
            assert not warnings
            return shapes.fit(plan, solid, run, bench, resume=resume, stop_after=stop)

        points = np.random.default_rng(1).uniform(-1, 1, (500, 3))
        return run, sit, lambda fitted: {"inside": fitted.inside(points).tolist(), "values": _values(fitted, points)}

    return begin


@pytest.fixture
def scene_run(ball, space, bench, tiny, tmp_path):
    """Begins a scene run, in whose first two steps only the voxels learn."""

    def begin(field, name, seed=0):
        settings = tiny(field, STEPS)
        settings = replace(settings, train=replace(settings.train, checkpoint_every=4, log_every=2, seed=seed))
        run = scenes.start(scenes.Plan(field, "quick", settings), ball, space, 1, tmp_path / name)

        def sit(resume, stop):
            plan, warnings = scenes.read_plan(run)
            assert not warnings
            return scenes.fit(plan, ball, run, bench, resume=resume, stop_after=stop)

        return run, sit, lambda fitted: mean_scores(score_views(fitted, None), lpips_known=False)[0]

    return begin


def _values(fitted, points):
    return fitted.values(torch.from_numpy(points).float()).tolist()


def left_by(run):
    """All that the last checkpoint holds, and the log, but for times."""
    found = checkpoint.load(run.checkpoints)
    parts = {"model": found.model, "optimizer": found.optimizer, "random": found.random}
    tensors = {f"{part}/{name}": value for part, named in parts.items() for name, value in named.items()}
    rows = [row for row in run.read_log() if "event" not in row]
    plain = [{key: value for key, value in row.items() if key not in TIMES} for row in (found.state, *rows)]
    return tensors, plain


def check_same(one, other):
    (tensors, plain), (others, other_plain) = one, other
    assert tensors.keys() == others.keys() and len(tensors) >= 4
    assert [name for name, value in tensors.items() if not torch.equal(value, others[name])] == []
    losses = [{row["step"]: row["losses"] for row in rows[1:]} for rows in (plain, other_plain)]
    assert plain[0] == other_plain[0] and len(losses[0]) >= 4
    assert all(losses[1][step] == named for step, named in losses[0].items())  # each sitting logs its first, too


def check_law(begin, *kind):
    """Once in one sitting, once in two with other global random states before each."""
    run, sit, score = begin(*kind, "whole")
    fitted, outcome = sit(False, None)
    assert (outcome.status, outcome.step) == ("done", STEPS)
    whole, scores = left_by(run), score(fitted)
    run, sit, score = begin(*kind, "parts")
    for seed, stop in ((5, STOP), (6, None)):
        seed_all(seed)
        _ = torch.rand(seed), np.random.rand(seed), random.random()
        fitted, outcome = sit(stop is None, stop)
    assert (outcome.status, outcome.step) == ("done", STEPS)
    check_same(whole, left_by(run))
    assert score(fitted) == scores


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("task", ["sdf", "occ"])
def test_a_shape_run_in_two_sittings_is_that_in_one(task, field, shape_run):
    check_law(shape_run, task, field)


@pytest.mark.parametrize("field", [name for name in FIELDS if name not in REFUSED])
def test_a_scene_run_in_two_sittings_is_that_in_one(field, scene_run):
    check_law(scene_run, field)


@pytest.mark.parametrize("kind", [("sdf", "siren"), ("occ", "asmr"), ("loe",)])
def test_a_seed_decides_weights_and_scores(kind, shape_run, scene_run):
    begin = scene_run if len(kind) == 1 else shape_run
    found = []
    for name, seed in (("first", 3), ("same", 3), ("other", 4)):
        run, sit, score = begin(*kind, name, seed=seed)
        fitted, _ = sit(False, None)
        found.append((left_by(run), score(fitted)))
    (first, scores), (same, same_scores), (other, other_scores) = found
    check_same(first, same)
    assert scores == same_scores != other_scores
    assert any(not torch.equal(value, other[0][name]) for name, value in first[0].items())
