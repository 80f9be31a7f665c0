"""`recon eval RUN` and `recon eval mesh PRED TRUE`: scores with their definitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from recon import runtime
from recon.commands.common import print_json, print_scores, say
from recon.commands.machine import Machine
from recon.data.find import cache_home
from recon.tasks.bench import Bench
from recon.tasks.shape.run import evaluate, pretraining_seconds, reopen
from recon.tasks.shape.versus import score_meshes
from recon.training.run import Run


@dataclass(frozen=True)
class EvalRun(Machine):
    """Repeat the scores of a run from its folder alone."""

    run: Annotated[str, tyro.conf.Positional] = "latest"
    """A run folder, a name under renders/, or latest. (Or the word mesh: recon eval mesh PRED TRUE.)"""
    protocol: Literal["as run", "default", "paper"] = "as run"
    """Exact scores, or Neural Experts' paper's; by default what the run used."""


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


def main(name: str, argv: Sequence[str]) -> int:
    """Parse, score, print."""
    del name
    if argv and argv[0] == "mesh":
        return _mesh(tyro.cli(EvalMesh, args=list(argv[1:]), prog="recon eval mesh"))
    return _run(tyro.cli(EvalRun, args=list(argv), prog="recon eval"))


def _mesh(flags: EvalMesh) -> int:
    say(f"recon eval mesh: {flags.pred} against {flags.true}, frame {flags.frame}, on the cpu")
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
    run_on = runtime.start(flags.device, flags.precision, 0, flags.threads)
    say(f"recon eval: {run.folder}, on {run_on.line()}")
    plan, fitted, saved, warnings = reopen(run, run_on)
    for text in warnings:
        say(f"warning: {text}")
    if flags.protocol != "as run":
        plan = replace(plan, protocol=flags.protocol)
    bench = Bench(run_on, cache_home(), say, flags.quiet)
    result = evaluate(plan, fitted, run, bench)
    trained = float(saved.state.get("seconds", 0.0)) + pretraining_seconds(run)
    result |= {"steps": saved.step, "seconds": round(trained, 3), "warnings": warnings, "timings": bench.timings}
    if flags.json:
        print_json(result)
    else:
        print(f"{plan.task} of {result['data']}: {result['params']:,} parameters, step {saved.step:,}")
        print_scores(result["scores"])
    return 0
