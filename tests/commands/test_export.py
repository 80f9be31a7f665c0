"""`recon export`: every format, where the input lies, whole or largest part, coloured, dense as adaptive."""

import numpy as np
import pytest
import trimesh

from recon.shapes.load import read_mesh

CENTRE, RADIUS = np.array([100, -5, 3]), 37.0


@pytest.fixture
def run(fit, home):
    """A ball learned well enough to be one closed surface."""
    result = fit("sdf", "feature-grid", "--steps", 150, "--train.batch", 1024, "--pool", 20_000)
    return home / result.json["run"]


@pytest.fixture
def mixture(fit, home):
    return home / fit("sdf", "neural-experts", "--steps", 20).json["run"]


def export(recon, run, *flags):
    result = recon("export", run, "--json", "--threads", 1, *flags)
    assert result.code == 0, result.err
    return result.json


@pytest.mark.parametrize("suffix", ["ply", "obj", "glb", "stl"])
def test_each_format_holds_the_ball_where_the_input_has_it(recon, run, home, suffix):
    about = export(recon, run, "--format", suffix, "--resolution", 40, "--keep", "largest")
    assert about["file"].endswith(f"mesh_40.{suffix}") and about["components"] == 1
    mesh = read_mesh(about["file"])
    assert len(mesh.faces) == about["faces"] > 500
    away = np.linalg.norm(mesh.vertices - CENTRE, axis=1)
    assert abs(np.median(away) - RADIUS) < 0.05 * RADIUS
    np.testing.assert_allclose(mesh.vertices.mean(axis=0), CENTRE, atol=2)
    assert about["volume"] == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.15)


def test_adaptive_and_dense_extraction_give_the_same_mesh_and_adaptive_evaluates_less(recon, run, home):
    kinds = {
        how: export(recon, run, "--method", how, "--resolution", 64, "--out", f"{how}.ply")
        for how in ("adaptive", "dense")
    }
    meshes = [read_mesh(home / f"{how}.ply") for how in kinds]
    found = [mesh.triangles.reshape(-1, 9) for mesh in meshes]
    found = [rows[np.lexsort(rows.T[::-1])] for rows in found]
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)
    assert kinds["adaptive"]["evaluations"] < kinds["dense"]["evaluations"] == 64**3


def test_colours_tell_the_error_with_its_limits_or_the_expert(recon, mixture, home):
    export(recon, mixture, "--colour", "error", "--out", "error.ply")
    header = (home / "error.ply").read_bytes()[:1500].split(b"end_header")[0].decode()
    assert "signed error" in header and "uchar red" in header
    assert "normalised = " in header
    about = export(recon, mixture, "--colour", "expert", "--out", "expert.glb")
    scene = trimesh.load_scene(home / "expert.glb")
    (mesh,) = scene.geometry.values()
    assert len(mesh.visual.vertex_colors) == about["vertices"]
    assert len(np.unique(mesh.visual.vertex_colors, axis=0)) <= 4


def test_only_a_mixture_has_experts_to_colour_by(recon, run):
    result = recon("export", run, "--colour", "expert")
    assert result.code == 2 and "neural-experts" in result.err


def test_keep_largest_leaves_one_component(recon, fit, home):
    run = home / fit("sdf", "siren", "--steps", 3).json["run"]
    all_parts = export(recon, run, "--out", "all.ply")
    largest = export(recon, run, "--keep", "largest", "--out", "largest.ply")
    assert largest["components"] == 1 < all_parts["components"]
    assert largest["area"] < all_parts["area"]


