"""`--config`: a run's settings make the same run again, flags beside it win, and what does not fit is named."""

import json
import shutil

import pytest
from newest import assert_same


@pytest.fixture
def first(fit, home):
    """A run with a seed, a width and a precision of its own."""
    flags = ("--seed", "3", "--field.width", "12", "--precision", "float32")
    return fit("sdf", "siren", *flags, "--out", home / "first").json


def test_a_run_is_made_again_with_its_settings_its_data_and_its_seed(first, recon, home):
    again = recon("sdf", "--config", "first", "--out", "again", "--json")
    assert again.code == 0, again.err
    assert_same(home / "first", home / "again")
    assert again.json["scores"] == first["scores"] and again.json["settings"] == first["settings"]
    one, other = (json.loads((home / name / "config.json").read_text()) for name in ("first", "again"))
    assert one["settings"] == other["settings"] and one["inputs"] == other["inputs"]
    assert one["settings"]["threads"] == 1 and one["settings"]["train"]["seed"] == 3
    assert one["inputs"]["shape"] == str(home / "data" / "ball.ply")


def test_a_config_goes_to_a_friend_who_says_where_the_shape_is(first, recon, home, monkeypatch):
    (home / "friend").mkdir()
    shutil.copy(home / "first" / "config.json", home / "friend" / "theirs.json")
    shutil.move(home / "data" / "ball.ply", home / "friend" / "ball.ply")
    monkeypatch.chdir(home / "friend")
    monkeypatch.setenv("RECON_HOME", str(home / "friend"))
    lost = recon("sdf", "--config", "theirs.json")
    assert lost.code == 2 and "data/ball.ply" in lost.err and "say where it is with --shape" in lost.err
    again = recon("sdf", "--config", "theirs.json", "--shape", "ball.ply", "--out", "again", "--json")
    assert again.json["scores"] == first["scores"]


def test_flags_beside_it_win(first, recon, home):
    flags = ("--steps", "4", "--seed", "5", "--field.omega", "20", "--threads", "1", "--pool", "1500")
    found = recon("sdf", "--config=first", *flags, "--field", "siren", "--out", "again", "--json").json
    assert found["steps"] == 4 and found["settings"] == {**first["settings"], "omega": 20.0}
    settings = json.loads((home / "again" / "config.json").read_text())["settings"]
    assert (settings["train"]["seed"], settings["pool"], settings["resolution"]) == (5, 1500, 24)


def test_another_shape_is_told_and_so_is_what_no_longer_fits(first, recon, home):
    import trimesh  # noqa: PLC0415

    trimesh.creation.box((1, 2, 3)).export(home / "box.ply")
    config = json.loads((home / "first" / "config.json").read_text())
    config["settings"] |= {"moustache": True, "pool": "large"}
    (home / "first" / "config.json").write_text(json.dumps(config))
    again = recon("sdf", "--config", "first", "--shape", "box.ply", "--pool", "2000", "--steps", "1", "--quiet")
    assert again.code == 0, again.err
    assert "no longer fit, and were left out: pool, moustache" in again.err
    assert "is not the shape that the run in" in again.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("occ", "--config", "first"), "is a run of recon sdf; run it again with: recon sdf --config first"),
        (("nerf", "--config", "first"), "is a run of recon sdf"),
        (("sdf", "--config", "first", "--field", "loe"), "--config first has field siren"),
        (("sdf", "--config", "first", "--preset", "small"), "has preset quick, and its settings are no settings of"),
        (("sdf", "--config", "frist"), "no run 'frist'"),
        (("sdf", "--config"), "--config wants a run"),
        (("sdf", "--config", "notes.json"), "has no usable 'task'"),
        (("sdf", "--confg", "first"), "perhaps you meant --config"),
        (("sdf", "--config", "first", "--resume", "first"), "--config"),
    ],
)
def test_what_makes_no_sense_is_refused(first, recon, home, words, said):
    (home / "notes.json").write_text("{}")
    result = recon(*words)
    assert result.code == 2 and said in result.err and "Traceback" not in result.err
    assert not (home / "renders" / "sdf").exists()


@pytest.mark.parametrize("inputs", [None, {"shape": 3, "max_faces": "many", "repair": [], "moustache": 1}])
def test_a_config_that_does_not_say_what_was_learned_means_the_name_of_its_data(first, recon, home, inputs):
    config = json.loads((home / "first" / "config.json").read_text())
    config["inputs"] = inputs
    config["data"] = "rings"  # one that is made here
    (home / "first" / "config.json").write_text(json.dumps(config))
    result = recon("sdf", "--config", "first", "--steps", "1", "--quiet", "--json")
    assert result.code == 0, result.err
    assert result.json["data"] == "rings"


def test_a_scene_s_run_is_made_again_with_its_downscale_and_its_space(recon, home, ball_scene):
    sizes = ("--field", "voxel", "--field.resolution", "12", "--train.batch", "64", "--rays.steps", "16")
    kept = ("--downscale", "2", "--space", "contracted", "--seed", "3", "--threads", "1", "--rays.grid", "8")
    words = ("--scene", ball_scene, *sizes, *kept, "--steps", "4", "--out", "first")
    first = recon("nerf", *words, "--json")
    assert first.code == 0, first.err
    again = recon("nerf", "--config", "first", "--out", "again", "--json")
    assert again.code == 0 and "warning" not in again.err, again.err
    assert_same(home / "first", home / "again")
    assert again.json["scores"] == first.json["scores"] and again.json["size"] == [12, 12]
    config = json.loads((home / "first" / "config.json").read_text())
    assert config["inputs"] == {"scene": str(ball_scene), "downscale": 2, "space": "contracted"}
    other = recon("nerf", "--config", "first", "--downscale", "1", "--steps", "1", "--quiet")
    assert other.code == 0 and "has other pictures than the run in" in other.err
    config["inputs"]["space"] = "curved"
    (home / "first" / "config.json").write_text(json.dumps(config))
    odd = recon("nerf", "--config", "first", "--stop-after", "1", "--quiet")
    assert odd.code == 0 and "no longer fit, and were left out: inputs.space" in odd.err
