"""A run folder: making one in one step, writing and reading its records."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import recon
from recon.files import atomic_write_json, read_json, writing
from recon.training.links import refuse_links
from recon.training.log import read_rows
from recon.training.places import (
    CONFIG,
    LATEST,
    appear,
    building,
    check_free,
    find_run,
    folder_path,
    fresh_names,
    point,
    renders,
)

METRICS, LOG = "metrics.json", "log.jsonl"


@dataclass(frozen=True)
class Run:
    """One run's folder; it is a run once it holds `config.json`."""

    folder: Path

    @classmethod
    def create(
        cls,
        task: str,
        data: str,
        field: str,
        settings: Mapping[str, Any],
        out: Path | None = None,
        *,
        inputs: Mapping[str, Any] | None = None,
        fill: Callable[[Path], object] = lambda folder: None,
        latest: bool = True,
    ) -> Run:
        """Makes the folder (`out`, or a fresh one under `renders/`) with `config.json`, and moves the `latest` links.

        `fill` writes what else a run must have from the beginning: the folder appears with all of it, or not at all.
        `inputs` is what was typed of the data, so that the run can be repeated.
        Raises before any work where the place holds something or can't be written.
        """
        about = {"task": task, "data": data, "field": field, "created": datetime.now().isoformat(timespec="seconds")}
        about |= {"inputs": dict(inputs or {}), "settings": dict(settings), "versions": versions()}

        def write(folder: Path) -> None:
            fill(folder)
            atomic_write_json(folder / CONFIG, about)  # last: it makes the folder a run

        if out is not None and out.is_dir():  # it may be mounted, and not to be replaced
            check_free(folder := out.absolute())
            write(folder)
        else:
            if out is not None:
                check_free(out.absolute())
            parent = out.absolute().parent if out is not None else renders() / folder_path(task, data, field)
            with building(parent) as hidden:
                write(hidden)
                folder = appear(hidden, iter([out.absolute()]) if out is not None else fresh_names(parent))
        if latest and out is None:
            point(folder.parent / LATEST, folder)
        if latest:
            point(renders() / LATEST, folder)
        return cls(folder)

    @classmethod
    def open(cls, name: str | Path) -> Run:
        """The run at a folder, at a name or path under `renders/` (its newest run), or `latest`."""
        return cls(refuse_links(find_run(str(name))))

    def make_latest(self) -> None:
        """Moves the `latest` links, that of all runs and that beside this one, to it."""
        point(self.folder.parent / LATEST, self.folder)
        point(renders() / LATEST, self.folder)

    @property
    def checkpoints(self) -> Path:
        """Where `recon.training.checkpoint` keeps them."""
        return self.folder / "checkpoint"

    def read_config(self) -> dict[str, Any]:
        """All of `config.json`: task, data, field, created, inputs, settings, versions."""
        return read_config(self.folder / CONFIG)

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        """Replaces the settings and the versions, keeping what else `config.json` says."""
        atomic_write_json(
            self.folder / CONFIG, {**self.read_config(), "settings": dict(settings), "versions": versions()}
        )

    def read_metrics(self) -> dict[str, Any]:
        """The scores of the last evaluation."""
        return read_json(self.folder / METRICS)

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Replaces `metrics.json`."""
        atomic_write_json(self.folder / METRICS, dict(metrics))

    def append_log(self, row: Mapping[str, Any]) -> None:
        """Adds one line to `log.jsonl`; numbers that JSON lacks become null."""
        line = json.dumps(_finite(row), ensure_ascii=False)
        with writing(self.folder / LOG), open(self.folder / LOG, "ab+") as file:
            if file.tell() and not _ends_line(file):  # a killed process left half a line
                line = "\n" + line
            file.write(line.encode("utf-8") + b"\n")

    def read_log(self) -> list[dict[str, Any]]:
        """Rows of `log.jsonl` that still hold: those undone by a rollback or an older checkpoint are left out."""
        return read_rows(self.folder / LOG)


def read_config(path: Path) -> dict[str, Any]:
    """A run's `config.json`, wherever it lies; ValueError where it lacks what every run has."""
    config = read_json(path)
    for key, kind in (("task", str), ("data", str), ("field", str), ("settings", dict)):
        if not isinstance(config.get(key), kind):
            raise ValueError(f"{path} has no usable '{key}' (found {config.get(key)!r:.80})")
    return config


def overlay(defaults: Mapping[str, Any], saved: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Saved settings laid over today's defaults, and the dotted names of those that no longer fit (unknown, or of
    another kind); a setting that was not saved keeps its default."""
    merged, misfits = dict(defaults), []
    for key, value in saved.items():
        if key not in defaults:
            misfits.append(key)
        elif isinstance(defaults[key], Mapping) and isinstance(value, Mapping):
            merged[key], inner = overlay(defaults[key], value)
            misfits += [f"{key}.{name}" for name in inner]
        elif _kind(defaults[key]) in (_kind(value), "null") or value is None:
            merged[key] = value
        elif isinstance(defaults[key], float) and _kind(value) == "integer" and abs(value) < 2**53:
            merged[key] = float(value)
        else:
            misfits.append(key)
    return merged, misfits


def versions() -> dict[str, str]:
    """What a run was made with."""
    return {
        "recon": recon.__version__,
        "torch": importlib.metadata.version("torch"),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


# --- small parts of the records ---------------------------------------------------------------------------------------


def _kind(value: Any) -> str:
    """What a setting is, as JSON sees it."""
    for kind, types in (("null", type(None)), ("bool", bool), ("integer", int), ("number", float), ("text", str)):
        if isinstance(value, types):
            return kind
    return "object" if isinstance(value, Mapping) else "list"


def _finite(value: Any) -> Any:
    """The same, with null for numbers that JSON lacks."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _ends_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
