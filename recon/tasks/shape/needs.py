"""What a shape run will take: its own field tried on a few points, the pool, the surface's grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recon import memory
from recon.fields.asmr import Asmr
from recon.tasks import preflight
from recon.tasks.bench import Bench
from recon.tasks.preflight import Needs
from recon.tasks.shape.job import CellBatches, ShapeJob
from recon.tasks.shape.run import Plan

SCORING = 0.4 * 2**30
"""Bytes that scoring takes, whatever the field: samples, exact distances, nearest points."""
PER_GRID_POINT = 12
"""Bytes for each grid point of the extraction."""
PER_POOL_POINT = 64
"""Bytes for each point of the pool while its distances are made."""
POOL_ON_DISK = 17
SMALL_FILES = 40 * 2**20
"""Pictures, tables, the reference, TensorBoard's events."""


@dataclass
class _RandomPoints:
    """Batches of random points with random targets: what they cost is what counts."""

    points_per_step: int

    def loss(self, job: ShapeJob, step: int) -> Tensor:
        """The loss of a batch."""
        del step
        n, device = self.points_per_step, job.run_on.device
        x, target = torch.rand(n, 3, device=device) * 2 - 1, torch.rand(n, device=device) - 0.5
        return job.point_loss(x, target, torch.ones(n, device=device))


def needs_of(plan: Plan, bench: Bench) -> Needs:
    """What a run will take at its peak, on the disk, and of time."""
    settings, device = plan.settings, bench.run_on.device
    with torch.random.fork_rng(devices=[]):
        field = settings.field.build(3, 1).to(device)
    parameters, cells = list(field.parameters()), None
    if settings.cells:
        assert isinstance(field, Asmr)
        cells = CellBatches(field, np.zeros(field.cells, dtype=bool), settings.train.seed)

    def loss(points: int) -> Tensor:
        job = ShapeJob(plan.task, field, cells or _RandomPoints(points), bench.run_on, settings)
        return job.loss(0)[plan.task]

    batch = cells.points_per_step if cells else settings.train.batch
    cost = preflight.try_step(parameters, loss, batch, device) if cells else preflight.try_out(parameters, loss, device)
    held, training = memory.own_bytes(), preflight.peak_of_training([field], cost.bytes_per_point * batch)
    extraction = PER_GRID_POINT * settings.resolution**3 + SCORING
    pool = 0 if settings.cells else settings.pool
    disk = preflight.checkpoints([field]) + POOL_ON_DISK * pool + 40 * settings.resolution**2 + SMALL_FILES
    return Needs(
        memory=held + max(training, extraction, float(PER_POOL_POINT * pool)),
        disk=disk,
        seconds=settings.train.steps * cost.step(batch),
        lower="--train.batch, --resolution, --pool or the field's size (--field. flags)",
        on_device=training if device.type == "cuda" else None,
    )
