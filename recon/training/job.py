"""What the training loop knows of the thing it trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from torch import Tensor

from recon.training.optim import ParamGroup


@runtime_checkable
class Job(Protocol):
    """What is trained. Inherit from it: the last four methods may stay as they are."""

    points_per_step: int
    """For the speed that progress and log show."""

    def parameter_groups(self) -> list[ParamGroup]:
        """All parameters, in the same order each time."""
        ...

    def loss(self, step: int) -> dict[str, Tensor]:
        """Named losses of update `step` (from 0), whose sum is minimised; the same again from the same random state."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Weights, buffers and whatever else the next step depends on, but for random states."""
        ...

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Copies a `state` back."""
        ...

    def random_state(self) -> dict[str, Tensor]:
        """States of the job's generators."""
        return {}

    def load_random_state(self, tensors: dict[str, Tensor]) -> None:
        """Copies a `random_state` back."""

    def quick_score(self) -> dict[str, float]:
        """Scores at each periodic checkpoint; the first (higher is better) picks the best checkpoint."""
        return {}

    def measures(self) -> dict[str, float]:
        """Numbers to log beside the losses, such as the balance of experts."""
        return {}


OnStep = Callable[[int, dict[str, Tensor]], object]
"""Hears of each update: its number (from 0) and its losses, detached."""
