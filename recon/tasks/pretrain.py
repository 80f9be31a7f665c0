"""Pretraining of a mixture's manager to its first assignment (Neural Experts, Eq. 3), cached for other runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from recon.fields import Field, FieldConfig, Mixture
from recon.files import atomic_write_bytes, atomic_write_json, read_json
from recon.runtime import Runtime
from recon.tasks.bench import Bench
from recon.tasks.field_job import FieldJob
from recon.training import checkpoint
from recon.training.loop import Outcome, train
from recon.training.optim import OptimConfig
from recon.training.places import remove_folder, sweep_deleted
from recon.training.plan import TrainConfig
from recon.training.run import Run
from recon.training.settings import to_plain

SECONDS = "pretraining.json"
"""In a run's folder: what its pretraining cost, which its seconds include."""

Points = Callable[[int, torch.Generator], Float[Tensor, "n d"]]
"""Draws points of the cube."""


@dataclass(frozen=True)
class PretrainConfig:
    """Pretraining of a mixture's manager, before it sees the shape or the signal."""

    steps: int = 0
    """Optimiser steps; 0 for none."""
    batch: int = 20_000
    """Points a step."""
    rate: float = 3e-5
    """Adam's learning rate."""
    gamma: float = 0.9999
    """Factor of the learning rate a step."""

    def __post_init__(self) -> None:
        if self.steps < 0 or self.batch < 2:
            raise ValueError(f"pretraining needs steps >= 0 and a batch of at least 2, got {self}")

    def rescaled(self, ratio: float) -> PretrainConfig:
        """The same curve over `ratio` times as many steps, one at least."""
        if not self.steps:
            return self
        steps = max(1, round(self.steps * ratio))
        return replace(self, steps=steps, gamma=self.gamma ** (self.steps / steps))

    def wanted_by(self, field: FieldConfig) -> bool:
        """Whether there is a manager that learns an assignment first."""
        assigned = getattr(field, "pretraining", "none") != "none" and getattr(field, "manager", "") == "network"
        return bool(self.steps) and assigned


class PretrainJob(FieldJob):
    """Teaches a mixture's manager its first assignment."""

    def __init__(self, field: Field, run_on: Runtime, config: PretrainConfig, seed: int, points: Points) -> None:
        super().__init__(field, run_on, config.steps, 0.0)
        if not isinstance(field, Mixture):
            raise ValueError(f"only mixtures are pretrained, not {type(field).__name__}")
        self.mixture: Mixture = field
        self.seed, self.points, self.points_per_step = seed, points, config.batch

    def loss(self, step: int) -> dict[str, Tensor]:
        self._begin(step)
        rng = torch.Generator().manual_seed(_mix(self.seed, step))
        return {"assignment": self.mixture.pretrain_loss(self.points(self.points_per_step, rng).to(self.run_on.device))}


@dataclass(frozen=True)
class Pretraining:
    """What a manager is pretrained with."""

    config: PretrainConfig
    facts: Mapping[str, Any]
    """All that decides the result beside the field's settings, `config` and the seed: a name for the cache."""
    seed: int
    points: Points


def pretrain(field: Field, settings: FieldConfig, plan: Pretraining, run: Run, bench: Bench) -> Outcome | None:
    """Bring the field to its pretrained state, from the cache where it is there; the outcome if that was stopped."""
    config, seed = plan.config, plan.seed
    dims = {"in_dim": field.in_dim, "out_dim": field.out_dim}
    facts = {"field": to_plain(settings), "pretrain": to_plain(config), "seed": seed, **dims, **plan.facts, "format": 2}
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
    path, inner = bench.cache / f"pretrained-{key}.safetensors", Run(run.folder / "pretraining")
    if (seconds := _read(field, path, bench)) is None:
        optim = OptimConfig(rate=config.rate, schedule="exponential", gamma=config.gamma)
        every = max(1, min(1000, config.steps // 4))
        schedule = TrainConfig(config.steps, optim=optim, batch=config.batch, seed=seed, checkpoint_every=every)
        inner.folder.mkdir(exist_ok=True)
        bench.say(f"pretraining the manager, {config.steps:,} steps")
        job = PretrainJob(field, bench.run_on, config, seed, plan.points)
        resume = checkpoint.exists(inner.checkpoints)
        outcome = train(job, schedule, inner, resume=resume, quiet=bench.quiet)
        if outcome.status != "done":
            return replace(outcome, step=0, reason=outcome.reason or "stopped while pretraining")
        seconds = outcome.seconds
        state = {name: value.contiguous().cpu() for name, value in field.state_dict().items()}
        try:
            atomic_write_bytes(path, save(state, {"seconds": repr(seconds)}))
        except OSError as error:
            bench.say(f"warning: the pretraining could not be cached ({error}); it will be made again next time")
    atomic_write_json(run.folder / SECONDS, {"seconds": round(seconds, 3)})
    if inner.folder.is_dir():
        remove_folder(inner.folder)
    sweep_deleted(run.folder)
    return None


def pretraining_seconds(run: Run) -> float:
    """How long the pretraining took that a run began with, whenever that was; 0 where there was none."""
    with contextlib.suppress(FileNotFoundError):
        return float(read_json(run.folder / SECONDS).get("seconds", 0.0))
    return 0.0


def _read(field: Field, path: Path, bench: Bench) -> float | None:
    """Load a cached state; how long it once took, or None where there is none that is whole."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            seconds = float((file.metadata() or {})["seconds"])
            field.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        bench.say(f"warning: the cached pretraining {path} is damaged ({error}); making it again")
        return None
    bench.say(f"pretrained manager from {path} (its {seconds:.1f} s are counted)")
    return seconds


def _mix(seed: int, step: int) -> int:
    """A seed for each step."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])
