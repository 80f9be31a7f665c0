"""Input that is wrong, damaged or doubtful: one clear line and exit code 2, or a warning and a result; nothing lost."""

import json
import os
import shutil
import warnings

import numpy as np
import pytest
import trimesh

from recon import files


def refused(result, *said):
    """A refusal as a person sees it: exit code 2, nothing on standard output, the last line says what is wrong."""
    assert result.code == 2, result.err
    assert result.out == "" and "Traceback" not in result.err
    last = result.err.strip().splitlines()[-1]
    for text in said:
        assert text in last, last


TETRA = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\n"
FACES = "f 1 3 2\nf 1 2 4\nf 2 3 4\nf 1 4 3\n"
BAD = {
    "empty.ply": (b"", "empty"),
    "poem.ply": (b"shall I compare thee", "poem.ply"),
    "poem.glb": (b"shall I compare thee", "poem.glb"),
    "points.obj": (TETRA.encode(), "no faces"),
    "nan.obj": (TETRA.replace("v 1", "v nan").encode() + FACES.encode(), "NaN"),
    "inf.obj": (TETRA.replace("v 1", "v inf").encode() + FACES.encode(), "infinite"),
    "flat.obj": (b"v 0 0 0\nv 0 0 0\nv 0 0 0\nf 1 2 3\n", "zero extent"),
    "beyond.obj": (TETRA.encode() + b"f 1 2 9\n", "do not exist"),
    "short.off": (b"OFF\n4 4 0\n0 0 0\n", "cut short"),
    "mesh.docx": (b"PK", "unknown kind of file"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("command", ["sdf", "occ", "eval"])
def test_a_file_that_is_no_shape_is_refused_and_no_run_begins(recon, home, ball_file, name, command):
    data, said = BAD[name]
    (home / name).write_bytes(data)
    words = ("eval", "mesh", name, ball_file) if command == "eval" else (command, "--shape", name)
    refused(recon(*words), name, said)
    assert not (home / "renders").exists() and not (home / "datasets").exists()


def test_a_missing_file_or_name_is_answered_with_the_nearest(recon, home, ball_file):
    refused(recon("sdf", "--shape", "data/bal.ply"), "no file data/bal.ply", "ball.ply")
    refused(recon("sdf", "--shape", "idoll"), "no shape 'idoll'", "idol")
    refused(recon("sdf", "--shape", "data"), "no shape 'data'")
    refused(recon("sdf", "--shape", home / "data"), "is a folder")
    refused(recon("eval", "mesh", "nothing.ply", ball_file), "nothing.ply")


@pytest.mark.parametrize(
    "words, said",
    [
        (("--field", "sirne"), "perhaps you meant siren"),
        (("--preset", "quik"), "perhaps you meant quick"),
        (("--sampler", "bacn"), "perhaps you meant bacon"),
        (("--field",), "--field wants a name"),
        (("--resume",), "--resume wants a run"),
        (("--steps", "0"), "--steps must be at least 1"),
        (("--stop-after", "0"), "--stop-after must be at least 1"),
        (("--resolution", "4"), "8 .. 2048"),
        (("--field", "siren", "--experts-last", "0.2"), "experts_last is for neural-experts"),
        (("--field", "siren", "--cells"), "only asmr"),
        (("--field", "asmr", "--cells"), "for recon occ"),
        (("--field", "feature-grid", "--field.resolutions", "1000"), "at most"),
        (("--device", "cuda"), "no CUDA device"),
    ],
)
def test_a_wrong_setting_is_refused_before_a_run_begins(recon, home, ball_file, words, said):
    if "cuda" in words:
        pytest.importorskip("torch")
        import torch  # noqa: PLC0415

        if torch.cuda.is_available():
            pytest.skip("there is a CUDA device here")
    refused(recon("sdf", "--shape", ball_file, *words), said)
    assert not (home / "renders").exists()


def test_a_field_too_large_for_memory_is_refused_in_one_line(recon, home, ball_file):
    words = ("sdf", "--shape", ball_file, "--field", "siren", "--field.width", 40_000_000)
    refused(recon(*words), "GiB of memory")
    assert not (home / "renders").exists()


def test_memory_that_ends_on_the_way_is_told_in_one_line(recon, ball_file, monkeypatch):
    from recon.tasks.shape import run  # noqa: PLC0415

    def full(*args, **kwargs):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 64 bytes")

    monkeypatch.setattr(run, "train", full)
    refused(
        recon("sdf", "--shape", ball_file, "--field", "siren", "--pool", 1000), "not enough memory", "--train.batch"
    )


@pytest.mark.parametrize(
    "words, said",
    [
        (("--field.omega", "nan"), "omega must be positive"),
        (("--field.width", "0"), "positive width"),
        (("--train.optim.rate", "-1"), "rate must be positive"),
        (("--pool", "5"), "at least 1000"),
    ],
)
def test_a_setting_that_refuses_itself_is_told_by_the_parser(recon, home, ball_file, words, said):
    result = recon("sdf", "--shape", ball_file, "--field", "siren", *words)
    assert result.code == 2 and result.out == "" and "Traceback" not in result.err
    assert said in " ".join(result.err.split()) and not (home / "renders").exists()


@pytest.mark.parametrize("words", [("--stepps", "3"), ("--field.widht", "3"), ("--steps", "many"), ("--device", "tpu")])
def test_an_unknown_flag_or_value_is_named(recon, home, ball_file, words):
    result = recon("sdf", "--shape", ball_file, "--field", "siren", *words)
    assert result.code == 2 and words[0] in result.err or words[1] in result.err
    assert "Traceback" not in result.err and not (home / "renders").exists()


def test_an_unknown_command_is_answered_with_the_nearest(recon):
    refused(recon("exprot", "latest"), "perhaps you meant: recon export")


def test_more_faces_than_allowed_are_refused_and_the_limit_can_be_raised(recon, fit, ball_file):
    refused(recon("sdf", "--shape", ball_file, "--max-faces", 100), "320", "100")
    fit("sdf", "siren", "--max-faces", 320)


def test_points_have_no_inside_for_occupancy(recon, home):
    (home / "cloud.xyz").write_text("0 0 0 0 0 1\n1 1 1 0 1 0\n0 1 1 0 1 0\n")
    refused(recon("occ", "--shape", "cloud.xyz"), "point cloud", "use recon sdf")
    refused(recon("sdf", "--shape", "cloud.xyz", "--repair"), "--repair works on meshes")


def test_points_without_normals_are_refused(recon, home):
    (home / "cloud.xyz").write_text("0 0 0\n1 1 1\n0 1 1\n")
    refused(recon("sdf", "--shape", "cloud.xyz"), "normals")


def test_an_open_mesh_is_learned_with_a_warning_that_says_how_sure_the_sign_is(fit, home, ball_file):
    whole = trimesh.load_mesh(ball_file)
    trimesh.Trimesh(whole.vertices, whole.faces[20:], process=False).export(home / "open.ply")
    result = fit("sdf", "siren", "--shape", "open.ply")
    warned = [line for line in result.err.splitlines() if line.startswith("warning: ")]
    assert any("the mesh is open" in line for line in warned)
    assert any("inside and outside are sure at" in line for line in warned)
    assert any("sure at" in line for line in result.json["warnings"])
    repaired = fit("sdf", "siren", "--shape", "open.ply", "--repair")
    assert "repair: volume" in repaired.err and "warning" not in repaired.err


# -- places to write ---------------------------------------------------------------------------------------------------


def test_out_must_be_a_new_or_empty_folder(recon, fit, home, ball_file):
    (home / "file").write_text("mine")
    (home / "full").mkdir()
    (home / "full" / "thing").write_text("mine")
    start = ("sdf", "--shape", ball_file, "--field", "siren")
    refused(recon(*start, "--out", "file"), "is a file")
    refused(recon(*start, "--out", "file/run"), "cannot write")
    refused(recon(*start, "--out", "full"), "not empty")
    assert (home / "file").read_text() == (home / "full" / "thing").read_text() == "mine"
    fit("sdf", "siren", "--out", "run")
    refused(recon(*start, "--out", "run"), "holds a run already")


def test_a_place_without_permission_is_named(recon, home, ball_file, monkeypatch):
    def no(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files, "_write", no)  # root may write anywhere, so the refusal is played
    refused(recon("sdf", "--shape", ball_file, "--field", "siren", "--out", "run"), "cannot write", "Permission denied")


@pytest.mark.parametrize("allowed", [2, 4, 6, 8])
def test_a_full_disk_ends_with_one_line_and_what_was_saved_stays_good(recon, fit, home, monkeypatch, allowed):
    flags = ("--out", "run", "--train.checkpoint-every", "2", "--stop-after", "2")
    fit("sdf", "siren", *flags)
    write, left = files._write, [allowed]

    def full(file, data):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        write(file, data)

    monkeypatch.setattr(files, "_write", full)
    refused(recon("sdf", "--resume", "run", "--threads", 1), "no space left")
    monkeypatch.setattr(files, "_write", write)
    assert recon("sdf", "--resume", "run", "--threads", 1).code == 0
    assert recon("eval", "run").code == 0


# -- damaged and foreign run folders -----------------------------------------------------------------------------------


@pytest.fixture
def run(fit, home):
    """A run with two checkpoints, at steps 3 and 6."""
    fit("sdf", "siren", "--out", "run", "--train.checkpoint-every", "3")
    return home / "run"


def truncate(path):
    path.write_bytes(path.read_bytes()[:-10])


def tamper(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("harm", [truncate, tamper, os.unlink])
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_passed_over_and_both_are_named(recon, run, harm, name):
    harm(run / "checkpoint" / "step-000006" / name)
    for command in (("eval", run), ("export", run, "--out", "mesh.ply"), ("sdf", "--resume", run, "--threads", 1)):
        result = recon(*command)
        assert result.code == 0, result.err
        lines = [line for line in result.err.splitlines() if "is damaged" in line]
        assert len(lines) == 1, lines
        assert "step-000006" in lines[0] and "used step-000003 instead" in lines[0]
    assert recon("eval", run, "--json").json["steps"] == 6  # learned again


def test_when_every_checkpoint_is_damaged_that_is_said(recon, run):
    for place in (run / "checkpoint").glob("step-*"):
        truncate(place / "model.safetensors")
    for command in (("eval", run), ("export", run), ("sdf", "--resume", run)):
        refused(recon(*command), "no readable checkpoint")


def test_settings_of_another_version_are_named_and_the_rest_is_used(recon, run):
    config = json.loads((run / "config.json").read_text())
    config["settings"]["field"]["hyper_drive"] = 3
    config["settings"]["warp"] = True
    del config["settings"]["experts_last"]
    del config["settings"]["train"]["stages"][0]["rate_scale"]
    config["versions"]["recon"] = "99.0"
    (run / "config.json").write_text(json.dumps(config))
    for command in (("eval", run), ("export", run, "--out", "mesh.ply"), ("sdf", "--resume", run)):
        result = recon(*command)
        assert result.code == 0, result.err
        assert "warning: settings of recon 99.0" in result.err
        assert "field.hyper_drive" in result.err and "warp" in result.err


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda c: c.update(field="gaussians"), "unknown here"),
        (lambda c: c.update(task="film"), "not of a shape"),
        (lambda c: c.update(settings=[]), "settings"),
        (lambda c: c["settings"]["train"].update(stages=["all"]), "can't be used"),
        (lambda c: c["settings"]["train"]["optim"].update(betas=["x", "y"]), "can't be used"),
        (lambda c: c["settings"]["train"].update(steps=None), "can't be used"),
        (lambda c: c["settings"]["field"].update(width=24), "does not fit"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(recon, run, change, said):
    config = json.loads((run / "config.json").read_text())
    change(config)
    (run / "config.json").write_text(json.dumps(config))
    before = sorted((run / "checkpoint").iterdir())
    for command in (("eval", run), ("export", run), ("sdf", "--resume", run)):
        result = recon(*command)
        assert result.code == 2 and "Traceback" not in result.err and said in result.err, result.err
    assert sorted((run / "checkpoint").iterdir()) == before


@pytest.mark.parametrize("name", ["config.json", "reference.safetensors"])
@pytest.mark.parametrize("harm", [truncate, os.unlink])
def test_a_run_without_its_settings_or_its_shape_is_refused(recon, run, name, harm):
    harm(run / name)
    for command in (("eval", run), ("export", run), ("sdf", "--resume", run)):
        refused(recon(*command))


def test_only_a_run_of_the_same_command_is_resumed(recon, run, home):
    refused(recon("sdf", "--resume", home), "no run")
    refused(recon("sdf", "--resume", "nothing"), "no run 'nothing'")
    refused(recon("occ", "--resume", run), "recon sdf --resume")
    assert "--steps" in recon("sdf", "--resume", run, "--steps", 9).err


def test_a_damaged_cache_is_made_again(fit, home, monkeypatch):
    monkeypatch.setenv("RECON_DEBUG", "1")  # shape checks hide whose warning it is, so all are shown
    first = fit("sdf", "siren").json
    for path in (home / "datasets" / ".cache").iterdir():
        truncate(path)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        again = fit("sdf", "siren")
    assert again.json["scores"] == first["scores"]
    assert "warning: the cached pool" in again.err and "damaged" in again.err


def test_a_cache_that_is_lost_or_can_not_be_made_costs_only_time(fit, home, monkeypatch):
    monkeypatch.setenv("RECON_DEBUG", "1")
    first = fit("sdf", "siren").json
    shutil.rmtree(home / "datasets")
    (home / "datasets").write_text("in the way")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        again = fit("sdf", "siren")
    assert again.json["scores"] == first["scores"]
    assert again.err.count("could not be cached") == 2, again.err


# -- divergence --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["siren", "neural-experts"])
def test_a_run_that_diverges_ends_with_code_4_the_reason_and_the_last_good_state(recon, fit, home, field):
    result = fit("sdf", field, "--train.optim.rate", "1e30", "--train.optim.muon-rate", "1e30", "--out", "run", code=4)
    assert result.json["status"] == "diverged"
    assert "diverged" in result.err and "half the rate" in result.err and "Traceback" not in result.err
    assert any("went back" in line for line in result.json["warnings"])
    again = recon("eval", "run", "--json")
    assert again.code == 0
    assert all(value is None or np.isfinite(value) for value in again.json["scores"].values())
