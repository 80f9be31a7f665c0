"""A training in progress: one step, a checkpoint, and the way back to the last good state."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from recon.training import checkpoint
from recon.training.checkpoint import Checkpoint
from recon.training.job import Job
from recon.training.optim import build_optimizer
from recon.training.plan import TrainConfig
from recon.training.run import LOG, Run


class NonFinite(ArithmeticError):
    """A loss, a gradient or a weight is infinite or not a number."""


class Session:
    """Everything that changes while a job trains. A context manager: on leaving, all parameters are trainable again."""

    def __init__(self, job: Job, config: TrainConfig, run: Run) -> None:
        self.job, self.config, self.run = job, config, run
        self.step = 0
        """Updates done, over all sittings."""
        self.loss = math.nan
        """Sum of the losses of the last step that was looked at."""
        self.stage = ""
        self.warnings: list[str] = []
        self._optimizers = build_optimizer(job.parameter_groups(), config.optim)
        for names in (*(stage.trains for stage in config.stages), ()):
            self._optimizers.train_only(names)  # a wrong name is an error now, not when its stage begins
        self._rate_factor, self._rollbacks, self._best = 1.0, 0, -math.inf
        self._stage_start: int | None = None
        self._factor = 1.0
        self._unseen: list[tuple[Tensor, Tensor]] = []
        self._seconds_before, self._began = 0.0, time.perf_counter()
        self._saved_step: int | None = None
        self._good: Checkpoint

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        self._optimizers.zero_grad()
        self._optimizers.train_only(())

    @property
    def seconds(self) -> float:
        """Time spent, over all sittings."""
        return self._seconds_before + time.perf_counter() - self._began

    @property
    def rate(self) -> float:
        """The learning rate of the last step, for a group that scales nothing."""
        return self.config.optim.rate * self._factor

    def begin(self) -> None:
        """Starts at step 0, in a run that was never trained."""
        if checkpoint.exists(self.run.checkpoints):
            raise FileExistsError(f"{self.run.folder} was trained before: resume it, or start a new run")
        if (self.run.folder / LOG).is_file():  # a sitting was killed before its first checkpoint
            self.run.append_log({"event": "began again", "from_step": 0})
        self._good = self._capture()

    def restore(self) -> None:
        """Goes on from the newest whole checkpoint of the run."""
        found = checkpoint.load(self.run.checkpoints)
        self._apply(found)
        checkpoint.set_aside_newer(self.run.checkpoints, found.name)
        state = found.state
        self._seconds_before, self._began = float(state.get("seconds", 0)), time.perf_counter()
        self._rate_factor, self._rollbacks = float(state.get("rate_factor", 1)), int(state.get("rollbacks", 0))
        best = state.get("best_score")
        self._best = -math.inf if best is None else float(best)
        self._saved_step, self._good = found.step, found
        self.warnings += found.warnings
        self.run.append_log({"event": "resumed", "from_step": found.step, "warnings": found.warnings})

    def advance(self) -> dict[str, Tensor]:
        """One update; its losses, detached. On the CPU a non-finite loss or gradient raises before it does harm."""
        stage, start = self.config.stage_at(self.step)
        if start != self._stage_start:
            self.stage, self._stage_start = stage.name, start
            self._optimizers.train_only(stage.trains)
            if stage.reset_optimizer and self.step == start:
                self._optimizers.reset()
        self._optimizers.zero_grad()
        losses = self.job.loss(self.step)
        total = torch.stack([value for value in losses.values()]).sum()
        total.backward()
        self._unseen.append((total.detach(), self._optimizers.clip_gradients()))
        if _ready(total):
            self.look()
        self._factor = self.config.rate_factor(self.step) * self._rate_factor
        self._optimizers.step(self._factor)
        self.step += 1
        return {name: value.detach() for name, value in losses.items()}

    def look(self) -> None:
        """Reads the losses and gradients' norms of the steps since the last look; raises `NonFinite`."""
        if not self._unseen:
            return
        totals, norms = (torch.stack(values).tolist() for values in zip(*self._unseen, strict=True))
        self._unseen.clear()
        self.loss = totals[-1]
        for total, norm in zip(totals, norms, strict=True):
            if not math.isfinite(total):
                raise NonFinite(f"the loss became {total}")
            if not math.isfinite(norm):
                raise NonFinite(f"the gradient's norm became {norm}")

    def checkpoint(self) -> None:
        """Saves the present state, if that isn't done, and makes it the one to fall back to; raises `NonFinite`."""
        if self._saved_step == self.step:
            return
        self.look()
        if not all(bool(parameter.isfinite().all()) for parameter in self._optimizers.parameters):
            raise NonFinite("a weight became non-finite")
        captured = self._capture()
        best = False
        if self.step % self.config.checkpoint_every == 0 or self.step == self.config.steps:
            scores = self.job.quick_score()
            self.job.load_random_state(captured.random)  # as if nobody had asked
            score = next(iter(scores.values()), -math.inf)
            if best := score > self._best:
                self._best = score
            finite = {name: value if math.isfinite(value) else None for name, value in scores.items()}
            captured = replace(captured, state={**self._counters(), "scores": finite})
        self._save(captured, best)

    def roll_back(self, problem: NonFinite) -> bool:
        """Back to the last good state: the first time to go on at half the rate (True), the second time to end."""
        failed, again = self.step, self._rollbacks > 0
        self._rollbacks += 1
        self._apply(self._good)
        text = f"{problem} at step {failed}; went back to step {self.step}"
        if again:
            text += " and stopped, for it is the second time"
            self._save(replace(self._good, state=self._counters()), best=False)
        else:
            self._rate_factor *= 0.5
            self._saved_step = None  # what is on the disk still has the old rate
            text += " and go on at half the rate"
        self.warnings.append(text)
        self.run.append_log({"event": "rolled back", "step": failed, "from_step": self.step, "reason": str(problem)})
        return not again

    def _capture(self) -> Checkpoint:
        """A copy of everything, on the host."""
        parts = (self.job.state(), self._optimizers.state_dict(), self.job.random_state())
        model, optimizer, random = ({key: _copy(value) for key, value in part.items()} for part in parts)
        return Checkpoint(self.step, model, optimizer, random, self._counters())

    def _apply(self, saved: Checkpoint) -> None:
        """Puts a captured state in place, keeping it intact."""
        try:
            self.job.load_state({key: _copy(value) for key, value in saved.model.items()})
            self._optimizers.load(saved.optimizer)
            self.job.load_random_state({key: _copy(value) for key, value in saved.random.items()})
        except (RuntimeError, KeyError) as error:
            raise ValueError(
                f"checkpoint {saved.name} does not fit this model; was a setting changed? {error}"
            ) from None
        self._optimizers.zero_grad()
        self._unseen.clear()
        self.step, self._stage_start = saved.step, None

    def _save(self, captured: Checkpoint, best: bool) -> None:
        parts = (captured.model, captured.optimizer, captured.random)
        checkpoint.save(self.run.checkpoints, *parts, captured.state, best=best)
        self._good, self._saved_step = captured, captured.step

    def _counters(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "seconds": self.seconds,
            "rate_factor": self._rate_factor,
            "rollbacks": self._rollbacks,
            "best_score": self._best if math.isfinite(self._best) else None,
        }


def _ready(tensor: Tensor) -> bool:
    """Whether its value can be read without waiting; for a GPU the loop looks only when it logs or saves."""
    return tensor.device.type == "cpu"


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
