"""`recon eval`: two meshes by closed forms, in both frames and any units; a run from its folder alone."""

import json

import numpy as np
import pytest
import trimesh

RADIUS = 37.0


def sphere(path, radius=RADIUS, shift=(0, 0, 0)):
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    mesh.apply_translation(np.array([100, -5, 3]) + shift)
    mesh.export(path)
    return path


@pytest.fixture(autouse=True)
def _finer(_tiny_scores, monkeypatch):
    from recon.tasks.shape import run, scores, truth, versus  # noqa: PLC0415

    for module in (truth, scores, run, versus):
        monkeypatch.setattr(module, "GRID", 96)
    monkeypatch.setattr(scores, "SURFACE_SAMPLES", 20_000)


def compare(recon, pred, true, *flags):
    result = recon("eval", "mesh", pred, true, "--json", *flags)
    assert result.code == 0, result.err
    assert result.json["scores"].keys() == result.json["definitions"].keys()
    return result.json["scores"]


@pytest.mark.parametrize("frame", ["input", "normalised"])
def test_a_larger_ball_has_the_scores_of_the_closed_form(recon, home, frame):
    true, pred = sphere(home / "true.ply"), sphere(home / "pred.obj", 1.1 * RADIUS)
    scores = compare(recon, pred, true, "--frame", frame)
    unit = 1.0 if frame == "normalised" else RADIUS
    assert scores["iou"] == pytest.approx(1 / 1.1**3, rel=0.01)
    assert scores["chamfer_l1"] == pytest.approx(0.1 * unit, rel=0.01)
    assert scores["chamfer_l2"] == pytest.approx(2 * (0.1 * unit) ** 2, rel=0.02)
    assert scores["hausdorff"] == pytest.approx(0.1 * unit, rel=0.03)
    assert scores["normal_consistency"] == pytest.approx(1, abs=0.01)
    assert scores["f_score_0.01"] == 0


def test_a_moved_ball_has_the_scores_of_the_closed_form(recon, home):
    far = 0.2 * RADIUS
    scores = compare(recon, sphere(home / "pred.stl", shift=(far, 0, 0)), sphere(home / "true.off"))
    ball = 4 / 3 * np.pi * RADIUS**3
    lens = np.pi * (4 * RADIUS + far) * (2 * RADIUS - far) ** 2 / 12
    assert scores["iou"] == pytest.approx(lens / (2 * ball - lens), rel=0.01)
    assert scores["hausdorff"] == pytest.approx(far, rel=0.02)
    cosine = np.linspace(-1, 1, 20_001)
    away = np.abs(np.sqrt(RADIUS**2 + far**2 + 2 * RADIUS * far * cosine) - RADIUS)
    assert scores["chamfer_l1"] == pytest.approx(away.mean(), rel=0.03)
    assert scores["chamfer_l2"] == pytest.approx(2 * (away**2).mean(), rel=0.03)


def test_lengths_follow_the_units_of_the_files_and_shares_do_not(recon, home):
    pairs = []
    for unit in (1.0, 1000.0):
        folder = home / f"{unit:g}"
        folder.mkdir()
        for name, radius in (("true.ply", 1.0), ("pred.ply", 1.05)):
            trimesh.creation.icosphere(subdivisions=3, radius=radius * unit).export(folder / name)
        pairs.append(compare(recon, folder / "pred.ply", folder / "true.ply"))
    small, large = pairs
    assert large["chamfer_l1"] == pytest.approx(1000 * small["chamfer_l1"], rel=1e-4)
    assert large["chamfer_l2"] == pytest.approx(1e6 * small["chamfer_l2"], rel=1e-4)
    assert large["iou"] == pytest.approx(small["iou"], abs=0.002)


def test_a_mesh_against_itself_is_perfect(recon, home):
    path = sphere(home / "ball.glb")
    scores = compare(recon, path, path)
    assert scores["iou"] == scores["f_score_0.005"] == 1
    assert scores["chamfer_l1"] < 1e-5 * RADIUS and scores["hausdorff"] < 1e-4 * RADIUS
    assert scores["trimap_iou_sampled_0.1"] == pytest.approx(1, abs=1e-6)


def test_an_export_scored_as_a_file_agrees_with_the_scores_of_its_run(recon, fit, home, ball_file):
    run = fit("sdf", "feature-grid", "--steps", 40).json
    scores = compare(recon, home / "renders" / "latest" / "mesh.ply", ball_file, "--frame", "normalised")
    assert scores["chamfer_l1"] == pytest.approx(run["scores"]["chamfer_l1"], rel=0.05)
    assert scores["hausdorff"] == pytest.approx(run["scores"]["hausdorff"], rel=0.05)


