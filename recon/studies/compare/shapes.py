"""Comparisons on a shape: distances or occupancy learned from one pool of points, scored near the surface."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recon.fields import chunked
from recon.fields.base import FieldConfig
from recon.geometry import DOMAIN
from recon.metrics.surface import weighted_iou
from recon.shapes.shape import Shape
from recon.studies.compare.arena import Cost, Finished, alike, refuse_unmeasured, without_looks
from recon.studies.compare.watch import Stopwatch, Watch, at_rest
from recon.tasks.bench import Bench
from recon.tasks.pretrain import PretrainConfig
from recon.tasks.shape.job import ShapeJob
from recon.tasks.shape.run import Plan, check, finish, fit, start
from recon.tasks.shape.settings import Preset, ShapeSettings, Task, preset
from recon.tasks.shape.truth import truth_of
from recon.training.run import Run

BAND = 0.01
"""Points at most this far from the surface score a field on the way."""
MOST_POINTS = 100_000


class ShapeArena:
    """A solid, and how it is learned."""

    def __init__(self, task: Task, preset_name: Preset, shape: Shape, cache: Path) -> None:
        if shape.mesh is None:
            raise ValueError(f"{shape.name} is a point cloud, which has no inside to score fields by; give a mesh")
        self.task: Task = task
        self.preset: Preset = preset_name
        self.shape, self.data, self._cache = shape, shape.name, cache
        self.looked = f"IoU within {BAND:g} of the surface (trimap_iou_sampled_{BAND:g} on {MOST_POINTS:,} points)"

    def entries(self, names: Sequence[str]) -> dict[str, ShapeSettings]:
        """See Arena. ASMR learns occupancy from points here, like the others."""
        own = {name: replace(preset(self.task, self.preset, name), cells=False) for name in names}
        first = own[names[0]]
        same = {name: getattr(first, name) for name in ("sampler", "pool", "centre", "resolution")}
        return {
            name: replace(settings.with_steps(first.train.steps), train=alike(settings.train, first.train), **same)
            for name, settings in own.items()
        }

    def cost(self, settings: ShapeSettings) -> Cost:
        """See Arena."""
        return field_cost(settings.field)

    def check(self, name: str, settings: ShapeSettings) -> None:
        """See Arena."""
        check(Plan(self.task, name, self.preset, settings))

    def pilot(self, name: str, settings: ShapeSettings, bench: Bench, steps: int) -> float:
        """See Arena. A step of pretraining is taken to cost as much as one of training with as many points."""
        pretrained = settings.pretrain.steps * settings.pretrain.batch if settings.pretrains else 0
        share = pretrained / (settings.train.steps * settings.train.batch)
        settings = replace(settings.with_steps(steps), pretrain=PretrainConfig())
        watch = Stopwatch(steps)
        with tempfile.TemporaryDirectory() as folder:
            plan = Plan(self.task, name, self.preset, settings, precision=bench.run_on.precision)
            _, outcome = fit(plan, self.shape, Run(Path(folder)), bench, watch=watch.begin)
        refuse_unmeasured(name, outcome)
        return watch.seconds_per_step * (1 + share)

    def run(self, name: str, settings: ShapeSettings, bench: Bench, folder: Path) -> Finished:
        """See Arena."""
        plan = Plan(self.task, name, self.preset, settings, precision=bench.run_on.precision)
        watch = Watch(self.look, settings.train.steps)
        _ = self._near  # made before the clock runs
        run = start(plan, self.shape, bench, folder)
        fitted, outcome = fit(plan, self.shape, run, bench, watch=watch.begin)
        metrics = finish(plan, fitted, without_looks(outcome, run, watch.spent), run, bench)
        before = bench.timings.get("pretraining", 0.0)
        return Finished(run, metrics, [replace(look, seconds=look.seconds + before) for look in watch.looks])

    def look(self, job: ShapeJob) -> float:
        """The score on the way of the field as it is."""
        points, inside, weight = self._near
        with at_rest(job.field):
            found = chunked(job.field, points.to(job.run_on.device))[:, 0] < 0
        return weighted_iou(found.cpu().numpy(), inside, weight).iou

    @cached_property
    def _near(self) -> tuple[Tensor, np.ndarray, np.ndarray]:
        """Fixed random points of the cube near the surface, whether they are inside, and the volumes they stand for."""
        truth = truth_of(self.shape, 0, "default", self._cache)
        near = np.flatnonzero(truth.near_distance <= BAND)
        chosen = np.random.default_rng(0).permutation(near)[:MOST_POINTS]
        points = torch.from_numpy(truth.near_points[chosen]) / DOMAIN
        return points, truth.near_inside[chosen], truth.near_weight[chosen]


def field_cost(config: FieldConfig) -> Cost:
    """Of a field from space to one number."""
    with torch.device("meta"):
        field = config.build(3, 1)
    return Cost(sum(p.numel() for p in field.parameters()), field.macs())
