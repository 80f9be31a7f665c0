"""The command in process, on tiny data and with scores from few samples. Must not import `recon` at the top."""

from __future__ import annotations

import json
import os
import shutil
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
    "pe-mlp": ("--field.width", "16", "--field.layers", "3", "--field.frequencies", "3"),
    **{
        name: ("--field.width", "16", "--field.layers", "3")
        for name in ("ffn", "siren", "finer", "gauss", "wire", "mfn")
    },
    "bacon": ("--field.width", "16"),
    "kilonerf": ("--field.nets", "2", "--field.width", "8"),
    "coordinate-embedding": ("--field.resolution", "8", "--field.channels", "4", "--field.width", "16"),
    "asmr": ("--field.width", "16", "--field.bases", "2", "4", "4"),
    "feature-grid": ("--field.resolutions", "8", "16", "--field.width", "16"),
    "loe": ("--field.width", "16", "--field.layers", "3", "--field.tiles", "2", "2"),
    "hash-grid": ("--field.levels", "3", "--field.table-log2", "10", "--field.finest", "32"),
    "voxel": ("--field.resolution", "24"),
    "neural-experts": ("--field.grid.resolutions", "8", "16", "--field.experts", "4", "--field.expert-width", "8"),
    "vanilla-moe": ("--field.grid.resolutions", "8", "16", "--field.experts", "4", "--field.expert-width", "8"),
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
    """Few samples, a coarse grid, no pictures and no 3-D views: they are tested elsewhere, at full size."""
    from recon.commands import report  # noqa: PLC0415 - after the import hook
    from recon.tasks.shape import fitted, run, scores, truth, versus  # noqa: PLC0415 - after the import hook

    for module in (truth, scores, run, versus):
        monkeypatch.setattr(module, "GRID", 32)
    monkeypatch.setattr(truth, "NEAR_SAMPLES", 4000)
    monkeypatch.setattr(scores, "SURFACE_SAMPLES", 2000)
    monkeypatch.setattr(scores, "PAPER_SAMPLES", 1000)
    monkeypatch.setattr(report, "view_of", _no_view)
    _DRAW.setdefault("pictures", fitted.Fitted.pictures)
    monkeypatch.setattr(fitted.Fitted, "pictures", lambda self, folder, mesh: {})


def _no_view(run: object, run_on: object) -> None:
    """Instead of `view_of`."""


@pytest.fixture
def with_views(_tiny_scores, monkeypatch):
    """Reports hold their 3-D views after all."""
    from recon.commands import report  # noqa: PLC0415
    from recon.viewer.in_report import view_of  # noqa: PLC0415

    monkeypatch.setattr(report, "view_of", view_of)


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
from recon.commands import report
from recon.tasks.shape import fitted, run, scores, truth, versus
report.view_of = lambda run, run_on: None
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


COLLECT = """
import dataclasses, json, sys
from recon.commands import completion
pages, ask = {}, completion.page
completion.page = lambda words: pages.setdefault(words, ask(words))
found = dataclasses.asdict(completion.collect())
json.dump({"pages": pages, "found": found, "modules": sorted(sys.modules)}, sys.stdout)
"""


@pytest.fixture(scope="session")
def helps() -> dict[str, Any]:
    """Every help page as a pipe gets it, what completion makes of them, and what was loaded for that."""
    done = subprocess.run([sys.executable, "-c", COLLECT], capture_output=True, text=True, check=True, timeout=120)
    return json.loads(done.stdout)


# -- scenes ------------------------------------------------------------------------------------------------------------

SCENE_CENTRE = (3.0, 1.0, -2.0)
"""Of the ball that scene runs learn; its radius is 0.5."""


@pytest.fixture(scope="session")
def ball_scene(tmp_path_factory) -> Path:
    """Pictures of a ball, 24x24, with alpha: 16 to learn from, 3 held out."""
    import numpy as np  # noqa: PLC0415

    from recon.geometry import Mesh  # noqa: PLC0415 - after the import hook
    from recon.scenes.make import MakeSettings  # noqa: PLC0415
    from recon.tasks.scene_making import make_scene  # noqa: PLC0415

    mesh = ball(0.5, SCENE_CENTRE, subdivisions=3)
    source = Mesh(np.array(mesh.vertices), np.array(mesh.faces, np.int64))
    folder = tmp_path_factory.mktemp("scene") / "marble"
    make_scene(source, folder, MakeSettings(views=16, test_views=3, width=24, height=24, around="sphere"), "blender")
    return folder


@pytest.fixture(scope="session")
def trained_scene(ball_scene: Path, tmp_path_factory) -> Path:
    """A run that learned the ball in two seconds, well enough to be opaque."""
    from recon.commands import nerf, report  # noqa: PLC0415

    home = tmp_path_factory.mktemp("scene_home")
    words = ["--scene", str(ball_scene), "--field", "voxel", "--field.resolution", "24", "--steps", "200", "--quiet"]
    words += ["--train.batch", "512", "--rays.steps", "24", "--rays.grid", "16", "--threads", "1", "--seed", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECON_HOME", str(home))
        patch.setattr(report, "view_of", _no_view)
        assert nerf.main("nerf", [*words, "--out", str(home / "run")]) == 0
    return home / "run"


@pytest.fixture
def scene_run(trained_scene: Path, home: Path) -> Path:
    """A copy of that run, away from the pictures it was learned from."""
    return Path(shutil.copytree(trained_scene, home / "marble_run"))
