"""`recon compare` from words to tables: the same data for all, budgets met, interruptions survived."""

import hashlib
import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from recon.commands import compare as command
from recon.shapes import pool
from recon.studies.compare import contest, record, scenes, shapes, signals, watch
from recon.tasks.nerf.job import NerfJob
from recon.tasks.nerf.settings import preset as scene_preset
from recon.tasks.shape.job import ShapeJob
from recon.tasks.shape.settings import preset as shape_preset

SMALL = {
    "siren": {"width": 16, "layers": 3},
    "pe-mlp": {"width": 16, "layers": 3, "frequencies": 3},
    "asmr": {"width": 16, "bases": (2, 4, 4)},
    "hash-grid": {"levels": 4, "table_log2": 8, "coarsest": 4, "finest": 32, "width": 16},
    "voxel": {"resolution": 12},
}


@pytest.fixture(autouse=True)
def _tiny_presets(monkeypatch):
    """Presets of a few steps and small fields."""

    def small(settings, name: str, **changes):
        train = replace(settings.with_steps(8 if name == "siren" else 12).train, batch=128, checkpoint_every=1000)
        field = replace(settings.field, **SMALL.get(name, {}))
        if name == "neural-experts":
            field = replace(field, experts=3, grid=replace(field.grid, resolutions=(4, 8)))
        return replace(settings, field=field, train=train, **changes)

    def shape(task, preset, name):
        return small(shape_preset(task, preset, name), name, pool=2000, resolution=24)

    def scene(preset, name):
        settings = scene_preset(preset, name)
        rays = replace(settings.rays, steps=12, grid=8, refresh=4)
        voxels = replace(settings.voxels, resolution=8, batch=64)
        return small(settings, name, rays=rays, voxels=voxels)

    monkeypatch.setattr(shapes, "preset", shape)
    monkeypatch.setattr(scenes, "preset", scene)
    monkeypatch.setattr(scenes, "RAYS", 64)


@pytest.fixture(autouse=True)
def _bare(request, monkeypatch):
    """No reports, plots and steps before the first, which take most of the time, but where a test asks for them."""
    if "in_full" not in request.fixturenames:
        monkeypatch.setattr(shapes.ShapeArena, "pilot", lambda self, name, settings, bench, steps: 0.1)
        monkeypatch.setattr(scenes.SceneArena, "pilot", lambda self, name, settings, bench, steps: 0.1)
        monkeypatch.setattr(command, "report_of", lambda run, run_on: run.folder / "report.html")
        monkeypatch.setattr(record, "plot_curves", lambda *args: None)


@pytest.fixture
def in_full():
    """Reports, plots and measured speed, as people have them."""


@pytest.fixture
def compare(recon, ball_file):
    """A comparison on the ball that must succeed; its result."""

    def run(*args, task: str = "sdf"):
        words = ("compare", "--task", task, "--shape", ball_file, "--threads", 1, "--quiet", "--json")
        result = recon(*words, *args)
        assert result.code == 0, result.err
        return result.json

    return run


def settings_of(found) -> list[dict]:
    folders = [Path(found["folder"]) / run["run"] for run in found["runs"]]
    return [json.loads((folder / "config.json").read_text())["settings"] for folder in folders]


@pytest.fixture
def batches(monkeypatch):
    """Every batch of every run, as one text, by the name of the run."""
    seen: dict[str, list[str]] = {}
    at = []

    def listen(arena, source, tensors):
        run, draw = arena.run, source.batch

        def named(self, name, settings, bench, folder):
            at[:] = [folder.name]
            done = run(self, name, settings, bench, folder)
            at.clear()
            return done

        def heard(self, *args):
            batch = draw(self, *args)
            if at:
                text = b"".join(tensor.numpy().tobytes() for tensor in tensors(batch))
                seen.setdefault(at[0], []).append(hashlib.sha256(text).hexdigest())
            return batch

        monkeypatch.setattr(arena, "run", named)
        monkeypatch.setattr(source, "batch", heard)

    listen(shapes.ShapeArena, pool.Pool, lambda batch: (batch.points, batch.distance, batch.weight))
    listen(scenes.SceneArena, NerfJob, lambda batch: (batch[0].origin, batch[0].direction, *batch[1:]))
    return seen


