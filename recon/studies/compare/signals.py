"""Comparisons on a signal: fields that learn the same picture, sound or film, scored on some of its values."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recon.fields import chunked
from recon.metrics.signal import psnr_of
from recon.signals.signal import Signal
from recon.signals.store import write_store
from recon.studies.compare.arena import Cost, Finished, alike, refuse_unmeasured, without_looks
from recon.studies.compare.watch import Stopwatch, Watch, at_rest
from recon.tasks.bench import Bench
from recon.tasks.pretrain import PretrainConfig
from recon.tasks.signal.job import SignalJob, Targets, centres
from recon.tasks.signal.run import Plan, build, check, finish, fit, start
from recon.tasks.signal.settings import Preset, SignalSettings, preset
from recon.training.run import Run

MOST_POINTS = 16_384
"""Values that score a field on the way."""


class SignalArena:
    """A picture, a sound or a film."""

    task = "fit"

    def __init__(self, preset_name: Preset, signal: Signal) -> None:
        self.preset: Preset = preset_name
        self.signal, self.data = signal, signal.name
        self.looked = f"PSNR in dB over {MOST_POINTS:,} values of the signal, unclipped"

    def entries(self, names: Sequence[str]) -> dict[str, SignalSettings]:
        """See Arena."""
        own = {name: preset(self.signal.kind, self.preset, name) for name in names}
        first = own[names[0]]
        return {
            name: replace(settings.with_steps(first.train.steps), train=alike(settings.train, first.train))
            for name, settings in own.items()
        }

    def cost(self, settings: SignalSettings) -> Cost:
        """See Arena."""
        with torch.device("meta"):
            field = build(self._plan("", settings), self.signal)
        return Cost(sum(p.numel() for p in field.parameters()), field.macs())

    def check(self, name: str, settings: SignalSettings) -> None:
        """See Arena."""
        check(self._plan(name, settings), self.signal)

    def pilot(self, name: str, settings: SignalSettings, bench: Bench, steps: int) -> float:
        """See Arena. A step of pretraining is taken to cost as much as one of training with as many values."""
        pretrained = settings.pretrain.steps * settings.pretrain.batch if settings.pretrains else 0
        share = pretrained / (settings.train.steps * min(settings.train.batch, math.prod(self.signal.shape)))
        settings = replace(settings.with_steps(steps), pretrain=PretrainConfig())
        watch = Stopwatch(steps)
        with tempfile.TemporaryDirectory() as folder:
            write_store(Path(folder), self.signal)
            plan = self._plan(name, settings, bench)
            _, outcome = fit(plan, self.signal, Run(Path(folder)), bench, watch=watch.begin)
        refuse_unmeasured(name, outcome)
        return watch.seconds_per_step * (1 + share)

    def run(self, name: str, settings: SignalSettings, bench: Bench, folder: Path) -> Finished:
        """See Arena."""
        plan = self._plan(name, settings, bench)
        watch = Watch(self.look, settings.train.steps)
        _ = self._some  # made before the clock runs
        run = start(plan, self.signal, bench, folder)
        fitted, outcome = fit(plan, self.signal, run, bench, watch=watch.begin)
        metrics = finish(plan, fitted, without_looks(outcome, run, watch.spent), run, bench)
        before = bench.timings.get("pretraining", 0.0)
        return Finished(run, metrics, [replace(look, seconds=look.seconds + before) for look in watch.looks])

    def look(self, job: SignalJob) -> float:
        """The score on the way of the field as it is."""
        x, target = self._some
        with at_rest(job.field):
            error = chunked(job.field, x.to(job.run_on.device)).cpu() - target
        half = 1.0 if self.signal.kind == "sound" else 0.5  # of [-1, 1], where values are scored in [0, 1]
        return psnr_of(float((half * error).double().square().mean()))

    def _plan(self, name: str, settings: SignalSettings, bench: Bench | None = None) -> Plan:
        precision = bench.run_on.precision if bench else "float32"
        return Plan(self.signal.kind, name, self.preset, settings, precision)

    @cached_property
    def _some(self) -> tuple[Tensor, Tensor]:
        """Points at fixed random values of the grid, and what these are."""
        targets = Targets(self.signal)
        count = len(targets.flat)
        index = torch.from_numpy(np.random.default_rng(0).permutation(count)[:MOST_POINTS])
        return centres(index, self.signal.shape), targets.of(targets.flat[index])
