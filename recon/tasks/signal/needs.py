"""What a signal run will take: its own field tried on a few values, or on one batch of its grid's cells."""

from __future__ import annotations

import math

import torch

from recon import memory
from recon.fields import Mixture
from recon.fields.asmr import Asmr
from recon.fields.base import CHUNK
from recon.signals.signal import Signal
from recon.tasks import preflight
from recon.tasks.bench import Bench
from recon.tasks.preflight import Needs
from recon.tasks.signal.job import SignalJob, at_once
from recon.tasks.signal.run import Plan, build

LIBRARIES = 0.15 * 2**30
"""Bytes of what loads with the first step of an optimiser, and with the record of it."""
EVALUATION = 0.5
"""Times what a backward pass would be kept for: activations of points without gradients."""
PER_VALUE = 4
"""Bytes of each value of the reconstruction, in float32;"""
COPIES = 3
"""and of values as they are stored: rounded, as the writer of the file holds them, and packed."""


def needs_of(plan: Plan, signal: Signal, bench: Bench) -> Needs:
    """What a run will take at its peak, on the disk, and of time."""
    settings, device = plan.settings, bench.run_on.device
    with torch.random.fork_rng(devices=[]):
        field = build(plan, signal).to(device)
    held, count = memory.own_bytes(), math.prod(signal.shape)
    parameters, points = list(field.parameters()), min(settings.train.batch, count)
    held_at_once = min(points, at_once(device))
    if isinstance(field, Asmr):
        job = SignalJob(field, signal, bench.run_on, settings)
        points = held_at_once = job.points_per_step
        cost = preflight.try_step(parameters, lambda n: job.loss(0)["mse"], points, device)
    else:

        def loss(n: int) -> torch.Tensor:
            x = torch.rand(n, len(signal.shape), device=device) * 2 - 1
            if isinstance(field, Mixture):
                outputs, gate = field.experts(x)
                return outputs.square().mean() + gate.square().mean()
            return field(x).square().mean()

        cost = preflight.try_out(parameters, loss, device)
    training = preflight.peak_of_training([field], cost.bytes_per_point * held_at_once)
    order = signal.values.nbytes + count if isinstance(field, Asmr) else 4 * count
    evaluation = 0.0 if isinstance(field, Asmr) else EVALUATION * cost.bytes_per_point * min(CHUNK, count)
    end = PER_VALUE * count * signal.channels + COPIES * signal.values.nbytes
    managers = settings.pretrain.steps * cost.step(settings.pretrain.batch) if settings.pretrains else 0.0
    return Needs(
        # All of it: what training frees is kept (runtime.py), and seldom fits what follows.
        memory=held + LIBRARIES + order + training + evaluation + end,
        disk=preflight.checkpoints([field]) + 2.0 * signal.values.nbytes + 20 * 2**20,
        seconds=settings.train.steps * cost.step(points) + managers,
        lower="--train.batch or the field's size (--field. flags)",
        on_device=training if device.type == "cuda" else None,
    )
