"""`recon eval RUN` and `recon eval mesh PRED TRUE`: scores with their definitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from recon import runtime
from recon.commands.common import be_quiet, kind_of, print_json, print_scores, refuse_flags, say
from recon.commands.flags import read_flags
from recon.commands.machine import Machine
from recon.data.find import cache_home
from recon.files import printable
from recon.metrics.image import Lpips
from recon.tasks.bench import Bench
from recon.tasks.nerf import run as scene_runs
from recon.tasks.pretrain import pretraining_seconds
from recon.tasks.shape import run as shape_runs
from recon.tasks.shape.versus import score_meshes
from recon.tasks.signal import run as signal_runs
from recon.training.run import Run

ACTIONS = {"mesh": "score any mesh against another"}
"""What may come in place of a run."""
WORST = 3
"""Views with the lowest scores that are named."""


@dataclass(frozen=True)
class EvalRun(Machine):
    """Repeat the scores of a run from its folder alone."""

    run: Annotated[str, tyro.conf.Positional] = "latest"
    """A run folder, a name under renders/, or latest. (Or the word mesh: recon eval mesh PRED TRUE.)"""
    protocol: Literal["as run", "default", "paper"] = "as run"
    """Shapes: exact scores, or Neural Experts' paper's; by default what the run used."""
    lpips_weights: Path | None = None
    """Scenes: a safetensors file with LPIPS's backbone and heads (README); without it, lpips is null."""


@dataclass(frozen=True)
class EvalMesh:
    """Score any mesh against another."""

    pred: Annotated[Path, tyro.conf.Positional]
    """The mesh to score."""
    true: Annotated[Path, tyro.conf.Positional]
    """The mesh that is right."""
    frame: Literal["input", "normalised"] = "input"
    """Lengths in the files' own units, on the box of both; or in TRUE's normalised frame, as runs are scored."""
    centre: Literal["box", "mean"] = "box"
    """Centre of TRUE's normalised frame."""
    json: bool = False
    """Print exactly one JSON object on standard output."""
    quiet: bool = False
    """No progress."""


def main(name: str, argv: Sequence[str]) -> int:
    """Parse, score, print."""
    del name
    if argv and argv[0] == "mesh":
        return _mesh(read_flags(EvalMesh, argv[1:], "recon eval mesh"))
    return _run(read_flags(EvalRun, argv, "recon eval"))


def _mesh(flags: EvalMesh) -> int:
    voice = be_quiet if flags.quiet else say
    voice(f"recon eval mesh: {flags.pred} against {flags.true}, frame {flags.frame}, on the cpu")
    result = score_meshes(flags.pred, flags.true, flags.frame, flags.centre)
    for text in result["warnings"]:
        say(f"warning: {text}")
    if flags.json:
        print_json(result)
    else:
        print(f"{flags.pred} against {flags.true} (frame: {flags.frame})")
        print_scores(result["scores"])
    return 0


def _run(flags: EvalRun) -> int:
    run = Run.open(flags.run)
    kind = kind_of(run)
    foreign = {"shape": ["lpips_weights"], "scene": ["protocol"], "signal": ["lpips_weights", "protocol"]}
    refuse_flags(flags, foreign[kind], run, kind)
    lpips = Lpips(flags.lpips_weights) if flags.lpips_weights else None
    run_on = runtime.start(flags.device, flags.precision, 0, flags.threads, flags.malloc)
    bench = Bench(run_on, cache_home(), be_quiet if flags.quiet else say, flags.quiet)
    bench.say(f"recon eval: {run.folder}, on {run_on.line()}")
    if kind == "signal":
        result = _signal(run, bench)
    else:
        result = _shape(flags, run, bench) if kind == "shape" else _scene(run, bench, lpips)
    if flags.json:
        print_json(result)
        return 0
    head = f"{result['task']} of {result['data']}: {result['params']:,} parameters, step {result['steps']:,}"
    print(printable(head))
    if kind == "shape":
        print_scores(result["scores"])
    elif kind == "signal":
        print_scores(result["scores"], tuple(result["scores"]))
    else:
        print_scores(result["scores"], ("psnr", "ssim", "lpips"))
        print_views(result["rows"])
    return 0


def _signal(run: Run, bench: Bench) -> dict[str, Any]:
    plan, fitted, saved, warnings = signal_runs.reopen(run, bench)
    for text in warnings:
        say(f"warning: {text}")
    about = {"steps": saved.step, "seconds": round(float(saved.state.get("seconds", 0.0)), 3), "warnings": warnings}
    return signal_runs.evaluate(plan, fitted, run, bench) | about


def _shape(flags: EvalRun, run: Run, bench: Bench) -> dict[str, Any]:
    plan, fitted, saved, warnings = shape_runs.reopen(run, bench.run_on)
    for text in warnings:
        say(f"warning: {text}")
    if flags.protocol != "as run":
        plan = replace(plan, protocol=flags.protocol)
    result = shape_runs.evaluate(plan, fitted, run, bench)
    trained = float(saved.state.get("seconds", 0.0)) + pretraining_seconds(run)
    about = {"steps": saved.step, "seconds": round(trained, 3), "warnings": warnings, "timings": bench.timings}
    return result | about


def _scene(run: Run, bench: Bench, lpips: Lpips | None) -> dict[str, Any]:
    plan, fitted, saved, warnings = scene_runs.reopen(run, bench.run_on)
    for text in warnings:
        say(f"warning: {text}")
    bench.say(f"rendering {len(fitted.reference.test)} held-out views")
    result = scene_runs.evaluate(plan, fitted, run, bench, lpips=lpips)
    trained = float(saved.state.get("seconds", 0.0))
    about = {"steps": saved.step, "seconds": round(trained, 3), "warnings": warnings, "timings": bench.timings}
    return result | about


def print_views(rows: list[dict[str, Any]]) -> None:
    """The worst views and the best one, by PSNR."""
    order = sorted(rows, key=lambda row: row["psnr"])
    shown = [("worst", row) for row in order[: min(WORST, len(order) - 1)]] + [("best", order[-1])]
    for label, row in shown:
        ssim = "" if row["ssim"] is None else f", ssim {row['ssim']:.4f}"
        print(printable(f"  {label:<20} {row['psnr']:.2f} dB{ssim}  {row['file']}"))
