"""Checkpoints come back exactly, or an older one does and says why."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch

from recon import files
from recon.training import checkpoint, saved
from recon.training.checkpoint import load, save

MODEL = {"w": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(0), "seen": torch.tensor([True, False])}
OPTIMIZER = {"g/0/exp_avg": torch.randn(2, 3, dtype=torch.float64), "g/0/step": torch.tensor(3.0)}
RANDOM = {"batches": torch.Generator().manual_seed(1).get_state()}


def write(folder, step, best=False, **state):
    model = {**MODEL, "w": MODEL["w"] + step}
    return save(folder, model, OPTIMIZER, RANDOM, {"step": step, "seconds": 1.5, **state}, best=best)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_was_saved_comes_back_exactly(tmp_path):
    write(tmp_path, 7, rate_factor=0.5)
    found = load(tmp_path)
    assert found.step == 7 and found.state == {"step": 7, "seconds": 1.5, "rate_factor": 0.5} and not found.warnings
    expected = {**MODEL, "w": MODEL["w"] + 7}
    for written, loaded in ((expected, found.model), (OPTIMIZER, found.optimizer), (RANDOM, found.random)):
        assert written.keys() == loaded.keys()
        assert all(
            torch.equal(value, loaded[key]) and value.dtype == loaded[key].dtype for key, value in written.items()
        )


def test_the_last_two_and_the_best_are_kept(tmp_path):
    for step in (10, 20, 30, 40, 50):
        write(tmp_path, step, best=step == 20)
    assert names(tmp_path) == ["best.json", "step-000020", "step-000040", "step-000050"]
    assert load(tmp_path).step == 50 and load(tmp_path, best=True).step == 20


def test_steps_are_ordered_as_numbers_and_a_second_save_of_one_step_is_newer(tmp_path):
    write(tmp_path, 9_999_999)
    write(tmp_path, 10_000_000)
    assert load(tmp_path).step == 10_000_000
    assert write(tmp_path, 10_000_000, again=True).name == "step-10000000-2"
    assert load(tmp_path).state["again"]


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def grow_header(path):
    data = path.read_bytes()
    path.write_bytes((2**40).to_bytes(8, "little") + data[8:])
    forge(path)


def not_safetensors(path):
    path.write_bytes(b"\x02" + b"\x00" * 7 + b"{]" + b"x" * 50)
    forge(path)


def forge(path):
    """Makes sizes, hash and checksum right again, as somebody who means it would."""
    state = json.loads((path.parent / "state.json").read_text())
    data = path.read_bytes()
    state["files"][path.name] = {"bytes": len(data), "sha256": checkpoint.hashlib.sha256(data).hexdigest()}
    del state["checksum"]
    state["checksum"] = saved.checksum(state)
    (path.parent / "state.json").write_text(json.dumps(state))


DAMAGE = {
    "truncated": lambda p: p.write_bytes(p.read_bytes()[:-5]),
    "empty": lambda p: p.write_bytes(b""),
    "one bit changed": flip,
    "missing": Path.unlink,
    "a folder": lambda p: (p.unlink(), p.mkdir()),
}


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_passed_over_and_both_are_named(tmp_path, file, damage):
    write(tmp_path, 10)
    DAMAGE[damage](write(tmp_path, 20) / file)
    found = load(tmp_path)
    assert found.step == 10
    assert len(found.warnings) == 1 and "step-000020 is damaged" in found.warnings[0]
    assert "used step-000010 instead" in found.warnings[0]


@pytest.mark.parametrize("forgery", [grow_header, not_safetensors])
def test_forged_headers_are_refused(tmp_path, forgery):
    write(tmp_path, 10)
    forgery(write(tmp_path, 20) / "model.safetensors")
    assert load(tmp_path).step == 10


@pytest.mark.parametrize("state", [{}, {"files": 3}, {"files": {}}, {"step": "x", "files": {}}, {"step": -1}])
def test_a_state_without_sense_is_damage_not_a_crash(tmp_path, state):
    write(tmp_path, 10)
    place = write(tmp_path, 20)
    state["checksum"] = saved.checksum(state)
    (place / "state.json").write_text(json.dumps(state))
    assert load(tmp_path).step == 10


def test_nothing_usable_is_said_clearly(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        load(tmp_path / "none")
    flip(write(tmp_path, 10) / "model.safetensors")
    with pytest.raises(ValueError, match="no readable checkpoint.*step-000010 is damaged .*hash differs"):
        load(tmp_path)


def test_a_best_that_is_gone_or_hostile_falls_back_to_the_newest(tmp_path):
    write(tmp_path, 10)
    (tmp_path / "best.json").write_text('{"name": "../../etc"}')
    assert load(tmp_path, best=True).step == 10
    (tmp_path / "best.json").write_text("{")
    assert load(tmp_path, best=True).step == 10


def test_damaged_ones_set_aside_do_not_displace_good_ones(tmp_path):
    write(tmp_path, 10)
    for _ in range(2):
        flip(write(tmp_path, 20) / "model.safetensors")
        checkpoint.set_aside_newer(tmp_path, load(tmp_path).name)
    write(tmp_path, 15)
    assert names(tmp_path) == ["damaged-step-000020", "step-000010", "step-000015"]
    assert not load(tmp_path).warnings


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_full_disk_keeps_the_previous_checkpoint_and_leaves_no_scraps(tmp_path, monkeypatch, nth):
    write(tmp_path, 10)
    calls = 0
    original = files._write

    def fail_at_nth(file, data):
        nonlocal calls
        calls += 1
        if calls == nth:
            file.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        original(file, data)

    monkeypatch.setattr(files, "_write", fail_at_nth)
    with pytest.raises(OSError, match="no space left on the disk; what was written before is intact"):
        write(tmp_path, 20)
    assert names(tmp_path) == ["step-000010"] and load(tmp_path).step == 10


def test_scraps_of_a_killed_write_are_ignored_and_swept(tmp_path):
    good = write(tmp_path, 10)
    shutil.copytree(good, tmp_path / ".tmp-step-000020")
    (tmp_path / "step-000030.bak").mkdir()
    assert load(tmp_path).step == 10 and not load(tmp_path).warnings
    write(tmp_path, 20)
    assert names(tmp_path) == ["step-000010", "step-000020", "step-000030.bak"]


def test_tied_and_strided_tensors_are_saved_as_they_read(tmp_path):
    matrix = torch.arange(6.0).reshape(2, 3)
    save(tmp_path, {"a": matrix, "tied": matrix, "row": matrix[1], "turned": matrix.T}, {}, {}, {"step": 1})
    found = load(tmp_path).model
    assert torch.equal(found["tied"], matrix) and torch.equal(found["turned"], matrix.T)
    assert torch.equal(found["a"], matrix) and torch.equal(found["row"], matrix[1])


def test_nothing_is_pickled(tmp_path):
    place = write(tmp_path, 10)
    assert names(place) == ["model.safetensors", "optimizer.safetensors", "state.json"]
    assert set(safetensors.torch.load_file(place / "model.safetensors")) == set(MODEL)


KILLED = """
import sys, torch
from pathlib import Path
from recon.training.checkpoint import save
step = int(sys.argv[2])
print("ready", flush=True)
while True:
    step += 1
    tensor = torch.full((50_000,), float(step))
    save(Path(sys.argv[1]), {"w": tensor}, {"g/0/m": tensor}, {"r": tensor}, {"step": step}, best=step % 3 == 0)
"""


def test_a_kill_at_any_moment_leaves_a_readable_folder(tmp_path):
    rng, step = random.Random(0), 0
    for _ in range(4):
        command = [sys.executable, "-c", KILLED, str(tmp_path), str(step)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            time.sleep(0.1 + rng.random() * 0.3)
            process.send_signal(signal.SIGKILL)
        found = load(tmp_path)
        assert found.step > step and not found.warnings
        assert torch.equal(found.model["w"], torch.full((50_000,), float(found.step)))
        step = found.step
    write(tmp_path, step + 1)
    assert len([name for name in names(tmp_path) if name.startswith(".tmp")]) == 0
