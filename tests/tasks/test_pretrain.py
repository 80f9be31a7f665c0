"""Pretraining of managers: who is pretrained, how its curve is rescaled, and what the cache is a cache of."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recon import runtime
from recon.fields.neural_experts import NeuralExpertsConfig
from recon.fields.siren import SirenConfig
from recon.tasks.bench import Bench
from recon.tasks.pretrain import PretrainConfig, Pretraining, PretrainJob, pretrain, pretraining_seconds
from recon.tasks.signal.job import uniform_points
from recon.training.run import Run

ON_CPU = runtime.Runtime(torch.device("cpu"), "float32", ())
SMALL = NeuralExpertsConfig(
    experts=2, expert_width=4, encoder_width=8, encoder_layers=2, manager_width=8, manager_encoder_layers=2
)
SHORT = PretrainConfig(steps=4, batch=64, rate=1e-3)


def bench_in(folder: Path, said: list[str]) -> Bench:
    return Bench(ON_CPU, folder / "cache", said.append, quiet=True)


def field_of(config=SMALL, dims=2):
    torch.manual_seed(3)
    return config.build(dims, 1)


def run_in(folder: Path) -> Run:
    folder.mkdir()
    return Run(folder)


def test_only_a_mixture_is_pretrained():
    with pytest.raises(ValueError, match="only mixtures are pretrained"):
        PretrainJob(SirenConfig(width=8).build(3, 1), ON_CPU, PretrainConfig(steps=1), 0, uniform_points(3))


def test_a_manager_that_learns_an_assignment_is_pretrained_and_no_other():
    assert SHORT.wanted_by(SMALL)
    assert not PretrainConfig().wanted_by(SMALL)
    assert not SHORT.wanted_by(replace(SMALL, pretraining="none"))
    assert not SHORT.wanted_by(replace(SMALL, manager="fixed"))
    assert not SHORT.wanted_by(SirenConfig())


def test_a_rescaled_pretraining_ends_at_the_same_rate():
    long = PretrainConfig(steps=1000, gamma=0.999)
    short = long.rescaled(0.1)
    assert short.steps == 100 and short.gamma**100 == pytest.approx(long.gamma**1000)
    assert PretrainConfig().rescaled(0.1).steps == 0 and long.rescaled(1e-9).steps == 1


def test_the_second_run_takes_the_first_one_s_state_and_its_seconds(tmp_path):
    said: list[str] = []
    bench, how = bench_in(tmp_path, said), Pretraining(SHORT, {}, 0, uniform_points(2))
    first, second = field_of(), field_of()
    assert pretrain(first, SMALL, how, run_in(tmp_path / "a"), bench) is None
    assert not (tmp_path / "a" / "pretraining").exists()
    assert pretrain(second, SMALL, how, run_in(tmp_path / "b"), bench) is None
    assert said[-1].startswith("pretrained manager from")
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    seconds = pretraining_seconds(Run(tmp_path / "a"))
    assert 0 < seconds == pretraining_seconds(Run(tmp_path / "b"))


@pytest.mark.parametrize("other", ["facts", "seed", "field", "dims"])
def test_what_decides_the_result_decides_the_cached_file(tmp_path, other):
    bench = bench_in(tmp_path, [])
    how = Pretraining(SHORT, {}, 0, uniform_points(2))
    pretrain(field_of(), SMALL, how, run_in(tmp_path / "a"), bench)
    config, dims = SMALL, 2
    if other == "facts":
        how = replace(how, facts={"labels": "x"})
    elif other == "seed":
        how = replace(how, seed=1)
    elif other == "field":
        config = replace(SMALL, label_seed=1)
    else:
        dims, how = 3, replace(how, points=uniform_points(3))
    pretrain(field_of(config, dims), config, how, run_in(tmp_path / "b"), bench)
    assert len(list((tmp_path / "cache").glob("pretrained-*"))) == 2
