"""Runs of a table, one for each network on each datum: what is done is kept, what was stopped goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from recon.data.find import find_signal
from recon.data.load import load
from recon.scenes.region import space_for
from recon.signals.prepare import prepared
from recon.signals.read import read_signal
from recon.signals.segments import read_segments
from recon.signals.signal import Signal
from recon.signals.store import read_store
from recon.studies.tables.model import Datum, Row, Size
from recon.studies.tables.order import Order, field_name_of
from recon.tasks.bench import Bench
from recon.tasks.named_scene import named_scene
from recon.tasks.nerf import reference as scene_reference
from recon.tasks.nerf import run as scenes
from recon.tasks.shape import reference as shape_reference
from recon.tasks.shape import run as shapes
from recon.tasks.signal import run as signals
from recon.training.loop import Outcome
from recon.training.places import CONFIG
from recon.training.run import METRICS, Run


@dataclass(frozen=True)
class Done:
    """A network on a datum, learned and scored; or why it was not."""

    row: Row
    datum: Datum
    metrics: dict[str, Any] | None = None
    reason: str = ""

    @property
    def diverged(self) -> bool:
        """Whether its scores are those of the last good state."""
        return self.metrics is not None and self.metrics.get("status") == "diverged"


OnRun = Callable[[Done, Run], None]


def run_all(order: Order, make_bench: Callable[[], Bench], on_run: OnRun) -> bool:
    """Every run that is not done yet; `on_run` hears of each, those that were done included. Whether none was
    interrupted."""
    say, task = make_bench().say, TASKS[order.table.task](order)
    cells = list(order.cells())
    try:
        for number, (row, datum) in enumerate(cells, 1):
            say(f"--- {number} of {len(cells)}: {row.title} on {datum.name}")
            on_run(_run(order, task, row, datum, make_bench()), Run(order.place(row, datum)))
    except KeyboardInterrupt:
        say("warning: interrupted; the same command goes on from here")
        return False
    return True


def _run(order: Order, task: _Task, row: Row, datum: Datum, bench: Bench) -> Done:
    """One run, or what it left before. What is wrong with one must not end the others; a full disk would."""
    run = Run(order.place(row, datum))
    try:
        task.take(datum, bench)
        learn = task.plan(row, datum, bench)
        began = (run.folder / CONFIG).is_file()
        if began:
            _refuse_other_settings(run, learn.settings)
            if not learn.same_data(run):
                raise ValueError(f"{run.folder} learned other data of this name; give --out, or remove it")
            if (run.folder / METRICS).is_file() and (metrics := run.read_metrics()).get("status") in (
                "done",
                "diverged",
            ):
                bench.say("done before")
                return Done(row, datum, metrics)
        else:
            learn.start(run)
        outcome, finish = learn.fit(run, began)
        if outcome.status in ("interrupted", "stopped"):
            raise KeyboardInterrupt
        return Done(row, datum, finish())
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            raise
        reason = str(error)[:300]
    except Exception as error:  # whatever a network may raise on data that it was not made for
        if os.environ.get("RECON_DEBUG"):
            raise
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    bench.say(f"warning: {row.name} on {datum.name} failed: {reason}")
    return Done(row, datum, reason=reason)


def _refuse_other_settings(run: Run, settings: dict[str, Any]) -> None:
    """ValueError where a folder holds a run with other settings than the ones that are asked for now."""
    if run.read_config()["settings"] != json.loads(json.dumps(settings)):
        raise ValueError(f"{run.folder} was made with other settings or another version; give --out, or remove it")


# -- the tasks --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Learn:
    """A run that is planned: how it starts, trains and is scored."""

    settings: dict[str, Any]
    start: Callable[[Run], object]
    fit: Callable[[Run, bool], tuple[Outcome, Callable[[], dict[str, Any]]]]
    same_data: Callable[[Run], bool]
    """Whether a run that is there learned this datum."""


class _Task(Protocol):
    """Holds the datum at hand, and plans runs on it."""

    def take(self, datum: Datum, bench: Bench) -> None:
        """Read a datum, where it is not the one at hand."""
        ...

    def plan(self, row: Row, datum: Datum, bench: Bench) -> _Learn:
        """A run on it."""
        ...


class _Signals:
    """Pictures, sounds and films."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._held: tuple[str, Signal] | None = None

    def take(self, datum: Datum, bench: Bench) -> None:
        if self._held is None or self._held[0] != datum.find:
            how = self.order.table.prepare
            how = replace(how, downscale=how.downscale * self.order.downscale)
            self._held = datum.find, prepared(read_signal(find_signal(datum.find)), how)
            bench.say(f"{self._held[1].kind} of {' x '.join(map(str, self._held[1].shape))}")

    def plan(self, row: Row, datum: Datum, bench: Bench) -> _Learn:
        assert self._held is not None
        signal = self._held[1]
        given = row.settings(Size(signal.shape, signal.channels))
        name = field_name_of(given.field)
        settings = self.order.settings(row, given, name, signal.kind)
        path = find_signal(datum.find)
        inputs = {"signal": str(path.absolute())}
        plan = signals.Plan(signal.kind, name, "paper", settings, bench.run_on.precision, self.order.threads, inputs)
        segments = read_segments(path.with_name(row.segments), signal) if row.segments else None

        def fit(run: Run, resume: bool) -> tuple[Outcome, Callable[[], dict[str, Any]]]:
            fitted, outcome = signals.fit(plan, signal, run, bench, resume=resume)
            return outcome, lambda: signals.finish(plan, fitted, outcome, run, bench)

        def start(run: Run) -> object:
            return signals.start(plan, signal, bench, run.folder, segments=segments, latest=False)

        def same(run: Run) -> bool:
            return read_store(run.folder).content_hash() == signal.content_hash()

        return _Learn(plan.as_settings(), start, fit, same)


