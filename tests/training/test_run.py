"""Run folders: made once, found by any sensible name, and refused with the reason."""

import errno
import json
import os
from datetime import datetime
from pathlib import Path

import pytest

from recon.training import places
from recon.training.places import list_runs
from recon.training.run import Run, overlay


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RECON_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def make(data="armadillo", task="sdf", field="siren", out=None, **settings):
    return Run.create(task, data, field, settings, out)


def at(monkeypatch, hour):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2025, 1, 2, hour)

    monkeypatch.setattr(places, "datetime", Clock)


def test_a_run_lies_where_the_architecture_says_and_knows_what_made_it(home, monkeypatch):
    at(monkeypatch, 3)
    run = make(steps=5)
    assert run.folder == home / "renders/sdf/armadillo/siren/2025-01-02_030000"
    config = run.read_config()
    assert (config["task"], config["data"], config["field"]) == ("sdf", "armadillo", "siren")
    assert config["settings"] == {"steps": 5} and set(config["versions"]) == {"recon", "torch", "python", "platform"}


def test_runs_of_one_second_get_different_folders_in_order(monkeypatch):
    at(monkeypatch, 3)
    runs = [make().folder for _ in range(11)]
    assert len(set(runs)) == 11 and runs[1].name.endswith("-2") and list_runs() == runs


def test_names_that_are_no_folder_names_become_some(home):
    assert make(data="../my shape/é.ply").folder.parts[-3] == "my-shape-é.ply"
    assert make(data="..").folder.parts[-3] == "unnamed"
    assert all(home in path.parents for path in list_runs())


def test_without_recon_home_runs_lie_below_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.delenv("RECON_HOME")
    assert (tmp_path / "renders") in make().folder.parents


def test_latest_is_the_newest_of_all_and_of_its_kind(home, tmp_path, monkeypatch):
    first = make()
    second = make(data="bunny")
    assert Run.open("latest").folder == second.folder
    assert Run.open("sdf/armadillo/siren/latest").folder == Run.open("sdf/armadillo/siren").folder == first.folder
    assert os.readlink(home / "renders/latest") == str(second.folder.relative_to(home / "renders"))  # may be moved
    elsewhere = make(out=tmp_path / "mine")
    assert elsewhere.folder == tmp_path / "mine" and Run.open("latest").folder == elsewhere.folder
    assert Run.open("bunny/siren").folder == second.folder


def test_without_symbolic_links_a_text_file_serves(home, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    make()
    second = make(data="bunny")
    assert (home / "renders/latest").is_file() and not (home / "renders/latest").is_symlink()
    assert Run.open("latest").folder == Run.open("sdf/bunny/siren").folder == second.folder


def test_a_dangling_latest_falls_back_to_the_newest_run(home):
    run = make()
    for link in (home / "renders/latest", run.folder.parent / "latest"):
        link.unlink()
        link.symlink_to("gone")
    assert Run.open("latest").folder == run.folder


def test_a_run_opens_by_folder_path_time_or_part(home, monkeypatch):
    at(monkeypatch, 3)
    run = make()
    relative = run.folder.relative_to(home / "renders")
    for name in (run.folder, os.path.relpath(run.folder), relative, run.folder.name, "armadillo", "sdf/armadillo"):
        assert Run.open(name).folder == run.folder


def test_an_ambiguous_name_lists_what_it_could_mean_and_a_repeated_run_is_its_newest(monkeypatch):
    at(monkeypatch, 3)
    make()
    at(monkeypatch, 4)
    newest = make()
    assert Run.open("armadillo").folder == newest.folder
    make(task="occ", field="asmr")
    with pytest.raises(ValueError, match="'armadillo' could be any of .*occ/armadillo.*say which"):
        Run.open("armadillo")


def test_a_wrong_name_is_answered_with_the_nearest():
    with pytest.raises(FileNotFoundError, match="no runs under"):
        Run.open("latest")
    make()
    with pytest.raises(FileNotFoundError, match="no run 'armadilo'.*perhaps you meant armadillo"):
        Run.open("armadilo")
    with pytest.raises(FileNotFoundError, match="no run 'zzz'.*the newest is sdf"):
        Run.open("zzz")


def test_a_folder_that_is_no_run_says_what_it_holds(tmp_path):
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / "a.ply").write_text("")
    with pytest.raises(FileNotFoundError, match="no run: it has no config.json .it holds a.ply"):
        Run.open("thing")


