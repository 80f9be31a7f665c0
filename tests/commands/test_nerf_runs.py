"""`recon nerf` end to end on tiny scenes of every layout: what it prints, what it leaves, and what its flags do."""

import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest

RIG = Path(__file__).parents[1] / "scenes" / "conftest.py"
TINY = ("--field", "voxel", "--field.resolution", "12", "--steps", "4", "--rays.steps", "16", "--rays.grid", "8")
TINY += ("--train.batch", "128", "--threads", "1")
LAYOUTS = {
    "blender": ("blender", "box"),
    "colmap_binary": ("colmap", "box"),
    "colmap_text": ("colmap", "box"),
    "llff": ("llff", "box"),
    "ngp": ("instant-ngp", "box"),
    "nsvf": ("nsvf", "box"),
}
"""What is said of a scene written in each layout, and its space: with alpha, silhouettes tell a box."""


@pytest.fixture(scope="session")
def writing():
    """The ball that tests of readers write in every layout."""
    return runpy.run_path(str(RIG))


@pytest.fixture
def rig(writing):
    return writing["make_rig"]()


def learned(recon, *words):
    result = recon("nerf", *words, *TINY, "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out) == result.json and result.out.count("\n{") == 0
    return result


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_learned_and_leaves_scores_and_views(recon, home, rig, layout):
    said, space = LAYOUTS[layout]
    before = rig.write(layout, home / "ball")
    files = {path: path.read_bytes() for path in before.rglob("*") if path.is_file()}
    result = learned(recon, "--scene", before)
    found, run = result.json, Path(result.json["run"])
    assert f"scene: ball ({said}), views: 14 train, 2 test, 32x24" in result.err and f"space: {space}" in result.err
    assert (found["data"], found["field"], found["steps"], found["status"]) == ("ball", "voxel", 4, "done")
    assert found["views"] == {"train": 14, "test": 2} and found["size"] == [32, 24]
    assert 0 < found["scores"]["psnr"] < 100 and found["scores"]["lpips"] is None
    assert "--lpips-weights" in found["definitions"]["lpips"]
    assert [Path(row["file"]).stem[-2:] for row in found["rows"]] == ["00", "08"]
    assert run.parent.parent == home / "renders" / "nerf" / "ball" and run.parent.name == "voxel"
    for name in (
        "config.json",
        "metrics.json",
        "log.jsonl",
        "reference.safetensors",
        "report.html",
        "images/views.png",
    ):
        assert (run / name).is_file()
    assert {path: path.read_bytes() for path in before.rglob("*") if path.is_file()} == files


def test_a_person_is_told_what_was_learned_and_where_it_lies(recon, ball_scene):
    result = recon("nerf", "--scene", ball_scene, *TINY)
    assert result.code == 0, result.err
    assert result.out.startswith("nerf of marble:") and "psnr" in result.out and "report.html" in result.out
    assert "recon nerf:" in result.err and "with voxel, preset quick (4 steps)" in result.err


def test_quiet_says_nothing_but_the_result(recon, ball_scene):
    result = recon("nerf", "--scene", ball_scene, *TINY, "--quiet", "--json")
    assert result.code == 0 and result.err == "" and result.json["status"] == "done"


def test_a_seed_decides_the_result(recon, home, ball_scene):
    scores = [learned(recon, "--scene", ball_scene, "--seed", seed).json["scores"]["mse"] for seed in (3, 3, -2)]
    assert scores[0] == scores[1] != scores[2]


def test_a_shrunk_scene_has_smaller_views_and_is_cached(recon, home, rig):
    rig.nsvf(home / "ball")
    result = learned(recon, "--scene", "ball", "--downscale", "2")
    assert result.json["size"] == [16, 12] and "averaged over 2 x 2" in " ".join(result.json["notes"])
    assert list((home / "datasets" / ".cache").glob("pictures-*"))
    assert learned(recon, "--scene", "ball", "--downscale", "2").json["scores"] == result.json["scores"]


def test_views_too_small_for_ssim_have_none(recon, home, rig):
    rig.nsvf(home / "ball")
    result = learned(recon, "--scene", "ball", "--downscale", "3")  # 10 x 8 pixels
    assert result.json["scores"]["ssim"] is None and "NULL" in result.json["definitions"]["ssim"]
    assert recon("eval", result.json["run"], "--json", "--threads", 1).json["scores"] == result.json["scores"]


@pytest.mark.parametrize("space", ["auto", "box", "contracted"])
def test_the_space_is_the_one_asked_for(recon, home, rig, space):
    rig.ngp(home / "ball")
    result = learned(recon, "--scene", "ball", "--space", space)
    assert result.json["space"] == ("box" if space == "auto" else space)
    assert (Path(result.json["run"]) / "images" / "inside.png").is_file()


def forward_facing(writing):
    """The ball before cameras that all look the same way."""
    rng = np.random.default_rng(2)
    positions = np.array([0.0, -2.5, 0.0]) + rng.uniform(-0.3, 0.3, size=(16, 3))
    pose = writing["looking_at_origin"](np.array([0.0, -2.5, 0.0]))
    poses = np.stack([np.concatenate([pose[:, :3], position[:, None]], axis=1) for position in positions])
    return writing["Rig"](poses, [writing["picture_of_ball"](pose) for pose in poses])


@pytest.mark.parametrize("field", ["voxel", "loe"])
def test_forward_facing_photographs_are_learned_in_ndc(recon, home, writing, field):
    rig = forward_facing(writing)
    for picture in rig.pictures:
        picture[..., 3] = 255
    rig.llff(home / "wall")
    words = TINY if field == "voxel" else ("--field", "loe", "--steps", "4", *SMALL_LOE, *TINY[6:])
    result = recon("nerf", "--scene", "wall", "--json", *words)
    assert result.code == 0, result.err
    assert result.json["space"] == "ndc" and "space: ndc" in result.err
    assert recon("eval", result.json["run"], "--json", "--threads", 1).json["scores"] == result.json["scores"]


SMALL_LOE = ("--field.width", "16", "--field.layers", "3", "--field.frequencies", "3", "--field.tiles", "2", "2", "2")
SMALL_LOE += ("--head.features", "8", "--head.width", "8", "--voxels.resolution", "12", "--voxels.batch", "128")


def test_photographs_without_alpha_are_learned_in_contracted_space(recon, home, rig):
    for picture in rig.pictures:
        picture[..., 3] = 255
    rig.colmap_text(home / "room")
    found = learned(recon, "--scene", "room").json
    assert found["space"] == "contracted" and "alpha is opaque everywhere: left out" in found["notes"]


def test_loe_is_the_default_field_and_voxels_teach_it(recon, ball_scene):
    words = ("--steps", "6", *SMALL_LOE, *TINY[6:], "--scene", ball_scene)
    result = recon("nerf", "--json", *words)
    assert result.code == 0, result.err
    assert result.json["field"] == "loe" and result.json["preset"] == "quick"
    log = [json.loads(line) for line in (Path(result.json["run"]) / "log.jsonl").read_text().splitlines()]
    assert {"voxels", "field"} >= {row["stage"] for row in log if "stage" in row}


@pytest.mark.parametrize("field", ["asmr", "feature-grid", "hash-grid", "pe-mlp", "siren"])
def test_every_field_is_learned(recon, ball_scene, field):
    sizes = {
        "asmr": ("--field.width", "16", "--field.bases", "2", "2", "4"),
        "feature-grid": ("--field.resolutions", "4", "8", "--field.width", "16"),
        "hash-grid": ("--field.levels", "4", "--field.table-log2", "10", "--field.finest", "32"),
        "pe-mlp": ("--field.width", "16", "--field.layers", "3"),
        "siren": ("--field.width", "16", "--field.layers", "3"),
    }[field]
    small = ("--head.features", "8", "--head.width", "8", "--voxels.resolution", "12", "--voxels.batch", "128")
    result = recon("nerf", "--scene", ball_scene, "--field", field, *sizes, *small, "--steps", "4", *TINY[6:], "--json")
    assert result.code == 0, result.err
    assert result.json["field"] == field and result.json["scores"]["psnr"] > 0


@pytest.mark.parametrize(
    "field, flags",
    [
        ("loe", ("--field.encoding", "constant")),
        ("loe", ("--field.blending", "linear")),
        ("asmr", ("--field.bases", "2", "2", "4", "--field.no-offset")),
    ],
)
def test_fields_without_slopes_or_with_other_blending_are_drawn_too(recon, ball_scene, field, flags):
    sizes = SMALL_LOE if field == "loe" else ("--head.features", "8", "--voxels.resolution", "12")
    result = recon("nerf", "--scene", ball_scene, "--field", field, *sizes, *flags, "--steps", "3", *TINY[6:], "--json")
    assert result.code == 0, result.err


def test_out_is_where_the_run_lies(recon, home, ball_scene):
    found = learned(recon, "--scene", ball_scene, "--out", home / "mine" / "run").json
    assert found["run"] == str(home / "mine" / "run") and (home / "mine" / "run" / "metrics.json").is_file()
    again = recon("nerf", "--scene", ball_scene, *TINY, "--out", home / "mine" / "run")
    assert again.code == 2 and "mine/run" in again.err
    assert json.loads((home / "mine" / "run" / "metrics.json").read_text())["scores"] == found["scores"]


def test_a_scene_goes_by_its_name_in_a_data_folder_whatever_the_case(recon, home, rig, monkeypatch):
    rig.blender(home / "shelf" / "scenes" / "Ball")
    monkeypatch.setenv("RECON_DATA", str(home / "shelf"))
    assert learned(recon, "--scene", "ball").json["data"] == "Ball"


@pytest.mark.parametrize("layout", ["blender", "nsvf"])
def test_a_scene_that_was_made_from_a_mesh_is_learned(recon, home, ball_file, layout):
    words = ("--views", "8", "--test-views", "2", "--size", "24x24", "--format", layout, "--out", "made")
    assert recon("data", "make", "--mesh", ball_file, *words).code == 0
    found = learned(recon, "--scene", "made").json
    assert found["views"] == {"train": 8, "test": 2} and found["space"] == "box"


def test_a_run_is_scored_rendered_and_exported_when_its_scene_is_gone(recon, home, rig):
    rig.ngp(home / "ball")
    found = learned(recon, "--scene", "ball", "--out", "run").json
    shutil.rmtree(home / "ball")
    shutil.rmtree(home / "datasets", ignore_errors=True)
    again = recon("eval", "run", "--json", "--threads", 1)
    assert again.code == 0, again.err
    assert again.json["scores"] == found["scores"] and again.json["rows"] == found["rows"]


def test_skipped_frames_are_counted_aloud(recon, home, rig):
    rig.ngp(home / "ball")
    (home / "ball" / "images" / "view_03.png").unlink()
    result = learned(recon, "--scene", "ball")
    assert "1 " in result.err and "skipped" in result.err
    assert sum(result.json["views"].values()) == 15


def test_pictures_smaller_than_lpips_wants_do_not_cost_the_run_its_scores(recon, home, ball_scene):
    import torch  # noqa: PLC0415
    from safetensors.torch import save_file  # noqa: PLC0415

    from recon.metrics.image import _shapes  # noqa: PLC0415

    save_file({name: torch.zeros(shape) for name, shape in _shapes("alex").items()}, home / "alex.safetensors")
    found = learned(recon, "--scene", ball_scene, "--lpips-weights", "alex.safetensors").json  # 24 x 24 pixels
    assert found["scores"]["lpips"] is None and found["scores"]["psnr"] > 0
    assert "NULL: the pictures are too small" in found["definitions"]["lpips"]