def test_a_run_of_points_is_exported_too(recon, fit, home):
    direction = np.random.default_rng(0).normal(size=(500, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    np.savetxt(home / "cloud.xyz", np.column_stack([direction * RADIUS + CENTRE, direction]))
    fit("sdf", "feature-grid", "--shape", "cloud.xyz", "--steps", 60)
    about = export(recon, "latest", "--colour", "error", "--format", "ply")
    away = np.linalg.norm(read_mesh(about["file"]).vertices - CENTRE, axis=1)
    assert abs(np.median(away) - RADIUS) < 0.2 * RADIUS


def test_an_occupancy_run_has_a_surface(recon, fit, home):
    fit("occ", "asmr", "--steps", 60, "--train.optim.rate", "1e-2")
    assert export(recon, "latest", "--format", "stl")["file"].endswith(".stl")


@pytest.mark.parametrize(
    "flags, said",
    [
        (("--out", "mesh.fbx"), "suffix '.fbx'"),
        (("--out", "nowhere/mesh.ply"), "nowhere is not a folder"),
        (("--out", "mesh.ply", "--format", "obj"), "disagree"),
        (("--resolution", "4"), "8 .. 2048"),
        (("--out", "a_file/mesh.ply"), "a_file is not a folder"),
        (("--out", "a_folder.ply"), "cannot write"),
    ],
)
def test_an_export_that_can_not_be_written_says_so_and_leaves_nothing(recon, fit, home, flags, said):
    run = home / fit("sdf", "siren", "--steps", 2).json["run"]
    (home / "a_file").write_text("")
    (home / "a_folder.ply").mkdir()
    before = sorted(home.rglob("*"))
    result = recon("export", run, *flags)
    assert result.code == 2 and said in result.err and "Traceback" not in result.err
    assert sorted(home.rglob("*")) == before


# -- scenes ------------------------------------------------------------------------------------------------------------


def test_the_mesh_of_a_scene_is_coloured_and_lies_where_the_pictures_were_taken(recon, scene_run):
    about = export(recon, scene_run, "--resolution", 32)
    assert about["file"] == str(scene_run / "mesh_32.ply") and about["method"] == "level" and about["level"] > 0
    assert {"components", "faces", "area", "removed_floaters"} <= about.keys()
    mesh = trimesh.load_mesh(about["file"], process=False)
    np.testing.assert_allclose(mesh.bounds, [[2.5, 0.5, -2.5], [3.5, 1.5, -1.5]], atol=0.1)
    assert np.ptp(np.asarray(mesh.visual.vertex_colors)[:, :3], axis=0).max() > 30


@pytest.mark.parametrize("suffix", ["obj", "glb", "stl"])
def test_the_mesh_of_a_scene_comes_in_every_format(recon, scene_run, suffix):
    about = export(recon, scene_run, "--format", suffix, "--resolution", 16, "--keep", "largest", "--level", 5.0)
    assert about["level"] == 5 and about["components"] == 1
    assert len(read_mesh(about["file"]).faces) == about["faces"] > 50


def test_depth_of_a_scene_is_fused_where_open3d_loads(recon, scene_run):
    from recon.surfaces.tsdf import _open3d  # noqa: PLC0415

    result = recon("export", scene_run, "--method", "tsdf", "--resolution", 32, "--json", "--threads", 1)
    try:
        _open3d()
    except ImportError:
        assert result.code == 3 and "open3d" in result.err.lower()
        return
    assert result.json["file"] == str(scene_run / "mesh_tsdf.ply") and result.json["faces"] > 100
    assert np.median(np.linalg.norm(read_mesh(result.json["file"]).vertices - [3, 1, -2], axis=1)) < 0.6


def test_points_and_cameras_of_a_scene_are_files_of_their_own(recon, scene_run, monkeypatch):
    from recon.tasks.nerf import export as scenes  # noqa: PLC0415

    monkeypatch.setattr(scenes, "FUSED_SIDE", 64)
    about = export(recon, scene_run, "--what", "points")
    cloud = trimesh.load(about["file"])
    assert len(cloud.vertices) == about["points"] > 500
    assert np.median(np.linalg.norm(cloud.vertices - [3, 1, -2], axis=1)) == pytest.approx(0.5, abs=0.1)
    about = export(recon, scene_run, "--what", "cameras")
    assert about["cameras"] == 19 and about["file"] == str(scene_run / "cameras.json")


def test_a_scenes_export_is_told_to_people(recon, scene_run):
    result = recon("export", scene_run, "--resolution", 16)
    assert result.code == 0 and "removed_floaters" in result.out and "level_chosen automatic" in result.out


@pytest.mark.parametrize(
    "flags, said",
    [
        (("--colour", "error"), "--colour is for runs of a shape"),
        (("--method", "dense"), "level or tsdf"),
        (("--method", "tsdf", "--level", "3"), "--level is for --method level"),
        (("--level", "0"), "density above 0"),
        (("--level", "nan"), "density above 0"),
        (("--what", "points", "--format", "obj"), "--format is for --what mesh"),
        (("--what", "points", "--out", "a.obj"), "written as .ply"),
        (("--what", "cameras", "--out", "a.ply"), "written as .json"),
        (("--what", "cameras", "--level", "3"), "--level is for --what mesh"),
    ],
)
def test_flags_that_make_no_sense_for_a_scene_are_refused(recon, scene_run, flags, said):
    before = sorted(scene_run.rglob("*"))
    result = recon("export", scene_run, *flags)
    assert result.code == 2 and said in result.err and "Traceback" not in result.err, result.err
    assert sorted(scene_run.rglob("*")) == before


def test_flags_of_scenes_are_refused_for_a_shape(recon, fit, home):
    run = home / fit("sdf", "siren", "--steps", 2).json["run"]
    for flags, said in (
        (("--what", "points"), "--what is for runs of a scene"),
        (("--level", "3"), "--level is for runs of a scene"),
        (("--method", "tsdf"), "adaptive or dense"),
    ):
        result = recon("export", run, *flags)
        assert result.code == 2 and said in result.err, result.err


def test_a_shape_run_whose_field_is_noise_says_so_and_draws_no_pictures(fit, home, pictures, monkeypatch):
    from recon.tasks.shape import run, scores  # noqa: PLC0415

    for module in (run, scores):
        monkeypatch.setattr(module, "MOST_FACES", 10)
    result = fit("sdf", "siren", "--steps", 2)
    assert "warning: the mesh has" in result.err and "train longer" in result.err
    assert result.json["scores"]["chamfer_l1"] is None and "noise of" in result.json["definitions"]["chamfer_l1"]
    assert "images" not in result.json["files"] and any("train longer" in line for line in result.json["warnings"])
