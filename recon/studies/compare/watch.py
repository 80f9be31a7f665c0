"""Looks at a field while it trains, without any trace in it: scores by the time that training alone has taken."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from recon import runtime
from recon.training.job import Job, OnStep

Result = TypeVar("Result")
LOOKS = (0.02, 0.05, 0.1, 0.18, 0.28, 0.4, 0.55, 0.7, 0.85, 1.0)
"""Shares of training at which fields are looked at: more often while they learn fast."""


@dataclass(frozen=True)
class Look:
    """A score on the way."""

    step: int
    """Updates done."""
    seconds: float
    """Time that training took until then, without the looks."""
    score: float | None
    """None where it is no number."""


class Watch:
    """Scores a job's field some ten times; `look(job)` must leave it as it was, for which there is `at_rest`.

    What the job itself looks at when it is saved is not counted either."""

    def __init__(self, look: Callable[[Any], float], steps: int) -> None:
        self.looks: list[Look] = []
        self.spent = 0.0
        """Seconds that all looks have taken."""
        self._look = look
        self._at = {max(1, round(share * steps)) for share in LOOKS}

    def begin(self, job: Job) -> OnStep:
        """Starts the clock; what it returns is to hear of each step."""
        self._job, self._began = job, time.perf_counter()
        glance = job.quick_score
        job.quick_score = lambda: self._aside(glance)
        return self._on_step

    def _aside(self, score: Callable[[], Result]) -> Result:
        """What this returns, in time that is not training's."""
        wait_for(self._job)
        now = time.perf_counter()
        try:
            return score()
        finally:
            self.spent += time.perf_counter() - now

    def _on_step(self, step: int, losses: dict[str, Tensor]) -> None:
        done = step + 1
        if done not in self._at:
            return
        wait_for(self._job)
        seconds = time.perf_counter() - self._began - self.spent
        score = self._aside(lambda: self._look(self._job))
        # After a divergence training goes back: what was seen beyond no longer holds.
        kept = [look for look in self.looks if look.step < done]
        self.looks = [*kept, Look(done, seconds, score if math.isfinite(score) else None)]


class Stopwatch:
    """How long a step takes: from the end of the first to the end of the last of `steps`."""

    def __init__(self, steps: int) -> None:
        self._steps, self._times = steps, [0.0, 0.0]

    def begin(self, job: Job) -> OnStep:
        """What it returns is to hear of each step."""
        self._job = job
        return self._on_step

    def _on_step(self, step: int, losses: dict[str, Tensor]) -> None:
        if step in (0, self._steps - 1):
            wait_for(self._job)
            self._times[step > 0] = time.perf_counter()

    @property
    def seconds_per_step(self) -> float:
        """The mean over all steps but the first, which warms up."""
        return (self._times[1] - self._times[0]) / (self._steps - 1)


def wait_for(job: Job) -> None:
    """Returns when the device has done all that it was given: a number can't be read before."""
    some = next(parameter for group in job.parameter_groups() for parameter in group.parameters)
    some.detach().flatten()[0].item()


@contextmanager
def at_rest(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, float32 products, no gradients; on leaving, mode, products and random state are as before."""
    modes = [(part, part.training) for part in module.modules()]
    products = torch.get_float32_matmul_precision()
    module.eval()
    runtime.set_products("float32")
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        for part, training in modes:
            part.training = training
        torch.set_float32_matmul_precision(products)
