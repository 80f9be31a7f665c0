"""Results on standard output, all else on standard error; --json prints one object, and --quiet says nothing."""

import json
import shutil

import pytest


@pytest.fixture(scope="module")
def shape_run(tmp_path_factory):
    """A shape run of a second, and the ball that it learned."""
    from recon.commands import shape  # noqa: PLC0415 - after the import hook
    from tests.commands.conftest import SMALL, TINY, ball  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("channels")
    ball().export(folder / "ball.ply")
    words = ["--shape", str(folder / "ball.ply"), "--field", "siren", *SMALL["siren"], *TINY, "--quiet"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECON_HOME", str(folder))
        assert shape.main("sdf", [*words, "--out", str(folder / "run")]) == 0
    return folder


@pytest.fixture
def place(shape_run, trained_scene, ball_scene, home, monkeypatch):
    """A working directory with copies of a shape run, a scene run, a mesh and a scene; no command takes long here."""
    from recon.commands import bench, doctor  # noqa: PLC0415
    from recon.diagnosis.finding import Finding  # noqa: PLC0415

    shutil.copytree(shape_run / "run", home / "shape_run")
    shutil.copytree(trained_scene, home / "scene_run")
    shutil.copytree(ball_scene, home / "scene")
    shutil.copy(shape_run / "ball.ply", home / "ball.ply")
    rows = {"bench": "kernels", "device": "cpu", "rows": [], "notes": []}
    monkeypatch.setattr(bench, "measure", lambda name, device, seconds, say: say("measuring") or rows)
    monkeypatch.setattr(bench, "picture", lambda result: b"png")
    monkeypatch.setattr(doctor, "examine", lambda: [Finding("python", "ok", "3.11", "every command", required=True)])
    return home


SIREN = "--field siren --field.width 16 --field.layers 3 --steps 2 --pool 2000 --resolution 16 --train.batch 64"
VOXEL = "--field voxel --field.resolution 16 --steps 4 --train.batch 64 --rays.steps 8 --rays.grid 8"
LINES = {
    f"sdf --shape ball.ply {SIREN} --quiet": True,
    f"occ --shape ball.ply {SIREN} --quiet": True,
    f"nerf --scene scene {VOXEL} --quiet": True,
    "eval shape_run --quiet": True,
    "eval scene_run --quiet": True,
    "eval mesh ball.ply ball.ply --quiet": True,
    "render scene_run --frames 2 --size 16x16 --quiet": True,
    "export shape_run --resolution 16 --quiet": True,
    "export scene_run --resolution 16 --quiet": True,
    "bench kernels --quiet": True,
    "compare shape_run --quiet": True,
    "fields": False,
    "data make --mesh ball.ply --views 2 --test-views 1 --size 16x16 --quiet": True,
    "data check scene --quiet": True,
    "doctor": False,
}
"""Commands, and whether they have --quiet."""


@pytest.mark.parametrize("line", LINES, ids=[" ".join(line.split()[:2]) for line in LINES])
def test_json_is_one_object_on_standard_output_and_quiet_leaves_only_warnings(place, recon, line):
    found = recon(*line.split(), "--json")
    assert found.code == 0, found.err
    assert isinstance(json.loads(found.out), dict)  # all of it: one object, and nothing else
    assert "\x1b" not in found.out + found.err
    if LINES[line]:
        assert not [said for said in found.err.splitlines() if not said.startswith("warning")]


def test_every_command_with_progress_can_be_quiet_and_every_one_with_results_has_json(helps):
    silent = {"data", "data list", "data where", "completion", "fields", "doctor", "report", "runs", "runs prune"}
    for path, flags in helps["found"]["flags"].items():
        assert "--json" in flags or path in {"data", "completion", "view"}, path
        assert "--quiet" in flags or path in silent, path


def test_what_is_said_while_working_is_not_on_standard_output(place, recon):
    found = recon("export", "shape_run", "--resolution", "16")
    assert found.code == 0 and found.err.startswith("recon export: ") and found.out.startswith(str(place))


def test_a_run_says_first_what_it_needs_and_is_refused_before_it_writes(place, recon, monkeypatch):
    from recon import memory  # noqa: PLC0415

    words = [*f"sdf --shape ball.ply {SIREN} --out fits".split()]
    assert "needs: memory about " in recon(*words).err
    monkeypatch.setattr(memory, "available_bytes", lambda: 2.0**20)
    monkeypatch.setattr(memory, "own_bytes", lambda: 0.0)
    for line in (f"sdf --shape ball.ply {SIREN}", f"nerf --scene scene {VOXEL}"):
        found = recon(*line.split(), "--out", "not")
        assert found.code == 2 and "of memory and 0.0 GiB is available; close other programs, or lower" in found.err
        assert not (place / "not").exists()
