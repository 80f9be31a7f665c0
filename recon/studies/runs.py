"""All runs under `renders/` at a glance, newest first; loads no torch, and what can't be read breaks nothing."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recon.files import parse_json, read_json
from recon.studies.compare.results import SCORES
from recon.training.lock import is_held
from recon.training.places import CONFIG, LATEST, age_key, follow, list_runs, renders
from recon.training.run import LOG, METRICS, read_config
from recon.training.saved import newest_first, read_state

BROKEN, TRAINING, DONE = "broken", "training", "done"
TAIL = 1 << 14
"""Bytes at the end of a log in which the last step is looked for."""


@dataclass(frozen=True)
class Found:
    """A run's folder and what it says of itself."""

    folder: Path
    status: str
    """done, stopped, interrupted, diverged; training: a process is at work on it; killed: it ended without a word;
    begun: it has no checkpoint yet; not scored: it ended before its scores; broken: see `problem`."""
    task: str = ""
    data: str = ""
    field: str = ""
    preset: str = ""
    created: str = ""
    step: int | None = None
    """Updates done."""
    steps: int | None = None
    """Updates that were planned."""
    seconds: float | None = None
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Those that are numbers."""
    measure: str = ""
    """How the main score was taken: runs that differ in it can't be ranked."""
    bytes: int = 0
    latest: bool = False
    """`renders/latest` names it."""
    latest_of_kind: bool = False
    """The `latest` beside it names it."""
    linked: bool = False
    """It lies behind a symbolic link."""
    problem: str = ""

    @property
    def name(self) -> str:
        """Its path under `renders/`, by which every command finds it."""
        return str(self.folder.relative_to(renders()))

    @property
    def rank(self) -> float:
        """More is better: the first score of its task; where a run has none of those that rise, minus its distance."""
        main = (*SCORES.get(self.task, ()), *self.scores)
        rising = [self.scores[name] for name in main if name in self.scores and "chamfer" not in name]
        return next(iter(rising), -self.scores.get("chamfer_l1", math.inf))


def survey() -> list[Found]:
    """Every run, newest first, and folders that stand where runs do but are none."""
    places = {*list_runs(), *_strays()}
    latest = follow(renders() / LATEST)
    return [_look(place, latest) for place in sorted(places, key=lambda place: (age_key(place), place), reverse=True)]


def select(found: Sequence[Found], **wanted: str | None) -> list[Found]:
    """Those of a task, data or field, in whatever case."""
    asked = {key: value.casefold() for key, value in wanted.items() if value is not None}
    return [one for one in found if all(getattr(one, key).casefold() == value for key, value in asked.items())]


def as_plain(one: Found) -> dict[str, Any]:
    """For JSON."""
    return {
        "run": str(one.folder),
        "name": one.name,
        **{k: v for k, v in vars(one).items() if k not in ("folder", "measure")},
    }


def size_of(place: Path) -> int:
    """Bytes of all files; links count as nothing, and are not followed."""
    total = 0
    for folder, _, files in os.walk(place):
        for file in files:
            try:
                about = os.lstat(os.path.join(folder, file))
            except OSError:
                continue  # gone meanwhile
            total += 0 if os.path.islink(os.path.join(folder, file)) else about.st_size
    return total


def _strays() -> list[Path]:
    """Folders named by a time at a run's place that have no config."""
    tasks = [renders() / task for task in SCORES]
    places = (place for task in tasks for place in task.glob("*/*/*") if age_key(place) and place.name[0] != ".")
    return [place for place in places if place.is_dir() and not place.is_symlink() and not (place / CONFIG).is_file()]


def _look(place: Path, latest: Path | None) -> Found:
    root = renders()
    linked = any(step.is_symlink() for step in (place, *place.parents) if root in step.parents)
    real = place.resolve()
    about: dict[str, Any] = {"bytes": size_of(place), "linked": linked, "latest": real == latest}
    about["latest_of_kind"] = follow(place.parent / LATEST) == real
    task, data, field_name = place.relative_to(root).parts[:3]
    about |= {"task": task, "data": data, "field": field_name}
    try:
        return Found(place, **about | _facts(place))
    except (OSError, ValueError) as error:
        return Found(place, **about, status=BROKEN, problem=str(error))


def _facts(place: Path) -> dict[str, Any]:
    """What config, newest checkpoint and metrics say; ValueError or OSError where that makes no sense."""
    config = read_config(place / CONFIG)
    settings, metrics = config["settings"], _metrics(place)
    facts = {key: config[key] for key in ("task", "data", "field")}
    facts |= {"created": str(config.get("created", "")), "preset": str(settings.get("preset", ""))}
    steps = _whole(_mapping(settings.get("train")).get("steps"))
    step, seconds = _newest(place)
    scored = _whole(metrics.get("steps"))
    if step is None:  # none yet, or its checkpoints were taken away
        step = scored
    status = str(metrics.get("status", DONE)) if scored is not None and scored == step else ""
    if is_held(place):
        status, step = TRAINING, _last_logged(place) or step
    elif not status:
        status = "begun" if step is None else "killed" if steps is None or step < steps else "not scored"
    took = _number(metrics.get("seconds")) if scored == step else None
    scores = {name: value for name, value in _mapping(metrics.get("scores")).items() if _number(value) is not None}
    main = next((name for name in SCORES.get(config["task"], ()) if name in scores), "")
    definition = _mapping(metrics.get("definitions")).get(main)
    facts |= {"step": step, "steps": steps, "seconds": seconds if took is None else took, "scores": scores}
    return facts | {"status": status, "measure": f"{definition} {metrics.get('views')} {metrics.get('size')}"}


def _newest(place: Path) -> tuple[int | None, float | None]:
    """Step and seconds of the newest checkpoint that can be read."""
    problem, candidates = "", newest_first(place / "checkpoint")
    for candidate in candidates:
        try:
            state, _ = read_state(candidate)
        except (OSError, ValueError) as error:
            problem = problem or f"{candidate.name}: {error}"
            continue
        return state["step"], _number(state.get("seconds"))
    if candidates:
        raise ValueError(f"no checkpoint can be read ({problem})")
    return None, None


def _metrics(place: Path) -> Mapping[str, Any]:
    return read_json(place / METRICS) if (place / METRICS).is_file() else {}


def _last_logged(place: Path) -> int | None:
    """The last step in the log, of a run at work."""
    try:
        with open(place / LOG, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read(TAIL).decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            row = parse_json(line)
        except ValueError:
            continue  # half a line
        if (step := _whole(_mapping(row).get("step"))) is not None:
            return step
    return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # a whole number beyond the largest float
        return None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