def test_out_must_be_new_or_empty_and_writable(tmp_path):
    (tmp_path / "empty").mkdir()
    make(out=tmp_path / "empty")
    with pytest.raises(FileExistsError, match="holds a run already; resume it"):
        make(out=tmp_path / "empty")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    with pytest.raises(FileExistsError, match="not empty and is no run .it holds thesis.tex"):
        make(out=tmp_path / "full")
    with pytest.raises(FileExistsError, match="is a file"):
        make(out=tmp_path / "full" / "thesis.tex")
    with pytest.raises(OSError, match="cannot write .*choose a place that can be written"):
        make(out=Path("/proc/recon-run"))
    with pytest.raises(OSError, match="cannot write"):
        make(out=tmp_path / "full" / "thesis.tex" / "run")


def test_settings_can_be_replaced_and_the_rest_stays():
    run = make(steps=5)
    created = run.read_config()["created"]
    run.write_settings({"steps": 9})
    assert run.read_config()["settings"] == {"steps": 9} and run.read_config()["created"] == created


@pytest.mark.parametrize("config", ["", "[]", "{}", '{"task": "sdf", "data": 3, "field": "x", "settings": {}}'])
def test_a_config_without_sense_is_refused_by_name(config):
    run = make()
    (run.folder / "config.json").write_text(config)
    with pytest.raises(ValueError, match="config.json"):
        Run.open(run.folder).read_config()


def test_metrics_come_back():
    run = make()
    run.write_metrics({"scores": {"iou": 0.5, "chamfer_l1": None}})
    assert run.read_metrics() == {"scores": {"iou": 0.5, "chamfer_l1": None}}


def test_the_log_keeps_what_holds_and_survives_half_a_line():
    run = make()
    assert run.read_log() == []
    for step in (1, 2, 3):
        run.append_log({"step": step, "loss": float("nan"), "losses": {"a": float("inf")}})
    with open(run.folder / "log.jsonl", "ab") as file:
        file.write(b'{"step": 4, "lo')
    run.append_log({"event": "resumed", "from_step": 2})
    run.append_log({"step": 3, "loss": 0.5})
    rows = run.read_log()
    assert [row.get("step") for row in rows] == [1, 2, None, 3] and rows[-1]["loss"] == 0.5
    assert rows[0]["loss"] is None and rows[0]["losses"] == {"a": None}
    assert all(json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines() if line.endswith("}"))


def test_overlay_keeps_what_fits_and_names_what_does_not():
    defaults = {"steps": 10, "rate": 0.1, "out": None, "optim": {"eps": 1e-8, "betas": [0.9, 0.99]}, "flag": True}
    saved = {
        "steps": 20,
        "rate": 1,
        "out": "x",
        "optim": {"betas": [0.8, 0.9], "nesterov": True},
        "flag": "yes",
        "gone": {"a": 1},
    }
    merged, misfits = overlay(defaults, saved)
    assert merged == {**defaults, "steps": 20, "rate": 1.0, "out": "x", "optim": {"eps": 1e-8, "betas": [0.8, 0.9]}}
    assert isinstance(merged["rate"], float) and misfits == ["optim.nesterov", "flag", "gone"]
    assert defaults["steps"] == 10 and overlay(defaults, {}) == (defaults, [])
    assert overlay({"n": 1, "d": {}}, {"n": 1.5, "d": 3}) == ({"n": 1, "d": {}}, ["n", "d"])
    assert overlay({"n": 1, "b": 2}, {"n": None, "b": True}) == ({"n": None, "b": 2}, ["b"])