class _Shapes:
    """Surfaces and solids, scored by the papers' protocol."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._held: tuple[str, Any] | None = None

    def take(self, datum: Datum, bench: Bench) -> None:
        if self._held is None or self._held[0] != datum.find:
            bench.say(f"reading {datum.find}")
            self._held = datum.find, load(datum.find, centre="mean" if self.order.table.task == "sdf" else "box")

    def plan(self, row: Row, datum: Datum, bench: Bench) -> _Learn:
        assert self._held is not None
        shape, task = self._held[1], "sdf" if self.order.table.task == "sdf" else "occ"
        given = row.settings(Size((), 1))
        name = field_name_of(given.field)
        settings = self.order.settings(row, given, name, None)
        how = bench.run_on.precision, self.order.threads, {"shape": datum.find}
        plan = shapes.Plan(task, name, "paper-large", settings, "paper", *how)

        def fit(run: Run, resume: bool) -> tuple[Outcome, Callable[[], dict[str, Any]]]:
            fitted, outcome = shapes.fit(plan, shape, run, bench, resume=resume)
            return outcome, lambda: shapes.finish(plan, fitted, outcome, run, bench)

        def start(run: Run) -> object:
            return shapes.start(plan, shape, bench, run.folder, latest=False)

        def same(run: Run) -> bool:
            return shape_reference.read_reference(run.folder).content_hash() == shape.content_hash()

        return _Learn(plan.as_settings(), start, fit, same)


class _Scenes:
    """Posed pictures."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._held: tuple[str, Any] | None = None

    def take(self, datum: Datum, bench: Bench) -> None:
        if self._held is None or self._held[0] != datum.find:
            self._held = datum.find, named_scene(datum.find, self.order.downscale, bench.say)

    def plan(self, row: Row, datum: Datum, bench: Bench) -> _Learn:
        assert self._held is not None
        scene = self._held[1]
        given = row.settings(Size((), 3))
        name = field_name_of(given.field)
        settings = self.order.settings(row, given, name, None)
        inputs = {"scene": datum.find, "downscale": self.order.downscale}
        plan = scenes.Plan(name, "paper", settings, bench.run_on.precision, self.order.threads, inputs)

        def fit(run: Run, resume: bool) -> tuple[Outcome, Callable[[], dict[str, Any]]]:
            fitted, outcome = scenes.fit(plan, scene, run, bench, resume=resume)
            return outcome, lambda: scenes.finish(plan, fitted, outcome, run, bench)

        def start(run: Run) -> object:
            return scenes.start(plan, scene, space_for(scene, "auto"), self.order.downscale, run.folder, latest=False)

        def same(run: Run) -> bool:
            return scene_reference.read_reference(run.folder).fits(scene)

        return _Learn(plan.as_settings(), start, fit, same)


TASKS: dict[str, Callable[[Order], _Task]] = {"fit": _Signals, "sdf": _Shapes, "occ": _Shapes, "nerf": _Scenes}
