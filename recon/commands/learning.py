"""What the commands that learn something share: their first line, how a run goes on or begins again, how it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from recon import runtime
from recon.commands.again import flags_again, read_again, refuse_other_kind
from recon.commands.common import be_quiet, print_files, print_json, print_scores, say
from recon.commands.machine import EXIT, Machine
from recon.commands.report import report_of
from recon.data.find import cache_home
from recon.files import printable
from recon.tasks.bench import Bench
from recon.training.lock import holding
from recon.training.loop import Outcome
from recon.training.run import Run


def begin(command: str, plan: Any, data: str, flags: Any, run_on: runtime.Runtime) -> Bench:
    """Says what runs, on what and why; the bench that it runs on."""
    voice = be_quiet if flags.quiet else say
    steps = f"{plan.settings.train.steps:,} steps"
    voice(f"recon {command}: {data} with {plan.field_name}, preset {plan.preset} ({steps}), on {run_on.line()}")
    return Bench(run_on, cache_home(), voice, flags.quiet)


def machine_of_run(plan: Any, flags: Machine) -> runtime.Runtime:
    """Where a run goes on: with the precision and the threads that it began with, unless others were typed."""
    precision = plan.precision if flags.precision == "auto" else flags.precision
    threads = flags.threads or plan.threads
    return runtime.start(flags.device, precision, plan.settings.train.seed, threads, flags.malloc)


def go_on(command: str, plan: Any, data: str, run: Run, flags: Machine, *, warnings: Sequence[str]) -> Bench:
    """The bench of a run that goes on, after its first line and what no longer fits."""
    bench = begin(command, plan, f"{data} (resuming {run.folder})", flags, machine_of_run(plan, flags))
    for text in warnings:
        say(f"warning: {text}")
    return bench


def begin_again(
    task: str,
    name: str,
    plan_of: Callable[[Mapping[str, Any], Path], tuple[Any, list[str]]],
    flags: type[Any],
    *,
    data: str,
    typed: Mapping[str, str | None],
) -> tuple[Any, Path, dict[str, Any]]:
    """For --config: the plan of an old run, its folder, and the flags that it was made with.

    `data` is the flag that names what was learned; `typed` field and preset must be the old run's."""
    config, old = read_again(task, name)
    plan, warnings = plan_of(config, old)
    refuse_other_kind(name, {"field": plan.field_name, "preset": plan.preset}, typed)
    given, more = flags_again(config, plan.inputs, flags, data)
    for text in (*warnings, *more):
        say(f"warning: {text}")
    given |= {"seed": plan.settings.train.seed, "threads": plan.threads, "precision": plan.precision}
    return plan, old, given


def complete(
    command: str,
    run: Run,
    bench: Bench,
    flags: Any,
    *,
    fit: Callable[[], tuple[Any, Outcome]],
    finish: Callable[[Any, Outcome], dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
) -> int:
    """Train, score, write the page and print; the exit code."""
    with holding(run.folder):
        fitted, outcome = fit()
        if outcome.status != "done":
            say(f"{outcome.status} at step {outcome.step}{': ' + outcome.reason if outcome.reason else ''}")
        metrics = finish(fitted, outcome)
        metrics["files"]["report"] = report_of(run, bench.run_on).name
        run.write_metrics(metrics)
    if flags.json:
        print_json(metrics)
    else:
        show(metrics)
    if outcome.status in ("stopped", "interrupted"):
        say(f"go on with: recon {command} --resume {run.folder}")
    return EXIT[outcome.status]


def show_result(
    title: str, run: Run, metrics: dict[str, Any], scores: Sequence[str], *, files: Mapping[str, Any] | None = None
) -> None:
    """What was learned as a person reads it."""
    facts = f"{metrics['params']:,} parameters, {metrics['seconds']:.0f} s of training"
    print(printable(f"{title}: {facts}"))
    print_scores(metrics["scores"], scores)
    print_files(run.folder, {**metrics["files"], **(files or {}), "scores": "metrics.json"})
