"""What a scene run will take: its own field and voxels tried on a few samples, and the rays of a step."""

from __future__ import annotations

import torch
from torch import Tensor

from recon import memory
from recon.geometry import Cameras, Space
from recon.tasks import preflight
from recon.tasks.bench import Bench
from recon.tasks.nerf.job import build_lit, build_voxels
from recon.tasks.nerf.run import Plan
from recon.tasks.nerf.sampling import Lit, RaySamplerConfig
from recon.tasks.preflight import Cost, Needs

SAMPLES_OF_A_RAY = 12
"""What is left of a ray once it is known which space is empty; about as many in all scenes that were looked at."""
SAMPLES_SEEN = 5
"""What is left of those where voxels tell what is hidden: the field's own, on average over its steps."""
PER_RAY_STEP = 64
"""Bytes of each step of each ray of a batch, before empty ones are left out."""
RENDERING = 0.2 * 2**30
"""Bytes that held-out views take, whatever the field."""
SMALL_FILES = 20 * 2**20


def needs_of(plan: Plan, cameras: Cameras, space: Space, bench: Bench) -> Needs:
    """What a run will take at its peak, on the disk, and of time; these are the scene's cameras."""
    settings, device = plan.settings, bench.run_on.device
    with torch.random.fork_rng(devices=[]):
        parts = [build_lit(settings, space).to(device)]
        parts += [build_voxels(settings, space).to(device)] if settings.voxels.share else []
    costs = [_try(lit, device) for lit in parts]
    steps, rays = settings.train.steps, max(settings.train.batch, settings.voxels.batch if len(parts) > 1 else 0)
    left = SAMPLES_SEEN if len(parts) > 1 else SAMPLES_OF_A_RAY
    seconds = (1 - settings.voxels.share) * steps * costs[0].step(_samples(settings.train.batch, plan, left))
    if len(parts) > 1:
        seconds += (
            settings.voxels.share * steps * costs[1].step(_samples(settings.voxels.batch, plan, SAMPLES_OF_A_RAY))
        )
    kept = max(cost.bytes_per_point for cost in costs) * settings.samples + PER_RAY_STEP * rays * _longest(
        settings.rays
    )
    training = preflight.peak_of_training(parts, kept)
    return Needs(
        memory=memory.own_bytes() + max(training, RENDERING),
        disk=preflight.checkpoints(parts) + 12.0 * len(cameras) * cameras.width * cameras.height + SMALL_FILES,
        seconds=seconds,
        lower="--samples, --train.batch, --voxels.resolution or the field's size (--field. flags)",
        on_device=training if device.type == "cuda" else None,
    )


def _try(lit: Lit, device: torch.device) -> Cost:
    """A radiance field on random places and directions."""
    low, high = (
        torch.tensor(corner, dtype=torch.float32)
        for corner in (lit.radiance.space.box.low, lit.radiance.space.box.high)
    )

    def loss(points: int) -> Tensor:
        x = low + (high - low) * torch.rand(points, 3)
        d = torch.nn.functional.normalize(torch.randn(points, 3), dim=1)
        rgb, density = lit.radiance(x.to(device), d.to(device))
        return rgb.sum() + density.sum()

    return preflight.try_out(list(lit.parameters()), loss, device)


def _samples(rays: int, plan: Plan, left: int) -> float:
    """Of a step, in the long run; so many are left of a ray that marches through occupied cells."""
    config = plan.settings.rays
    each = left if config.kind == "occupancy" else _longest(config)
    return float(min(rays * each, plan.settings.samples))


def _longest(config: RaySamplerConfig) -> int:
    """Samples of a ray at most."""
    if config.kind == "occupancy":
        return 2 * config.steps  # a diagonal
    return config.count + (config.fine if config.kind == "hierarchical" else 0)
