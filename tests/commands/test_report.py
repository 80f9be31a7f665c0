"""`recon report`: the page of one run, or of several, where it was asked for."""

import json
from pathlib import Path

import pytest


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Folders of two runs that were scored, and the newest below RECON_HOME."""
    from recon.training.run import Run  # noqa: PLC0415 - the conftest of this folder must not import recon

    monkeypatch.setenv("RECON_HOME", str(tmp_path / "home"))
    folders = []
    for field, iou in (("siren", 0.9), ("loe", 0.8)):
        run = Run.create("sdf", "box", field, {"train": {"steps": 3}}, tmp_path / field)
        about = {"task": "sdf", "data": "box", "field": field, "scores": {"iou": iou}, "definitions": {"iou": "shared"}}
        run.write_metrics({**about, "status": "done"})
        folders.append(str(run.folder))
    return folders


def test_one_run_has_its_page_in_its_folder_and_latest_is_the_default(recon, runs):
    told = recon("report", "--json").json
    assert told["runs"] == [runs[1]] and told["notes"] == []
    path = Path(told["report"])
    assert path == Path(runs[1]) / "report.html" and path.stat().st_size == told["bytes"]
    assert "loe" in path.read_text("utf-8")
    assert str(path) in recon("report", runs[0], "--out", str(path)).out and "siren" in path.read_text("utf-8")


def test_two_runs_are_compared_below_renders_or_where_it_was_asked(recon, runs, tmp_path):
    told = recon("report", *runs, "--json").json
    path = Path(told["report"])
    assert path.parent.parent == tmp_path / "home/renders/compare/runs" and "box: 2 runs" in path.read_text("utf-8")
    metrics = json.loads((Path(runs[0]) / "metrics.json").read_text())
    (Path(runs[0]) / "metrics.json").write_text(json.dumps({**metrics, "data": "rings"}))
    done = recon("report", *runs, "--out", str(tmp_path / "new" / "both.html"))
    assert "different data (rings, box)" in done.err and str(tmp_path / "new/both.html") in done.out


@pytest.mark.parametrize(
    "words, message",
    [
        (["nowhere"], "no run 'nowhere'"),
        (["latest", "latest"], "named twice"),
        (["latest", "--out", "."], "is a folder"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_line(recon, runs, words, message):
    done = recon("report", *words)
    assert done.code == 2 and message in done.err and len(done.err.strip().splitlines()) == 1


def test_the_report_of_a_shapes_run_holds_it_in_3d(with_views, fit, home):
    page = (Path(fit("sdf", "feature-grid", "--out", home / "here").json["run"]) / "report.html").read_text("utf-8")
    assert "<iframe" in page and "the 3-D view is not shown" not in page


def test_the_report_of_a_scenes_run_holds_it_in_3d(with_views, recon, scene_run):
    done = recon("report", scene_run)
    assert done.code == 0 and done.out.startswith(f"{scene_run / 'report.html'} (")
    page = (scene_run / "report.html").read_text("utf-8")
    assert "<iframe" in page and "the 3-D view is not shown" not in page


def test_a_run_without_a_checkpoint_has_a_page_that_says_why_nothing_is_shown_in_3d(with_views, recon, runs):
    assert recon("report", runs[0]).code == 0
    assert "the 3-D view is not shown: no checkpoint in" in (Path(runs[0]) / "report.html").read_text("utf-8")
