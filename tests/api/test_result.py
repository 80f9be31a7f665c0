"""Results: scores when asked for, folders that are whole, and results from folders."""

import json
import warnings

import numpy as np
import pytest

import recon
from recon.files import read_json

POINTS = np.random.default_rng(0).uniform(-30, 30, (40, 3)) + (100.0, -5.0, 3.0)


def test_scores_are_those_of_the_command_with_their_meaning(learned):
    assert learned.scores["iou"] > 0.9 and learned.scores["normal_consistency"] > 0.9
    assert learned.scores.keys() == learned.definitions.keys()
    assert "inside both solids" in learned.definitions["iou"]


def test_history_holds_the_losses_by_step(learned):
    history = learned.history
    assert history["step"][0] == 1 and history["step"][-1] == learned.steps == 200
    assert len({len(values) for values in history.values()}) == 1
    assert history["loss"][-1] < 0.2 * history["loss"][0]
    np.testing.assert_allclose(history["losses/sdf"], history["loss"], rtol=1e-6)


def test_config_tells_what_decided_the_result(learned, tiny):
    assert (learned.config["task"], learned.config["field"]) == ("sdf", "pe-mlp")
    assert learned.config["settings"]["pool"] == tiny.pool
    assert learned.settings == tiny.with_steps(200)


def test_a_saved_run_is_whole_and_loads_as_it_was(learned, kept):
    for name in ("config.json", "metrics.json", "mesh.ply", "reference.safetensors", "checkpoint", "report.html"):
        assert (kept / name).exists()
    assert not list(kept.parent.glob(".*"))
    found = recon.load(kept)
    assert isinstance(found, recon.ShapeResult)
    assert (found.status, found.steps, found.folder) == ("done", 200, kept)
    np.testing.assert_array_equal(found.signed_distance(POINTS), learned.signed_distance(POINTS))
    metrics = read_json(kept / "metrics.json")
    assert metrics["run"] == str(kept) and metrics["files"]["report"] == "report.html"
    assert found.scores == metrics["scores"] == learned.scores


def test_scores_of_a_folder_are_evaluated_again_where_they_are_of_another_step(kept, place, learned):
    copy = recon.load(kept).save(place / "copy")
    metrics = read_json(copy / "metrics.json")
    (copy / "metrics.json").write_text(json.dumps({**metrics, "scores": {"iou": 0.5}, "steps": 3}))
    assert recon.load(copy).scores["iou"] == learned.scores["iou"]


def test_saving_overwrites_nothing(kept, place):
    found = recon.load(kept)
    (place / "full").mkdir()
    (place / "full" / "notes.txt").write_text("mine")
    for taken in (kept, place / "full"):
        with pytest.raises(FileExistsError):
            found.save(taken)
    assert [path.name for path in (place / "full").iterdir()] == ["notes.txt"]
    assert found.folder == kept


def test_a_save_that_fails_leaves_nothing(kept, place, monkeypatch):
    found = recon.load(kept)
    monkeypatch.setattr("recon.api.result.write_report", lambda run, view: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        found.save(place / "copy")
    with pytest.raises(OSError, match="disk full"):
        found.save()
    assert not (place / "copy").exists() and not [p for p in place.rglob("*") if p.is_file()]


def test_a_temporary_result_lives_where_it_was_saved(ball, tiny, place):
    found = recon.fit_shape(ball, settings=tiny, steps=2, quiet=True)
    before = found.folder
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of noise after two steps
        saved = found.save()
    assert not before.exists() and found.folder == saved
    assert saved.parent == place / "renders" / "sdf" / "mesh" / "pe-mlp"
    assert recon.load().folder == recon.load("latest").folder == saved.resolve()


def test_out_is_a_whole_run_and_moves_no_links(ball, tiny, place):
    found = recon.fit_shape(ball, settings=tiny, steps=2, out="run", quiet=True)
    assert found.folder == place / "run" and (place / "run" / "report.html").is_file()
    assert [path.name for path in place.iterdir()] == ["run"]
    with pytest.raises(FileExistsError, match="holds a run already"):
        recon.fit_shape(ball, settings=tiny, steps=2, out="run", quiet=True)


def test_a_report_is_a_page_in_the_folder(kept):
    page = recon.load(kept).report()
    assert page == kept / "report.html" and page.read_text().startswith("<!doctype html>")


def test_a_notebook_sees_a_short_table_in_which_names_are_only_text(ball, tiny):
    ball = ball.copy()
    ball.metadata["name"] = "<b>bold</b>"
    found = recon.fit_shape(ball, settings=tiny, steps=2, quiet=True)
    shown = found._repr_html_()
    assert shown.startswith("<table>") and "&lt;b&gt;bold" in shown and "<b>" not in shown
    assert "temporary" in shown and len(shown) < 1500
    assert repr(found).startswith("ShapeResult(task: sdf, data: <b>bold</b>, field: pe-mlp")


@pytest.mark.parametrize(("name", "message"), [("latest", "no run 'latest'"), ("nowhere/run", "no run 'nowhere/run'")])
def test_runs_that_there_are_not_are_refused(name, message):
    with pytest.raises(FileNotFoundError, match=message):
        recon.load(name)


def test_a_run_of_another_kind_is_refused(place):
    (place / "run").mkdir()
    config = {"task": "music", "data": "song", "field": "siren", "settings": {}}
    (place / "run" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="a run of 'music'"):
        recon.load("run")
