"""A ball seen by ten cameras, in memory, by its closed form. Must not import `recon` at the top: the hook is first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

SIDE, FOCAL, RADIUS, DISTANCE = 16, 20.0, 0.5, 2.0

SMALL: dict[str, dict[str, Any]] = {
    "pe-mlp": {"width": 16, "layers": 3, "frequencies": 3},
    "ffn": {"rows": 8, "width": 16, "layers": 3},
    "siren": {"width": 16, "layers": 3},
    "finer": {"width": 16, "layers": 3},
    "gauss": {"width": 16, "layers": 3},
    "wire": {"width": 11, "layers": 3},
    "mfn": {"width": 16, "layers": 3},
    "bacon": {"width": 16},
    "kilonerf": {"nets": 2, "width": 8, "layers": 3, "frequencies": 2},
    "coordinate-embedding": {"resolution": 8, "channels": 4, "frequencies": 2, "width": 16, "layers": 3},
    "loe": {"width": 16, "layers": 3, "frequencies": 3, "tiles": (2, 2, 2)},
    "asmr": {"width": 16, "bases": (2, 2, 4)},
    "hash-grid": {"levels": 4, "table_log2": 10, "coarsest": 4, "finest": 32, "width": 16},
    "feature-grid": {"resolutions": (4, 8), "width": 16},
    "voxel": {"resolution": 16},
}
"""Sizes of each field that train in no time."""


def poses() -> torch.Tensor:
    """Ten cameras at distance 2 around the origin, looking at it, right, up and backwards as columns."""
    back = torch.from_numpy(np.random.default_rng(3).normal(size=(10, 3)))
    back = back / back.norm(dim=1, keepdim=True)
    right = torch.linalg.cross(torch.tensor([[0.0, 0.0, 1.0]]).double().expand(10, 3), back)
    right = right / right.norm(dim=1, keepdim=True)
    return torch.stack([right, torch.linalg.cross(back, right), back, DISTANCE * back], dim=2)


def seen(cameras) -> torch.Tensor:
    """The ball's pictures: coloured by where it is hit, alpha 0 around it."""
    pictures = []
    for view in range(len(cameras)):
        rays = cameras.view_rays(view)
        along = -(rays.origin * rays.direction).sum(dim=1)
        inside = along**2 - DISTANCE**2 + RADIUS**2
        hit = rays.origin + (along - inside.clamp(min=0).sqrt())[:, None] * rays.direction
        colour = torch.where(inside[:, None] > 0, 127.5 * (hit / RADIUS + 1), 0)
        alpha = torch.where(inside > 0, 255, 0)[:, None]
        pictures.append(torch.cat([colour, alpha], dim=1).clamp(0, 255).byte().reshape(SIDE, SIDE, 4))
    return torch.stack(pictures)


@pytest.fixture(scope="session")
def ball():
    """The scene: eight views to learn from, two held out."""
    from recon.geometry import Cameras  # noqa: PLC0415 - after the import hook
    from recon.scenes.scene import Scene  # noqa: PLC0415

    two = torch.full((10, 2), FOCAL).double()
    cameras = Cameras(poses(), two, torch.full_like(two, SIDE / 2), torch.zeros(10, 4).double(), SIDE, SIDE)
    splits: dict[Any, tuple[int, ...]] = {"train": tuple(range(8)), "test": (8, 9)}
    files = tuple(f"pictures/{view}.png" for view in range(10))
    return Scene("ball", "blender", Path("/nowhere/ball"), cameras, seen(cameras), files, splits)


@pytest.fixture(scope="session")
def space():
    """A box around the ball."""
    from recon.geometry import Box, Space  # noqa: PLC0415

    return Space("box", Box((-0.6, -0.6, -0.6), (0.6, 0.6, 0.6)))


@pytest.fixture(scope="session")
def cpu():
    """One processor, plain float32."""
    from recon.runtime import Runtime  # noqa: PLC0415

    return Runtime(torch.device("cpu"), "float32", ("cpu",))


@pytest.fixture(scope="session")
def tiny() -> Callable:
    """Settings of the quick preset, small enough for a step in a few milliseconds."""

    def make(field: str = "voxel", steps: int = 12, rays: str = "occupancy", **changes: Any):
        from recon.fields.radiance import HeadConfig  # noqa: PLC0415
        from recon.tasks.nerf.sampling import RaySamplerConfig  # noqa: PLC0415
        from recon.tasks.nerf.settings import preset  # noqa: PLC0415

        settings = preset("quick", field).with_steps(steps)
        head = HeadConfig(features=8, width=8, density_bias=-1.0) if field != "voxel" else settings.head
        train = replace(settings.train, batch=128, checkpoint_every=1000, log_every=3)
        return replace(
            settings,
            field=replace(settings.field, **SMALL[field]),
            head=head,
            train=train,
            rays=RaySamplerConfig(rays, steps=16, grid=8, refresh=2, count=12, fine=6),
            voxels=replace(settings.voxels, resolution=12, batch=128),
            **changes,
        )

    return make


@pytest.fixture(scope="session")
def small() -> dict[str, dict[str, Any]]:
    """Sizes of each field that train in no time, mixtures too."""
    from recon.fields.feature_grid import FeatureGridConfig  # noqa: PLC0415

    mixture = {"grid": FeatureGridConfig(resolutions=(4, 8)), "experts": 4, "expert_width": 8}
    return {**SMALL, "neural-experts": mixture, "vanilla-moe": mixture}
