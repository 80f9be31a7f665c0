"""What is common to results of fits: scores, history, settings, and how they become run folders."""

from __future__ import annotations

import html
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from recon.api.places import Temporary
from recon.api.state import asking
from recon.report.page import write_report
from recon.report.sections import NAME as REPORT
from recon.tasks.bench import Bench
from recon.training.copies import copy_run
from recon.training.loop import Outcome
from recon.training.run import Run
from recon.viewer.in_report import view_of

SHOWN = ("psnr", "ssim", "lpips", "iou", "trimap_iou_0.001", "chamfer_l1")
"""Scores that a notebook shows."""


@dataclass(frozen=True)
class Trained:
    """What a fit left besides its field."""

    run: Run
    bench: Bench
    outcome: Outcome
    temporary: Temporary | None = None


class Result(ABC):
    """A finished, interrupted or loaded fit. What costs time is computed when it is asked for."""

    def __init__(self, trained: Trained) -> None:
        self._run, self._bench, self._outcome = trained.run, trained.bench, trained.outcome
        self._temporary = trained.temporary
        self._metrics: dict[str, Any] | None = None
        self._module().requires_grad_(False)  # gradients of answers are for points, and leave nothing in the weights

    # -- facts -----------------------------------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """The run's folder. Of a fit without `out` it is temporary: it goes with the result, or `save` moves it."""
        return self._run.folder

    @property
    def status(self) -> str:
        """How it ended: done, interrupted (Ctrl-C) or stopped before the last step, diverged (its last good state)."""
        return self._outcome.status

    @property
    def steps(self) -> int:
        """Optimiser steps that were taken."""
        return self._outcome.step

    @property
    def seconds(self) -> float:
        """Time of the training alone."""
        return self._outcome.seconds

    @property
    def config(self) -> dict[str, Any]:
        """What `config.json` holds: task, data, field, every setting, versions."""
        return self._run.read_config()

    @property
    def history(self) -> dict[str, Float[np.ndarray, " n"]]:
        """Numbers of the training by step, as arrays of one length: step, seconds, loss, rate, points_per_second, and
        each loss and measure by its name ("losses/sdf"). NaN where a row lacks one."""
        rows = [_flat(row) for row in self._run.read_log() if "event" not in row]
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: np.array([row.get(name, np.nan) for row in rows], np.float64) for name in names}

    @property
    def parameters(self) -> int:
        """Numbers that were learned."""
        return sum(parameter.numel() for parameter in self._module().parameters())

    # -- scores ----------------------------------------------------------------------------------------------------

    @property
    def metrics(self) -> dict[str, Any]:
        """All that `metrics.json` tells: those of the folder where they belong to this step, else evaluated now."""
        if self._metrics is None:
            self._metrics = self._stored(self._run)
        if self._metrics is None:
            with asking():
                self._metrics = self._evaluate()
        return self._metrics

    @property
    def scores(self) -> dict[str, float | None]:
        """Scores by name, against the true shape or signal, or the held-out views; evaluated at first use, in seconds
        to a minute. None where one can't be had: its definition says why."""
        return dict(self.metrics["scores"])

    @property
    def definitions(self) -> dict[str, str]:
        """What each score means: units, samples, squared or not."""
        return dict(self.metrics["definitions"])

    # -- keeping ---------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Keep a whole run folder: weights, settings, mesh, views or signal, pictures, scores and report; its
        place.

        `path` must be new or an empty folder: nothing is overwritten (FileExistsError), and it appears whole or not at
        all. Without a path it is `renders/TASK/DATA/FIELD/TIME`, as of the command, and becomes `latest`. From then on
        the result lives there; a temporary folder is gone.
        """
        with asking():
            self._run = copy_run(self._run, None if path is None else Path(path), self._complete)
        if self._temporary is not None:
            self._temporary.discard()
            self._temporary = None
        return self._run.folder

    def report(self) -> Path:
        """Write the run's page, `report.html` (mesh, views or signal, pictures and scores come first, if they are not
        there); its place, which is temporary where the folder is."""
        with asking():
            self._complete(self._run, self.folder)
        return self.folder / REPORT

    def _complete(self, run: Run, place: Path) -> None:
        """What a run folder must have besides its training, unless it is there; `place` is where it will be found."""
        metrics = self._stored(run)
        if metrics is None or not metrics.get("files"):
            metrics = self._finish(run)
        report = write_report(run, self._view(run)).name
        metrics = {**metrics, "run": str(place), "files": {**metrics["files"], "report": report}}
        run.write_metrics(metrics)
        self._metrics = metrics

    def _stored(self, run: Run) -> dict[str, Any] | None:
        """The folder's own metrics, if they are of this state of the field."""
        try:
            found = run.read_metrics()
        except (OSError, ValueError):
            return None
        whole = isinstance(found.get("scores"), dict) and isinstance(found.get("definitions"), dict)
        return found if whole and found.get("steps") == self.steps else None

    def _view(self, run: Run) -> Callable[[], str] | None:
        """What makes the part of the report that is seen in 3-D."""
        return view_of(run, self._bench.run_on)

    @abstractmethod
    def _evaluate(self) -> dict[str, Any]: ...

    @abstractmethod
    def _finish(self, run: Run) -> dict[str, Any]: ...

    @abstractmethod
    def _module(self) -> torch.nn.Module: ...

    # -- in notebooks ----------------------------------------------------------------------------------------------

    def _facts(self) -> dict[str, str]:
        config = self.config
        status = "" if self.status == "done" else f", {self.status}"
        facts = {"task": config["task"], "data": config["data"], "field": config["field"]}
        facts["parameters"] = f"{self.parameters:,}"
        facts["training"] = f"{self.steps:,} steps in {self.seconds:.0f} s{status}"
        known = (self._metrics or {}).get("scores", {})
        facts |= {name: f"{known[name]:.4g}" for name in SHOWN if known.get(name) is not None}
        return facts

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}: {value}' for name, value in self._facts().items())})"

    def _repr_html_(self) -> str:
        rows = {**self._facts(), "folder": f"{self.folder}{' (temporary)' if self._temporary else ''}"}
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
            for name, value in rows.items()
        )
        return f"<table>{cells}</table>"


def _flat(row: dict[str, Any]) -> dict[str, float]:
    """The numbers of a row of the log, those of its parts as "losses/sdf"."""
    flat: dict[str, float] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= {f"{name}/{key}": float(inner) for key, inner in value.items() if _is_number(inner)}
        elif _is_number(value):
            flat[name] = float(value)
    return flat


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