def test_fields_of_equal_size_see_the_same_batches_and_leave_whole_runs(compare, recon, home, batches, in_full):
    found = compare("--fields", "siren", "hash-grid", "--budget", "params", "--seeds", 2)
    rows = {row["name"]: row for row in found["rows"]}
    assert set(rows) == {"siren", "hash-grid"}
    assert found["budget"] == {"kind": "params", "amount": rows["siren"]["params"]}
    assert abs(rows["hash-grid"]["params"] / rows["siren"]["params"] - 1) < 1 / 3
    assert rows["siren"]["steps"] == rows["hash-grid"]["steps"] == 8
    assert all(row["runs"] == 2 and row["scores"]["iou"]["deviation"] is not None for row in found["rows"])
    told = [(run["field"], run["seed"]) for run in found["runs"]]
    assert told == [("siren", 0), ("hash-grid", 0), ("siren", 1), ("hash-grid", 1)]
    assert batches["siren-0"] == batches["hash-grid-0"] != batches["siren-1"] == batches["hash-grid-1"]
    assert len(set(batches["siren-0"] + batches["siren-1"])) == 16
    folder = Path(found["folder"])
    assert folder.relative_to(home).parts[:4] == ("renders", "compare", "sdf", "ball")
    assert json.loads((folder / "compare.json").read_text()) == found
    assert (folder / "compare.png").read_bytes()[:4] == b"\x89PNG"
    assert "| siren |" in (folder / "compare.md").read_text()
    assert "asked" in found["notes"][1]
    for run in found["runs"]:
        assert [look["step"] for look in run["curve"]] == sorted({look["step"] for look in run["curve"]})
        assert run["curve"][-1]["step"] == 8
        assert run["curve"][-1]["score"] == pytest.approx(run["scores"]["trimap_iou_sampled_0.01"], abs=0.02)
        assert run["curve"][-1]["seconds"] <= run["seconds"] + 0.1  # one clock starts a little earlier
        assert (folder / run["run"] / "report.html").is_file()
    again = recon("eval", folder / found["runs"][1]["run"], "--json", "--threads", 1)
    assert again.json["scores"]["iou"] == found["runs"][1]["scores"]["iou"]


def test_looking_leaves_training_bit_for_bit_the_same(compare, recon, ball_scene, monkeypatch):
    def weights(found):
        folders = [Path(found["folder"]) / run["run"] for run in found["runs"]]
        return [next(folder.glob("checkpoint/*/model.safetensors")).read_bytes() for folder in folders]

    def both():
        shape = compare("--fields", "neural-experts", "--steps", "6")
        words = ("--scene", ball_scene, "--fields", "pe-mlp", "--steps", 12, "--voxels", "on")
        scene = recon("compare", "--task", "nerf", *words, "--threads", 1, "--quiet", "--json")
        assert scene.code == 0, scene.err
        looks = [run["curve"] for found in (shape, scene.json) for run in found["runs"]]
        return weights(shape) + weights(scene.json), looks

    looked, curves = both()
    assert all(curves)
    monkeypatch.setattr(watch.Watch, "_on_step", lambda self, step, losses: None)
    alone, none = both()
    assert not any(none)
    assert looked == alone


def test_occupancy_is_learned_from_points_by_all(compare):
    found = compare("--fields", "asmr", "siren", "--steps", "2", task="occ")
    for settings in settings_of(found):
        assert settings["cells"] is False
        assert settings["sampler"]["target"] == "inside"
        assert settings["train"]["batch"] == 128


@pytest.mark.parametrize(("voxels", "share"), [("on", 0.35), ("off", 0.0)])
def test_scenes_are_compared_with_voxels_before_all_or_none(recon, ball_scene, batches, voxels, share):
    words = ("--scene", ball_scene, "--fields", "pe-mlp,voxel", "--steps", "10", "--voxels", voxels, "--json")
    result = recon("compare", *words, "--threads", 1, "--quiet")
    assert result.code == 0, result.err
    found = result.json
    assert found["task"] == "nerf"
    assert all(row["scores"]["psnr"]["mean"] > 0 for row in found["rows"])
    assert {one["voxels"]["share"] for one in settings_of(found)} == {share}
    assert len({(one["train"]["batch"], one["samples"]) for one in settings_of(found)}) == 1
    assert batches["pe-mlp-0"] == batches["voxel-0"]
    assert len(set(batches["voxel-0"])) == 10


def test_a_budget_of_seconds_becomes_steps_by_measured_speed(compare, monkeypatch):
    asked = []

    def pilot(self, name, settings, bench, steps):
        asked.append((name, steps))
        return 0.5 if name == "siren" else 0.25

    monkeypatch.setattr(shapes.ShapeArena, "pilot", pilot)
    found = compare("--fields", "siren", "pe-mlp", "--seconds", "2")
    assert {row["name"]: row["steps"] for row in found["rows"]} == {"siren": 4, "pe-mlp": 8}
    assert asked == [("siren", contest.FIRST_PILOT), ("pe-mlp", contest.FIRST_PILOT)]
    assert any("instead of 2" in note for note in found["notes"])  # a tiny step takes no half second


