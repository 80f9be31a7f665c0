"""A sound scene gives facts without warnings; each fault gives the warning that names it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from recon.geometry import Box, Space
from recon.scenes.check import check_scene
from recon.scenes.overview import scene_picture
from recon.scenes.read import read_scene
from recon.scenes.region import space_for

AROUND = Space("box", Box((-0.6, -0.6, -0.6), (0.6, 0.6, 0.6)))


@pytest.fixture(scope="module")
def ball(rig_of, tmp_path_factory):
    return read_scene(rig_of(views=40).write("ngp", tmp_path_factory.mktemp("ball")))


def test_a_sound_scene_has_facts_and_no_warnings(ball):
    report = check_scene(ball, AROUND)
    assert report.warnings == ()
    assert report.views == {"train": 35, "test": 5}
    assert 2 <= report.distance[0] <= report.distance[1] <= report.distance[2] <= 3
    assert 2 - 0.6 * 3**0.5 <= report.near < report.far <= 3 + 0.6 * 3**0.5
    assert report.seen_by_two == report.seen_by_five == 1
    assert 0.3 < report.rays_that_meet < 1
    json.dumps(report.as_dict(), allow_nan=False)
    assert "40.0" in "\n".join(report.lines()) and "35 train, 5 test" in report.lines()[0]


def moved(ball, view, pose):
    poses = ball.cameras.pose.clone()
    poses[view] = pose
    return replace(ball, cameras=replace(ball.cameras, pose=poses))


def faults(ball):
    first = ball.splits["train"][0]
    away = (ball.cameras.forward().sum(dim=1) < -0.5).nonzero()[:, 0].tolist()
    same = ball.images.clone()
    same[3] = same[2]
    plain = ball.images.clone()
    plain[5] = 9
    turned = replace(ball.cameras, pose=ball.cameras.pose * torch.tensor([1.0, -1, -1, 1]))
    far = ball.cameras.pose[ball.splits["test"][0]] + torch.tensor([0, 0, 0, 9.0])
    small = Space("box", Box((-1e-3, -1e-3, -1e-3), (1e-3, 1e-3, 1e-3)))
    huge = Space("box", Box((-1e3, -1e3, -1e3), (1e3, 1e3, 1e3)))
    apart = Space("box", Box((50.0, 50.0, 50.0), (51.0, 51.0, 51.0)))
    return {
        "box apart": (
            replace(ball, splits={"train": tuple(away[1:]), "test": (away[0],)}),
            apart,
            "no camera looks at the box",
        ),
        "box huge": (ball, huge, "very large"),
        "box small": (ball, small, "very small"),
        "doubled pose": (moved(ball, first, ball.cameras.pose[first + 1]), AROUND, "1 views have the pose of another"),
        "far test": (moved(ball, ball.splits["test"][0], far), AROUND, "far from all training views"),
        "few views": (replace(ball, splits={"train": (1, 2, 3), "test": (4,)}), AROUND, "only 3 training views"),
        "one colour": (replace(ball, images=plain), AROUND, "of one colour"),
        "opencv axes": (replace(ball, cameras=turned), AROUND, "do not look at a common point"),
        "same picture": (replace(ball, images=same), AROUND, "1 pictures are the same as another"),
    }


NAMES = ("box apart", "box huge", "box small", "doubled pose", "far test", "few views", "one colour",
         "opencv axes", "same picture")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_each_fault_has_its_warning(ball, name):
    scene, space, message = faults(ball)[name]
    assert any(message in warning for warning in check_scene(scene, space).warnings)


@pytest.mark.parametrize("kind", ["box", "contracted", "ndc"])
def test_the_picture_shows_cameras_in_every_kind_of_space(ball, kind):
    space = AROUND
    if kind == "contracted":
        space = space_for(ball, "contracted")
    elif kind == "ndc":
        ball = replace(ball, depth_range=(1.0, 4.0))
        space = Space("ndc", Box((-1.0, -1.0, -4.0), (1.0, 1.0, -1.0)), near=1.0)
    picture = scene_picture(ball, space)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    for colour in ((42, 111, 187), (217, 130, 43), (47, 158, 68)):  # training and test cameras, and the box
        assert (np.abs(picture.astype(int) - colour).max(axis=2) < 40).any()
