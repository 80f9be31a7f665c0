"""The page of a scene's run, in a browser and behind it."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from recon.metrics.image import psnr
from recon.viewer.render import NOWHERE, in_bands, stage_depth
from recon.viewer.scene import SceneView, compare, spread, thumbnail, training_picture
from recon.viewer.weights import SceneRun, machine
from recon.viewer.worker import Dropped


@pytest.fixture(scope="module")
def shown(scene_run):
    return SceneRun.open(scene_run, machine())


@pytest.fixture(scope="module")
def view(shown, settle):
    made = SceneView(shown, "127.0.0.1", None)
    made.resolution.value = 32
    settle(made)
    yield made
    made.close()


def test_in_a_browser_the_field_is_rendered_and_the_controls_change_it(view, tab, settle):
    tab.page.goto(view.address)
    colour = tab.changes()
    settle(view)
    tab.choose("Picture", "depth")
    depth = tab.changes(colour)
    tab.choose("Show", "mesh")
    tab.changes(depth)
    tab.choose("View", "0: " + view.shown.fitted.reference.files[view.shown.fitted.reference.test[0]])
    tab.page.get_by_text("held-out view 0:").wait_for()
    (client,) = view.server.get_clients().values()
    before = client.camera.position
    tab.page.get_by_role("button", name="Look from there").click()
    cameras = view.shown.fitted.reference.cameras
    there = view.stage.frame.apply(cameras.position()[[view.shown.fitted.reference.test[0]]].numpy())[0]
    for _ in range(100):  # its way to the server
        if np.abs(client.camera.position - there).max() < 1e-3:
            break
        tab.page.wait_for_timeout(100)
    np.testing.assert_allclose(client.camera.position, there, atol=1e-3)
    assert not np.allclose(before, there, atol=1e-3)
    assert tab.complaints == [] and view.errors == []
    assert tab.asked_elsewhere(view.address, view.address.replace("http", "ws")) == []


def test_every_control_is_answered_without_an_error(view, settle):
    view.training.value = view.held_out.value = view.boxed.value = True
    settle(view)
    names = set(view.server.scene._handle_from_node_name)
    assert {"/box", "/train", "/test"} <= names
    for control, values in (
        (view.content, ("points", "mesh", "nothing", "field")),
        (view.training, (False,)),
        (view.held_out, (False,)),
        (view.boxed, (False,)),
        (view.view, (view.view.options[1], "none")),
    ):
        for value in values:
            control.value = value
            settle(view)
    assert view.errors == []
    assert {"/box", "/train", "/test"}.isdisjoint(view.server.scene._handle_from_node_name)


def test_training_cameras_carry_their_pictures(view, scene_folder, settle):
    view.training.value = False
    view.training.value = True
    settle(view)
    reference = view.shown.fitted.reference
    frustum = view.server.scene._handle_from_node_name["/train/0000"]
    np.testing.assert_array_equal(frustum.image, training_picture(reference, reference.splits["train"][0]))


def test_a_picture_in_bands_is_the_picture(shown):
    camera = shown.fitted.reference.cameras.select([0]).resized(50, 130)  # 31 rows a band
    whole, parts = shown.fitted.render(camera, 0, normals=True), in_bands(shown.fitted, camera, True, lambda: False)
    for name in ("rgb", "opacity", "depth", "normal"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), atol=1e-5, rtol=1e-5)
    with pytest.raises(Dropped):
        in_bands(shown.fitted, camera, False, lambda: True)


def test_depth_is_along_the_axis_of_view(shown):
    camera = shown.fitted.reference.cameras.select([0])
    rays = camera.view_rays(0)
    plane = 5 / (rays.direction.double() @ camera.forward()[0])  # all on the plane 5 ahead
    picture = replace(shown.fitted.render(camera, 0), median_depth=plane.float().reshape(24, 24))
    torch.testing.assert_close(stage_depth(picture, camera), torch.full((24, 24), 5.0).double(), atol=1e-5, rtol=0)
    assert NOWHERE < (2**24 - 1) / 1e5  # what viser can send


def test_a_held_out_view_is_scored_against_its_truth(shown):
    reference = shown.fitted.reference
    found = compare(shown.fitted, 1)
    picture = shown.fitted.render(reference.cameras.select([reference.test[1]]), 0)
    assert found.psnr == pytest.approx(psnr(picture.rgb, reference.truth(1, shown.fitted.background)), abs=1e-4)
    assert found.size == (24, 24) and found.psnr > 12


def test_a_name_that_leads_out_of_the_scenes_folder_is_not_followed(shown, scene_folder):
    reference = shown.fitted.reference
    view = reference.splits["train"][0]
    assert training_picture(reference, view) is not None
    outside = scene_folder.parent / "outside.png"
    shutil.copy(scene_folder / reference.files[view], outside)
    for name in ("../outside.png", str(outside)):
        files = tuple(name if at == view else file for at, file in enumerate(reference.files))
        assert training_picture(replace(reference, files=files), view) is None
    (scene_folder / "linked.png").symlink_to(outside)
    files = tuple("linked.png" if at == view else file for at, file in enumerate(reference.files))
    assert training_picture(replace(reference, files=files), view) is None


def test_without_the_scenes_folder_there_are_no_training_pictures(shown, tmp_path):
    assert training_picture(replace(shown.fitted.reference, folder=tmp_path / "gone"), 0) is None


def test_a_small_picture_is_on_white_where_alpha_leaves_it_out():
    picture = np.zeros((200, 100, 4), np.uint8)
    picture[:, 50:] = (10, 20, 30, 255)
    small = thumbnail(picture, side=50)
    assert small.shape == (50, 25, 3)
    assert small[0, 0].tolist() == [255, 255, 255] and small[0, -1].tolist() == [10, 20, 30]


def test_few_of_many_views_are_spread_over_all():
    assert spread(range(100), 4) == [0, 25, 50, 75]
    assert spread([7, 9], 5) == [7, 9]
