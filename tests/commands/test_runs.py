"""`recon runs` and `recon runs prune` as people type them, on runs that were made without training."""

import json
import os
import sys

import pytest
from made_runs import make


@pytest.fixture
def three():
    """A poor, a good and a new run of one kind, and one of another."""
    made = [make(10, "done", iou=iou).folder for iou in (0.25, 0.75, 0.5)]
    return [*made, make(4, "stopped", field="loe").folder]


def test_the_table_shows_what_each_run_is_and_what_latest_means(recon, home, three):
    result = recon("runs")
    assert result.code == 0 and result.err == ""
    head, *lines = result.out.splitlines()
    assert head.split() == ["run", "preset", "scores", "steps", "time", "size", "status"]
    (good,) = (line for line in lines if three[1].name in line)
    assert good.split()[0].startswith("sdf/ball/siren/") and "IoU near 0.75, IoU 0.75" in good and good.endswith("done")
    (stopped,) = (line for line in lines if "loe" in line)
    assert stopped.startswith("* sdf/ball/loe/") and stopped.endswith("stopped at 40%")
    assert any(line.startswith(f"+ sdf/ball/siren/{three[2].name}") for line in lines)
    assert "4 runs" in lines[-1]


def test_json_is_one_object_with_every_run(recon, home, three):
    found = recon("runs", "--json").json
    assert found["renders"] == str(home / "renders")
    assert {one["run"] for one in found["runs"]} == set(map(str, three))


def test_a_listing_can_be_narrowed_and_a_wrong_name_is_answered_with_the_nearest(recon, three):
    assert [one["field"] for one in recon("runs", "--field", "LOE", "--json").json["runs"]] == ["loe"]
    assert recon("runs", "--task", "sdf", "--data", "ball", "--json").json["runs"]
    result = recon("runs", "--data", "bal")
    assert result.code == 2 and "has data bal; perhaps you meant ball" in result.err
    assert recon("runs", "--task", "nerf").code == 2


def test_without_runs_it_says_how_to_begin(recon, home):
    result = recon("runs")
    assert result.code == 0 and "no runs under" in result.out and "recon sdf" in result.out
    assert recon("runs", "prune", "--yes").out == "nothing to delete\n"


def test_a_broken_folder_is_listed_with_its_reason(recon, three):
    (three[0] / "config.json").write_text("{")
    result = recon("runs")
    assert result.code == 0 and f"broken: sdf/ball/siren/{three[0].name}" in result.out


def test_an_action_that_there_is_not_is_refused(recon):
    result = recon("runs", "purge")
    assert result.code == 2 and "recon runs prune deletes" in result.err


def test_nothing_is_deleted_where_nobody_can_be_asked(recon, three, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    result = recon("runs", "prune")
    assert result.code == 2 and "pass --yes to delete 1 runs of 4" in result.err
    assert f"delete sdf/ball/siren/{three[0].name}" in result.err and "(newest and best)" in result.err
    assert all(folder.is_dir() for folder in three)


class Terminal:
    """A person at a keyboard."""

    def __init__(self, answer):
        self.answer = answer

    def isatty(self):
        return True

    def readline(self):
        return self.answer


@pytest.mark.parametrize(("answer", "gone"), [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_a_person_is_asked_and_only_yes_means_yes(recon, three, monkeypatch, answer, gone):
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    result = recon("runs", "prune")
    assert three[0].exists() != gone and result.code == (0 if gone else 2)
    assert "[y/N]" in result.err and ("deleted 1 runs" in result.out) == gone


def test_yes_deletes_what_was_shown_and_tells_programs(recon, home, three):
    freed = sum(path.stat().st_size for path in three[0].rglob("*") if path.is_file())
    found = recon("runs", "prune", "--keep", "best", "--yes", "--json").json
    assert found["runs"] == [str(three[0].relative_to(home / "renders"))] and found["bytes"] == freed
    assert [folder.exists() for folder in three] == [False, True, True, True]
    assert set(found["kept"].values()) == {"best", "newest", "newest and best"}
    recon("runs", "prune", "--keep", "newest", "--field", "siren", "--yes")
    assert [folder.exists() for folder in three] == [False, False, True, True]


def test_older_checkpoints_of_finished_runs_can_go_alone(recon, home):
    import torch  # noqa: PLC0415

    from recon.training import checkpoint  # noqa: PLC0415

    run = make(8)
    checkpoint.save(run.checkpoints, {"w": torch.ones(3)}, {}, {}, {"step": 10})
    run.write_metrics({"steps": 10, "status": "done", "scores": {"iou": 0.5}})
    result = recon("runs", "prune", "--what", "checkpoints", "--yes")
    assert "deleted 1 runs' older checkpoints" in result.out and "step-000008" in result.err
    assert os.listdir(run.checkpoints) == ["step-000010"]
    assert json.loads(recon("runs", "--json").out)["runs"][0]["status"] == "done"


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("eval",), ("render",), ("export",), ("compare",), ("sdf", "--resume")])
def test_every_command_that_takes_a_run_answers_names_alike(recon, three, command):
    make(10, "done", task="occ", field="asmr")
    several = recon(*command, "ball")
    assert several.code == 2 and "could be any of" in several.err and "ball/latest" in several.err
    for kind in ("sdf/ball/siren", "sdf/ball/loe", "occ/ball/asmr"):
        assert kind in several.err
    nothing = recon(*command, "sirene")
    assert nothing.code == 2 and "perhaps you meant siren" in nothing.err and "recon runs" in nothing.err
    assert "Traceback" not in several.err + nothing.err
