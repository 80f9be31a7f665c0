"""The law of a scene's run: a stop, Ctrl-C or a move and `--resume` leave what one sitting leaves, bit for bit."""

import json
import os
import shutil
import signal

import pytest
import torch
from newest import assert_same, tensors

COMMON = ("--rays.steps", "16", "--rays.grid", "8", "--rays.refresh", "2", "--rays.count", "12", "--rays.fine", "6")
COMMON += ("--train.batch", "128", "--threads", "1", "--steps", "12")
TAUGHT = ("--head.features", "8", "--head.width", "8", "--voxels.resolution", "12", "--voxels.batch", "128")
FIELDS = {
    "voxel": ("--field.resolution", "12"),
    "loe": ("--field.width", "16", "--field.layers", "3", "--field.tiles", "2", "2", "2", *TAUGHT),
}
"""Sizes that train in no time; loe learns from voxels in its first steps."""


@pytest.fixture
def learn(recon, ball_scene, home):
    def run(out, *words, field="voxel", code=0):
        start = ("nerf", "--scene", ball_scene, "--field", field, *FIELDS[field], *COMMON)
        result = recon(*start, "--out", home / out, "--json", *words)
        assert result.code == code, result.err
        return result

    return run


def resume(recon, run, *words, code=0):
    result = recon("nerf", "--resume", run, "--threads", 1, "--json", *words)
    assert result.code == code, result.err
    return result


@pytest.mark.parametrize(
    "case",
    [
        ("voxel", "occupancy", (6,)),
        ("loe", "occupancy", (3, 4, 9)),  # the voxels learn in four steps
        ("loe", "hierarchical", (5,)),
    ],
)
def test_a_stopped_run_goes_on_bit_for_bit(learn, recon, home, case):
    field, rays, stops = case
    whole = learn("whole", "--rays.kind", rays, field=field).json
    first, *rest = stops
    stopped = learn("parts", "--rays.kind", rays, "--stop-after", first, field=field)
    assert (stopped.json["status"], stopped.json["steps"]) == ("stopped", first)
    assert f"go on with: recon nerf --resume {home / 'parts'}" in stopped.err
    for stop in rest:
        assert resume(recon, home / "parts", "--stop-after", stop).json["steps"] == stop
    done = resume(recon, home / "parts").json
    assert (done["status"], done["steps"]) == ("done", 12)
    assert_same(home / "whole", home / "parts")
    assert done["scores"] == whole["scores"] and done["rows"] == whole["rows"]


def test_control_c_leaves_a_checkpoint_scores_and_views_and_the_run_goes_on(learn, recon, home, monkeypatch):
    from recon.tasks.nerf.job import NerfJob  # noqa: PLC0415

    loss = NerfJob.loss

    def interrupted(self, step):
        if step == 6:
            os.kill(os.getpid(), signal.SIGINT)
        return loss(self, step)

    learn("whole", field="loe")
    with monkeypatch.context() as patch:
        patch.setattr(NerfJob, "loss", interrupted)
        result = learn("parts", field="loe", code=130)
    assert result.json["status"] == "interrupted" and result.json["steps"] == 7
    assert "--resume" in result.err and "Traceback" not in result.err
    for name in ("metrics.json", "report.html", "images/views.png"):
        assert (home / "parts" / name).is_file()
    resume(recon, home / "parts")
    assert_same(home / "whole", home / "parts")


def test_control_c_while_views_are_rendered_loses_no_step(learn, recon, home, monkeypatch):
    from recon.tasks.nerf import run  # noqa: PLC0415

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "score_views", interrupted)
        result = learn("parts", code=130)
    assert result.out == "" and f"--resume {home / 'parts'}" in result.err and "Traceback" not in result.err
    assert resume(recon, home / "parts").json["status"] == "done"
    learn("whole")
    assert_same(home / "whole", home / "parts")


def test_a_finished_run_is_scored_again_and_stays_as_it_is(learn, recon, home):
    done = learn("run").json
    before = tensors(home / "run")
    again = resume(recon, home / "run").json
    assert (again["status"], again["scores"]) == ("done", done["scores"])
    assert all(torch.equal(value, before[key]) for key, value in tensors(home / "run").items())


