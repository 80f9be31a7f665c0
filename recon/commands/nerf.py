"""`recon nerf`: learn a radiance field from posed pictures, or go on with a run that was stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recon import runtime
from recon.commands.again import lasting
from recon.commands.common import parse_settings, refuse_misspelt, say, take_name
from recon.commands.flags import read_flags
from recon.commands.learning import begin, begin_again, complete, go_on, show_result
from recon.commands.machine import Machine, check_stop, take_run
from recon.data.find import FIGURINES
from recon.fields import FIELDS
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
from recon.training.loop import Outcome
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
    run_on = runtime.start(flags.device, flags.precision, flags.seed, flags.threads, flags.malloc)
    plan = replace(plan, precision=run_on.precision)
    bench = begin("nerf", plan, flags.scene, flags, run_on)
    scene = _load(flags, old, bench)
    space = space_for(scene, flags.space)
    bench.say(describe(scene, space.kind))
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
    bench = go_on("nerf", plan, reference.name, run, flags, warnings=warnings)
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
    def finished(fitted: Any, outcome: Outcome) -> dict[str, Any]:
        try:
            return finish(plan, fitted, outcome, run, bench, lpips=lpips)
        except KeyboardInterrupt:
            say(f"what was learned is kept; its views come with: recon nerf --resume {run.folder}")
            raise

    images = {"images": {name: "" for name in ("views", "inside", "test_...")}}
    scores = ("psnr", "ssim", "lpips")
    return complete(
        *("nerf", run, bench, flags),
        fit=lambda: fit(plan, scene, run, bench, resume=resume, stop_after=flags.stop_after),
        finish=finished,
        show=lambda metrics: show_result(f"nerf of {scene.name}", run, metrics, scores, files=images),
    )


def _parse(argv: Sequence[str]) -> tuple[Any, Plan, Path | None]:
    """Names first, for they decide which other flags there are and what they default to; then everything else. And the
    folder of the old run, where one is begun again."""
    again, rest = take_run(argv, "--config")
    field_name, rest = take_name(rest, "--field", FIELDS)
    preset_name, rest = take_name(rest, "--preset", PRESETS)
    refuse_misspelt(rest, ("--field", "--preset", "--resume", "--config"))
    old, given = None, {}
    if again is not None:
        typed = {"field": field_name, "preset": preset_name}
        plan, old, given = begin_again("nerf", again, plan_of, Fit, data="scene", typed=typed)
    else:
        field_name = field_name or DEFAULT_FIELD
        chosen: Any = preset_name or ("best" if runtime.has_gpu() else "quick")
        plan = Plan(field_name, chosen, preset(chosen, field_name))
    names = {"field": FIELDS, "preset": PRESETS}
    whose = f"{plan.field_name}, {plan.preset}"
    flags, settings = parse_settings(rest, Fit, plan.settings, prog="recon nerf", names=names, whose=whose, given=given)
    inputs = {"scene": lasting(flags.scene), "downscale": flags.downscale, "space": flags.space}
    return flags, replace(plan, settings=settings, threads=flags.threads, inputs=inputs), old
