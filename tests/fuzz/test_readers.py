"""No file of a stranger does more than be refused with a message: damaged inputs of every kind, the same each time."""

import json
import sys
import time

import guard
import pytest
from readers import READERS, Bench

COUNT = 300
SEED = 1
linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit address space")


@pytest.fixture
def bench(request, tmp_path, monkeypatch):
    monkeypatch.setenv("RECON_HOME", str(tmp_path / "home"))
    return Bench(request.param, SEED, tmp_path / "input")


every_reader = pytest.mark.parametrize("bench", READERS, indirect=True)


@every_reader
def test_damage_is_refused_or_read_and_never_crashes_hangs_or_fills_the_memory(bench):
    for index in range(COUNT // 10 if bench.reader.slow else COUNT):
        verdict = bench.judge(index)
        assert not verdict.failed, f"scripts/fuzz --only {bench.name} --seed {SEED} --repeat {index}\n{verdict}"


@every_reader
def test_what_is_damaged_was_valid_before(bench):
    for number in range(len(bench.samples)):
        verdict = bench.judge_sample(number)
        assert verdict.outcome == "accepted", verdict


@pytest.mark.parametrize("name", ["obj", "transforms", "checkpoint", "run", "scene-reference", "zip"])
def test_inputs_follow_from_the_seed_alone(name, tmp_path):
    one, other = Bench(name, 7, tmp_path / "a"), Bench(name, 7, tmp_path / "b")
    other.judge(3)
    assert [one.input(index) for index in range(20)] == [other.input(index) for index in range(20)]
    assert one.input(0) != Bench(name, 8, tmp_path / "c").input(0)


def hold_much() -> None:
    bytearray(4 * guard.MEMORY)


def hold_much_in_secret() -> None:
    try:
        hold_much()
    except MemoryError:
        raise ValueError("an odd file") from None


def wait() -> None:
    while True:
        try:
            time.sleep(1)
        except Exception:  # readers do such things
            pass


def spin() -> None:
    while True:
        pass


def deep() -> None:
    deep()


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        (lambda: None, "accepted"),
        (lambda: json.loads("{"), "refused"),
        (lambda: open("/not/there"), "refused"),
        (lambda: {}["a"], "escaped"),
        (deep, "escaped"),
        (wait, "slow"),
        (spin, "slow"),
        pytest.param(hold_much, "memory", marks=linux),
        pytest.param(hold_much_in_secret, "memory", marks=linux),
    ],
)
def test_the_guard_sees_what_must_not_happen(read, outcome, monkeypatch):
    monkeypatch.setattr(guard, "WAITED", 0.5 if read is wait else 60.0)
    monkeypatch.setattr(guard, "SECONDS", 0.2 if read is spin else 5.0)
    assert guard.judge(read).outcome == outcome
