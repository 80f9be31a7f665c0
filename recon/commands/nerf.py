"""`recon nerf`: learn a radiance field from posed pictures, or go on with a run that was stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recon import runtime
from recon.commands.again import flags_again, lasting, read_again, refuse_other_kind
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
from recon.commands.flags import read_flags
from recon.commands.machine import EXIT, Machine, check_stop, take_run
from recon.commands.report import report_of
from recon.data.find import FIGURINES, cache_home
from recon.fields import FIELDS
from recon.files import printable
from recon.metrics.image import Lpips
from recon.scenes.region import Kind, space_for
from recon.scenes.scene import Scene
from recon.tasks.bench import Bench
from recon.tasks.named_scene import named_scene
from recon.tasks.nerf.needs import needs_of
from recon.tasks.nerf.reference import NAME as REFERENCE
from recon.tasks.nerf.reference import read_reference
from recon.tasks.nerf.run import Plan, check, finish, fit, plan_of, read_plan, start
from recon.tasks.nerf.settings import DEFAULT_FIELD, PRESETS, preset
from recon.tasks.preflight import foresee
from recon.training.lock import holding
from recon.training.run import Run


@dataclass(frozen=True)
class Fit(Machine):
    """Flags of a new run that are not settings."""

    scene: str = FIGURINES
    """A folder of posed pictures (NSVF, Blender, instant-ngp or nerfstudio, LLFF, COLMAP), a name in datasets/ or the
    folders of RECON_DATA, or figurines, which is made at first use."""
    downscale: int = 1
    """Average this many pixels of the files along each side into one."""
    space: Kind = "auto"
    """What the field covers: a box, a contraction of all space, or a forward-facing frustum (ndc)."""
    steps: int | None = None
    """Optimiser steps; rescales every stage and schedule of the preset."""
    stop_after: int | None = None
    """Stop after this many steps, as an interruption would; --resume goes on."""
    seed: int = 0
    """Of weights and batches."""
    out: Path | None = None
    """Folder of the run; default renders/nerf/SCENE/FIELD/TIME."""
    lpips_weights: Path | None = None
    """A safetensors file with LPIPS's backbone and heads (README); without it, lpips is null."""


@dataclass(frozen=True)
class Resume(Machine):
    """Flags of a run that goes on; its settings are in its folder, its pictures where they were."""

    stop_after: int | None = None
    """Stop after this many steps in all."""
    scene: str | None = None
    """Where the scene is now, if it was moved."""
    lpips_weights: Path | None = None
    """A safetensors file with LPIPS's backbone and heads."""


def main(name: str, argv: Sequence[str]) -> int:
    """Parse, train, finish, print."""
    del name
    resumed, rest = take_run(argv, "--resume")
    if resumed is not None:
        return _resume(resumed, read_flags(Resume, rest, "recon nerf --resume RUN"))
    flags, plan, old = _parse(rest)
    check_stop(flags.stop_after)
    lpips = Lpips(flags.lpips_weights) if flags.lpips_weights else None
    voice = be_quiet if flags.quiet else say
    run_on = runtime.start(flags.device, flags.precision, flags.seed, flags.threads, flags.malloc)
    plan = replace(plan, precision=run_on.precision)
    voice(_headline(plan, flags.scene, run_on))
    bench = Bench(run_on, cache_home(), voice, flags.quiet)
    scene = _load(flags, old, bench)
    space = space_for(scene, flags.space)
    voice(describe(scene, space.kind))
    bench.lap("reading")
    check(plan, scene, space)
    foresee(needs_of(plan, scene.cameras, space, bench), bench, flags.out)
    run = start(plan, scene, space, flags.downscale, flags.out)
    return _complete(plan, scene, run, bench, flags, lpips=lpips)


def _load(flags: Fit, old: Path | None, bench: Bench) -> Scene:
    """The scene; of a run that is begun again, a warning if it is not the one that the old run learned."""
    try:
        scene = named_scene(flags.scene, flags.downscale, bench.say)
    except FileNotFoundError as error:
        if old is None:
            raise
        raise FileNotFoundError(f"{error}; the run in {old} learned it: say where it is with --scene") from None
    if old and (old / REFERENCE).is_file() and not read_reference(old).fits(scene):
        say(f"warning: {flags.scene} has other pictures than the run in {old} learned; the result will differ")
    return scene