def test_speed_is_measured_without_a_trace(compare, home, in_full):
    found = compare("--fields", "siren", "--seconds", "0.3")
    assert found["rows"][0]["steps"] > 1
    assert len(found["runs"]) == 1
    assert (home / "renders" / "latest").resolve() == Path(found["folder"]) / "siren-0"


def test_less_than_a_step_is_refused_with_what_a_step_takes(recon, ball_file, monkeypatch):
    monkeypatch.setattr(shapes.ShapeArena, "pilot", lambda self, name, settings, bench, steps: 0.5)
    result = recon("compare", "--shape", ball_file, "--fields", "siren", "--seconds", "0.2", "--threads", 1)
    assert result.code == 2
    assert "a step of siren takes 0.5 s" in result.err


def test_an_interruption_keeps_the_finished_runs_and_their_table(recon, ball_file, home, monkeypatch):
    real = shapes.ShapeArena.look

    def look(self, job):
        if type(job.field).__name__ == "PeMlp":
            signal.raise_signal(signal.SIGINT)
        return real(self, job)

    monkeypatch.setattr(shapes.ShapeArena, "look", look)
    words = ("--shape", ball_file, "--fields", "siren", "pe-mlp", "hash-grid", "--steps", "5", "--out", home / "c")
    result = recon("compare", *words, "--threads", 1)
    assert result.code == 130
    assert "siren" in result.out
    assert "interrupted" in result.err
    kept = json.loads((home / "c" / "compare.json").read_text())
    assert [run["field"] for run in kept["runs"]] == ["siren"]
    assert "2 of 3 runs are missing" in kept["notes"]
    assert recon("sdf", "--resume", home / "c" / "pe-mlp-0", "--threads", 1, "--quiet").code == 0


def test_fields_that_diverge_or_fail_cost_the_others_nothing(recon, ball_file, home, monkeypatch):
    real = shapes.ShapeArena.look
    learn = ShapeJob.loss

    def look(self, job):
        if type(job.field).__name__ == "PeMlp":
            raise IndexError("of a field from elsewhere")
        return real(self, job)

    def loss(self, step):
        found = learn(self, step)
        spoilt = type(self.field).__name__ == "Siren" and step > 2
        return {name: value * float("nan") for name, value in found.items()} if spoilt else found

    monkeypatch.setattr(shapes.ShapeArena, "look", look)
    monkeypatch.setattr(ShapeJob, "loss", loss)
    words = ("--shape", ball_file, "--fields", "siren", "pe-mlp", "hash-grid", "--steps", "5", "--out", home / "c")
    result = recon("compare", *words, "--threads", 1, "--quiet", "--json")
    assert result.code == 4
    assert {row["name"]: row["status"] for row in result.json["rows"]} == {"siren": "diverged", "hash-grid": "done"}
    assert "pe-mlp-0 failed: IndexError: of a field from elsewhere" in result.err
    assert "pe-mlp-0 failed: IndexError: of a field from elsewhere" in result.json["notes"]
    assert "diverged" in (home / "c" / "compare.md").read_text()
    assert json.loads((home / "c" / "compare.json").read_text()) == result.json


def test_a_comparison_that_is_stopped_at_once_says_so(recon, ball_file, monkeypatch):
    def stop(self, job):
        signal.raise_signal(signal.SIGINT)
        return 0.0

    monkeypatch.setattr(shapes.ShapeArena, "look", stop)
    result = recon("compare", "--shape", ball_file, "--fields", "siren", "--steps", "5", "--quiet", "--threads", 1)
    assert result.code == 130
    assert "no run came to its end" in result.err
    assert result.out == ""


# -- finished runs -----------------------------------------------------------------------------------------------------


def test_finished_runs_are_ranked_in_one_table_and_plot(fit, recon, home):
    first, second = fit("sdf", "siren", "--out", home / "a").json, fit("sdf", "voxel", "--out", home / "b").json
    result = recon("compare", home / "a", home / "b", "--json", "--out", home / "table")
    assert result.code == 0, result.err
    rows, main = result.json["rows"], "trimap_iou_sampled_0.01"
    assert {row["name"]: row["params"] for row in rows} == {"siren": first["params"], "voxel": second["params"]}
    assert [row["scores"][main]["mean"] for row in rows] == sorted(m["scores"][main] for m in (first, second))[::-1]
    assert {path.name for path in (home / "table").iterdir()} == {"compare.json", "compare.md", "compare.png"}
    assert result.json["notes"] == []


def test_runs_of_different_data_are_told_apart_and_not_ranked(fit, recon, home):
    fit("sdf", "siren", "--out", home / "a")
    other = shutil.copy(home / "data" / "ball.ply", home / "data" / "marble.ply")
    fit("sdf", "siren", "--shape", other, "--out", home / "b")
    result = recon("compare", home / "a", home / "b")
    assert result.code == 0, result.err
    assert "siren (a)" in result.out
    assert "not ranked: these runs have different data: ball, marble" in result.out
    assert not list((home / "renders" / "compare").rglob("*.png"))


