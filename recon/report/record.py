"""What a run folder tells, read with forgiveness: whatever is missing or damaged is left out, and a note says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from safetensors import safe_open

from recon.files import check_tensors, parse_json
from recon.report.film import Glance, glances
from recon.tasks.shape.reference import DAMAGE, LIMIT, read_findings
from recon.tasks.shape.reference import NAME as REFERENCE
from recon.training.run import Run

T = TypeVar("T")


@dataclass(frozen=True)
class Record:
    """A run as its files tell it. Values of `config`, `metrics`, `log` and `scene` may be of any kind: ask by
    `mapping`, `sequence` and `numbers.number`."""

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)
    source: str = ""
    """Where the shape or the scene came from."""
    doctor: list[str] = field(default_factory=list)
    """The mesh doctor's report, a finding a line; in the units of the normalised frame."""
    scene: dict[str, Any] = field(default_factory=dict)
    """What the run's reference tells of its scene: views, size, space, box, notes."""
    glances: list[Glance] = field(default_factory=list)
    """Pictures that were rendered while training."""
    notes: list[str] = field(default_factory=list)
    """What could not be read, and why."""
    link: str = "."
    """The folder as the page's links name it: quoted, and relative to the page."""

    def about(self, key: str) -> Any:
        """A fact that metrics and config both tell, such as the task."""
        return self.metrics.get(key, self.config.get(key))


def read_record(run: Run) -> Record:
    """Everything about a run that its folder tells."""
    notes: list[str] = []
    config = _attempt(run.read_config, {}, notes)
    metrics = _attempt(run.read_metrics, {}, notes)
    log = _attempt(run.read_log, [], notes)
    if not log:
        notes.append("log.jsonl holds no rows, so there are no curves")
    record = Record(run.folder, config, metrics, log, glances=glances(run.folder, log, notes), notes=notes)
    if not (run.folder / REFERENCE).exists():
        return record  # a task about something else, or a run that has only begun
    if record.about("task") == "fit":
        return record  # what it was given is told with its scores
    if record.about("task") == "nerf":
        source, scene = _attempt(lambda: _scene(run.folder / REFERENCE), ("", {}), notes)
        return replace(record, source=source, scene=scene)
    source, doctor = _attempt(lambda: read_findings(run.folder), ("", []), notes)
    return replace(record, source=source, doctor=doctor)


def mapping(value: object) -> dict[str, Any]:
    """An object of JSON as it is; anything else as an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """A list of JSON as it is; anything else as an empty one."""
    return value if isinstance(value, list) else []


def _attempt(read: Callable[[], T], otherwise: T, notes: list[str]) -> T:
    try:
        return read()
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        notes.append(str(error) or type(error).__name__)
        return otherwise


def _scene(path: Path) -> tuple[str, dict[str, Any]]:
    """Source and facts of the scene that the run keeps, without reading its pictures."""
    try:
        check_tensors(path, LIMIT)
        with safe_open(path, framework="numpy") as file:
            about = parse_json((file.metadata() or {})["scene"])
        space = mapping(about["space"])
        facts = {"size": [about["width"], about["height"]], "notes": about["notes"]}
        views = {name: len(index) for name, index in about["splits"].items()}
        return str(about["folder"]), {**facts, "views": views, "space": space.get("kind"), "box": space.get("box")}
    except DAMAGE as error:
        raise ValueError(f"{path} is damaged ({error}), so nothing is told of the scene") from None
