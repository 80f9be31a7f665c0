"""From a scene and settings to a run folder with weights, views and scores; and back from the folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from warnings import warn

import torch
from torch import Tensor

from recon.fields import FIELDS
from recon.geometry import Space
from recon.metrics.image import Lpips
from recon.rendering.accelerated import accelerate
from recon.rendering.depth_picture import colour_picture
from recon.rendering.picture import write_png
from recon.runtime import Precision, Runtime
from recon.scenes.scene import Scene
from recon.tasks.bench import Bench
from recon.tasks.nerf.fitted import Fitted
from recon.tasks.nerf.job import NerfJob, build_lit, build_voxels, part_of
from recon.tasks.nerf.reference import Reference, read_reference, reference_of, write_reference
from recon.tasks.nerf.scores import mean_scores, picture_sheets, score_views
from recon.tasks.nerf.settings import PRESETS, NerfSettings, Preset, preset
from recon.tasks.preflight import refuse_impossible
from recon.tasks.rebuild import rebuilt
from recon.training import checkpoint
from recon.training.job import OnStep
from recon.training.lock import holding
from recon.training.loop import Outcome, train
from recon.training.progress import peak_memory
from recon.training.run import Run
from recon.training.settings import from_plain, inputs_of, machine_of, misfits_in_words, to_plain

GLANCE = 128
"""Longest side of the pictures that are rendered while training."""


@dataclass(frozen=True)
class Plan:
    """A scene run before it starts."""

    field_name: str
    preset: Preset
    settings: NerfSettings
    precision: Precision = "float32"
    """Of products, as the run began: resumed with another, it would not be the same run."""
    threads: int = 0
    """Of a CPU, as they were asked for: sums of other parts end in other bits."""
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What was typed of the scene, to read it again."""

    def as_settings(self) -> dict[str, Any]:
        """For `config.json`."""
        machine = {"precision": self.precision, "threads": self.threads}
        return {"preset": self.preset, **machine, **to_plain(self.settings)}


def start(
    plan: Plan, scene: Scene, space: Space, downscale: int, out: Path | None = None, *, latest: bool = True
) -> Run:
    """Make the run folder with everything that it needs to stand alone; nothing is made for a plan that can't work."""
    check(plan, scene, space)
    reference = reference_of(scene, space, downscale)
    return Run.create(
        *("nerf", scene.name, plan.field_name, plan.as_settings(), out),
        inputs=plan.inputs,
        latest=latest,
        fill=lambda folder: write_reference(folder, reference),
    )


def check(plan: Plan, scene: Scene, space: Space) -> None:
    """Raises ValueError where the settings do not go with the scene, or need more memory than there is."""
    with torch.device("meta"):  # all checks of the field's own, but no memory
        parts = [build_lit(plan.settings, space)]
        parts += [build_voxels(plan.settings, space)] if plan.settings.voxels.share else []
    refuse_impossible(parts)
    if scene.white and plan.settings.background == "black":
        raise ValueError(
            "these pictures show their object on white without alpha: a field on black could not match them"
        )


def fit(
    plan: Plan,
    scene: Scene,
    run: Run,
    bench: Bench,
    *,
    resume: bool = False,
    stop_after: int | None = None,
    watch: Callable[[NerfJob], OnStep] | None = None,
) -> tuple[Fitted, Outcome]:
    """Train (or go on training) the field of a run. What it leaves is in the run's checkpoint.

    `watch` is given the job as training begins; what it returns hears of each step."""
    with holding(run.folder):
        reference = read_reference(run.folder)
        torch.manual_seed(plan.settings.train.seed)
        bench.say(f"kernels: {accelerate(bench.run_on.device, bench.say)}")
        job = _Glancing(plan, scene, reference, bench.run_on, run.folder / "images" / "training")
        bench.lap("building")
        if resume and not checkpoint.exists(run.checkpoints):
            resume = False  # it was stopped before its first checkpoint
        on_step = watch(job) if watch else None
        outcome = train(job, job.plan, run, resume=resume, stop_after=stop_after, on_step=on_step, quiet=bench.quiet)
        bench.lap("training")
        return _fitted(job, reference), outcome


