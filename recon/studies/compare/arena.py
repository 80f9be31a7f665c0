"""What a comparison knows of its task: fields with settings alike, what each costs, and one run of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from recon.studies.compare.watch import Look
from recon.tasks.bench import Bench
from recon.training.loop import Outcome
from recon.training.plan import TrainConfig
from recon.training.run import Run


@dataclass(frozen=True)
class Cost:
    """Parameters, and multiply-accumulates a point."""

    params: int
    macs: int


@dataclass(frozen=True)
class Finished:
    """A run that came to its end."""

    run: Run
    metrics: dict[str, Any]
    looks: list[Look]


@dataclass(frozen=True)
class Failed:
    """A run that did not, and why: another field's is none the worse for it."""

    folder: Path
    reason: str


@runtime_checkable
class Arena(Protocol):
    """Data on which fields are compared. Settings are those of its task: frozen, with `field` and `train`."""

    data: str
    looked: str
    """What the scores on the way are."""

    @property
    def task(self) -> str:
        """sdf, occ, nerf or fit."""
        ...

    @property
    def preset(self) -> str:
        """Where settings begin."""
        ...

    def entries(self, names: Sequence[str]) -> dict[str, Any]:
        """Settings of each field, with everything but the field and its learning rates as the first field's preset
        has it. ValueError for a field that can't learn this task."""
        ...

    def cost(self, settings: Any) -> Cost:
        """What the network costs, built without memory."""
        ...

    def check(self, name: str, settings: Any) -> None:
        """ValueError for settings that can't work here."""
        ...

    def pilot(self, name: str, settings: Any, bench: Bench, steps: int) -> float:
        """Seconds a step, from `steps` steps that leave nothing."""
        ...

    def run(self, name: str, settings: Any, bench: Bench, folder: Path) -> Finished:
        """One run, scored; KeyboardInterrupt where it was stopped."""
        ...


def alike(train: TrainConfig, first: TrainConfig) -> TrainConfig:
    """A training in the batches, bookkeeping and number of steps of another, with its own learning rates."""
    same = {name: getattr(first, name) for name in ("batch", "log_every", "checkpoint_every")}
    return replace(train.rescaled(first.steps), **same)


def refuse_unmeasured(name: str, outcome: Outcome) -> None:
    """Raises where steps that were to tell a speed did not come to their end."""
    if outcome.status == "interrupted":
        raise KeyboardInterrupt
    if outcome.status != "done":
        raise ValueError(f"{name} can't be compared: it {outcome.status} in its first steps ({outcome.reason})")


def without_looks(outcome: Outcome, run: Run, spent: float) -> Outcome:
    """How training ended, without the time that was spent looking; KeyboardInterrupt where a person stopped it."""
    if outcome.status == "interrupted":
        raise KeyboardInterrupt(f"{run.folder} is stopped at step {outcome.step}; its own command can resume it")
    return replace(outcome, seconds=outcome.seconds - spent)
