"""Stages and lengths."""

import pytest

from recon.training.optim import OptimConfig
from recon.training.plan import Stage, TrainConfig

TWO = (Stage("all", 0.8), Stage("experts", 0.2, trains=("experts",), reset_optimizer=True))


def names(config):
    return [config.stage_at(step)[0].name for step in range(config.steps)]


def test_shares_become_steps():
    assert names(TrainConfig(steps=10, stages=TWO)) == ["all"] * 8 + ["experts"] * 2
    assert TrainConfig(steps=10, stages=TWO).stage_at(9)[1] == 8


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 1001])
def test_every_step_belongs_to_a_stage_and_stages_keep_their_order(steps):
    config = TrainConfig(steps=steps, stages=(Stage("a", 1.0), Stage("none", 0.0), Stage("b", 2.0), Stage("c", 0.5)))
    assert names(config) == sorted(names(config)) and "none" not in names(config)


def test_rescaling_stretches_stages_and_decay():
    config = TrainConfig(steps=30_000, stages=TWO, optim=OptimConfig(schedule="exponential", gamma=0.9999, warmup=100))
    short = config.rescaled(3000)
    assert short.stage_at(2399)[0].name == "all" and short.stage_at(2400)[0].name == "experts"
    assert short.optim.gamma**3000 == pytest.approx(0.9999**30_000)
    assert short.optim.warmup == 10


def test_impossible_plans_are_refused():
    with pytest.raises(ValueError, match="steps must be positive, got 0"):
        TrainConfig(steps=0)
    with pytest.raises(ValueError, match="at least one stage"):
        TrainConfig(stages=())
    with pytest.raises(ValueError, match="stage 'x'"):
        Stage("x", share=-1.0)
