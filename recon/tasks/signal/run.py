"""From a signal and settings to a run folder with weights, reconstruction, pictures and scores; and back from it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from recon.fields import FIELDS, Field
from recon.fields.asmr import Asmr
from recon.fields.neural_experts import NeuralExperts
from recon.runtime import Precision
from recon.signals.segments import Segments, stored_segments, write_segments
from recon.signals.signal import Kind, Signal
from recon.signals.store import read_store, write_store
from recon.signals.write import write_signal
from recon.tasks.bench import Bench
from recon.tasks.preflight import refuse_impossible
from recon.tasks.pretrain import Pretraining, pretrain, pretraining_seconds
from recon.tasks.rebuild import rebuilt
from recon.tasks.signal.fitted import Fitted
from recon.tasks.signal.job import SignalJob, uniform_points
from recon.tasks.signal.labels import check_segments, labels_of
from recon.tasks.signal.pictures import draw
from recon.tasks.signal.scores import score
from recon.tasks.signal.settings import DEFAULT_FIELD, PRESETS, Preset, SignalSettings, preset
from recon.training import checkpoint
from recon.training.job import OnStep
from recon.training.lock import holding
from recon.training.loop import Outcome, train
from recon.training.progress import peak_memory
from recon.training.run import Run
from recon.training.settings import from_plain, inputs_of, machine_of, misfits_in_words, to_plain

TASK = "fit"


@dataclass(frozen=True)
class Plan:
    """A signal run before it starts."""

    kind: Kind
    field_name: str
    preset: Preset
    settings: SignalSettings
    precision: Precision = "float32"
    """Of products, as the run began: resumed with another, it would not be the same run."""
    threads: int = 0
    """Of a CPU, as they were asked for: sums of other parts end in other bits."""
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What was typed of the signal, to read it again."""

    def as_settings(self) -> dict[str, Any]:
        """For `config.json`."""
        facts = {"kind": self.kind, "preset": self.preset, "precision": self.precision, "threads": self.threads}
        return {**facts, **to_plain(self.settings)}


def build(plan: Plan, signal: Signal) -> Field:
    """The field for this signal's grid, freshly initialised."""
    config = plan.settings.field.for_grid(signal.shape)
    return config.build(len(signal.shape), signal.channels)


def check(plan: Plan, signal: Signal, segments: Segments | None = None) -> None:
    """Raises ValueError where field, signal and segments do not go together, or need more memory than there is."""
    check_segments(plan.settings, plan.field_name, segments)
    with torch.device("meta"):
        refuse_impossible([build(plan, signal)])


def start(
    plan: Plan,
    signal: Signal,
    bench: Bench,
    out: Path | None = None,
    *,
    segments: Segments | None = None,
    latest: bool = True,
) -> Run:
    """Make the run folder with everything that it needs to stand alone; nothing is made for a plan that can't work."""
    check(plan, signal, segments)

    def fill(folder: Path) -> None:
        write_store(folder, signal)
        if segments is not None:
            write_segments(folder, segments)

    names = TASK, signal.name, plan.field_name
    run = Run.create(*names, plan.as_settings(), out, inputs=plan.inputs, fill=fill, latest=latest)
    bench.lap("reading")
    return run


def fit(
    plan: Plan,
    signal: Signal,
    run: Run,
    bench: Bench,
    *,
    resume: bool = False,
    stop_after: int | None = None,
    watch: Callable[[SignalJob], OnStep] | None = None,
) -> tuple[Fitted, Outcome]:
    """Train (or go on training) the field of a run. What it leaves is in the run's checkpoint.

    `watch` is given the job as training begins; what it returns hears of each step."""
    with holding(run.folder):
        settings, segments = plan.settings, stored_segments(run.folder)
        torch.manual_seed(settings.train.seed)
        field = build(plan, signal)
        labels = None if segments is None else segments.labels
        job = SignalJob(field, signal, bench.run_on, settings, labels)
        bench.lap("building")
        if settings.pretrains and not checkpoint.exists(run.checkpoints):
            stopped = _pretrain(field, plan, signal, run, bench)
            bench.lap("pretraining_now")
            if stopped:
                return Fitted(field, signal, bench.run_on.device), stopped
        if settings.pretrains:
            bench.timings["pretraining"] = pretraining_seconds(run)
        resume = resume and checkpoint.exists(run.checkpoints)  # it may have been stopped before its first
        staged = settings.staged()
        on_step = watch(job) if watch else None
        outcome = train(job, staged, run, resume=resume, stop_after=stop_after, on_step=on_step, quiet=bench.quiet)
        bench.lap("training")
        return Fitted(field, signal, bench.run_on.device), outcome


