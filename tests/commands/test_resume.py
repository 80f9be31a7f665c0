"""The law of a run: a stop and `--resume` leave what one sitting leaves, bit for bit on the CPU."""

import errno
import json
import shutil
import signal
import time

import pytest
from newest import assert_same

from recon import files
from recon.training.lock import holding
from recon.training.run import Run

PAPER = ("--preset", "paper-small", "--field.experts", "4", "--field.expert-width", "8", "--field.encoder-width", "16")
PAPER += ("--field.manager-width", "8", "--field.encoder-layers", "2", "--pretrain.batch", "128")


def check_law(fit, recon, home, task, field, *flags, stops=(2,), steps=6):
    """Once without a stop, once with some."""
    fit(task, field, "--steps", steps, "--out", home / "whole", *flags)
    first, *rest = stops
    result = fit(task, field, "--steps", steps, "--out", home / "parts", "--stop-after", first, *flags)
    assert result.json["status"] == "stopped" and result.json["steps"] == first
    for stop in rest:
        assert recon(task, "--resume", home / "parts", "--stop-after", stop, "--threads", 1).code == 0
    result = recon(task, "--resume", home / "parts", "--threads", 1, "--json")
    assert result.code == 0 and result.json["steps"] == steps and result.json["status"] == "done"
    assert_same(home / "whole", home / "parts")
    whole = json.loads((home / "whole" / "metrics.json").read_text())
    assert result.json["scores"] == whole["scores"]
    return whole, result.json


@pytest.mark.parametrize("task, field", [("sdf", "feature-grid"), ("sdf", "siren"), ("occ", "neural-experts")])
def test_a_stopped_run_goes_on_bit_for_bit(fit, recon, home, task, field):
    check_law(fit, recon, home, task, field)  # every field: tests/tasks/test_resume.py


def test_cells_walk_on_where_they_stopped(fit, recon, home, monkeypatch):
    from recon.tasks.shape import job  # noqa: PLC0415

    monkeypatch.setattr(job, "CELLS_PER_STEP", 1 << 12)
    check_law(fit, recon, home, "occ", "asmr", stops=(1, 4))


@pytest.mark.parametrize("stops", [(3,), (4,), (5,), (2, 4, 5)])
def test_the_experts_own_stage_begins_once_wherever_the_stop_was(fit, recon, home, stops):
    check_law(fit, recon, home, "sdf", "neural-experts", *PAPER, "--experts-last", "0.34", stops=stops)


def test_muon_goes_on_bit_for_bit_and_so_does_a_run_of_the_best_recipe(fit, recon, home):
    sizes = ("--preset", "small", "--field.width", "16", "--field.layers", "4")
    check_law(fit, recon, home, "sdf", "siren", *sizes, stops=(1, 4))


def test_pretraining_is_counted_whether_it_ran_was_cached_or_lies_before_a_stop(fit, recon, home):
    fit("sdf", "neural-experts", *PAPER, "--steps", 3)
    made = fit("sdf", "neural-experts", *PAPER, "--steps", 3)
    assert "pretrained manager from" in made.err
    assert made.json["timings"]["pretraining"] > 0
    _, resumed = check_law(fit, recon, home, "sdf", "neural-experts", *PAPER, steps=3, stops=(1,))
    spent = made.json["timings"]["pretraining"]
    assert resumed["timings"]["pretraining"] == spent and resumed["seconds"] > spent
    evaluated = recon("eval", home / "parts", "--json").json
    assert evaluated["seconds"] == pytest.approx(resumed["seconds"], abs=0.5)


def test_a_damaged_pretraining_cache_is_made_again_and_said(fit, home):
    first = fit("sdf", "neural-experts", *PAPER, "--steps", 3, "--out", home / "first")
    assert first.json["status"] == "done"
    (cached,) = (home / "datasets" / ".cache").glob("pretrained-*.safetensors")
    cached.write_bytes(cached.read_bytes()[:100])
    again = fit("sdf", "neural-experts", *PAPER, "--steps", 3, "--out", home / "second")
    assert "damaged" in again.err
    assert_same(home / "first", home / "second")


def test_a_run_moved_elsewhere_without_its_data_is_resumed_scored_and_exported(fit, recon, home, ball_file):
    fit("sdf", "feature-grid", "--steps", 6, "--out", home / "whole")
    stopped = fit("sdf", "feature-grid", "--out", home / "run", "--stop-after", 3).json
    shutil.move(home / "run", home / "far" / "away")
    ball_file.unlink()
    shutil.rmtree(home / "datasets")
    assert recon("eval", home / "far" / "away", "--json", "--threads", 1).json["scores"] == stopped["scores"]
    assert recon("export", home / "far" / "away", "--format", "obj").code == 0
    assert recon("sdf", "--resume", home / "far" / "away", "--threads", 1).code == 0
    assert_same(home / "whole", home / "far" / "away")