def _resume(name: str, flags: Resume) -> int:
    check_stop(flags.stop_after)
    lpips = Lpips(flags.lpips_weights) if flags.lpips_weights else None
    run = Run.open(name)
    plan, warnings = read_plan(run)
    reference = read_reference(run.folder)
    voice = be_quiet if flags.quiet else say
    precision = plan.precision if flags.precision == "auto" else flags.precision
    threads = flags.threads or plan.threads
    run_on = runtime.start(flags.device, precision, plan.settings.train.seed, threads, flags.malloc)
    voice(_headline(plan, f"{reference.name} (resuming {run.folder})", run_on))
    for text in warnings:
        say(f"warning: {text}")
    bench = Bench(run_on, cache_home(), voice, flags.quiet)
    if flags.scene is None and not reference.folder.is_dir():
        raise FileNotFoundError(
            f"the pictures of {run.folder} were in {reference.folder}, which is gone; say where with --scene FOLDER"
        )
    scene = named_scene(flags.scene or str(reference.folder), reference.downscale, bench.say)
    if not reference.fits(scene):
        raise ValueError(f"{scene.folder} holds other pictures than those that {run.folder} was begun with")
    bench.lap("reading")
    return _complete(plan, scene, run, bench, flags, resume=True, lpips=lpips)


def describe(scene: Scene, kind: str) -> str:
    """One line about a scene as it was read."""
    counts = ", ".join(f"{len(views)} {split}" for split, views in scene.splits.items())
    size = f"{scene.cameras.width}x{scene.cameras.height}"
    alpha = ", with alpha" if scene.has_alpha else ""
    return f"scene: {scene.name} ({scene.layout}), views: {counts}, {size}{alpha}; space: {kind}"


def _complete(
    plan: Plan,
    scene: Scene,
    run: Run,
    bench: Bench,
    flags: Fit | Resume,
    *,
    resume: bool = False,
    lpips: Lpips | None = None,
) -> int:
    with holding(run.folder):
        fitted, outcome = fit(plan, scene, run, bench, resume=resume, stop_after=flags.stop_after)
        if outcome.status != "done":
            say(f"{outcome.status} at step {outcome.step}{': ' + outcome.reason if outcome.reason else ''}")
        try:
            metrics = finish(plan, fitted, outcome, run, bench, lpips=lpips)
        except KeyboardInterrupt:
            say(f"what was learned is kept; its views come with: recon nerf --resume {run.folder}")
            raise
        metrics["files"]["report"] = report_of(run, bench.run_on).name
        run.write_metrics(metrics)
    if flags.json:
        print_json(metrics)
    else:
        facts = f"{metrics['params']:,} parameters, {metrics['seconds']:.0f} s of training"
        print(printable(f"nerf of {scene.name}: {facts}"))
        print_scores(metrics["scores"], ("psnr", "ssim", "lpips"))
        images = {"images": {name: "" for name in ("views", "inside", "test_...")}}
        print_files(run.folder, {**metrics["files"], **images, "scores": "metrics.json"})
    if outcome.status in ("stopped", "interrupted"):
        say(f"go on with: recon nerf --resume {run.folder}")
    return EXIT[outcome.status]


def _headline(plan: Plan, data: str, run_on: runtime.Runtime) -> str:
    steps = f"{plan.settings.train.steps:,} steps"
    return f"recon nerf: {data} with {plan.field_name}, preset {plan.preset} ({steps}), on {run_on.line()}"


def _parse(argv: Sequence[str]) -> tuple[Any, Plan, Path | None]:
    """Names first, for they decide which other flags there are and what they default to; then everything else. And the
    folder of the old run, where one is begun again."""
    again, rest = take_run(argv, "--config")
    field_name, rest = take_name(rest, "--field", FIELDS)
    preset_name, rest = take_name(rest, "--preset", PRESETS)
    refuse_misspelt(rest, ("--field", "--preset", "--resume", "--config"))
    old, given = None, {}
    if again is not None:
        config, old = read_again("nerf", again)
        plan, warnings = plan_of(config, old)
        refuse_other_kind(
            again, {"field": plan.field_name, "preset": plan.preset}, {"field": field_name, "preset": preset_name}
        )
        given, more = flags_again(config, plan.inputs, Fit, "scene")
        for text in (*warnings, *more):
            say(f"warning: {text}")
        given |= {"seed": plan.settings.train.seed, "threads": plan.threads, "precision": plan.precision}
    else:
        field_name = field_name or DEFAULT_FIELD
        chosen: Any = preset_name or ("best" if runtime.has_gpu() else "quick")
        plan = Plan(field_name, chosen, preset(chosen, field_name))
    names = {"field": FIELDS, "preset": PRESETS}
    whose = f"{plan.field_name}, {plan.preset}"
    flags, settings = parse_settings(rest, Fit, plan.settings, prog="recon nerf", names=names, whose=whose, given=given)
    inputs = {"scene": lasting(flags.scene), "downscale": flags.downscale, "space": flags.space}
    return flags, replace(plan, settings=settings, threads=flags.threads, inputs=inputs), old
