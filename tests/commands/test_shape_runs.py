"""`recon sdf` and `recon occ` from end to end: every kind of input, every field, and what lands in the folder."""

import json

import numpy as np
import pytest
import trimesh

from recon.fields import FIELDS
from recon.shapes.load import read_mesh

KEYS = {"task", "data", "field", "preset", "params", "macs", "steps", "seconds", "device", "run", "files", "scores"}
KEYS |= {"definitions", "rows"}
SCORES = ["iou", "chamfer_l1", "chamfer_l2", "f_score_0.005", "f_score_0.01", "normal_consistency", "hausdorff"]
SCORES += [f"trimap_iou_{band}" for band in ("0.1", "0.01", "0.005", "0.001")]
SCORES += [f"trimap_iou_sampled_{band}" for band in ("0.1", "0.01", "0.005", "0.001")]


@pytest.mark.parametrize("suffix", ["ply", "obj", "off", "stl", "glb"])
def test_a_mesh_of_each_format_is_learned_in_its_own_coordinates(recon, fit, ball_file, suffix):
    path = ball_file.with_suffix(f".{suffix}")
    trimesh.load_mesh(ball_file).export(path)
    result = fit("sdf", "feature-grid", "--shape", path, "--steps", 30).json
    assert result["data"] == "ball" and result["steps"] == 30 and result["status"] == "done"
    folder = ball_file.parents[1] / "renders" / "latest"
    mesh = read_mesh(folder / result["files"]["mesh"])
    near = np.linalg.norm(mesh.vertices - [100, -5, 3], axis=1)
    assert 25 < np.median(near) < 48


def test_both_kinds_of_point_cloud_are_learned_and_have_no_inside(fit, home):
    points = np.random.default_rng(0).normal(size=(800, 3))
    normals = points / np.linalg.norm(points, axis=1, keepdims=True)
    rows = np.column_stack([normals * 2 + 7, normals])
    np.savetxt(home / "cloud.xyz", rows)
    names = ["x", "y", "z", "nx", "ny", "nz"]
    head = ["ply", "format ascii 1.0", f"element vertex {len(rows)}", *(f"property float {n}" for n in names)]
    text = "\n".join([*head, "end_header", *(" ".join(map(str, row)) for row in rows)])
    (home / "points.ply").write_text(text + "\n")
    for name in ("cloud.xyz", "points.ply"):
        result = fit("sdf", "siren", "--shape", name).json
        for score in SCORES:
            solid = "iou" in score
            assert (result["scores"][score] is None) == solid
            assert ("a point cloud has no inside" in result["definitions"][score]) == solid


def test_a_procedural_shape_goes_by_name_whatever_the_case(fit, monkeypatch):
    from recon.shapes import procedural  # noqa: PLC0415

    monkeypatch.setitem(
        procedural.PROCEDURAL, "rings", lambda: procedural._solid(procedural._rings, (-1.02,) * 3, (1.02,) * 3, 0.08)
    )
    assert fit("sdf", "siren", "--shape", "RINGS").json["data"] == "rings"


def test_a_name_is_found_in_datasets_and_in_the_folders_of_recon_data(fit, home, ball_file, monkeypatch):
    (home / "elsewhere" / "shapes").mkdir(parents=True)
    ball_file.rename(home / "elsewhere" / "shapes" / "Globe.ply")
    monkeypatch.setenv("RECON_DATA", f"/nowhere:{home / 'elsewhere'}")
    assert fit("sdf", "siren", "--shape", "globe").json["data"] == "globe"


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_learns_a_distance_and_leaves_a_whole_run_folder(fit, home, pictures, field):
    result = fit("sdf", field).json
    folder = home / "renders" / "latest"
    assert KEYS <= result.keys()
    assert folder.resolve() == (home / "renders" / "sdf" / "ball" / field / "latest").resolve()
    assert json.loads((folder / "metrics.json").read_text()) == result
    assert set(SCORES) <= result["scores"].keys() == result["definitions"].keys()
    for name in ("config.json", "log.jsonl", "report.html", "mesh.ply", "reference.safetensors", "checkpoint", "tb"):
        assert (folder / name).exists(), name
    for place in result["files"]["images"].values():
        assert (folder / place).read_bytes().startswith(b"\x89PNG")
    assert "traced" in result["files"]["images"] or field == "asmr"
    assert ("experts" in result["files"]["images"]) == (field in ("neural-experts", "vanilla-moe"))
    leftovers = [path for path in folder.rglob("*") if path.name.startswith(".") or path.name.endswith(".tmp")]
    assert not leftovers


@pytest.mark.parametrize("field", ["asmr", "siren", "neural-experts"])
def test_occupancy_is_learned_by_points_and_by_cells(fit, field):
    result = fit("occ", field, "--steps", 40).json
    assert result["task"] == "occ"
    assert ("iou_grid" in result["scores"]) == (field == "asmr")
    assert result["scores"].keys() == result["definitions"].keys()


def test_one_json_object_is_all_there_is_on_standard_output_and_every_null_has_its_reason(fit):
    result = fit("sdf", "siren")
    assert isinstance(result.json, dict)
    assert result.err.startswith("recon sdf: ") and "cpu" in result.err.splitlines()[0]
    for name, value in result.json["scores"].items():
        assert (value is None) == ("NULL:" in result.json["definitions"][name]), name


def test_quiet_leaves_only_warnings(fit):
    assert fit("sdf", "siren", "--quiet").err == ""


def test_without_json_a_person_reads_scores_and_where_the_files_are(recon, ball_file):
    flags = ("--steps", 3, "--pool", 1000, "--resolution", 16, "--field.width", 8, "--train.batch", 64)
    result = recon("sdf", "--shape", ball_file, "--field", "siren", *flags)
    assert result.code == 0 and "chamfer_l1" in result.out and "mesh.ply" in result.out
