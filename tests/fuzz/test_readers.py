"""No file of a stranger does more than be refused with a message: damaged inputs of every kind, the same each time."""

import pytest
from readers import READERS, Bench

COUNT = 300
SEED = 1


@pytest.fixture
def bench(request, tmp_path, monkeypatch):
    monkeypatch.setenv("RECON_HOME", str(tmp_path / "home"))
    return Bench(request.param, SEED, tmp_path / "input")


every_reader = pytest.mark.parametrize("bench", READERS, indirect=True)


@every_reader
def test_damage_is_refused_or_read_and_never_crashes_hangs_or_fills_the_memory(bench):
    for index in range(COUNT):
        verdict = bench.judge(index)
        assert not verdict.failed, f"scripts/fuzz --only {bench.name} --seed {SEED} --repeat {index}\n{verdict}"
