"""`recon sdf` and `recon occ`: learn a shape, or go on with a run that was stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import tyro

from recon import runtime
from recon.commands.common import (
    be_quiet,
    parse_settings,
    print_files,
    print_json,
    print_scores,
    refuse_misspelt,
    say,
    take_name,
)
from recon.commands.machine import EXIT, Machine, check_stop, take_resume
from recon.data.find import cache_home
from recon.data.load import load
from recon.fields import FIELDS
from recon.report.page import write_report
from recon.shapes.load import MAX_FACES
from recon.shapes.sampling import SAMPLERS
from recon.tasks.bench import Bench
from recon.tasks.shape.reference import read_reference
from recon.tasks.shape.run import Plan, finish, fit, read_plan, start
from recon.tasks.shape.settings import DEFAULT_FIELD, PRESETS, Preset, Task, preset
from recon.training.run import Run


@dataclass(frozen=True)
class Fit(Machine):
    """Flags of a new run that are not settings."""

    shape: str = "idol"
    """A file, a name in datasets/ or the folders of RECON_DATA, or a procedural shape: idol, filigree, rings."""
    steps: int | None = None
    """Optimiser steps; rescales every stage and schedule of the preset."""
    stop_after: int | None = None
    """Stop after this many steps, as an interruption would; --resume goes on."""
    seed: int = 0
    """Of weights and batches."""
    out: Path | None = None
    """Folder of the run; default renders/TASK/SHAPE/FIELD/TIME."""
    repair: bool = False
    """Fill holes and fix the winding first; shows volume and area before and after."""
    max_faces: int = MAX_FACES
    """Refuse meshes of more faces than this."""
    protocol: Literal["default", "paper"] = "default"
    """How it is scored: exactly, or as Neural Experts' paper did."""


@dataclass(frozen=True)
class Resume(Machine):
    """Flags of a run that goes on; its settings are in its folder."""

    stop_after: int | None = None
    """Stop after this many steps in all."""


def main(name: str, argv: Sequence[str]) -> int:
    """Parse, train, finish, print."""
    task: Task = "occ" if name == "occ" else "sdf"
    resumed, rest = take_resume(argv)
    if resumed is not None:
        return _resume(task, resumed, tyro.cli(Resume, args=rest, prog=f"recon {name} --resume RUN"))
    flags, plan = _parse(task, rest)
    check_stop(flags.stop_after)
    voice = be_quiet if flags.quiet else say
    run_on = runtime.start(flags.device, flags.precision, flags.seed, flags.threads, flags.malloc)
    plan = replace(plan, precision=run_on.precision)
    voice(_headline(plan, flags.shape, run_on))
    bench = Bench(run_on, cache_home(), voice, flags.quiet)
    shape = load(
        flags.shape, centre=plan.settings.centre, repair=flags.repair, max_faces=flags.max_faces, seed=flags.seed
    )
    if task == "occ" and shape.mesh is None:
        raise ValueError(f"{flags.shape} is a point cloud, which has no inside for recon occ to learn; use recon sdf")
    for line in shape.repair.lines() if shape.repair else []:
        voice(f"repair: {line}")
    for line in shape.report.lines() if shape.report else []:
        voice(f"mesh: {line}")
    for line in shape.report.warnings() if shape.report else []:
        say(f"warning: {line}")
    run = start(plan, shape, bench, flags.out)
    return _complete(plan, shape, run, bench, flags, resume=False)


def _resume(task: Task, name: str, flags: Resume) -> int:
    check_stop(flags.stop_after)
    run = Run.open(name)
    plan, warnings = read_plan(run)
    if plan.task != task:
        raise ValueError(
            f"{run.folder} is a run of recon {plan.task}; resume it with: recon {plan.task} --resume {name}"
        )
    voice = be_quiet if flags.quiet else say
    precision = plan.precision if flags.precision == "auto" else flags.precision
    run_on = runtime.start(flags.device, precision, plan.settings.train.seed, flags.threads, flags.malloc)
    shape = read_reference(run.folder)
    voice(_headline(plan, f"{shape.name} (resuming {run.folder})", run_on))
    for text in warnings:
        say(f"warning: {text}")
    return _complete(plan, shape, run, Bench(run_on, cache_home(), voice, flags.quiet), flags, resume=True)


def _complete(plan: Plan, shape: Any, run: Run, bench: Bench, flags: Fit | Resume, *, resume: bool) -> int:
    fitted, outcome = fit(plan, shape, run, bench, resume=resume, stop_after=flags.stop_after)
    if outcome.status != "done":
        say(f"{outcome.status} at step {outcome.step}{': ' + outcome.reason if outcome.reason else ''}")
    metrics = finish(plan, fitted, outcome, run, bench)
    metrics["files"]["report"] = write_report(run).name
    run.write_metrics(metrics)
    if flags.json:
        print_json(metrics)
    else:
        print(f"{plan.task} of {shape.name}: {metrics['params']:,} parameters, {metrics['seconds']:.0f} s of training")
        print_scores(metrics["scores"])
        print_files(run.folder, {**metrics["files"], "scores": "metrics.json"})
    if outcome.status in ("stopped", "interrupted"):
        say(f"go on with: recon {plan.task} --resume {run.folder}")
    return EXIT[outcome.status]


def _headline(plan: Plan, data: str, run_on: runtime.Runtime) -> str:
    steps = f"{plan.settings.train.steps:,} steps"
    return f"recon {plan.task}: {data} with {plan.field_name}, preset {plan.preset} ({steps}), on {run_on.line()}"


def _parse(task: Task, argv: Sequence[str]) -> tuple[Any, Plan]:
    """Names first, for they decide which other flags there are and what they default to; then everything else."""
    field_name, rest = take_name(argv, "--field", FIELDS)
    preset_name, rest = take_name(rest, "--preset", PRESETS)
    sampler, rest = take_name(rest, "--sampler", SAMPLERS)
    refuse_misspelt(rest, ("--field", "--preset", "--sampler", "--resume"))
    field_name = field_name or DEFAULT_FIELD[task]
    chosen: Preset = preset_name or ("small" if runtime.has_gpu() else "quick")  # pyright: ignore[reportAssignmentType]
    settings = preset(task, chosen, field_name)
    if sampler:
        settings = replace(settings, sampler=SAMPLERS[sampler])
    names = {"field": FIELDS, "preset": PRESETS, "sampler": SAMPLERS}
    whose = f"{field_name}, {chosen}"
    flags, settings = parse_settings(rest, Fit, settings, prog=f"recon {task}", names=names, whose=whose)
    return flags, Plan(task, field_name, chosen, settings, flags.protocol)
