"""What a run folder tells, read with forgiveness: whatever is missing or damaged is left out, and a note says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from recon.tasks.shape.reference import NAME as REFERENCE
from recon.tasks.shape.reference import read_findings
from recon.training.run import Run

T = TypeVar("T")


@dataclass(frozen=True)
class Record:
    """A run as its files tell it. Values of `config`, `metrics` and `log` may be of any kind: ask by `mapping`,
    `sequence` and `numbers.number`."""

    folder: Path
    config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)
    source: str = ""
    """Where the shape came from."""
    doctor: list[str] = field(default_factory=list)
    """The mesh doctor's report, a finding a line; in the units of the normalised frame."""
    notes: list[str] = field(default_factory=list)
    """What could not be read, and why."""

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
    source, doctor = _attempt(lambda: _shape(run.folder), ("", []), notes)
    return Record(run.folder, config, metrics, log, source, doctor, notes)


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


def _shape(folder: Path) -> tuple[str, list[str]]:
    """Source and findings of the shape that the run keeps; nothing where the task is about something else."""
    if not (folder / REFERENCE).exists():
        return "", []
    return read_findings(folder)
