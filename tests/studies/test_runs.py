"""What `recon runs` knows of a folder: every state a run can be in, and nothing that can break the list."""

import json
import subprocess
import sys
from datetime import datetime
from types import SimpleNamespace

import pytest
import torch
from made_runs import make

from recon.studies.runs import as_plain, select, survey
from recon.training import checkpoint, places
from recon.training.lock import holding
from recon.training.places import fresh_names, list_runs, renders
from recon.training.run import Run


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RECON_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("step", "status", "found"),
    [
        (10, "done", "done"),
        (4, "stopped", "stopped"),
        (4, "interrupted", "interrupted"),
        (4, "diverged", "diverged"),
        (4, None, "killed"),
        (10, None, "not scored"),
        (None, None, "begun"),
    ],
)
def test_every_end_of_a_run_has_its_name(step, status, found):
    make(step, status)
    (one,) = survey()
    assert (one.status, one.step, one.steps, one.problem) == (found, step, 10, "")
    assert one.seconds == (None if step is None else 3.0 if status else 2.5)


def test_scores_of_an_earlier_stop_do_not_hide_that_a_run_was_killed_later():
    run = make(4, "stopped")
    checkpoint.save(run.checkpoints, {"w": torch.ones(3)}, {}, {}, {"step": 7, "seconds": 5.0})
    (one,) = survey()
    assert (one.status, one.step, one.seconds) == ("killed", 7, 5.0)


def test_a_run_at_work_is_seen_with_the_step_of_its_log():
    run = make(4)
    for step in (1, 6):
        run.append_log({"step": step, "loss": 1.0})
    with open(run.folder / "log.jsonl", "ab") as file:
        file.write(b'{"step": 9, "lo')
    with holding(run.folder):
        (one,) = survey()
        assert (one.status, one.step) == ("training", 6)
    assert survey()[0].status == "killed"


def test_a_run_whose_checkpoints_were_taken_away_is_still_what_its_scores_say():
    run = make(10, "done")
    for place in run.checkpoints.iterdir():
        checkpoint.shutil.rmtree(place)
    assert survey()[0].status == "done"


def test_runs_come_newest_first_with_facts_size_and_the_marks_of_latest(monkeypatch):
    moments = iter([datetime(2025, 1, 2, hour) for hour in (3, 4, 5)])
    monkeypatch.setattr(places, "datetime", SimpleNamespace(now=lambda: next(moments)))
    first, second = make(10, "done", iou=0.25), make(10, "done", data="cube", task="occ", field="asmr")
    third = make(10, "done")
    found = {one.folder: one for one in survey()}
    assert list(found) == [third.folder, second.folder, first.folder]
    assert [one.latest for one in found.values()] == [True, False, False]
    assert [one.latest_of_kind for one in found.values()] == [True, True, False]
    one = found[first.folder]
    assert (one.task, one.data, one.field, one.preset) == ("sdf", "ball", "siren", "quick")
    assert one.scores == {"iou": 0.25, "trimap_iou_sampled_0.01": 0.25}
    assert one.bytes == sum(path.stat().st_size for path in first.folder.rglob("*") if path.is_file())
    assert Run.open(one.name).folder == first.folder
    assert json.loads(json.dumps(as_plain(one), allow_nan=False))["name"] == one.name
    assert [one.folder for one in select(list(found.values()), data="CUBE")] == [second.folder]
    assert select(list(found.values()), task="sdf", field="asmr") == []


HARM = {
    "config is no JSON": lambda run: (run.folder / "config.json").write_text("{"),
    "config is deep": lambda run: (run.folder / "config.json").write_text("[" * 100_000),
    "config lacks its settings": lambda run: (run.folder / "config.json").write_text('{"task": "sdf"}'),
    "metrics are no object": lambda run: (run.folder / "metrics.json").write_text("[]"),
    "checkpoint is damaged": lambda run: (run.checkpoints / "step-000010" / "state.json").write_text("{}"),
    "config is missing": lambda run: (run.folder / "config.json").unlink(),
}


@pytest.mark.parametrize("harm", HARM)
def test_a_folder_that_cannot_be_read_is_listed_as_such_and_breaks_nothing(harm):
    good, bad = make(10, "done"), make(10, "done")
    HARM[harm](bad)
    broken, whole = survey()
    assert (broken.folder, broken.status) == (bad.folder, "broken") and broken.problem
    assert (whole.folder, whole.status) == (good.folder, "done")


@pytest.mark.parametrize(
    "value",
    [None, [], "many", {"iou": "high"}, {"iou": None}, {"iou": float("inf")}, {"iou": 10**400}, -1, 1e999, 10**400],
)
def test_metrics_of_the_wrong_kind_count_as_nothing(value):
    run = make(10, "done")
    metrics = {name: value for name in ("scores", "steps", "seconds", "definitions")}
    (run.folder / "metrics.json").write_text(json.dumps(metrics))
    (one,) = survey()
    assert one.scores == {} and one.status == "not scored"


def test_links_and_folders_that_are_not_there_yet_are_no_runs(home):
    run = make(10, "done")
    (run.folder.parent / ".begun-1-2").mkdir()
    (run.folder.parent / ".begun-1-2" / "config.json").write_text((run.folder / "config.json").read_text())
    (renders() / "sdf" / "ball" / "siren" / ".deleted-x").mkdir()
    assert [one.folder for one in survey()] == [run.folder] == list_runs()


def test_a_run_behind_a_link_is_listed_as_one(home):
    run = make(10, "done")
    (renders() / "sdf" / "elsewhere").symlink_to(renders() / "sdf" / "ball")
    assert {one.name.split("/")[1]: one.linked for one in survey()} == {"ball": False, "elsewhere": True}
    assert run.folder.is_dir()


def test_a_listing_loads_no_torch(home):
    code = "import sys; from recon.cli import main; assert not main(['runs']); assert 'torch' not in sys.modules"
    make(10, "done")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "sdf/ball/siren/" in done.stdout


def test_names_of_runs_never_end():
    names = fresh_names(renders())
    assert len({next(names) for _ in range(5)}) == 5
