"""`recon sdf` and `recon occ`: learn a shape, or go on with a run that was stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from recon import runtime
from recon.commands.again import lasting
from recon.commands.common import KEY_SCORES, parse_settings, refuse_misspelt, say, take_name
from recon.commands.flags import read_flags
from recon.commands.learning import begin, begin_again, complete, go_on, show_result
from recon.commands.machine import Machine, check_stop, take_run
from recon.data.load import load
from recon.fields import FIELDS
from recon.shapes.load import MAX_FACES
from recon.shapes.sampling import SAMPLERS
from recon.shapes.shape import Shape
from recon.tasks.bench import Bench
from recon.tasks.preflight import foresee
from recon.tasks.shape.needs import needs_of
from recon.tasks.shape.reference import NAME as REFERENCE
from recon.tasks.shape.reference import read_reference
from recon.tasks.shape.run import Plan, check, finish, fit, plan_of, read_plan, start
from recon.tasks.shape.settings import DEFAULT_FIELD, PRESETS, Task, preset
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
    resumed, rest = take_run(argv, "--resume")
    if resumed is not None:
        return _resume(task, resumed, read_flags(Resume, rest, f"recon {name} --resume RUN"))
    flags, plan, old = _parse(task, rest)
    check_stop(flags.stop_after)
    run_on = runtime.start(flags.device, flags.precision, flags.seed, flags.threads, flags.malloc)
    plan = replace(plan, precision=run_on.precision)
    bench = begin(task, plan, flags.shape, flags, run_on)
    shape = _load(flags, plan, old)
    if task == "occ" and shape.mesh is None:
        raise ValueError(f"{flags.shape} is a point cloud, which has no inside for recon occ to learn; use recon sdf")
    for line in shape.repair.lines() if shape.repair else []:
        bench.say(f"repair: {line}")
    for line in shape.report.lines() if shape.report else []:
        bench.say(f"mesh: {line}")
    for line in shape.report.warnings() if shape.report else []:
        say(f"warning: {line}")
    check(plan)
    foresee(needs_of(plan, bench), bench, flags.out)
    run = start(plan, shape, bench, flags.out)
    return _complete(plan, shape, run, bench, flags, resume=False)


def _load(flags: Fit, plan: Plan, old: Path | None) -> Shape:
    """The shape; of a run that is begun again, a warning if it is not the one that the old run learned."""
    how = {"centre": plan.settings.centre, "repair": flags.repair, "max_faces": flags.max_faces, "seed": flags.seed}
    try:
        shape = load(flags.shape, **how)
    except FileNotFoundError as error:
        if old is None:
            raise
        raise FileNotFoundError(f"{error}; the run in {old} learned it: say where it is with --shape") from None
    if old and (old / REFERENCE).is_file() and read_reference(old).content_hash() != shape.content_hash():
        say(f"warning: {flags.shape} is not the shape that the run in {old} learned; the result will differ")
    return shape


def _resume(task: Task, name: str, flags: Resume) -> int:
    check_stop(flags.stop_after)
    run = Run.open(name)
    plan, warnings = read_plan(run)
    if plan.task != task:
        raise ValueError(
            f"{run.folder} is a run of recon {plan.task}; resume it with: recon {plan.task} --resume {name}"
        )
    shape = read_reference(run.folder)
    bench = go_on(task, plan, shape.name, run, flags, warnings=warnings)
    return _complete(plan, shape, run, bench, flags, resume=True)


def _complete(plan: Plan, shape: Shape, run: Run, bench: Bench, flags: Fit | Resume, *, resume: bool) -> int:
    return complete(
        *(plan.task, run, bench, flags),
        fit=lambda: fit(plan, shape, run, bench, resume=resume, stop_after=flags.stop_after),
        finish=lambda fitted, outcome: finish(plan, fitted, outcome, run, bench),
        show=lambda metrics: show_result(f"{plan.task} of {shape.name}", run, metrics, KEY_SCORES),
    )


def _parse(task: Task, argv: Sequence[str]) -> tuple[Any, Plan, Path | None]:
    """Names first, for they decide which other flags there are and what they default to; then everything else. And the
    folder of the old run, where one is begun again."""
    again, rest = take_run(argv, "--config")
    field_name, rest = take_name(rest, "--field", FIELDS)
    preset_name, rest = take_name(rest, "--preset", PRESETS)
    sampler, rest = take_name(rest, "--sampler", SAMPLERS)
    refuse_misspelt(rest, ("--field", "--preset", "--sampler", "--resume", "--config"))
    old, given = None, {}
    if again is not None:
        typed = {"field": field_name, "preset": preset_name}
        plan, old, given = begin_again(task, again, plan_of, Fit, data="shape", typed=typed)
        given["protocol"] = plan.protocol
    else:
        field_name = field_name or DEFAULT_FIELD[task]
        chosen: Any = preset_name or ("small" if runtime.has_gpu() else "quick")
        plan = Plan(task, field_name, chosen, preset(task, chosen, field_name))
    settings = replace(plan.settings, sampler=SAMPLERS[sampler]) if sampler else plan.settings
    names = {"field": FIELDS, "preset": PRESETS, "sampler": SAMPLERS}
    whose = f"{plan.field_name}, {plan.preset}"
    flags, settings = parse_settings(rest, Fit, settings, prog=f"recon {task}", names=names, whose=whose, given=given)
    inputs = {"shape": lasting(flags.shape), "repair": flags.repair, "max_faces": flags.max_faces}
    typed = {"protocol": flags.protocol, "threads": flags.threads, "inputs": inputs}
    return flags, replace(plan, settings=settings, **typed), old
