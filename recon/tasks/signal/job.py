"""The training job of a signal: values of its grid, whole or in batches that take each one once a pass."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from recon.fields import Field, Mixture, MultiScale
from recon.fields.asmr import Asmr
from recon.runtime import Runtime
from recon.signals.signal import Signal
from recon.tasks.field_job import FieldJob
from recon.tasks.signal.settings import SignalSettings
from recon.training.cells import CellWalk


class Targets:
    """A signal's values as a field learns them, in [-1, 1]: kept as they are stored, and turned when they are used."""

    def __init__(self, signal: Signal) -> None:
        self.shape, self.signed = signal.shape, signal.kind == "sound"
        self._scale = signal.scale
        values = np.require(signal.values, requirements=["C", "W"])
        self._values = torch.from_numpy(values)
        self.flat = self._values.reshape(-1, signal.channels)
        """All values, axis 0 slowest."""

    def raster(self) -> Float[Tensor, "*shape c"]:
        """All of them, in their grid."""
        return self.of(self._values)

    def of(self, values: Tensor) -> Tensor:
        """Stored values in [-1, 1]."""
        unit = values.float() / self._scale
        return unit if self.signed else 2 * unit - 1


def centres(index: Int[Tensor, " n"], shape: Sequence[int]) -> Float[Tensor, "n d"]:
    """Points of the cube at the centres of cells of a grid, by their places in its flat order."""
    axes, rest = [], index
    for size in reversed(shape):
        axes.append(((rest % size).double() + 0.5) * (2 / size) - 1)
        rest = torch.div(rest, size, rounding_mode="floor")
    return torch.stack(axes[::-1], dim=-1).float()


class SignalJob(FieldJob):
    """Fits a field to a signal (mean squared error of values in [-1, 1])."""

    def __init__(self, field: Field, signal: Signal, run_on: Runtime, settings: SignalSettings) -> None:
        super().__init__(field, run_on, settings.train.steps, settings.full_precision_from)
        self.targets, self.seed = Targets(signal), settings.train.seed
        self.count, most = math.prod(signal.shape), settings.train.batch
        self.walk: CellWalk | None = None
        if isinstance(field, Asmr) and field.cells == tuple(signal.shape):
            self.walk = CellWalk(field, self.seed, most)
            self.points_per_step = self.walk.points_per_step
            self._nested = field.to_nested(self.targets.raster(), self.walk.depth)
            return
        self.turns = -(-self.count // most)
        """Batches of a pass."""
        self.points_per_step = -(-self.count // self.turns)
        self._order: tuple[int, Int[Tensor, " n"]] = (-1, torch.empty(0, dtype=torch.long))

    def loss(self, step: int) -> dict[str, Tensor]:
        self._begin(step)
        return {"mse": self._cells(step) if self.walk else self._values(step)}

    def batch(self, step: int) -> Int[Tensor, " n"]:
        """Places of a step's values in flat order. Each pass takes each value once, in an order of its own."""
        index, turn = divmod(step, self.turns)
        if self._order[0] != index:
            if self.turns == 1:
                order = torch.arange(self.count)
            else:
                order = torch.from_numpy(np.random.default_rng([self.seed, index]).permutation(self.count))
            self._order = (index, order)
        order = self._order[1]
        return order[self.count * turn // self.turns : self.count * (turn + 1) // self.turns]

    def _values(self, step: int) -> Tensor:
        index, device = self.batch(step), self.run_on.device
        x = centres(index, self.targets.shape).to(device)
        target = self.targets.of(self.targets.flat[index]).to(device)
        if isinstance(self.field, Mixture):  # Eq. 4 of Neural Experts
            outputs, gate = self.field.experts(x)
            return (gate * (outputs - target[:, None]).square().mean(dim=-1)).sum(dim=1).mean()
        if isinstance(self.field, MultiScale):
            return (self.field.outputs(x) - target[:, None]).square().mean()
        return (self.field(x) - target).square().mean()

    def _cells(self, step: int) -> Tensor:
        assert self.walk is not None and isinstance(self.field, Asmr)
        rows = self.walk.rows(step)
        value = self.field.nested(self.walk.depth, rows.to(self.run_on.device))
        target = self._nested[rows].to(value.device)
        return self.walk.mean((value - target).square().mean(dim=-1), rows)
