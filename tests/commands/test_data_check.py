"""`recon data check`: facts, warnings and a picture of a scene; nothing is written into the data."""

import shutil
from dataclasses import replace

import imageio.v3 as iio
import pytest
import torch

from recon.commands import check
from recon.geometry import Box


def test_a_scene_is_described_and_drawn_and_its_folder_is_left_alone(recon, home, ball_scene):
    before = sorted(ball_scene.rglob("*"))
    result = recon("data", "check", ball_scene)
    assert result.code == 0, result.err
    assert "16 train, 3 test views of 24 x 24" in result.out and "space: box" in result.out
    picture = home / "renders" / "check_marble.png"
    assert iio.imread(picture).shape[2] == 3 and str(picture) in result.out
    assert sorted(ball_scene.rglob("*")) == before


def test_the_report_is_one_object_and_the_picture_lies_where_it_was_asked(recon, home, ball_scene):
    result = recon(
        "data", "check", ball_scene, "--json", "--out", "look.png", "--space", "contracted", "--downscale", 2
    )
    assert result.code == 0, result.err
    about = result.json
    assert about["kind"] == "contracted" and about["width"] == 12 and about["views"] == {"train": 16, "test": 3}
    assert about["picture"] == "look.png" and (home / "look.png").is_file()
    assert not (home / "renders").exists()


def test_what_is_wrong_is_a_warning(recon, home, ball_scene):
    folder = shutil.copytree(ball_scene, home / "doubled")
    first, second = sorted((folder / "train").glob("*.png"))[:2]
    shutil.copy(first, second)
    result = recon("data", "check", folder, "--json")
    assert result.code == 0 and len(result.json["warnings"]) == 1
    assert f"warning: {result.json['warnings'][0]}" in result.err and "same as another" in result.err


@pytest.fixture
def on_a_line(monkeypatch):
    """Puts the cameras of the scene on a line along which all look, towards -z; facts are what its files state."""
    read = check.named_scene

    def put(**facts):
        def lined(*args):
            scene = read(*args)
            pose = torch.eye(3, 4).double().repeat(len(scene.cameras), 1, 1)
            pose[:, 2, 3] = torch.linspace(4, -4, len(pose))
            images, cameras = scene.images[..., :3], replace(scene.cameras, pose=pose)
            return replace(scene, cameras=cameras, images=images, white=False, layout="colmap", **facts)

        monkeypatch.setattr(check, "named_scene", lined)

    return put


@pytest.mark.filterwarnings("default")
def test_views_that_no_frustum_holds_are_described_and_the_choice_is_said(recon, home, ball_scene, on_a_line):
    on_a_line(depth_range=(2.0, 40.0))
    result = recon("data", "check", ball_scene, "--json")
    assert result.code == 0 and result.json["kind"] == "contracted", result.err
    assert "warning: the views look forward, but ndc needs" in result.err


def test_a_box_that_no_view_sees_is_told_with_the_rest_of_the_report(recon, home, ball_scene, on_a_line):
    on_a_line(box=Box((-1.0, -1.0, 50.0), (1.0, 1.0, 52.0)))
    result = recon("data", "check", ball_scene, "--json")
    assert result.code == 0, result.err
    assert result.json["rays_that_meet"] == 0 and "no camera looks at the box" in " ".join(result.json["warnings"])
    assert (home / "renders" / "check_marble.png").is_file()
    assert "0.0 % meet the space" in recon("data", "check", ball_scene).out


def test_figurines_are_made_at_first_use(recon, home, ball_scene, monkeypatch):
    """By a stand-in here, since the statuettes take seconds."""
    monkeypatch.setattr("recon.tasks.named_scene.make_figurines", lambda folder, say: ball_scene)
    result = recon("data", "check", "Figurines")
    assert result.code == 0 and "16 train" in result.out


@pytest.mark.parametrize(
    "words, said",
    [
        (("nothing/here",), "no folder"),
        (("SCENE", "--out", "look.jpg"), "written as .png"),
        (("SCENE", "--out", "nowhere/look.png"), "nowhere is not a folder"),
        (("SCENE", "--downscale", "0"), "--downscale must be 1"),
        (("SCENE", "--space", "ndc"), "ndc needs"),
    ],
)
def test_what_can_not_be_checked_is_refused(recon, home, ball_scene, words, said):
    result = recon("data", "check", *(ball_scene if word == "SCENE" else word for word in words))
    assert result.code == 2 and said in result.err and "Traceback" not in result.err, result.err


def test_actions_are_listed_and_a_misspelt_one_is_answered(recon):
    assert "recon data {list,where,get,check,make}" in recon("data", "--help").out
    assert "perhaps you meant check" in recon("data", "chek").err
    assert "--downscale" in recon("data", "check", "--help").out and "--views" in recon("data", "make", "--help").out