def test_a_mesh_is_not_scored_against_points(recon, home, ball_file):
    (home / "points.xyz").write_text("0 0 0 0 0 1\n1 1 1 0 1 0\n")
    result = recon("eval", "mesh", ball_file, home / "points.xyz")
    assert result.code == 2 and "points.xyz" in result.err and "mesh" in result.err


def test_an_open_mesh_is_scored_with_a_warning_that_names_it(recon, home, ball_file):
    whole = trimesh.load_mesh(ball_file)
    trimesh.Trimesh(whole.vertices, whole.faces[30:], process=False).export(home / "open.ply")
    result = recon("eval", "mesh", home / "open.ply", ball_file)
    assert result.code == 0 and "warning: open.ply:" in result.err and "sure at" in result.err


@pytest.mark.parametrize("task, field", [("sdf", "feature-grid"), ("sdf", "neural-experts"), ("occ", "asmr")])
def test_a_run_is_scored_again_from_its_folder_with_the_same_result(recon, fit, home, task, field):
    trained = fit(task, field).json
    again = recon("eval", "latest", "--json", "--threads", 1)
    assert again.code == 0 and again.json["scores"] == trained["scores"]
    assert again.json["definitions"] == trained["definitions"]
    for key in ("task", "data", "field", "preset", "params", "macs", "steps"):
        assert again.json[key] == trained[key]
    assert again.json["seconds"] == pytest.approx(trained["seconds"], abs=0.5)
    assert json.loads((home / "renders" / "latest" / "metrics.json").read_text()) == trained


def test_the_papers_protocol_adds_its_chamfer_and_is_kept_by_the_run(recon, fit):
    kept = fit("sdf", "feature-grid", "--protocol", "paper", "--steps", 40).json
    assert kept["scores"]["chamfer_paper_1e5"] > 0
    again = recon("eval", "latest", "--json", "--threads", 1).json
    assert again["protocol"] == "paper" and again["scores"] == kept["scores"]
    plain = recon("eval", "latest", "--protocol", "default", "--json").json
    assert "chamfer_paper_1e5" not in plain["scores"]


def test_runs_go_by_latest_by_name_and_by_path(recon, fit, home):
    fit("sdf", "siren")
    for name in ("latest", "ball", "sdf/ball/siren", home / "renders" / "sdf" / "ball" / "siren" / "latest"):
        assert recon("eval", name, "--json").code == 0, name
    result = recon("eval", "bal")
    assert result.code == 2 and "perhaps you meant" in result.err


# -- scenes ------------------------------------------------------------------------------------------------------------


def test_a_scene_is_scored_again_from_its_folder_with_the_same_result(recon, scene_run):
    trained = json.loads((scene_run / "metrics.json").read_text())
    result = recon("eval", scene_run, "--json", "--threads", 1)
    assert result.code == 0, result.err
    again = result.json
    assert again["scores"] == pytest.approx(trained["scores"]) and again["scores"]["lpips"] is None
    assert [row["file"] for row in again["rows"]] == [row["file"] for row in trained["rows"]]
    assert again["definitions"] == trained["definitions"] and again["steps"] == 200
    assert json.loads((scene_run / "metrics.json").read_text()) == trained


def test_a_person_is_told_the_worst_views_and_the_best(recon, scene_run):
    rows = json.loads((scene_run / "metrics.json").read_text())["rows"]
    order = sorted(rows, key=lambda row: row["psnr"])
    lines = recon("eval", scene_run, "--threads", 1).out.splitlines()
    shown = [line for line in lines if line.strip().startswith(("worst", "best"))]
    assert [line.split()[0] for line in shown] == ["worst", "worst", "best"]
    assert [line.split()[-1] for line in shown] == [row["file"] for row in order]
    assert f"{order[0]['psnr']:.2f} dB" in shown[0]


def test_flags_of_the_other_kind_of_run_are_refused(recon, scene_run, fit):
    result = recon("eval", scene_run, "--protocol", "paper")
    assert result.code == 2 and "--protocol is for runs of a shape" in result.err
    fit("sdf", "siren", "--steps", 2)
    result = recon("eval", "latest", "--lpips-weights", "x.safetensors")
    assert result.code == 2 and "--lpips-weights is for runs of a scene" in result.err


def test_weights_of_lpips_that_are_none_are_refused(recon, scene_run, home):
    (home / "w.safetensors").write_bytes(b"not weights")
    for name in ("w.safetensors", "missing.safetensors"):
        result = recon("eval", scene_run, "--lpips-weights", name)
        assert result.code == 2 and name in result.err and "Traceback" not in result.err
