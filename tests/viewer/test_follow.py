"""Following a run that trains: new checkpoints are shown, and one that vanishes is no end."""

import shutil

import pytest

from recon.training import checkpoint
from recon.viewer import weights
from recon.viewer.follow import Follower
from recon.viewer.shape import ShapeView
from recon.viewer.weights import SceneRun, ShapeRun, machine


@pytest.fixture
def view(copied):
    made = ShapeView(ShapeRun.open(copied, machine()), "127.0.0.1", None)
    made.resolution.value = 32
    yield made
    made.close()


def saved_again(run, step: int, factor: float) -> None:
    """One more checkpoint, of weights times a factor."""
    last = checkpoint.load(run.checkpoints)
    model = {name: value * factor if value.is_floating_point() else value for name, value in last.model.items()}
    checkpoint.save(run.checkpoints, model, last.optimizer, last.random, {**last.state, "step": step})


def test_a_new_checkpoint_is_shown(view, copied, settle):
    follower, old = Follower(view), view.shown.fitted
    settle(view)
    follower.poll()
    settle(view)
    assert view.shown.fitted is old  # nothing new yet
    saved_again(copied, 101, 0.0)
    follower.poll()
    settle(view)
    assert view.shown.step == 101 and "step 101" in view._head.content
    assert all(not p.any() for p in view.shown.fitted.field.parameters())
    assert len(view.surface.mesh.faces) == 0 and view.errors == []


def test_a_checkpoint_that_vanishes_while_it_is_read_is_tried_again(view, copied, monkeypatch, settle):
    settle(view)
    follower, old = Follower(view), view.shown.fitted
    saved_again(copied, 101, 1.0)
    read = checkpoint.load

    def vanished(folder):
        raise FileNotFoundError("model.safetensors is gone")

    monkeypatch.setattr(weights.checkpoint, "load", vanished)
    follower.poll()
    settle(view)
    assert view.shown.fitted is old and view.errors == [] and "tried again" in view._status.content
    monkeypatch.setattr(weights.checkpoint, "load", read)
    follower.poll()
    settle(view)
    assert view.shown.step == 101


def test_all_checkpoints_gone_is_no_end(view, copied, settle):
    follower = Follower(view)
    shutil.rmtree(copied.checkpoints)
    follower.poll()
    settle(view)


def test_a_scene_whose_voxels_alone_have_learned_is_shown_by_them(scene_folder, tmp_path):
    from dataclasses import replace  # noqa: PLC0415

    from recon.fields.pe_mlp import PeMlp, PeMlpConfig  # noqa: PLC0415
    from recon.fields.voxel import Voxel  # noqa: PLC0415
    from recon.scenes.read import read_scene  # noqa: PLC0415
    from recon.scenes.region import space_for  # noqa: PLC0415
    from recon.tasks.bench import Bench  # noqa: PLC0415
    from recon.tasks.nerf import run as runs  # noqa: PLC0415
    from recon.tasks.nerf.settings import preset  # noqa: PLC0415

    scene = read_scene(scene_folder)
    settings = preset("quick", "pe-mlp").with_steps(8)
    field, rays = PeMlpConfig(width=8, layers=2, frequencies=2), replace(settings.rays, steps=8, grid=8)
    voxels, train = replace(settings.voxels, share=0.5, resolution=8), replace(settings.train, batch=64)
    settings = replace(settings, field=field, rays=rays, voxels=replace(voxels, batch=64), train=train)
    plan, bench = runs.Plan("pe-mlp", "quick", settings), Bench(machine(), tmp_path, lambda line: None, quiet=True)
    run = runs.start(plan, scene, space_for(scene), 1, tmp_path / "run")
    runs.fit(plan, scene, run, bench, stop_after=3)
    shown = SceneRun.open(run, machine())
    assert shown.step == 3 and isinstance(shown.fitted.lit.radiance.field, Voxel)
    runs.fit(plan, scene, run, bench, resume=True)
    shown.advance()
    assert shown.step == 8 and isinstance(shown.fitted.lit.radiance.field, PeMlp)