def test_a_moved_run_of_a_moved_scene_goes_on_when_it_is_told_where(learn, recon, home, ball_scene):
    mine = shutil.copytree(ball_scene, home / "here" / "marble")
    learn("whole", "--scene", mine)
    learn("parts", "--scene", mine, "--stop-after", "6")
    shutil.move(mine, home / "there")
    shutil.move(home / "parts", home / "far" / "away")
    refused = recon("nerf", "--resume", home / "far" / "away", "--threads", 1)
    assert refused.code == 2 and refused.out == "" and "Traceback" not in refused.err
    assert "here/marble" in refused.err and "--scene" in refused.err
    resume(recon, home / "far" / "away", "--scene", home / "there")
    assert_same(home / "whole", home / "far" / "away")


def test_a_run_does_not_go_on_with_other_pictures(learn, recon, home, ball_scene):
    from PIL import Image  # noqa: PLC0415

    mine = shutil.copytree(ball_scene, home / "marble")
    learn("run", "--scene", mine, "--stop-after", "6")
    before = tensors(home / "run")
    other = shutil.copytree(ball_scene, home / "other")
    (other / "train" / "r_3.png").rename(other / "train" / "r_99.png")
    facts = other / "transforms_train.json"
    facts.write_text(facts.read_text().replace('r_3"', 'r_99"'))
    larger = shutil.copytree(ball_scene, home / "larger")
    for path in larger.glob("t*/*.png"):
        Image.open(path).resize((48, 48)).save(path)
    moved = shutil.copytree(ball_scene, home / "moved")
    facts = json.loads((moved / "transforms_train.json").read_text())
    facts["frames"][0]["transform_matrix"][0][3] += 0.5
    (moved / "transforms_train.json").write_text(json.dumps(facts))
    for scene in (other, larger, moved):
        result = recon("nerf", "--resume", home / "run", "--scene", scene, "--threads", 1)
        assert result.code == 2 and "holds other pictures" in result.err and "Traceback" not in result.err
    assert all(torch.equal(value, before[key]) for key, value in tensors(home / "run").items())


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(learn, recon, home):
    learn("whole")
    learn("run", "--train.checkpoint-every", "3", "--stop-after", "9")
    newest = sorted((home / "run" / "checkpoint").glob("step-*"))[-1] / "model.safetensors"
    newest.write_bytes(newest.read_bytes()[:50])
    result = resume(recon, home / "run")
    assert "damaged" in result.err and result.json["status"] == "done"
    assert_same(home / "whole", home / "run")


@pytest.mark.parametrize(
    "words, said",
    [
        (("--resume", "nowhere"), "nowhere"),
        (("--resume",), "--resume wants a run"),
        (("--resume", "run", "--stop-after", "0"), "--stop-after must be at least 1"),
        (("--resume", "run", "--lpips-weights", "none.safetensors"), "no file with LPIPS weights"),
    ],
)
def test_a_resumption_that_makes_no_sense_is_refused(learn, recon, home, words, said):
    learn("run", "--stop-after", "2")
    result = recon("nerf", *words)
    assert result.code == 2 and said in result.err and "Traceback" not in result.err and result.out == ""


def test_settings_cannot_change_on_the_way(learn, recon, home):
    learn("run", "--stop-after", "2")
    result = recon("nerf", "--resume", home / "run", "--steps", "100")
    assert result.code == 2 and "--steps" in result.err and result.out == ""


@pytest.mark.parametrize("harm", ["missing", "damaged", "deep"])
def test_a_run_without_its_scene_s_facts_is_refused(learn, recon, home, harm):
    learn("run", "--stop-after", "2")
    place = home / "run" / "reference.safetensors"
    if harm == "missing":
        place.unlink()
    elif harm == "damaged":
        place.write_bytes(place.read_bytes()[:100])
    else:
        from safetensors.torch import save_file  # noqa: PLC0415

        save_file({}, place, {"scene": "[" * 100_000})
    for words in (("nerf", "--resume", "run"), ("eval", "run")):
        result = recon(*words)
        assert result.code == 2 and "reference.safetensors" in result.err and "Traceback" not in result.err
