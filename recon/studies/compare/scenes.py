"""Comparisons on a scene: radiance fields learned from the same pixels, scored on pixels of the held-out views."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from recon.geometry import Rays, Space
from recon.metrics.image import psnr
from recon.rendering.volume import composite
from recon.scenes.scene import Scene
from recon.studies.compare.arena import Cost, Finished, alike, refuse_unmeasured, without_looks
from recon.studies.compare.watch import Stopwatch, Watch, at_rest
from recon.tasks.bench import Bench
from recon.tasks.nerf.fitted import place
from recon.tasks.nerf.job import NerfJob, build_lit
from recon.tasks.nerf.reference import reference_of, write_reference
from recon.tasks.nerf.run import Plan, background_of, check, finish, fit, start
from recon.tasks.nerf.sampling import Lit
from recon.tasks.nerf.settings import NerfSettings, Preset, preset
from recon.training.run import Run

RAYS, CHUNK = 4096, 1024
"""Rays that score a field on the way, and how many are rendered at once."""


class SceneArena:
    """Pictures, the space that fields cover, and whether voxels go before every field or before none."""

    task = "nerf"

    def __init__(self, preset_name: Preset, scene: Scene, space: Space, downscale: int, voxels: bool) -> None:
        self.preset: Preset = preset_name
        self.scene, self.space, self.downscale, self.voxels = scene, space, downscale, voxels
        self.data = scene.name
        self.looked = f"PSNR in dB over {RAYS:,} random pixels of the held-out views"

    def entries(self, names: Sequence[str]) -> dict[str, NerfSettings]:
        """See Arena. No step takes more samples than any of the fields bears."""
        own = {name: preset(self.preset, name) for name in names}
        first, samples = own[names[0]], min(settings.samples for settings in own.values())
        names_of_same = ("rays", "background", "distortion", "entropy", "full_precision_from")
        same = {name: getattr(first, name) for name in names_of_same}
        stages = [settings.voxels for settings in own.values() if settings.voxels.share]
        if self.voxels and not stages:
            raise ValueError(f"preset {self.preset} has no voxel stage for these fields; use --voxels off, or quick")
        voxels = stages[0] if self.voxels else replace(first.voxels, share=0.0)
        return {
            name: replace(settings, train=alike(settings.train, first.train), samples=samples, voxels=voxels, **same)
            for name, settings in own.items()
        }

    def cost(self, settings: NerfSettings) -> Cost:
        """See Arena: of the field with its head."""
        with torch.device("meta"):
            radiance = build_lit(settings, self.space).radiance
        return Cost(sum(p.numel() for p in radiance.parameters()), radiance.macs())

    def check(self, name: str, settings: NerfSettings) -> None:
        """See Arena."""
        check(Plan(name, self.preset, settings), self.scene, self.space)

    def pilot(self, name: str, settings: NerfSettings, bench: Bench, steps: int) -> float:
        """See Arena. All stages are run through."""
        watch = Stopwatch(steps)
        with tempfile.TemporaryDirectory() as folder:
            write_reference(Path(folder), reference_of(self.scene, self.space, self.downscale))
            plan = Plan(name, self.preset, settings.with_steps(steps), bench.run_on.precision)
            _, outcome = fit(plan, self.scene, Run(Path(folder)), bench, watch=watch.begin)
        refuse_unmeasured(name, outcome)
        return watch.seconds_per_step

    def run(self, name: str, settings: NerfSettings, bench: Bench, folder: Path) -> Finished:
        """See Arena."""
        plan = Plan(name, self.preset, settings, bench.run_on.precision)
        watch = Watch(self.look, settings.train.steps)
        run = start(plan, self.scene, self.space, self.downscale, folder)
        fitted, outcome = fit(plan, self.scene, run, bench, watch=watch.begin)
        metrics = finish(plan, fitted, without_looks(outcome, run, watch.spent), run, bench)
        return Finished(run, metrics, watch.looks)

    def look(self, job: NerfJob) -> float:
        """The score on the way of the field as it is; of the voxels while only they have learned."""
        lit = job.voxels if job.stage == "voxels" and job.voxels is not None else job.lit
        background = background_of(job.settings)
        rays, view, index = self._held_out
        truth = self.scene.pixels(view, index, background.expand(len(view), 3))
        with at_rest(lit):
            parts = [self._render(job, lit, rays[slice(at, at + CHUNK)]) for at in range(0, len(rays), CHUNK)]
        return psnr(torch.cat(parts).clamp(0, 1)[None], truth[None])

    @staticmethod
    def _render(job: NerfJob, lit: Lit, rays: Rays) -> Tensor:
        rays = rays.to(job.run_on.device)
        samples = lit.sampler(rays, lit.radiance.density, None)
        rgb, density = lit.radiance(*place(rays, samples))
        background = background_of(job.settings).to(job.run_on.device)
        return composite(rgb, density, samples, len(rays), background.expand(len(rays), 3)).rgb.cpu()

    @cached_property
    def _held_out(self) -> tuple[Rays, Tensor, Tensor]:
        """Rays through fixed random pixels of the held-out views, and which pixels they are."""
        cameras, views = self.scene.cameras, torch.tensor(self.scene.splits["test"])
        rng = torch.Generator().manual_seed(0)
        view = views[torch.randint(len(views), (RAYS,), generator=rng)]
        index = torch.randint(cameras.height * cameras.width, (RAYS,), generator=rng)
        pixel = torch.stack([index % cameras.width, index // cameras.width], dim=-1) + 0.5
        return cameras.rays(view, pixel), view, index
