"""Looks that leave no trace, and clocks that do not count them."""

import time

import pytest
import torch
from torch import nn

from recon.studies.compare.watch import LOOKS, Stopwatch, Watch, at_rest
from recon.training.job import Job
from recon.training.optim import ParamGroup


class Idle(Job):
    """Something with a parameter, which follows a group without any."""

    points_per_step = 1

    def parameter_groups(self):
        return [ParamGroup("none", []), ParamGroup("one", [nn.Parameter(torch.zeros(2))])]

    def loss(self, step):
        raise NotImplementedError

    def state(self):
        return {}

    def load_state(self, tensors):
        pass


def test_there_are_about_ten_looks_and_the_last_is_at_the_end():
    watch = Watch(lambda job: 0.0, 600)
    on_step = watch.begin(Idle())
    for step in range(600):
        on_step(step, {})
    assert len(watch.looks) == len(LOOKS) == 10
    assert watch.looks[-1].step == 600


def test_few_steps_have_a_look_each():
    watch = Watch(lambda job: 0.0, 3)
    on_step = watch.begin(Idle())
    for step in range(3):
        on_step(step, {})
    assert [look.step for look in watch.looks] == [1, 2, 3]


def test_time_spent_looking_is_not_counted():
    watch = Watch(lambda job: time.sleep(0.05) or 0.5, 10)
    began = time.perf_counter()
    on_step = watch.begin(Idle())
    for step in range(10):
        on_step(step, {})
    whole = time.perf_counter() - began
    assert watch.spent >= 0.05 * len(watch.looks)
    assert watch.looks[-1].seconds <= whole - 0.05 * len(watch.looks)
    assert [look.score for look in watch.looks] == [0.5] * len(watch.looks)


def test_what_a_job_looks_at_itself_is_not_counted_either():
    job = Idle()
    job.quick_score = lambda: time.sleep(0.05) or {"psnr": 1.0}
    watch = Watch(lambda job: float("nan"), 1)
    on_step = watch.begin(job)
    assert job.quick_score() == {"psnr": 1.0}
    on_step(0, {})
    assert watch.spent >= 0.05
    assert watch.looks[0].seconds < 0.05
    assert watch.looks[0].score is None  # what is no number


def test_what_was_seen_beyond_a_divergence_is_forgotten():
    scores = iter(range(100))
    watch = Watch(lambda job: float(next(scores)), 4)
    on_step = watch.begin(Idle())
    for step in (0, 1, 2, 1, 2, 3):
        on_step(step, {})
    assert [look.step for look in watch.looks] == sorted({look.step for look in watch.looks})
    assert watch.looks[-1].step == 4
    assert (watch.looks[0].score, watch.looks[1].score) == (0.0, 3.0)  # the second sight of it


def test_a_stopwatch_leaves_out_the_first_step():
    watch = Stopwatch(5)
    on_step = watch.begin(Idle())
    time.sleep(0.2)
    for step in range(5):
        on_step(step, {})
        time.sleep(0.002)
    assert 0.002 <= watch.seconds_per_step < 0.05


@pytest.mark.parametrize("raising", [False, True])
def test_modes_products_and_random_state_are_as_before(raising):
    module = nn.Sequential(nn.Dropout(), nn.Linear(2, 2))
    module[0].eval()
    products = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    state = torch.get_rng_state()
    try:
        with at_rest(module):
            assert not any(part.training for part in module.modules())
            assert torch.get_float32_matmul_precision() == "highest"
            assert not module[1](torch.rand(1, 2)).requires_grad
            if raising:
                raise KeyError
    except KeyError:
        pass
    assert [part.training for part in module.modules()] == [True, False, True]
    assert torch.get_float32_matmul_precision() == "medium"
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()
    torch.set_float32_matmul_precision(products)
