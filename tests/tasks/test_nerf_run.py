"""A run folder stands alone, and a stop and a resumption leave what one sitting leaves, bit for bit on the CPU."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from recon.tasks.bench import Bench
from recon.tasks.nerf.run import Plan, background_of, evaluate, finish, fit, read_plan, reopen, start
from recon.training.run import Run


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("RECON_HOME", str(tmp_path))


@pytest.fixture
def bench(cpu, tmp_path):
    return Bench(cpu, tmp_path / "cache", lambda line: None, quiet=True)


@pytest.fixture
def begin(ball, space, tmp_path):
    """Starts a run on the ball: its plan and its folder."""

    def run(settings, out="run", field="loe"):
        plan = Plan(field, "quick", settings)
        return plan, start(plan, ball, space, 1, tmp_path / out)

    return run


def tensors(run):
    """Weights, both grids and moments of the newest checkpoint."""
    newest = sorted(run.checkpoints.glob("step-*"))[-1]
    files = ("model.safetensors", "optimizer.safetensors")
    return {f"{file}/{key}": value for file in files for key, value in load_file(newest / file).items()}


@pytest.fixture
def check_law(begin, ball, bench):
    """Trains once without a stop and once with some, each sitting in a job of its own; the tensors that both leave."""

    def check(settings, stops, field):
        plan, whole = begin(settings, "whole", field)
        fit(plan, ball, whole, bench)
        _, parts = begin(settings, "parts", field)
        for resume, stop in enumerate([*stops, None]):
            torch.rand(17)  # nothing may hang on the global generator
            again, warnings = read_plan(parts)
            assert again == plan and warnings == []
            _, outcome = fit(again, ball, parts, bench, resume=bool(resume), stop_after=stop)
            assert (outcome.status, outcome.step) == (("stopped", stop) if stop else ("done", settings.train.steps))
        one, other = tensors(whole), tensors(parts)
        assert one.keys() == other.keys() and len(one) >= 4
        for key, value in one.items():
            assert torch.equal(value, other[key]), key
        return one

    return check


@pytest.fixture
def threads():
    """Two threads, whose timing must not matter."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("field", ["asmr", "loe", "voxel"])  # all fields: test_resume.py
def test_twelve_steps_are_six_and_six(field, tiny, check_law, threads):
    found = check_law(tiny(field), [6], field)
    assert any("lit.sampler.grid.occupied" in key for key in found)
    assert any("voxels.radiance" in key for key in found) == (field != "voxel")


@pytest.mark.parametrize("stops", [(3,), (4,), (5,), (1, 4, 11)])
@pytest.mark.parametrize("field", ["loe", "hash-grid"])
def test_a_stop_at_the_voxels_last_step_or_the_fields_first_changes_nothing(field, stops, tiny, check_law):
    settings = tiny(field)  # whose voxels learn in steps 0 .. 3
    assert settings.staged().span_at(4)[1] == 4
    check_law(settings, stops, field)


@pytest.mark.parametrize("rays", ["hierarchical", "uniform"])
@pytest.mark.parametrize("field", ["loe", "voxel"])
def test_other_samplers_go_on_bit_for_bit(field, rays, tiny, check_law):
    check_law(tiny(field, rays=rays), [2, 6], field)


def test_glances_at_a_view_while_training_change_nothing(tiny, begin, ball, bench, tmp_path):
    settings = tiny("loe")
    often = replace(settings, train=replace(settings.train, checkpoint_every=2))
    found = []
    for name, each in (("seldom", settings), ("often", often)):
        plan, run = begin(each, name)
        fit(plan, ball, run, bench)
        found.append(tensors(run))
    assert all(torch.equal(value, found[1][key]) for key, value in found[0].items())
    glances = sorted(path.name for path in (tmp_path / "often/images/training").iterdir())
    assert glances == [f"{step:06d}.png" for step in range(2, 13, 2)]
    assert [path.name for path in (tmp_path / "seldom/images/training").iterdir()] == ["000012.png"]


def test_a_run_that_was_stopped_before_its_first_checkpoint_begins_again(tiny, begin, ball, bench):
    plan, run = begin(tiny(), field="voxel")
    _, outcome = fit(plan, ball, run, bench, resume=True)
    assert (outcome.status, outcome.step) == ("done", 12)


