"""`recon fit`: learn a picture, a sound or a film, or go on with a run that was stopped."""

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
from recon.data.find import find_signal
from recon.fields import FIELDS
from recon.signals.kinds import BY_SUFFIX, FORMATS
from recon.signals.prepare import Preparation, prepared
from recon.signals.read import read_signal
from recon.signals.segments import read_segments
from recon.signals.signal import Kind, Signal
from recon.signals.store import NAME as REFERENCE
from recon.signals.store import read_store
from recon.tasks.bench import Bench
from recon.tasks.preflight import foresee
from recon.tasks.signal.needs import needs_of
from recon.tasks.signal.run import Plan, check, finish, fit, plan_of, read_plan, start
from recon.tasks.signal.settings import DEFAULT_FIELD, PRESETS, preset
from recon.training.run import Run

INPUTS = ("frames", "seconds", "mono", "downscale", "square")
"""Flags that say what is taken of a signal."""


@dataclass(frozen=True)
class Fit(Machine):
    """Flags of a new run that are not settings."""

    signal: str = ""
    """A picture, a sound, a film or a folder of frames; or a name in datasets/ or the folders of RECON_DATA."""
    frames: int | None = None
    """Films: the first so many frames."""
    seconds: float | None = None
    """Sounds, films: the first so many seconds."""
    mono: bool = False
    """Sounds: the mean of all channels."""
    downscale: int = 1
    """Pictures, films: the side of the square of pixels that becomes one (Lanczos)."""
    square: bool = False
    """Pictures, films: the square in the middle alone."""
    segments: str | None = None
    """Who speaks when (JSON of times), or what lies where (a picture of labels, as large as what is learned):
    neural-experts give each an expert."""
    steps: int | None = None
    """Optimiser steps; rescales every stage and schedule of the preset."""
    stop_after: int | None = None
    """Stop after this many steps, as an interruption would; --resume goes on."""
    seed: int = 0
    """Of weights and batches."""
    out: Path | None = None
    """Folder of the run; default renders/fit/SIGNAL/FIELD/TIME."""


@dataclass(frozen=True)
class Resume(Machine):
    """Flags of a run that goes on; its settings and its signal are in its folder."""

    stop_after: int | None = None
    """Stop after this many steps in all."""


def main(name: str, argv: Sequence[str]) -> int:
    """Parse, train, finish, print."""
    del name
    resumed, rest = take_run(argv, "--resume")
    if resumed is not None:
        return _resume(resumed, read_flags(Resume, rest, "recon fit --resume RUN"))
    flags, plan, signal, old = _parse(rest)
    segments = read_segments(Path(flags.segments).expanduser(), signal) if flags.segments else None
    check_stop(flags.stop_after)
    run_on = runtime.start(flags.device, flags.precision, flags.seed, flags.threads, flags.malloc)
    plan = replace(plan, precision=run_on.precision)
    bench = begin("fit", plan, signal.name, flags, run_on)
    bench.say(describe(signal))
    if old and (old / REFERENCE).is_file() and read_store(old).content_hash() != signal.content_hash():
        say(f"warning: {flags.signal} is not what the run in {old} learned; the result will differ")
    check(plan, signal, segments)
    foresee(needs_of(plan, signal, bench), bench, flags.out)
    run = start(plan, signal, bench, flags.out, segments=segments)
    return _complete(plan, signal, run, bench, flags, resume=False)


def describe(signal: Signal) -> str:
    """One line about a signal as it was read."""
    size = " x ".join(map(str, signal.shape))
    rate = {"image": "", "sound": f" at {signal.rate:g} Hz", "video": f" at {signal.rate:g} frames a second"}
    notes = "".join(f"; {note}" for note in signal.notes)
    channels = f"{signal.channels} channel{'s' * (signal.channels > 1)}"
    return f"{signal.kind}: {size}, {channels}, {signal.values.dtype}{rate[signal.kind]}{notes}"