@pytest.mark.parametrize("where", [".tmp-step-000004", "log.jsonl"])
def test_a_disk_that_fills_up_costs_the_steps_since_the_last_checkpoint(fit, recon, home, monkeypatch, where):
    often = ("--train.checkpoint-every", "2", "--train.log-every", "1")
    fit("sdf", "siren", *often, "--out", home / "whole")
    write, log = files._write, Run.append_log

    def full(file, data):
        if where in str(file.name):
            file.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        write(file, data)

    def full_log(self, row):
        with files.writing(self.folder / "log.jsonl"):
            if where == "log.jsonl" and row.get("step") == 4:
                raise OSError(errno.ENOSPC, "No space left on device")
        log(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_write", full)
        patch.setattr(Run, "append_log", full_log)
        result = fit("sdf", "siren", *often, "--out", home / "parts", code=2)
    (said,) = (line for line in result.err.splitlines() if line.startswith("recon: "))
    assert "no space left on the disk" in said and "free some space" in said and "Traceback" not in result.err
    assert [path.name for path in (home / "parts" / "checkpoint").iterdir()] == ["step-000002"]
    assert recon("sdf", "--resume", home / "parts").code == 0
    assert_same(home / "whole", home / "parts")


def test_a_folder_that_cannot_be_written_is_said_once_and_the_run_goes_on_when_it_can(fit, recon, home):
    fit("sdf", "siren", "--out", home / "whole")
    fit("sdf", "siren", "--out", home / "parts", "--stop-after", "2")
    shutil.move(home / "parts" / "checkpoint", home / "aside")
    (home / "parts" / "checkpoint").write_text("in the way")
    result = recon("sdf", "--resume", home / "parts", "--quiet")
    assert result.code == 2 and "cannot write" in result.err and len(result.err.splitlines()) == 1
    (home / "parts" / "checkpoint").unlink()
    shutil.move(home / "aside", home / "parts" / "checkpoint")
    assert recon("sdf", "--resume", home / "parts").code == 0
    assert_same(home / "whole", home / "parts")


def test_a_run_at_work_is_not_resumed_by_a_second_process(fit, start_process, home):
    fit("sdf", "siren", "--out", home / "run", "--stop-after", "2")
    with holding(home / "run"):
        process = start_process("sdf", "--resume", home / "run")
        out, err = process.communicate(timeout=120)
    assert process.returncode == 2 and out == "" and "another process is at work on" in err


@pytest.fixture
def interrupted(start_process, home, ball_file):
    """A run in its own process that gets Ctrl-C once a file of its folder is there: exit code and messages."""

    def run(*flags, when):
        words = ("--shape", ball_file, "--resolution", 16, "--pool", 2000, "--out", home / "run")
        process, place = start_process("sdf", *words, *flags), home / "run" / when
        until = time.monotonic() + 60
        while not place.exists() and time.monotonic() < until and process.poll() is None:
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        return process.returncode, err

    return run


def test_control_c_leaves_a_checkpoint_a_mesh_scores_and_a_page_and_the_run_goes_on(home, recon, interrupted):
    sizes = ("--field", "siren", "--field.width", "16", "--field.layers", "3", "--train.batch", "512")
    code, err = interrupted(*sizes, "--steps", "1000000", when="log.jsonl")
    assert code == 130, err
    assert "Traceback" not in err and "--resume" in err
    metrics = json.loads((home / "run" / "metrics.json").read_text())
    assert metrics["status"] == "interrupted" and 0 < metrics["steps"] < 1_000_000
    for name in ("mesh.ply", "report.html", "images/slices.png"):
        assert (home / "run" / name).is_file()
    result = recon("sdf", "--resume", home / "run", "--stop-after", metrics["steps"] + 2, "--json")
    assert result.code == 0 and result.json["steps"] == metrics["steps"] + 2


def test_control_c_while_pretraining_can_be_resumed(home, recon, interrupted):
    code, err = interrupted(
        "--field", "neural-experts", *PAPER, "--steps", "400", "--train.batch", "64", when="pretraining/log.jsonl"
    )
    assert code == 130, err
    assert "Traceback" not in err and "pretraining" in err
    done = len((home / "run" / "pretraining" / "log.jsonl").read_text().splitlines())
    assert done
    result = recon("sdf", "--resume", home / "run", "--threads", 1, "--stop-after", "1", "--json", "--quiet")
    assert result.code == 0, result.err
    assert not (home / "run" / "pretraining").exists()
