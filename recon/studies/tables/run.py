"""Runs of a table, one for each network on each datum: what is done is kept, what was stopped goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from recon.data.find import find_signal
from recon.data.load import load
from recon.scenes.region import space_for
from recon.scenes.scene import Scene
from recon.shapes.shape import Shape
from recon.signals.prepare import prepared
from recon.signals.read import read_signal
from recon.signals.segments import read_segments
from recon.signals.signal import Signal
from recon.signals.store import read_store
from recon.studies.tables.model import Datum, Row, Size
from recon.studies.tables.order import Order
from recon.tasks.bench import Bench
from recon.tasks.named_scene import named_scene
from recon.tasks.nerf import reference as scene_reference
from recon.tasks.nerf import run as scenes
from recon.tasks.shape import reference as shape_reference
from recon.tasks.shape import run as shapes
from recon.tasks.signal import run as signals
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
    say, held = make_bench().say, _Held(order)
    cells = list(order.cells())
    try:
        for number, (row, datum) in enumerate(cells, 1):
            say(f"--- {number} of {len(cells)}: {row.title} on {datum.name}")
            on_run(_run(order, held, row, datum, make_bench()), Run(order.place(row, datum)))
    except KeyboardInterrupt:
        say("warning: interrupted; the same command goes on from here")
        return False
    return True


def _run(order: Order, held: _Held, row: Row, datum: Datum, bench: Bench) -> Done:
    """One run, or what it left before. What is wrong with one must not end the others; a full disk would."""
    run = Run(order.place(row, datum))
    try:
        data = held.take(datum, bench)
        learn = PLANS[order.table.task](order, row, datum, data, bench)
        began = (run.folder / CONFIG).is_file()
        if began:
            _refuse_other(run, learn)
            if (run.folder / METRICS).is_file() and (metrics := run.read_metrics()).get("status") in (
                "done",
                "diverged",
            ):
                bench.say("done before")
                return Done(row, datum, metrics)
        else:
            learn.start(run)
        fitted, outcome = learn.task.fit(learn.plan, data, run, bench, resume=began)
        if outcome.status in ("interrupted", "stopped"):
            raise KeyboardInterrupt
        return Done(row, datum, learn.task.finish(learn.plan, fitted, outcome, run, bench))
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


def _refuse_other(run: Run, learn: _Learn) -> None:
    """ValueError where a folder holds a run with other settings, or of other data, than is asked for now."""
    if run.read_config()["settings"] != json.loads(json.dumps(learn.plan.as_settings())):
        raise ValueError(f"{run.folder} was made with other settings or another version; give --out, or remove it")
    if not learn.same_data(run):
        raise ValueError(f"{run.folder} learned other data of this name; give --out, or remove it")


# -- the tasks --------------------------------------------------------------------------------------------------------


class _Held:
    """The datum at hand: rows of a table follow each other on the same one."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._found, self._data = "", None

    def take(self, datum: Datum, bench: Bench) -> Any:
        """A datum, read where it is not the one at hand."""
        if self._found != datum.find:
            bench.say(f"reading {datum.find}")
            self._data = READERS[self.order.table.task](self.order, datum, bench)
            self._found = datum.find
        return self._data


@dataclass(frozen=True)
class _Learn:
    """A run that is planned: the module that trains and scores it, its plan, how it starts."""

    task: Any
    plan: Any
    start: Callable[[Run], object]
    same_data: Callable[[Run], bool]
    """Whether a run that is there learned this datum."""


def _read_signal(order: Order, datum: Datum, bench: Bench) -> Signal:
    how = replace(order.table.prepare, downscale=order.table.prepare.downscale * order.downscale)
    signal = prepared(read_signal(find_signal(datum.find)), how)
    bench.say(f"{signal.kind} of {' x '.join(map(str, signal.shape))}")
    return signal


def _read_shape(order: Order, datum: Datum, bench: Bench) -> Shape:
    del bench
    return load(datum.find, centre="mean" if order.table.task == "sdf" else "box")


def _read_scene(order: Order, datum: Datum, bench: Bench) -> Scene:
    return named_scene(datum.find, order.downscale, bench.say)


def _plan_signal(order: Order, row: Row, datum: Datum, signal: Signal, bench: Bench) -> _Learn:
    name, settings = order.settings_of(row, Size(signal.shape, signal.channels), signal.kind)
    path = find_signal(datum.find)
    how = bench.run_on.precision, order.threads, {"signal": str(path.absolute())}
    plan = signals.Plan(signal.kind, name, "paper", settings, *how)
    segments = read_segments(path.with_name(row.segments), signal) if row.segments else None
    return _Learn(
        signals,
        plan,
        lambda run: signals.start(plan, signal, bench, run.folder, segments=segments, latest=False),
        lambda run: read_store(run.folder).content_hash() == signal.content_hash(),
    )


def _plan_shape(order: Order, row: Row, datum: Datum, shape: Shape, bench: Bench) -> _Learn:
    name, settings = order.settings_of(row, Size((), 1))
    task = "sdf" if order.table.task == "sdf" else "occ"
    how = bench.run_on.precision, order.threads, {"shape": datum.find}
    plan = shapes.Plan(task, name, "paper-large", settings, "paper", *how)
    return _Learn(
        shapes,
        plan,
        lambda run: shapes.start(plan, shape, bench, run.folder, latest=False),
        lambda run: shape_reference.read_reference(run.folder).content_hash() == shape.content_hash(),
    )


def _plan_scene(order: Order, row: Row, datum: Datum, scene: Scene, bench: Bench) -> _Learn:
    name, settings = order.settings_of(row, Size((), 3))
    how = bench.run_on.precision, order.threads, {"scene": datum.find, "downscale": order.downscale}
    plan = scenes.Plan(name, "paper", settings, *how)
    space = space_for(scene, "auto")
    return _Learn(
        scenes,
        plan,
        lambda run: scenes.start(plan, scene, space, order.downscale, run.folder, latest=False),
        lambda run: scene_reference.read_reference(run.folder).fits(scene),
    )


READERS: dict[str, Callable[[Order, Datum, Bench], Any]] = {
    "fit": _read_signal, "sdf": _read_shape, "occ": _read_shape, "nerf": _read_scene,
}  # fmt: skip
PLANS: dict[str, Callable[[Order, Row, Datum, Any, Bench], _Learn]] = {
    "fit": _plan_signal, "sdf": _plan_shape, "occ": _plan_shape, "nerf": _plan_scene,
}  # fmt: skip
