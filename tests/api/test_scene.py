"""Scenes from Python: views from any camera, depth in world units, a mesh where the pictures' object stood."""

import numpy as np
import pytest
import torch
import trimesh

import recon
from recon.api.scene import checked_pose
from recon.scenes.read import read_scene

MIDDLE, RADIUS = np.array((3.0, 1.0, -2.0)), 0.5


def looking_at_the_middle(distance: float) -> np.ndarray:
    """A camera on the z axis through the ball's middle."""
    pose = np.eye(4)
    pose[:3, 3] = MIDDLE + (0, 0, distance)
    return pose


def test_a_pose_sees_the_ball_at_its_distance(seen):
    picture = seen.render(looking_at_the_middle(2.0), size=(24, 16), fov=60.0, normals=True)
    assert picture.rgb.shape == (16, 24, 3) and picture.rgb.dtype == np.float32
    assert picture.opacity[7:9, 11:13].min() > 0.9 and picture.opacity[0, 0] < 0.1
    assert picture.depth[7:9, 11:13].mean() == pytest.approx(2.0 - RADIUS, abs=0.25)
    assert picture.normal is not None and picture.normal[picture.opacity > 0.5][:, 2].mean() > 0.1
    assert seen.render(looking_at_the_middle(2.0), size=(8, 8)).normal is None


def test_fields_of_view_are_from_left_to_right(seen):
    cameras = seen.cameras
    angle = 2 * np.degrees(np.arctan(cameras.width / 2 / float(cameras.focal[0, 0])))
    pose = cameras.pose[3].numpy()
    own = seen.render(3)
    np.testing.assert_allclose(seen.render(pose, fov=angle).rgb, own.rgb, atol=1e-3)
    wide = seen.render(pose, fov=angle, size=(20, 10))  # the same from left to right, the middle from top to bottom
    np.testing.assert_allclose(wide.rgb, own.rgb[5:15], atol=1e-3)


def test_own_views_are_asked_for_by_index_or_camera(seen):
    test = seen.splits["test"][0]
    by_index = seen.render(test)
    by_camera = seen.render(seen.cameras.select([test]))
    np.testing.assert_array_equal(by_index.rgb, by_camera.rgb)
    np.testing.assert_array_equal(seen.render(test - len(seen.cameras)).rgb, by_index.rgb)
    pose = np.vstack([seen.cameras.pose[test].numpy(), [0, 0, 0, 1]])
    np.testing.assert_allclose(seen.render(pose).rgb, by_index.rgb, atol=1e-3)
    assert seen.render(test, size=(10, 5)).rgb.shape == (5, 10, 3)


def test_a_picture_shows_itself_and_is_saved(seen, place):
    picture = seen.render(0)
    assert picture._repr_png_().startswith(b"\x89PNG") and "20x20" in repr(picture)
    picture.image.save(place / "view.png")
    assert picture.image.size == (20, 20)


@pytest.mark.parametrize(
    ("camera", "options", "message"),
    [
        (99, {}, "there is no view 99: the scene has 14"),
        (0, {"fov": 40.0}, "has its own"),
        (np.eye(3), {}, r"a pose \[4, 4\]"),
        (np.full((4, 4), np.nan), {}, "finite numbers"),
        (np.diag([1.0, 1.0, -1.0, 1.0]), {}, "right-handed"),
        (2 * np.eye(4), {}, "length 1"),
        (np.eye(4), {"fov": 180.0}, "between 0 and 180"),
        (np.eye(4), {"size": (0, 5)}, "one pixel"),
        (np.eye(4), {"size": (10_000, 10_000)}, "pixels are more"),
    ],
)
def test_cameras_that_are_none_are_refused(seen, camera, options, message):
    with pytest.raises(ValueError, match=message):
        seen.render(camera, **options)


def test_several_cameras_are_no_camera(seen):
    with pytest.raises(ValueError, match="render one at a time"):
        seen.render(seen.cameras)


def test_a_rounded_pose_is_good_enough():
    angle = np.radians(33)
    turned = np.array([[np.cos(angle), 0, np.sin(angle), 1], [0, 1, 0, 2], [-np.sin(angle), 0, np.cos(angle), 3]])
    assert torch.equal(checked_pose(turned.round(4)), torch.from_numpy(turned.round(4)))


def test_the_mesh_stands_where_the_object_stood(seen):
    mesh = seen.mesh(resolution=32)
    assert isinstance(mesh, trimesh.Trimesh)
    np.testing.assert_allclose(mesh.bounds.mean(axis=0), MIDDLE, atol=0.1)
    np.testing.assert_allclose(np.ptp(mesh.bounds, axis=0), 2 * RADIUS, atol=0.25)
    assert mesh.visual.vertex_colors.shape == (len(mesh.vertices), 4)


def test_density_is_inside_and_not_outside(seen):
    inside, outside = seen.density(np.stack([MIDDLE + (0.45, 0, 0), MIDDLE + (0.7, 0, 0)]))
    assert inside > 1 and outside < 0.1 * inside
    assert seen.density(torch.zeros(2, 5, 3)).shape == (2, 5)


def test_scores_are_means_over_the_held_out_views(seen):
    assert seen.scores["psnr"] > 15 and seen.scores["lpips"] is None
    assert "2 held-out views" in seen.definitions["psnr"] and "NULL" in seen.definitions["lpips"]
    assert [row["psnr"] for row in seen.metrics["rows"]] == pytest.approx([seen.scores["psnr"]] * 2, abs=5)


def test_a_scene_is_saved_and_loaded(seen, place):
    expected = seen.render(0).rgb
    saved = recon.load(seen.folder).save(place / "scene")
    assert (saved / "report.html").is_file() and (saved / "images" / "views.png").is_file()
    found = recon.load(saved)
    assert isinstance(found, recon.SceneResult) and found.scores == seen.scores
    np.testing.assert_array_equal(found.render(0).rgb, expected)


def test_a_scene_in_memory_is_learned_as_its_folder_is(scene_folder, tiny_scene, place):
    scene = read_scene(scene_folder)
    found = [
        recon.fit_scene(given, settings=tiny_scene, steps=3, seed=2, quiet=True).render(0).rgb
        for given in (scene, str(scene_folder))
    ]
    np.testing.assert_array_equal(*found)
    assert not list(place.iterdir())


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ("no-such-scene", {}, "no scene 'no-such-scene'"),
        ("scene", {"field": "neural-experts"}, "can't learn a scene"),
        ("scene", {"field": "le"}, "perhaps you meant loe"),
        ("scene", {"steps": -1}, "steps must be at least 1"),
        ("scene", {"downscale": 0}, "downscale must be 1 or more"),
    ],
)
def test_what_can_not_be_used_is_refused(scene_folder, given, options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        recon.fit_scene(scene_folder if given == "scene" else given, quiet=True, **options)