def test_a_run_is_opened_and_scored_from_its_folder_alone(tiny, begin, ball, bench):
    plan, run = begin(tiny("loe"))
    fitted, outcome = fit(plan, ball, run, bench)
    metrics = finish(plan, fitted, outcome, run, bench)
    moved = run.folder.rename(run.folder.with_name("elsewhere"))  # its scene's folder does not exist at all
    found, again, saved, warnings = reopen(Run.open(moved), bench.run_on)
    assert found == plan and saved.step == 12 and warnings == []
    for name, value in fitted.lit.state_dict().items():
        assert torch.equal(again.lit.state_dict()[name], value)
    scored = evaluate(found, again, Run.open(moved), bench)
    assert scored["scores"] == metrics["scores"] and scored["rows"] == metrics["rows"]


def test_metrics_tell_what_was_done_in_json_and_name_files_that_are_there(tiny, begin, ball, bench):
    plan, run = begin(tiny("loe"))
    fitted, outcome = fit(plan, ball, run, bench)
    metrics = finish(plan, fitted, outcome, run, bench)
    assert json.loads((run.folder / "metrics.json").read_text()) == json.loads(json.dumps(metrics, allow_nan=False))
    assert metrics["params"] == sum(p.numel() for p in fitted.lit.radiance.parameters())
    assert (metrics["steps"], metrics["status"], metrics["size"]) == (12, "done", [16, 16])
    assert metrics["views"] == {"train": 8, "test": 2} and metrics["space"] == "box"
    assert [row["file"] for row in metrics["rows"]] == ["pictures/8.png", "pictures/9.png"]
    assert {"building", "training", "scores", "pictures"} <= metrics["timings"].keys()
    for place in metrics["files"]["images"].values():
        assert (run.folder / place).is_file()


@pytest.mark.parametrize("background, value", [("black", 0.0), ("white", 1.0), ("random", 1.0)])
def test_views_are_shown_on_black_only_if_trained_on_it(tiny, background, value):
    assert (background_of(tiny(background=background)) == value).all()


def huge(settings, part):
    if part == "field":
        return replace(settings, field=replace(settings.field, width=30_000_000))
    if part == "grid":
        return replace(settings, rays=replace(settings.rays, grid=4000))
    return replace(settings, voxels=replace(settings.voxels, resolution=500))


@pytest.mark.parametrize("part", ["field", "grid", "voxels"])
def test_what_memory_cannot_hold_is_refused_before_a_folder_is_made(part, tiny, begin, tmp_path, monkeypatch):
    from recon import memory  # noqa: PLC0415

    monkeypatch.setattr(memory, "total_bytes", lambda: 4 * 2.0**30)
    with pytest.raises(ValueError, match="GiB of memory"):
        begin(huge(tiny("pe-mlp"), part), field="pe-mlp")
    assert not (tmp_path / "run").exists() and not (tmp_path / "renders").exists()


def test_a_config_of_another_version_is_read_with_a_warning(tiny, begin):
    _, run = begin(tiny("loe"))
    config = json.loads((run.folder / "config.json").read_text())
    config["settings"]["voxels"]["colour"] = "blue"
    del config["settings"]["entropy"], config["settings"]["precision"]
    (run.folder / "config.json").write_text(json.dumps(config))
    plan, warnings = read_plan(run)
    assert plan == Plan("loe", "quick", tiny("loe"))
    assert len(warnings) == 1 and "voxels.colour" in warnings[0]


@pytest.mark.parametrize(
    "change, said",
    [
        ({"task": "sdf"}, "is a run of 'sdf', not of a scene"),
        ({"field": "oracle"}, "'oracle', which is unknown here; known: pe-mlp"),
        ({"field": "neural-experts"}, "can't be used: neural-experts can't learn a scene"),
        ({"settings": {"preset": "quick", "samples": 0}}, "can't be used: samples must be at least 1"),
        ({"settings": {"preset": "quick", "voxels": {"share": 7}}}, "can't be used.*share"),
        ({"settings": {"preset": "quick", "background": 3}}, None),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(tiny, begin, change, said):
    _, run = begin(tiny("loe"))
    config = json.loads((run.folder / "config.json").read_text())
    (run.folder / "config.json").write_text(json.dumps({**config, **change}))
    if said is None:
        assert "background" in read_plan(run)[1][0]
        return
    with pytest.raises(ValueError, match=said):
        read_plan(run)


def test_a_checkpoint_of_other_sizes_is_told_apart(tiny, begin, ball, bench):
    plan, run = begin(tiny("loe"))
    fit(plan, ball, run, bench)
    config = json.loads((run.folder / "config.json").read_text())
    config["settings"]["field"]["width"] = 24
    (run.folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="does not fit its config.json"):
        reopen(run, bench.run_on)
