"""Runs from their folders, as results."""

from __future__ import annotations

import os

from recon import runtime
from recon.api.places import cache_folder
from recon.api.result import Trained
from recon.api.scene import SceneResult
from recon.api.shape import ShapeResult
from recon.api.signal import SignalResult
from recon.api.state import fitting
from recon.api.voice import voice, warn
from recon.tasks.bench import Bench
from recon.tasks.nerf import run as scenes
from recon.tasks.shape import run as shapes
from recon.tasks.signal import run as signals
from recon.training.checkpoint import Checkpoint
from recon.training.loop import Outcome
from recon.training.run import Run


def load(
    run: str | os.PathLike[str] = "latest", *, device: runtime.DeviceName = "auto", quiet: bool = True
) -> ShapeResult | SceneResult | SignalResult:
    """A run as a result: the newest whole checkpoint of a finished, stopped or still training run.

    Args:
        run: A folder, a name or path under `renders/`, or "latest".
        device: "cpu", "cuda", or "auto" for CUDA where there is one.
        quiet: Say nothing while scores are evaluated or views rendered.

    Raises:
        FileNotFoundError: There is no such run, or it has no checkpoint yet.
        ValueError: It is damaged, or of neither a shape, a scene nor a signal.
    """
    found = Run.open(os.fspath(run))
    task = found.read_config()["task"]
    if task not in ("sdf", "occ", "nerf", "fit"):
        raise ValueError(f"{found.folder} is a run of '{task}', not of a shape, a scene or a signal")
    with fitting():
        bench = Bench(runtime.start(device, malloc="default"), cache_folder(), voice(quiet), quiet)
        if task == "nerf":
            plan, fitted, saved, warnings = scenes.reopen(found, bench.run_on)
            result = SceneResult(plan, fitted, _trained(found, bench, saved, plan.settings.train.steps))
        elif task == "fit":
            plan, fitted, saved, warnings = signals.reopen(found, bench)
            result = SignalResult(plan, fitted, _trained(found, bench, saved, plan.settings.train.steps))
        else:
            plan, fitted, saved, warnings = shapes.reopen(found, bench.run_on)
            result = ShapeResult(plan, fitted, _trained(found, bench, saved, plan.settings.train.steps))
    for text in warnings:
        warn(text)
    return result


def _trained(run: Run, bench: Bench, saved: Checkpoint, steps: int) -> Trained:
    return Trained(run, bench, _outcome(run, saved, steps))


def _outcome(run: Run, saved: Checkpoint, steps: int) -> Outcome:
    """How training has ended so far."""
    seconds = float(saved.state.get("seconds", 0.0))
    if saved.step >= steps:
        return Outcome("done", saved.step, seconds)
    ends = [row["event"] for row in run.read_log() if row.get("event") in ("stopped", "interrupted", "diverged")]
    return Outcome(ends[-1] if ends else "stopped", saved.step, seconds)
