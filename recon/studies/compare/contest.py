"""A comparison from beginning to end: every field brought to the budget, every run made, results kept after each."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recon.studies.compare.arena import Arena, Failed, Finished
from recon.studies.compare.budget import KINDS, Budget, sized
from recon.tasks.bench import Bench

FIRST_PILOT, PILOT_SHARE = 8, 0.1
"""Steps of the first measurement of speed, and the part of the budget that the second takes."""
WARM_UP = 2
"""Steps of each field that are trained and thrown away before the first run."""
LATE = 0.15
"""A time that was missed by a larger part is told."""

OnRun = Callable[[Finished | Failed], None]


@dataclass(frozen=True)
class Contest:
    """Fields that are ready to start: settings by name, and what to know of how they were brought to the budget."""

    arena: Arena
    budget: Budget
    seeds: int
    entries: dict[str, Any]
    notes: list[str]

    def about(self) -> dict[str, Any]:
        """What all runs have in common, for the record."""
        train = next(iter(self.entries.values())).train
        return {
            "task": self.arena.task,
            "data": self.arena.data,
            "preset": self.arena.preset,
            "budget": {"kind": self.budget.kind, "amount": self.budget.amount},
            "batch": train.batch,
            "seeds": list(range(self.seeds)),
            "looked": self.arena.looked,
            "voxels": getattr(self.arena, "voxels", None),
        }


def prepare(
    arena: Arena, names: Sequence[str], budget: Budget, seeds: int, make_bench: Callable[[bool], Bench]
) -> Contest:
    """Every field at the budget; ValueError before anything trains for one that can't meet it, or can't learn this.

    `make_bench(quiet)` gives a workplace for one run."""
    if not names:
        raise ValueError("no fields to compare: name some, such as --fields siren loe asmr")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"a field is named twice: {', '.join(twice)}; for several runs of each, use --seeds N")
    if seeds < 1:
        raise ValueError(f"--seeds must be at least 1, got {seeds}")
    say = make_bench(False).say
    entries, notes = arena.entries(names), []
    if budget.amount is None:
        first = entries[names[0]]
        has = {"steps": first.train.steps, **vars(arena.cost(first))}
        budget = replace(budget, amount=float(has[budget.kind]))
        say(f"budget: {budget.amount:,.0f} {KINDS[budget.kind]}, as {names[0]} has by preset {arena.preset}")
    for name, settings in entries.items():
        arena.check(name, settings)
        entries[name], note = _matched(arena, name, settings, budget)
        notes += [note] if note else []
        arena.check(name, settings)
    if budget.kind == "seconds":  # all fields can be measured now: none will be refused later
        for name, settings in entries.items():
            entries[name] = _timed(arena, name, settings, budget, make_bench)
            say(f"{name}: {entries[name].train.steps:,} steps should take {budget.amount:g} s")
    else:  # what a first training loads, and what kernels compile, must not count against a field
        for name, settings in entries.items():
            arena.pilot(name, settings, make_bench(True), WARM_UP)
    for name, settings in entries.items():
        if getattr(settings, "pretrains", False):
            notes.append(f"{name}: {settings.pretrain.steps:,} steps of pretraining besides, which its seconds include")
    for note in notes:
        say(f"budget: {note}")
    return Contest(arena, budget, seeds, entries, notes)


def _matched(arena: Arena, name: str, settings: Any, budget: Budget) -> tuple[Any, str]:
    """The field in the size or the number of steps that the budget asks for, and by how much it misses."""
    assert budget.amount is not None
    if budget.kind == "steps":
        if budget.amount != int(budget.amount):
            raise ValueError(f"--steps must be a whole number, got {budget.amount:g}")
        return settings.with_steps(int(budget.amount)), ""
    if budget.kind == "seconds":
        return settings, ""
    kind = budget.kind
    found = sized(name, settings.field, lambda c: vars(arena.cost(replace(settings, field=c)))[kind], budget)
    note = f"{name}: {found.count:,} {KINDS[kind]}, {found.miss:+.1%} of the {budget.amount:,.0f} asked"
    return replace(settings, field=found.config), note


def _timed(arena: Arena, name: str, settings: Any, budget: Budget, make_bench: Callable[[bool], Bench]) -> Any:
    """The settings with as many steps as fit into the budget's seconds."""
    assert budget.amount is not None
    each = arena.pilot(name, settings, make_bench(True), FIRST_PILOT)
    longer = min(round(PILOT_SHARE * budget.amount / each), settings.train.steps)
    if longer > 2 * FIRST_PILOT:
        each = arena.pilot(name, settings, make_bench(True), longer)
    if each > budget.amount:
        raise ValueError(f"a step of {name} takes {each:.2g} s: --seconds {budget.amount:g} is less than one")
    return settings.with_steps(int(budget.amount / each))


def run_all(contest: Contest, folder: Path, make_bench: Callable[[bool], Bench], quiet: bool, on_run: OnRun) -> bool:
    """Every run, seed by seed, each in a folder of its own; `on_run` hears of each that came to its end, or failed.

    Whether none was interrupted: Ctrl-C ends the comparison, and the run at hand is not counted."""
    say = make_bench(quiet).say
    try:
        for seed in range(contest.seeds):
            for name, settings in contest.entries.items():
                say(f"--- {name}, seed {seed}: {settings.train.steps:,} steps")
                seeded = replace(settings, train=replace(settings.train, seed=seed))
                on_run(_run(contest.arena, name, seeded, make_bench(quiet), folder / f"{name}-{seed}"))
    except KeyboardInterrupt as stop:
        say(f"warning: interrupted; {str(stop) or 'the run at hand is not counted'}")
        return False
    return True


def _run(arena: Arena, name: str, settings: Any, bench: Bench, folder: Path) -> Finished | Failed:
    """One run. Whatever is wrong with a field, which may be another package's, must not end the comparison; a full
    disk would end all runs."""
    try:
        return arena.run(name, settings, bench, folder)
    except OSError:
        raise
    except Exception as error:
        if os.environ.get("RECON_DEBUG"):
            raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    bench.say(f"warning: {folder.name} failed: {reason}")
    return Failed(folder, reason)


def late(contest: Contest, finished: Sequence[Finished]) -> list[str]:
    """Runs that took much more or less time than a budget of seconds gave them."""
    if contest.budget.kind != "seconds" or contest.budget.amount is None:
        return []
    asked = contest.budget.amount
    told = []
    for done in finished:
        took = float(done.metrics["seconds"])
        if abs(took / asked - 1) > LATE:
            told.append(f"{done.run.folder.name} took {took:.1f} s instead of {asked:g}")
    return told
