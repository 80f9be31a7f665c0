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
from recon.fields.neural_experts import NeuralExperts, assignment_loss
from recon.runtime import Runtime
from recon.signals.signal import Signal
from recon.tasks.field_job import FieldJob
from recon.tasks.pretrain import Points
from recon.tasks.signal.settings import SignalSettings
from recon.training.cells import CellWalk
from recon.training.parts import losses_in_parts

AT_ONCE = 1 << 15
"""Values whose activations are held at a time on a CPU: larger batches are evaluated in parts. Of the complex numbers
of WIRE, 212 wide, these take 1.9 GiB, and twice as many 3.9, in the same time."""


class Targets:
    """A signal's values as a field learns them, in [-1, 1]: kept as they are stored, and turned when they are used."""

    def __init__(self, signal: Signal) -> None:
        self.shape, self.signed = signal.shape, signal.kind == "sound"
        self._scale = signal.scale
        values = np.require(signal.values, requirements=["C", "W"])
        self.stored = torch.from_numpy(values)
        self.flat = self.stored.reshape(-1, signal.channels)
        """All values, axis 0 slowest."""

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
    """Fits a field to a signal (mean squared error of values in [-1, 1]), and where there are segments the manager of
    a mixture to them."""

    def __init__(
        self,
        field: Field,
        signal: Signal,
        run_on: Runtime,
        settings: SignalSettings,
        segments: Int[np.ndarray, "*shape"] | None = None,
    ) -> None:
        super().__init__(field, run_on, settings.train.steps, settings.full_precision_from)
        self._weight = settings.segments_weight
        self._segments = None if segments is None else torch.from_numpy(segments).reshape(-1)
        self.targets, self.seed = Targets(signal), settings.train.seed
        self.count, most = math.prod(signal.shape), settings.train.batch
        self.walk: CellWalk | None = None
        if isinstance(field, Asmr) and field.cells == tuple(signal.shape):
            self.walk = CellWalk(field, self.seed, most)
            self.points_per_step = self.walk.points_per_step
            self._nested = field.to_nested(self.targets.stored, self.walk.depth)
            return
        self.turns = -(-self.count // most)
        """Batches of a pass."""
        self.points_per_step = -(-self.count // self.turns)
        self._order: tuple[int, Int[Tensor, " n"]] = (-1, torch.empty(0, dtype=torch.long))

    def loss(self, step: int) -> dict[str, Tensor]:
        self._begin(step)
        if self.walk:
            return {"mse": self._cells(step)}
        index = self.batch(step)
        most = at_once(self.run_on.device)
        if len(index) <= most:
            return self._errors(index)
        return losses_in_parts(self._errors, index.split(most), self.field.parameters())

    def batch(self, step: int) -> Int[Tensor, " n"]:
        """Places of a step's values in flat order. Each pass takes each value once, in an order of its own."""
        index, turn = divmod(step, self.turns)
        if self._order[0] != index:
            order = torch.arange(self.count, dtype=torch.int32 if self.count < 1 << 31 else torch.int64)
            if self.turns > 1:
                np.random.default_rng([self.seed, index]).shuffle(order.numpy())
            self._order = (index, order)
        order = self._order[1]
        return order[self.count * turn // self.turns : self.count * (turn + 1) // self.turns]

    def _errors(self, index: Int[Tensor, " n"]) -> dict[str, Tensor]:
        """The losses at these values."""
        index, device = index.long(), self.run_on.device
        x = centres(index, self.targets.shape).to(device)
        target = self.targets.of(self.targets.flat[index]).to(device)
        if self._segments is not None and isinstance(self.field, NeuralExperts):
            outputs, logits = self.field.experts_and_logits(x)
            assigned = assignment_loss(logits, self._segments[index].long().to(device))
            return {"mse": _weighted(outputs, logits.softmax(dim=1), target), "segments": self._weight * assigned}
        if isinstance(self.field, Mixture):
            return {"mse": _weighted(*self.field.experts(x), target)}
        if isinstance(self.field, MultiScale):
            return {"mse": (self.field.outputs(x) - target[:, None]).square().mean()}
        return {"mse": (self.field(x) - target).square().mean()}

    def _cells(self, step: int) -> Tensor:
        assert self.walk is not None and isinstance(self.field, Asmr)
        rows = self.walk.rows(step)
        value = self.field.nested(self.walk.depth, rows.to(self.run_on.device))
        target = self.targets.of(self._nested[rows]).to(value.device)
        return self.walk.mean((value - target).square().mean(dim=-1), rows)


def _weighted(outputs: Float[Tensor, "n k c"], gate: Float[Tensor, "n k"], target: Float[Tensor, "n c"]) -> Tensor:
    """Eq. 4 of Neural Experts, but for its factor of 1/k."""
    return (gate * (outputs - target[:, None]).square().mean(dim=-1)).sum(dim=1).mean()


def at_once(device: torch.device) -> int:
    """Values of a batch that are evaluated together."""
    return AT_ONCE if device.type == "cpu" else 8 * AT_ONCE


def uniform_points(dims: int) -> Points:
    """Points that a manager is pretrained at: anywhere in the cube."""
    return lambda n, rng: torch.rand(n, dims, generator=rng) * 2 - 1