def test_runs_without_scores_or_named_twice_are_refused(fit, recon, home):
    fit("sdf", "siren", "--out", home / "a")
    assert "named twice" in recon("compare", home / "a", home / "a").err
    (home / "a" / "metrics.json").unlink()
    assert "no scores yet; finish it" in recon("compare", home / "a").err


# -- refusals ----------------------------------------------------------------------------------------------------------

REFUSALS = {
    "nothing": ((), "name fields"),
    "an unknown field": (("--fields", "siern", "loe"), "siern is unknown; perhaps you meant siren"),
    "an unknown task": (("--task", "sfd", "--fields", "loe"), "perhaps you meant sdf"),
    "an unknown budget": (("--budget", "param", "--fields", "loe"), "perhaps you meant params"),
    "another task's preset": (("--task", "sdf", "--preset", "best", "--fields", "loe"), "best is unknown for sdf"),
    "a field twice": (("--fields", "siren", "siren"), "named twice: siren"),
    "two budgets": (("--fields", "siren", "--params", "9", "--steps", "9"), "two budgets"),
    "a budget and another's amount": (("--fields", "siren", "--budget", "macs", "--steps", "9"), "two budgets"),
    "seconds without a number": (("--fields", "siren", "--budget", "seconds"), "--seconds N"),
    "no runs": (("--fields", "siren", "--seeds", "0"), "--seeds must be at least 1"),
    "half a step": (("--fields", "siren", "--steps", "1.5"), "whole number"),
    "a size out of reach": (("--fields", "voxel", "--macs", "5000"), "its largest has 8"),
    "a scene's flag": (
        ("--task", "sdf", "--fields", "siren", "--voxels", "on"),
        "--voxels is not for --task sdf, which takes --shape",
    ),
    "no signal": (("--task", "fit", "--fields", "siren"), "--task fit wants --signal"),
    "a shape's flag": (("--task", "nerf", "--fields", "loe", "--shape", "idol"), "--task nerf, which takes --scene"),
    "no pixels": (("--task", "nerf", "--fields", "loe", "--downscale", "0"), "--downscale must be 1 or more"),
    "a field that no scene teaches": (("--task", "nerf", "--fields", "loe", "neural-experts"), "can't learn a scene"),
    "runs and flags of training": (("some-run", "--seeds", "3"), "no flags of training"),
    "runs that are not there": (("some-run",), "no run 'some-run'"),
}


@pytest.mark.parametrize("case", sorted(REFUSALS))
def test_what_makes_no_comparison_is_refused_before_anything_trains(case, recon, ball_file, home):
    words, message = REFUSALS[case]
    shape = ("--shape", ball_file) if "--fields" in words and not {"nerf", "fit"} & set(words) else ()
    result = recon("compare", *words, *shape, "--threads", 1)
    assert result.code == 2
    assert message in result.err
    assert not (home / "renders").exists()


@pytest.mark.parametrize("name", ["waves.png", "tone.wav"])
def test_fields_are_compared_on_a_picture_and_on_a_sound(recon, home, monkeypatch, name, in_full):
    def signal_preset(kind, preset_name, field_name):
        settings = real(kind, preset_name, field_name)
        settings = replace(settings, field=replace(settings.field, **SMALL[field_name]))
        return replace(settings, train=replace(settings.with_steps(8).train, batch=100, checkpoint_every=1000))

    real = signals.preset
    monkeypatch.setattr(signals, "preset", signal_preset)
    wave = 0.5 + 0.4 * np.sin(np.arange(1200) * 0.01)
    if name == "waves.png":
        Image.fromarray((255 * wave.reshape(30, 40)).astype(np.uint8)).save(home / name)
    else:
        soundfile.write(home / name, wave, 8000)
    words = ("compare", "--signal", home / name, "--fields", "siren", "hash-grid", "--threads", 1, "--json", "--quiet")
    done = recon(*words, "--params", 800)
    assert done.code == 0, done.err
    found = done.json
    assert found["task"] == "fit" and {row["name"] for row in found["rows"]} == {"siren", "hash-grid"}
    assert all(row["scores"]["psnr"]["mean"] > 0 for row in found["rows"])
    folder = Path(found["folder"])
    run = json.loads((folder / "siren-0" / "metrics.json").read_text())
    looks = found["runs"][0]["looks"] if "looks" in found["runs"][0] else []
    assert not looks or looks[-1]["score"] == pytest.approx(run["scores"]["psnr"], abs=0.5)
    assert (folder / "compare.md").is_file() and (folder / "siren-0" / "report.html").is_file()
