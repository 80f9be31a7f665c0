"""The training job: batches of points (or of whole grid cells) around a shape, and the losses of a field on them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recon.fields import Field, Mixture, MultiScale
from recon.fields.asmr import Asmr
from recon.geometry import DOMAIN
from recon.runtime import Runtime
from recon.shapes.grid import grid_signs_and_band
from recon.shapes.pool import Pool
from recon.shapes.shape import Shape
from recon.tasks.field_job import FieldJob
from recon.tasks.shape.settings import LOGIT_SCALE, ShapeSettings, Task
from recon.training.cells import CellWalk

LOSS_SCALE = 1000.0
"""Losses are multiplied by this, as in Neural Experts' code; with Adam it only lifts them above eps."""

CELLS_PER_STEP = 1 << 21
"""Cells of a grid evaluated in one step, at most, by training on cells: a 128^3 grid whole."""


class ShapeJob(FieldJob):
    """Fits a field to signed distances (mean absolute error) or to occupancy (cross entropy)."""

    def __init__(self, task: Task, field: Field, source: BatchSource, run_on: Runtime, settings: ShapeSettings) -> None:
        super().__init__(field, run_on, settings.train.steps, settings.full_precision_from)
        self.task, self.source = task, source
        self.points_per_step = source.points_per_step

    def loss(self, step: int) -> dict[str, Tensor]:
        self._begin(step)
        return {self.task: self.source.loss(self, step)}

    def point_loss(self, x: Float[Tensor, "n d"], target: Float[Tensor, " n"], weight: Float[Tensor, " n"]) -> Tensor:
        """Weighted mean of the errors at points of the cube; for a mixture Eq. 4 of Neural Experts, for a field of
        several scales the mean over its outputs, as BACON trains."""
        if isinstance(self.field, Mixture):
            outputs, gate = self.field.experts(x)
            error = self.error(outputs[..., 0], target[:, None])
            each = (gate * error).sum(dim=1) / gate.shape[1]
        elif isinstance(self.field, MultiScale):
            each = self.error(self.field.outputs(x)[..., 0], target[:, None]).mean(dim=1)
        else:
            each = self.error(self.field(x)[:, 0], target)
        return LOSS_SCALE * (weight * each).sum() / weight.sum()

    def error(self, value: Tensor, target: Tensor) -> Tensor:
        """|value - distance|, or the cross entropy of LOGIT_SCALE value as the logit of being outside."""
        if self.task == "sdf":
            return (value - target).abs()
        outside = ((target + 1) / 2).expand_as(value)  # -1 inside, 0 on the surface, 1 outside
        logit = LOGIT_SCALE * value
        return torch.nn.functional.binary_cross_entropy_with_logits(logit, outside, reduction="none")

    def measures(self) -> dict[str, float]:
        """Shares of the experts among points of the domain: the largest and the smallest, 1/N each when balanced."""
        if not isinstance(self.field, Mixture):
            return {}
        share = expert_shares(self.field, self.run_on.device)
        return {"expert_share_max": float(share.max()), "expert_share_min": float(share.min())}


@torch.no_grad()
def expert_shares(field: Mixture, device: torch.device, points: int = 4096) -> Float[Tensor, " k"]:
    """Part of the cube that each expert serves, from fixed random points."""
    x = torch.rand(points, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
    gate = field.experts(x.to(device))[1]
    return torch.bincount(gate.argmax(dim=1), minlength=gate.shape[1]).cpu() / points


# -- where batches come from ------------------------------------------------------------------------------------------


@runtime_checkable
class BatchSource(Protocol):
    """Gives the loss of a step's batch."""

    points_per_step: int

    def loss(self, job: ShapeJob, step: int) -> Tensor:
        """The loss of batch `step`, which depends on the seed and the step alone."""
        ...


class PointBatches:
    """Batches from a pool of points with exact targets."""

    def __init__(self, pool: Pool, size: int) -> None:
        self.pool, self.points_per_step = pool, size

    def loss(self, job: ShapeJob, step: int) -> Tensor:
        batch = self.pool.batch(step, self.points_per_step)
        device = job.run_on.device
        x = batch.points.to(device) / DOMAIN
        return job.point_loss(x, batch.distance.to(device), batch.weight.to(device))


class CellBatches:
    """Batches of coarse cells of ASMR's grid with all their children, evaluated as one product (ASMR, 3.2).

    Half of a batch are cells that hold or touch the surface, as the paper's sampling puts 40 % of its points there; the
    others tell little, and one in a while. Targets are the truth at the cell centres."""

    def __init__(self, field: Asmr, inside: Bool[np.ndarray, "a b c"], seed: int) -> None:
        depth = field.levels - 1
        self.targets = field.to_nested(torch.from_numpy(inside), depth)
        mixed = field.to_nested(torch.from_numpy(_near_border(inside)), depth).any(dim=1)
        self.walk = CellWalk(field, seed, CELLS_PER_STEP, mixed)
        self.points_per_step = self.walk.points_per_step

    def loss(self, job: ShapeJob, step: int) -> Tensor:
        assert isinstance(job.field, Asmr)
        rows = self.walk.rows(step)
        value = job.field.nested(self.walk.depth, rows.to(job.run_on.device))[..., 0]
        outside = (~self.targets[rows]).to(device=value.device, dtype=value.dtype)
        return LOSS_SCALE * self.walk.mean(job.error(value, 2 * outside - 1), rows)


def _near_border(inside: Bool[np.ndarray, "a b c"]) -> Bool[np.ndarray, "a b c"]:
    """Cells with a neighbour (of the 26) of the other kind."""
    grown, shrunk = inside.copy(), inside.copy()
    for axis in range(3):
        ahead, behind = [slice(None)] * 3, [slice(None)] * 3
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        # one axis after another makes a box of 3^3 cells; the copies keep each pass from feeding on itself
        for whole, merge in ((grown, np.logical_or), (shrunk, np.logical_and)):
            before = whole.copy()
            whole[tuple(ahead)] = merge(whole[tuple(ahead)], before[tuple(behind)])
            whole[tuple(behind)] = merge(whole[tuple(behind)], before[tuple(ahead)])
    return grown ^ shrunk


def cell_truth(shape: Shape, cells: tuple[int, ...]) -> Bool[np.ndarray, "a b c"]:
    """Which cell centres of a cubic grid over the domain are inside."""
    if len(set(cells)) != 1:
        raise ValueError(f"training on cells needs the same number on each axis, got {cells}")
    return grid_signs_and_band(shape.distance, cells[0], DOMAIN * (1 - 1 / cells[0]), 0.0).inside


# -- pretraining ------------------------------------------------------------------------------------------------------


def pretrain_points(n: int, rng: torch.Generator, dims: int = 3) -> Float[Tensor, "n d"]:
    """Half the points near a 128^d grid (Laplace noise of scale 2e-3 in [-1.2, 1.2]), half uniform in the cube.

    The authors' code keeps the uniform ones within ±0.55, a leftover of another domain; here they fill the cube."""
    near = torch.randint(128, (n // 2, dims), generator=rng) * (2 / 127) - 1
    u = torch.rand(near.shape, generator=rng) - 0.5
    noise = -u.sign() * torch.log1p(-2 * u.abs().clamp(max=0.4999999)) * (2e-3 / DOMAIN)
    return torch.cat([(near + noise).clamp(-1, 1), torch.rand(n - n // 2, dims, generator=rng) * 2 - 1])