def _pretrain(field: Field, plan: Plan, signal: Signal, run: Run, bench: Bench) -> Outcome | None:
    """Teach the manager its first assignment; the outcome if that was stopped."""
    settings, facts = plan.settings, {"points": "cube"}
    labels = labels_of(settings, signal, stored_segments(run.folder))
    if labels is not None and isinstance(field, NeuralExperts):
        field.set_labels(labels.to(bench.run_on.device))
        facts["labels"] = hashlib.sha256(labels.numpy().data).hexdigest()
    how = Pretraining(settings.pretrain, facts, settings.train.seed, uniform_points(len(signal.shape)))
    return pretrain(field, settings.field, how, run, bench)


def finish(plan: Plan, fitted: Fitted, outcome: Outcome, run: Run, bench: Bench) -> dict[str, Any]:
    """Write the reconstruction back in the signal's format, draw and score; writes and returns `metrics.json`."""
    signal = fitted.signal
    bench.say(f"evaluating the {signal.kind} ({' x '.join(map(str, signal.shape))})")
    pred = fitted.values()
    bench.lap("evaluation")
    name = "frames" if signal.subtype == "folder" else f"{signal.kind}{signal.suffix}"
    files: dict[str, Any] = {"signal": write_signal(run.folder / name, signal.denormalised(pred), signal).name}
    bench.lap("export")
    files["images"] = draw(fitted, pred, run.folder / "images")
    bench.lap("pictures")
    metrics = evaluate(plan, fitted, run, bench, pred)
    metrics |= {
        "steps": outcome.step,
        "status": outcome.status,
        "seconds": round(outcome.seconds + bench.timings.get("pretraining", 0.0), 3),
        "files": files,
        "timings": bench.timings,
        "peak_memory": peak_memory(),
        "warnings": [*outcome.warnings, *((outcome.reason,) if outcome.reason else ())],
    }
    run.write_metrics(metrics)
    return metrics


def evaluate(
    plan: Plan, fitted: Fitted, run: Run, bench: Bench, pred: Float[np.ndarray, "..."] | None = None
) -> dict[str, Any]:
    """The scores of a run, with what they mean. Needs nothing but the run folder."""
    signal, field = fitted.signal, fitted.field
    scores = score(fitted.values() if pred is None else pred, signal)
    if (segments := stored_segments(run.folder)) is not None:
        scores = scores.with_agreement(fitted.labels(fitted.parts()[0], signal.shape), segments.labels)
    bench.lap("scores")
    params = sum(p.numel() for p in field.parameters())
    return {
        "task": TASK,
        "data": signal.name,
        "field": plan.field_name,
        "preset": plan.preset,
        "kind": signal.kind,
        "shape": [*signal.shape, signal.channels],
        "params": params,
        "bytes": {"field": sum(p.nbytes for p in field.parameters()), "file": signal.source_bytes},
        "macs": field.macs(),
        "macs_shared": field.shared_macs() if isinstance(field, Asmr) else None,
        "steps": None,
        "seconds": None,
        "device": bench.run_on.line(),
        "run": str(run.folder),
        "files": {},
        "scores": scores.values,
        "definitions": scores.definitions,
        "rows": scores.rows,
        "notes": list(signal.notes),
        "settings": to_plain(plan.settings.field),
    }


def reopen(run: Run, bench: Bench) -> tuple[Plan, Fitted, checkpoint.Checkpoint, list[str]]:
    """Everything about a finished or interrupted run, from its folder alone; warnings name what no longer fits."""
    saved, signal = checkpoint.load(run.checkpoints), read_store(run.folder)
    plan, warnings = read_plan(run)
    field = rebuilt(lambda: build(plan, signal), saved.model, run.folder)
    device = bench.run_on.device
    return plan, Fitted(field.to(device), signal, device), saved, [*warnings, *saved.warnings]


def read_plan(run: Run) -> tuple[Plan, list[str]]:
    """The plan in a run's `config.json`, laid over today's defaults."""
    return plan_of(run.read_config(), run.folder)


def plan_of(config: Mapping[str, Any], where: Path) -> tuple[Plan, list[str]]:
    """The plan in a config that was read from `where`; warnings name what no longer fits."""
    task, field_name = config["task"], config["field"]
    if task != TASK:
        raise ValueError(f"{where} is a run of '{task}', not of a signal")
    if field_name not in FIELDS:
        raise ValueError(f"{where} used the field '{field_name}', which is unknown here; known: {', '.join(FIELDS)}")
    saved = dict(config["settings"])
    kind, name = saved.pop("kind", None), saved.pop("preset", None)
    how = machine_of(saved)
    try:
        kind = kind if kind in DEFAULT_FIELD else "image"
        name = name if name in PRESETS else "quick"
        settings, misfits = from_plain(_defaults(kind, name, field_name), saved)
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{where}: its config.json holds settings that can't be used: {error}") from None
    return Plan(kind, field_name, name, settings, *how, inputs_of(config)), misfits_in_words(config, misfits)


def _defaults(kind: Kind, name: Preset, field_name: str) -> SignalSettings:
    """What saved settings are laid over; not every field of `recon tables` has a preset of its paper's."""
    try:
        return preset(kind, name, field_name)
    except ValueError:
        return preset(kind, "quick", field_name)
