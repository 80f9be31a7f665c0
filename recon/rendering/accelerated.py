"""nerfacc's CUDA kernels in place of plain torch, for marching through boxes and for weights, if they prove right."""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import shutil
import sys
from collections.abc import Callable
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from recon.geometry import Box, Rays, Space
from recon.rendering import volume
from recon.rendering.occupancy import OccupancyGrid
from recon.rendering.samplers import OccupancySampler
from recon.rendering.volume import KERNELS, Samples

TOLERANCE = 1e-4
"""Largest difference between both ways that counts as rounding, in the self-check's values and gradients near 1."""


def accelerate(device: torch.device, say: Callable[[str], None]) -> str:
    """Choose how rays are marched and weighed from here on; returns what was chosen, and why, for a command's head.

    On CUDA that is nerfacc where it is installed, compiles and agrees with plain torch; plain torch everywhere else.
    `say` is told before nerfacc compiles itself: that takes minutes."""
    drop()
    if device.type != "cuda":
        return f"plain torch for rays (nerfacc needs CUDA, this is {device.type})"
    try:
        nerfacc = importlib.import_module("nerfacc")
        lock = build_lock()
    except Exception as error:  # a broken installation may raise anything
        return f"plain torch for rays (no nerfacc: {_first_line(error)})"
    if lock is not None:
        folder = os.path.dirname(lock)
        return f"plain torch for rays (nerfacc is being compiled, or that was cut short: if so, delete {folder})"
    say("nerfacc compiles its CUDA kernels at its first use on a machine, which takes minutes")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # where nerfacc talks about its compiler
            switch_on(nerfacc, device)
    except Exception as error:  # a compiler, a driver or a kernel may fail in any way, and nothing depends on it
        compiler = "" if shutil.which("nvcc") else "; no nvcc on the PATH"
        return f"plain torch for rays (nerfacc failed: {_first_line(error)}{compiler})"
    return f"nerfacc {getattr(nerfacc, '__version__', '')} for rays (agrees with plain torch)"


def drop() -> None:
    """Plain torch from here on."""
    KERNELS.device, KERNELS.weights, KERNELS.march = "", None, None


def switch_on(nerfacc: ModuleType, device: torch.device) -> None:
    """Use nerfacc on devices of this type; RuntimeError, and plain torch, where it disagrees on a small random case."""
    drop()
    try:
        expected = _trial(device)
        KERNELS.device = device.type
        KERNELS.weights = lambda density, samples, n_rays: _weights(nerfacc, density, samples, n_rays)
        KERNELS.march = lambda *parts: _march(nerfacc, *parts)
        for (name, wanted), (_, found) in zip(expected, _trial(device), strict=True):
            apart = (wanted - found).abs().amax(dim=1)
            # Rounding may move a step's middle into the next cell: one ray in a hundred does not blame a kernel.
            if not (apart <= TOLERANCE).double().mean() >= 0.99:
                raise RuntimeError(f"its {name} differ from plain torch's by up to {float(apart.max()):.2g}")
    except BaseException:
        drop()
        raise


def build_lock() -> str | None:
    """The file by which torch keeps two processes from compiling nerfacc at once, if it exists: it waits for ever."""
    lock = os.path.join(build_folder(), "lock")
    return lock if os.path.exists(lock) else None


def build_folder() -> str:
    """Where torch puts what nerfacc compiles."""
    # Imported late: it wants setuptools, which plain torch does not.
    from torch.utils import cpp_extension  # noqa: PLC0415

    return cpp_extension._get_build_directory("nerfacc_cuda", verbose=False)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _weights(nerfacc: ModuleType, density: Tensor, samples: Samples, n_rays: int) -> tuple[Tensor, Tensor]:
    weight, transmittance, _ = nerfacc.render_weight_from_density(
        samples.t0, samples.t1, density, ray_indices=samples.ray, n_rays=n_rays
    )
    return weight, transmittance


def _march(nerfacc: ModuleType, sampler: OccupancySampler, rays: Rays, start: Float[Tensor, " r"]) -> Samples:
    """`OccupancySampler.forward` in a box, for steps that begin at `start`."""
    grid, step, box = sampler.grid, sampler.step, sampler.space.box
    near, far = sampler.space.bounds(rays)
    n = grid.resolution
    # nerfacc keeps steps whose middles lie in its box: the first and last ones need cells around ours like the nearest.
    border = math.ceil(step / min(box.half) * n / 4 + 1e-3)
    cells = grid.occupied.reshape(1, 1, n, n, n).float()
    cells = functional.pad(cells, (border,) * 6, mode="replicate")[0] > 0
    grown = box.scaled(1 + 2 * border / n)
    edges, steps, _ = nerfacc.traverse_grids(
        rays.origin,
        rays.direction,
        cells,
        near.new_tensor([[*grown.low, *grown.high]]),
        near_planes=start,
        far_planes=torch.where(near < far, far + step / 2, start),
        step_size=step,
    )
    ray = steps.ray_indices
    t0 = torch.maximum(edges.vals[edges.is_left], near[ray])
    t1 = torch.minimum(edges.vals[edges.is_right], far[ray])
    return Samples(t0, t1, ray)[t1 > t0]


def _trial(device: torch.device) -> list[tuple[str, Float[Tensor, "r c"]]]:
    """Samples, weights and gradients of random rays through a random grid, added up ray by ray."""
    rng, n_rays = torch.Generator().manual_seed(0), 512
    grid = OccupancyGrid(8).to(device)
    grid.occupied.copy_(torch.rand(8**3, generator=rng) < 0.3)
    sampler = OccupancySampler(Space("box", Box((-1.0, -1.5, -1.0), (1.0, 1.0, 2.0))), grid, 0.06)
    origin = functional.normalize(torch.randn(n_rays, 3, generator=rng), dim=1) * 3
    origin[::2] *= 0.2  # half of them begin inside
    target = torch.rand(n_rays, 3, generator=rng) * 3 - 1.5
    rays = Rays(origin, functional.normalize(target - origin, dim=1)).to(device)
    samples = sampler(rays, lambda x: x[:, 0], rng)
    # By place, not by sample: the same wherever both ways keep the same steps.
    density = (2 + 2 * torch.sin(7 * samples.middle)).requires_grad_()
    weight, transmittance = volume.weights(density, samples, n_rays)
    ((weight * torch.cos(samples.middle)).sum() + (transmittance * samples.middle).sum() / 30).backward()
    assert density.grad is not None
    t = torch.stack([samples.length, samples.length * samples.middle], dim=1)
    both = torch.stack([weight, transmittance * samples.length], dim=1).detach() * samples.middle[:, None]
    parts = {"samples": t, "weights": both, "gradients": density.grad[:, None] * t}
    ones = torch.ones_like(samples.t0)
    return [(name, volume.along_rays(ones, value, samples.ray, n_rays)) for name, value in parts.items()]