def _resume(name: str, flags: Resume) -> int:
    check_stop(flags.stop_after)
    run = Run.open(name)
    signal = read_store(run.folder)
    plan, warnings = read_plan(run)
    bench = go_on("fit", plan, signal.name, run, flags, warnings=warnings)
    return _complete(plan, signal, run, bench, flags, resume=True)


def _complete(plan: Plan, signal: Signal, run: Run, bench: Bench, flags: Fit | Resume, *, resume: bool) -> int:
    def show(metrics: dict[str, Any]) -> None:
        sizes = metrics["bytes"]
        title = f"{signal.kind} {signal.name}, {sizes['field']:,} bytes (the file has {sizes['file']:,})"
        show_result(title, run, metrics, tuple(metrics["scores"]))

    return complete(
        *("fit", run, bench, flags),
        fit=lambda: fit(plan, signal, run, bench, resume=resume, stop_after=flags.stop_after),
        finish=lambda fitted, outcome: finish(plan, fitted, outcome, run, bench),
        show=show,
    )


def _parse(argv: Sequence[str]) -> tuple[Fit, Plan, Signal, Path | None]:
    """What was typed, and the signal; its kind decides which settings a field has, and the file has the last word. And
    the folder of the old run, where one is begun again."""
    name, _ = take_run(argv, "--signal")
    asked = {"-h", "--help"} & set(argv)
    kind = _likely_kind(name) if name and not asked else None
    flags, plan, old = _parse_as(argv, kind)
    if not flags.signal:
        raise ValueError("recon fit wants --signal FILE: a picture, a sound, a film, or a folder of frames")
    try:
        path = find_signal(flags.signal)
    except FileNotFoundError as error:
        if old is None:
            raise
        raise FileNotFoundError(f"{error}; the run in {old} learned it: say where it is with --signal") from None
    how = Preparation(flags.downscale, flags.square, flags.seconds, flags.mono)
    signal = prepared(read_signal(path, most_frames=flags.frames), how)
    if signal.kind != plan.kind:
        flags, plan, old = _parse_as(argv, signal.kind)
    return flags, plan, signal, old


def _likely_kind(name: str) -> Kind | None:
    """By the file's name alone."""
    try:
        path = find_signal(name)
    except FileNotFoundError:
        return None  # what is typed beside it is judged first
    if path.is_dir():
        return "video"
    form = BY_SUFFIX.get(path.suffix.lower())
    return FORMATS[form].kind if form else None


def _parse_as(argv: Sequence[str], kind: Kind | None) -> tuple[Any, Plan, Path | None]:
    """Names first, for they decide which other flags there are and what they default to; then everything else."""
    again, rest = take_run(argv, "--config")
    field_name, rest = take_name(rest, "--field", FIELDS)
    preset_name, rest = take_name(rest, "--preset", PRESETS)
    refuse_misspelt(rest, ("--field", "--preset", "--resume", "--config"))
    old, given = None, {}
    if again is not None:
        typed = {"field": field_name, "preset": preset_name}
        plan, old, given = begin_again("fit", again, plan_of, Fit, data="signal", typed=typed)
        if kind not in (None, plan.kind):
            raise ValueError(f"{again} learned a signal of another kind ({plan.kind}) than {kind}")
    else:
        what: Kind = kind or "image"
        chosen: Any = preset_name or ("best" if runtime.has_gpu() else "quick")
        field_name = field_name or DEFAULT_FIELD[what]
        plan = Plan(what, field_name, chosen, preset(what, chosen, field_name))
    names = {"field": FIELDS, "preset": PRESETS}
    whose = f"{plan.field_name}, {plan.preset}, of a {plan.kind}"
    flags, settings = parse_settings(rest, Fit, plan.settings, prog="recon fit", names=names, whose=whose, given=given)
    inputs: dict[str, Any] = {name: getattr(flags, name) for name in INPUTS}
    inputs["signal"] = lasting(flags.signal)
    inputs["segments"] = lasting(flags.segments) if flags.segments else None
    return flags, replace(plan, settings=settings, threads=flags.threads, inputs=inputs), old