class _Glancing(NerfJob):
    """The job that renders a held-out view, small, at each periodic checkpoint."""

    def __init__(self, plan: Plan, scene: Scene, reference: Reference, run_on: Runtime, folder: Path) -> None:
        super().__init__(scene, reference.space, plan.settings, run_on)
        self._reference, self._folder = reference, folder

    def quick_score(self) -> dict[str, float]:
        """Draws the first held-out view in small, by the voxels while only they have learned. It returns no score: a
        held-out view must not choose a checkpoint."""
        reference, lit = self._reference, self.lit
        if self.voxels is not None and self.stage == "voxels":
            lit = self.voxels
        fitted = Fitted(lit, reference, self.run_on.device, background_of(self.settings))
        camera = reference.cameras.select([reference.test[0]])
        factor = max(1, -(-max(camera.height, camera.width) // GLANCE))
        height, width = max(1, camera.height // factor), max(1, camera.width // factor)
        picture = fitted.render(camera.resized(height, width), 0).rgb
        lit.train()
        truth = reference.truth(0, fitted.background).permute(2, 0, 1)[None]
        truth = torch.nn.functional.interpolate(truth, (height, width), mode="area")[0].permute(1, 2, 0)
        self._folder.mkdir(parents=True, exist_ok=True)
        write_png(self._folder / f"{self.step + 1:06d}.png", colour_picture(torch.cat([truth, picture], dim=1)))
        return {}


def _fitted(job: NerfJob, reference: Reference) -> Fitted:
    return Fitted(job.lit, reference, job.run_on.device, background_of(job.settings))


def background_of(settings: NerfSettings) -> Tensor:
    """What views are shown and scored on."""
    return torch.full((3,), 0.0 if settings.background == "black" else 1.0)


# -- what a run leaves ------------------------------------------------------------------------------------------------


def finish(
    plan: Plan, fitted: Fitted, outcome: Outcome, run: Run, bench: Bench, *, lpips: Lpips | None = None
) -> dict[str, Any]:
    """Render, score and draw; writes and returns `metrics.json`."""
    bench.say(f"rendering {len(fitted.reference.test)} held-out views")
    images = run.folder / "images"
    images.mkdir(exist_ok=True)
    metrics = evaluate(plan, fitted, run, bench, lpips=lpips, folder=images)
    sheets = picture_sheets(fitted, metrics["rows"], images)
    bench.lap("pictures")
    kept = {f"test_{index:03d}": f"images/test_{index:03d}.png" for index in range(len(metrics["rows"]))}
    metrics |= {
        "steps": outcome.step,
        "status": outcome.status,
        "seconds": round(outcome.seconds, 3),
        "files": {"images": {**sheets, **kept}},
        "timings": bench.timings,
        "peak_memory": peak_memory(),
        "warnings": [*outcome.warnings, *((outcome.reason,) if outcome.reason else ())],
    }
    run.write_metrics(metrics)
    return metrics


def evaluate(
    plan: Plan, fitted: Fitted, run: Run, bench: Bench, *, lpips: Lpips | None = None, folder: Path | None = None
) -> dict[str, Any]:
    """The scores of a run on its held-out views, with what they mean. Needs nothing but the run folder."""
    rows = score_views(fitted, folder, lpips)
    bench.lap("scores")
    scores, definitions = mean_scores(rows, lpips is not None)
    reference, radiance = fitted.reference, fitted.lit.radiance
    return {
        "task": "nerf",
        "data": reference.name,
        "field": plan.field_name,
        "preset": plan.preset,
        "params": sum(p.numel() for p in radiance.parameters()),
        "macs": radiance.macs(),
        "steps": None,
        "seconds": None,
        "device": bench.run_on.line(),
        "run": str(run.folder),
        "files": {},
        "scores": scores,
        "definitions": definitions,
        "rows": rows,
        "size": [reference.cameras.width, reference.cameras.height],
        "views": {name: len(index) for name, index in reference.splits.items()},
        "space": reference.space.kind,
        "notes": list(reference.notes),
        "settings": to_plain(plan.settings.field),
    }


def reopen(run: Run, run_on: Runtime) -> tuple[Plan, Fitted, checkpoint.Checkpoint, list[str]]:
    """Everything about a finished or interrupted run, from its folder alone; warnings name what no longer fits."""
    accelerate(run_on.device, lambda line: warn(line, stacklevel=2))
    plan, warnings = read_plan(run)
    saved, reference = checkpoint.load(run.checkpoints), read_reference(run.folder)
    lit = rebuilt(lambda: build_lit(plan.settings, reference.space), part_of(saved.model, "lit"), run.folder)
    lit.refresh()
    fitted = Fitted(lit.to(run_on.device), reference, run_on.device, background_of(plan.settings))
    return plan, fitted, saved, [*warnings, *saved.warnings]


def read_plan(run: Run) -> tuple[Plan, list[str]]:
    """The plan in a run's `config.json`, laid over today's defaults."""
    return plan_of(run.read_config(), run.folder)


def plan_of(config: Mapping[str, Any], where: Path) -> tuple[Plan, list[str]]:
    """The plan in a config that was read from `where`; warnings name what no longer fits."""
    task, field_name = config["task"], config["field"]
    if task != "nerf":
        raise ValueError(f"{where} is a run of '{task}', not of a scene")
    if field_name not in FIELDS:
        raise ValueError(f"{where} used the field '{field_name}', which is unknown here; known: {', '.join(FIELDS)}")
    saved = dict(config["settings"])
    name = saved.pop("preset", None)
    how = machine_of(saved)
    try:
        name = name if name in PRESETS else "quick"
        settings, misfits = from_plain(preset(name, field_name), saved)
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{where}: its config.json holds settings that can't be used: {error}") from None
    return Plan(field_name, name, settings, *how, inputs_of(config)), misfits_in_words(config, misfits)
