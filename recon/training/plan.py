"""How long a job trains, in which stages, and what it leaves behind on the way.

Marked as fixed for the command line: what commands have flags of their own for, such as --steps and --seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import tyro

from recon.training.optim import OptimConfig, schedule_factor


@dataclass(frozen=True)
class Stage:
    """A part of training in which some parameters move."""

    name: str
    share: float = 1.0
    """Its part of all steps, relative to the other stages' (0.8 and 0.2, or 24000 and 6000)."""
    trains: tuple[str, ...] = ()
    """Names of the parameter groups that move ("experts" also means "experts.bias"); () for all."""
    reset_optimizer: bool = False
    """Forget all moments when it starts (Neural Experts, images: before the experts' own stage)."""
    rate_scale: float = 1.0
    """Times every learning rate."""
    schedule: Literal["whole", "own"] = "whole"
    """The learning rate follows one curve over all stages, or this stage runs through a curve of its own."""

    def __post_init__(self) -> None:
        if self.share < 0 or self.rate_scale <= 0:
            raise ValueError(f"stage '{self.name}' needs share >= 0 and rate_scale > 0, got {self}")


@dataclass(frozen=True)
class TrainConfig:
    """Length, stages, optimiser and bookkeeping of one training."""

    steps: Annotated[int, tyro.conf.Fixed, tyro.conf.Suppress] = 20_000
    """Optimiser steps."""
    stages: Annotated[tuple[Stage, ...], tyro.conf.Fixed, tyro.conf.Suppress] = (Stage("all"),)
    """One after another; the schedule runs over all of them."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    batch: int = 16_384
    """Points a step, for the job that draws them."""
    seed: Annotated[int, tyro.conf.Fixed, tyro.conf.Suppress] = 0
    """For the job's weights and batches."""
    log_every: int = 50
    """Steps between lines of the log."""
    checkpoint_every: int = 1000
    """Steps between checkpoints, which are also the states that a divergence falls back to."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "log_every", "checkpoint_every"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if sum(stage.share for stage in self.stages) <= 0:
            raise ValueError("at least one stage must have a share of the steps")

    def rescaled(self, steps: int) -> TrainConfig:
        """The same plan in another number of steps: stages, decay and warm-up stretch with it."""
        return replace(self, steps=steps, optim=self.optim.rescaled(steps / self.steps))

    def stage_at(self, step: int) -> tuple[Stage, int]:
        """The stage of an update (from 0) and the update that opens it."""
        stage, start, _ = self.span_at(step)
        return stage, start

    def rate_factor(self, step: int) -> float:
        """Share of the learning rate at an update: the schedule's, times the stage's."""
        stage, start, end = self.span_at(step)
        if stage.schedule == "whole":
            return stage.rate_scale * schedule_factor(self.optim, step, self.steps)
        return stage.rate_scale * schedule_factor(self.optim, step - start, end - start)

    def span_at(self, step: int) -> tuple[Stage, int, int]:
        """The stage of an update, the update that opens it, and the one that opens the next."""
        total, past, start = sum(stage.share for stage in self.stages), 0.0, 0
        for stage in self.stages:
            past += stage.share
            end = round(self.steps * past / total)
            if start <= step < end:
                return stage, start, end
            start = end
        raise ValueError(f"step {step} is not within the {self.steps} steps of training")
