"""The command in process, on tiny data and with scores from few samples. Must not import `recon` at the top."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trimesh

TINY = ("--steps", "6", "--pool", "2000", "--resolution", "24", "--train.batch", "256", "--threads", "1")
"""A run of a second. (Not for --resume, which has no such flags.)"""
SMALL = {
    "siren": ("--field.width", "16", "--field.layers", "3"),
    "pe-mlp": ("--field.width", "16", "--field.layers", "3", "--field.frequencies", "3"),
    "asmr": ("--field.width", "16", "--field.bases", "2", "4", "4"),
    "feature-grid": ("--field.resolutions", "8", "16", "--field.width", "16"),
    "neural-experts": ("--field.grid.resolutions", "8", "16", "--field.experts", "4", "--field.expert-width", "8"),
}
"""Sizes of each field that train in no time."""
CENTRE, RADIUS = (100.0, -5.0, 3.0), 37.0
"""Of the ball that most tests learn."""


_DRAW: dict[str, Callable] = {}


@dataclass(frozen=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on standard output."""
        return json.loads(self.out)


Recon = Callable[..., Result]


def ball(radius: float = RADIUS, centre: tuple = CENTRE, subdivisions: int = 2) -> trimesh.Trimesh:
    """A sphere whose vertices lie at `radius`."""
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    mesh.apply_translation(centre)
    return mesh


@pytest.fixture(autouse=True)
def _tiny_scores(monkeypatch):
    """Few samples, a coarse grid and no pictures: what is scored is tested elsewhere, at full size."""
    from recon.tasks.shape import fitted, run, scores, truth, versus  # noqa: PLC0415 - after the import hook

    for module in (truth, scores, run, versus):
        monkeypatch.setattr(module, "GRID", 32)
    monkeypatch.setattr(truth, "NEAR_SAMPLES", 4000)
    monkeypatch.setattr(scores, "SURFACE_SAMPLES", 2000)
    monkeypatch.setattr(scores, "PAPER_SAMPLES", 1000)
    _DRAW.setdefault("pictures", fitted.Fitted.pictures)
    monkeypatch.setattr(fitted.Fitted, "pictures", lambda self, folder, mesh: {})


@pytest.fixture
def pictures(_tiny_scores, monkeypatch):
    """Draws the pictures after all, small."""
    from recon.tasks.shape import fitted  # noqa: PLC0415

    draw, slices = _DRAW["pictures"], fitted.slice_points
    monkeypatch.setattr(fitted.Fitted, "pictures", lambda self, folder, mesh: draw(self, folder, mesh, size=80))
    monkeypatch.setattr(fitted, "slice_points", lambda size: slices(80))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch) -> Path:
    """Where `renders/` and `datasets/` lie, and the working directory."""
    monkeypatch.setenv("RECON_HOME", str(tmp_path))
    monkeypatch.delenv("RECON_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # the command replaces it
    return tmp_path


@pytest.fixture
def recon(capsys) -> Recon:
    """Runs the command in this process."""

    def run(*args: object) -> Result:
        from recon.cli import main  # noqa: PLC0415

        capsys.readouterr()
        try:
            code = main([str(arg) for arg in args])
        except SystemExit as stop:  # tyro's way
            code = stop.code if isinstance(stop.code, int) else 2
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run


@pytest.fixture
def ball_file(home: Path) -> Path:
    """The ball as a ply file."""
    path = home / "data" / "ball.ply"
    path.parent.mkdir()
    ball().export(path)
    return path


@pytest.fixture
def fit(recon: Recon, ball_file: Path) -> Callable[..., Result]:
    """A tiny run on the ball that must succeed; further arguments win over the defaults."""

    def run(task: str = "sdf", field: str = "feature-grid", *args: object, code: int = 0) -> Result:
        flags = () if "--preset" in args else SMALL[field]
        result = recon(task, "--shape", ball_file, "--field", field, *flags, *TINY, "--json", *args)
        assert result.code == code, result.err
        return result

    return run


IN_ANOTHER_PROCESS = """
import sys
from recon.cli import main
from recon.tasks.shape import fitted, run, scores, truth, versus
for module in (truth, scores, run, versus):
    module.GRID = 32
truth.NEAR_SAMPLES, scores.SURFACE_SAMPLES = 4000, 2000
draw, slices = fitted.Fitted.pictures, fitted.slice_points
fitted.Fitted.pictures = lambda self, folder, mesh: draw(self, folder, mesh, size=80)
fitted.slice_points = lambda size: slices(80)
sys.exit(main())
"""


@pytest.fixture
def start_process(home: Path) -> Callable[..., subprocess.Popen]:
    """Starts the command in a process of its own, as small as here."""
    environment = {**os.environ, "RECON_HOME": str(home), "OMP_NUM_THREADS": "1"}

    def start(*args: object) -> subprocess.Popen:
        words = [sys.executable, "-c", IN_ANOTHER_PROCESS, *(str(arg) for arg in args)]
        return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start
