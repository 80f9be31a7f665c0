"""Every layout of one scene gives the same cameras and pictures; every defect gives one clear message."""

import json
import math
import shutil
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from recon.scenes.read import read_scene

LAYOUTS = ("blender", "colmap_binary", "colmap_text", "llff", "ngp", "nsvf")
SAID = {"ngp": "instant-ngp", "colmap_binary": "colmap", "colmap_text": "colmap"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_one_scene_gives_the_same_scene(rig, layout, tmp_path):
    scene = read_scene(rig.write(layout, tmp_path / "ball"))
    assert (scene.layout, scene.name) == (SAID.get(layout, layout), "ball")
    assert scene.notes[0] == f"layout: {scene.layout}"
    held_out = set()
    for view, file in enumerate(scene.files):
        number = int(Path(file).stem[-2:])
        np.testing.assert_allclose(scene.cameras.pose[view], rig.poses[number], atol=1e-9)
        np.testing.assert_array_equal(scene.images[view], rig.pictures[number])
        held_out |= {number} if view in scene.splits["test"] else set()
    assert sorted(scene.splits["train"] + scene.splits["test"]) == list(range(16))
    assert held_out == {0, 8}
    np.testing.assert_allclose(scene.cameras.focal, 40.0, atol=1e-9)
    centre = [16.0, 12.0] if layout == "llff" else [16.5, 11.5]  # LLFF has no other than the middle
    np.testing.assert_allclose(scene.cameras.centre, np.broadcast_to(centre, (16, 2)))


def test_points_of_a_model_are_read_alike_from_text_and_binary(rig, tmp_path):
    text = read_scene(rig.write("colmap_text", tmp_path / "a"))
    binary = read_scene(rig.write("colmap_binary", tmp_path / "b"))
    assert text.points is not None and binary.points is not None
    torch.testing.assert_close(text.points, binary.points)
    torch.testing.assert_close(text.points.norm(dim=1), torch.full((50,), 0.5))
    assert text.depth_range is not None and 1.5 <= text.depth_range[0] < text.depth_range[1] <= 3.5


def test_the_largest_model_is_chosen_and_said(rig, tmp_path):
    rig.colmap_binary(tmp_path, "sparse/0", count=5)
    rig.colmap_binary(tmp_path, "sparse/1")
    scene = read_scene(tmp_path)
    assert len(scene.files) == 16
    assert any("sparse/1" in note for note in scene.notes)
    assert any("2 models (5, 16 pictures)" in note for note in scene.notes)


def test_a_larger_model_of_another_place_is_not_taken(rig, tmp_path):
    rig.colmap_binary(tmp_path, "sparse/0", count=5)
    rig.colmap_binary(tmp_path, "distorted/sparse/0")
    scene = read_scene(tmp_path)
    assert len(scene.files) == 5 and any("model sparse/0" in note for note in scene.notes)


def test_a_distorted_model_has_the_pictures_as_they_were_taken(rig, tmp_path):
    rig.colmap_binary(tmp_path, "distorted/sparse/0")
    rig.save(tmp_path / "input", rig.names())
    assert read_scene(tmp_path).files[0] == "input/view_00.png"
    shutil.move(tmp_path / "distorted/sparse", tmp_path / "sparse")
    assert read_scene(tmp_path).files[0] == "images/view_00.png"


@pytest.mark.parametrize("place", [".", "colmap/sparse", "colmap/sparse/0", "sparse"])
def test_models_are_found_where_people_put_them(rig, tmp_path, place):
    rig.save(tmp_path / "images", rig.names())
    rig.colmap_text(tmp_path / "other", "model")
    shutil.copytree(tmp_path / "other/model", tmp_path / place, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "other")
    assert len(read_scene(tmp_path).files) == 16


@pytest.mark.parametrize(
    ("model", "numbers", "distortion"),
    [
        ("SIMPLE_PINHOLE", "40 16 12", [0, 0, 0, 0]),
        ("SIMPLE_RADIAL", "40 16 12 0.1", [0.1, 0, 0, 0]),
        ("RADIAL", "40 16 12 0.1 0.2", [0.1, 0.2, 0, 0]),
        ("OPENCV", "40 40 16 12 0.1 0.2 0.003 0.004", [0.1, 0.2, 0.003, 0.004]),
    ],
)
def test_each_kind_of_colmap_camera_has_its_numbers_in_order(rig, tmp_path, model, numbers, distortion):
    rig.colmap_text(tmp_path)
    (tmp_path / "sparse/0/cameras.txt").write_text(f"3 {model} 32 24 {numbers}\n")
    cameras = read_scene(tmp_path).cameras
    assert cameras.focal[0].tolist() == [40, 40]
    assert cameras.centre[0].tolist() == [16, 12]
    assert cameras.distortion[0].tolist() == distortion


def test_a_2_prefix_makes_1_the_validation(rig, tmp_path):
    rig.nsvf(tmp_path)
    for kind, ending in (("rgb", "png"), ("pose", "txt")):
        old = tmp_path / kind / f"0_view_05.{ending}"
        old.rename(tmp_path / kind / f"2_view_05.{ending}")
    scene = read_scene(tmp_path)
    assert {name: len(views) for name, views in scene.splits.items()} == {"train": 13, "val": 2, "test": 1}
    assert "2_view_05" in scene.files[scene.splits["test"][0]]


@pytest.mark.parametrize(
    ("text", "centre"),
    [
        ("40 0 16.5\n0 40 11.5\n0 0 1\n", [16.5, 11.5]),
        ("40 0 16.5 0 0 40 11.5 0 0 0 1 0 0 0 0 1\n", [16.5, 11.5]),
        ("40 16.5 11.5 0.\n0. 0. 0.\n0.\n1.\n24 32\n", [16.5, 11.5]),
        ("160 64.4 48.4 0.\n", [16.1, 12.1]),  # of pictures 4 times as large, shrunk since
    ],
)
def test_every_form_of_nsvf_intrinsics_is_read(rig, tmp_path, text, centre):
    rig.nsvf(tmp_path)
    (tmp_path / "intrinsics.txt").write_text(text)
    cameras = read_scene(tmp_path).cameras
    np.testing.assert_allclose(cameras.focal, 40.0)
    np.testing.assert_allclose(cameras.centre, np.broadcast_to(centre, (16, 2)))


def test_nsvf_without_alpha_is_on_white_and_has_its_box(rig, tmp_path):
    rig.nsvf(tmp_path)
    for path in (tmp_path / "rgb").iterdir():
        Image.open(path).convert("RGB").save(path)
    (tmp_path / "bbox.txt").write_text("-1 -2 -3 1 2 3 0.4")
    scene = read_scene(tmp_path)
    assert scene.white and not scene.has_alpha
    assert scene.box is not None and scene.box.half == (1, 2, 3)


def test_frames_without_a_picture_are_skipped_and_counted(rig, tmp_path):
    rig.ngp(tmp_path)
    (tmp_path / "images/view_03.png").unlink()
    (tmp_path / "images/view_07.png").unlink()
    scene = read_scene(tmp_path)
    assert len(scene.files) == 14
    assert any("2 of 16 pictures that are not there" in note for note in scene.notes)


def test_intrinsics_of_a_frame_win_over_the_shared_ones_and_scale_with_the_picture(rig, tmp_path):
    rig.ngp(tmp_path)
    data = json.loads((tmp_path / "transforms.json").read_text())
    data["frames"][2] |= {"fl_x": 160.0, "fl_y": 168.0, "cx": 64.0, "cy": 48.0, "w": 128, "h": 96, "k1": 0.01}
    (tmp_path / "transforms.json").write_text(json.dumps(data))
    cameras = read_scene(tmp_path).cameras
    assert cameras.focal[2].tolist() == [40, 42]
    assert cameras.centre[2].tolist() == [16, 12]
    assert cameras.distortion[2].tolist() == [0.01, 0, 0, 0]
    assert cameras.focal[3].tolist() == [40, 40]


@pytest.mark.parametrize(
    ("shared", "own", "focal"),
    [
        ({"fl_x": 40.0}, {"camera_angle_x": 2 * math.atan(16 / 50)}, [50, 50]),
        ({"fl_x": 40.0, "fl_y": 44.0}, {"fl_x": 50.0}, [50, 50]),
        ({"camera_angle_x": 0.8}, {"fl_x": 50.0, "fl_y": 52.0}, [50, 52]),
        ({"camera_angle_y": 0.8}, {"camera_angle_x": 2 * math.atan(16 / 50)}, [50, 50]),
    ],
)
def test_a_focal_length_of_a_frame_s_own_wins_however_it_is_stated(rig, tmp_path, shared, own, focal):
    rig.ngp(tmp_path)
    data = json.loads((tmp_path / "transforms.json").read_text())
    data = {key: value for key, value in data.items() if key not in ("fl_x", "fl_y")} | shared
    data["frames"][2] |= own
    (tmp_path / "transforms.json").write_text(json.dumps(data))
    focals = read_scene(tmp_path).cameras.focal
    np.testing.assert_allclose(focals[2], focal, rtol=1e-12)
    assert not torch.equal(focals[3], focals[2])


@pytest.mark.parametrize("form", ["./images/view_01.png", "images/../images/view_01", "ABSOLUTE", "LINK"])
def test_pictures_may_be_named_in_roundabout_ways_within_the_folder(rig, tmp_path, monkeypatch, form):
    rig.ngp(tmp_path / "scene")
    (tmp_path / "link").symlink_to(tmp_path / "scene")
    name = {"ABSOLUTE": f"{tmp_path}/scene/images/view_01.png", "LINK": f"{tmp_path}/link/images/view_01.png"}
    edit_frame(tmp_path / "scene", file_path=name.get(form, form))
    monkeypatch.chdir(tmp_path)
    assert read_scene(Path("link")).files[1] == "images/view_01.png"


def test_a_link_that_leads_out_of_the_folder_is_a_person_s_choice(rig, tmp_path):
    rig.ngp(tmp_path / "scene")
    shutil.move(tmp_path / "scene/images", tmp_path / "elsewhere")
    (tmp_path / "scene/images").symlink_to(tmp_path / "elsewhere")
    assert len(read_scene(tmp_path / "scene").files) == 16


@pytest.mark.parametrize("name", ["../secret.png", "images/../../secret", "ABSOLUTE"])
@pytest.mark.parametrize("key", ["file_path", "mask_path"])
def test_pictures_outside_the_folder_are_refused(rig, tmp_path, key, name):
    rig.ngp(tmp_path / "scene")
    shutil.copy(tmp_path / "scene/images/view_01.png", tmp_path / "secret.png")
    edit_frame(tmp_path / "scene", **{key: f"{tmp_path}/secret.png" if name == "ABSOLUTE" else name})
    with pytest.raises(ValueError, match="names a picture outside its folder"):
        read_scene(tmp_path / "scene")


def test_a_first_picture_of_another_size_is_told_as_that(rig, tmp_path):
    rig.nsvf(tmp_path)
    first = min((tmp_path / "rgb").iterdir())
    Image.open(first).resize((48, 24)).save(first)
    with pytest.raises(ValueError, match=r"different sizes: .*48 x 24"):
        read_scene(tmp_path)


def test_split_json_wins_and_pictures_outside_it_are_left_out(rig, tmp_path):
    rig.ngp(tmp_path)
    names = [f"images/{name}.png" for name in rig.names()]
    (tmp_path / "split.json").write_text(json.dumps({"train": names[:10], "test": [*names[10:13], "images/none.png"]}))
    scene = read_scene(tmp_path)
    assert scene.splits == {"train": tuple(range(10)), "test": (10, 11, 12)}
    assert any("3 pictures are in no split" in note for note in scene.notes)


def test_nerfstudio_s_lists_make_the_split(rig, tmp_path):
    names = [f"images/{name}.png" for name in rig.names()]
    rig.ngp(tmp_path, train_filenames=names[4:], val_filenames=names[:4], camera_model="OPENCV")
    assert read_scene(tmp_path).splits == {"train": tuple(range(4, 16)), "test": (0, 1, 2, 3)}


def test_blender_without_a_test_file_holds_out_every_eighth(rig, tmp_path):
    rig.blender(tmp_path)
    (tmp_path / "transforms_test.json").unlink()
    scene = read_scene(tmp_path)
    assert [scene.files[view] for view in scene.splits["test"]] == ["pictures/view_01.png", "pictures/view_10.png"]
    assert any("every 8th" in note for note in scene.notes)


@pytest.mark.parametrize("listed", [False, True])
def test_masks_become_the_alpha(rig, tmp_path, listed):
    rig.ngp(tmp_path)
    rig.save(tmp_path / "images", rig.names(), alpha=False)
    place = tmp_path / ("silhouettes" if listed else "masks")
    place.mkdir()
    for name, picture in zip(rig.names(), rig.pictures, strict=True):
        Image.fromarray(picture[..., 3]).save(place / f"{name}.png")
    if listed:
        data = json.loads((tmp_path / "transforms.json").read_text())
        for name, frame in zip(rig.names(), data["frames"], strict=True):
            frame["mask_path"] = f"silhouettes/{name}.png"
        (tmp_path / "transforms.json").write_text(json.dumps(data))
    scene = read_scene(tmp_path)
    np.testing.assert_array_equal(scene.images, np.stack(rig.pictures))
    assert any("masks" in note for note in scene.notes)


def test_masks_of_some_pictures_only_are_not_used(rig, tmp_path):
    rig.ngp(tmp_path)
    rig.save(tmp_path / "images", rig.names(), alpha=False)
    (tmp_path / "masks").mkdir()
    Image.fromarray(rig.pictures[0][..., 3]).save(tmp_path / "masks/view_00.png")
    scene = read_scene(tmp_path)
    assert not scene.has_alpha
    assert any("only 1 of 16" in note for note in scene.notes)


def test_llff_takes_the_least_shrunk_folder_and_scales_the_focal_length(rig, tmp_path):
    rig.llff(tmp_path)
    for shrunk in (2, 4):
        (tmp_path / f"images_{shrunk}").mkdir()
        for path in sorted((tmp_path / "images").iterdir()):
            picture = Image.open(path)
            picture.resize((32 // shrunk, 24 // shrunk)).save(tmp_path / f"images_{shrunk}" / path.name)
    shutil.rmtree(tmp_path / "images")
    scene = read_scene(tmp_path)
    assert scene.images.shape[1:3] == (12, 16)
    assert scene.cameras.focal[0].tolist() == [20, 20]
    assert scene.depth_range == (1.0, 9.0)


@pytest.mark.parametrize("factor", [2, 5])
def test_a_shrunk_scene_keeps_each_point_at_its_place(rig, tmp_path, factor):
    rig.ngp(tmp_path)
    full, small = read_scene(tmp_path), read_scene(tmp_path, downscale=factor)
    assert small.images.shape[1:3] == (24 // factor, 32 // factor)
    points, view = torch.randn(20, 3) * 0.3, torch.arange(20) % 16
    a, depth = full.cameras.project(view, points)
    b, _ = small.cameras.project(view, points)
    assert (depth > 0).all()
    torch.testing.assert_close(b * factor, a)


def test_another_layout_in_the_folder_is_said(rig, tmp_path):
    rig.ngp(tmp_path)
    rig.colmap_text(tmp_path)
    assert any("not used: a COLMAP model" in note for note in read_scene(tmp_path).notes)


def test_tiny_errors_of_rotations_are_mended_with_a_note(rig, tmp_path, rig_of):
    other = rig_of()
    other.poses[:, :, :3] *= 1 + 1e-4
    scene = read_scene(other.write("ngp", tmp_path))
    np.testing.assert_allclose(scene.cameras.pose, rig.poses, atol=1e-9)
    assert any("made orthonormal" in note for note in scene.notes)


# -- what is refused ------------------------------------------------------------------------------------------------


def edit(folder: Path, **facts: object) -> None:
    path = folder / "transforms.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def edit_frame(folder: Path, **facts: object) -> None:
    path = folder / "transforms.json"
    data = json.loads(path.read_text())
    data["frames"][1] |= facts
    path.write_text(json.dumps(data))


def edit_pose(folder: Path, change) -> None:
    path = folder / "transforms.json"
    data = json.loads(path.read_text())
    pose = np.array(data["frames"][1]["transform_matrix"])
    data["frames"][1]["transform_matrix"] = change(pose).tolist()
    path.write_text(json.dumps(data))


def keep_frames(folder: Path, count: int) -> None:
    data = json.loads((folder / "transforms.json").read_text())
    edit(folder, frames=data["frames"][:count])


def save(folder: Path, size: tuple[int, int]) -> None:
    Image.new("RGBA", size).save(folder / "images/view_01.png")


DEFECTS = {
    "absurd shift": (lambda f: edit_pose(f, lambda p: p + np.eye(4)[:, :1] * [0, 0, 0, 1e12]), "absurd numbers"),
    "cut picture": (lambda f: (f / "images/view_01.png").write_bytes((f / "images/view_01.png").read_bytes()[:300]),
                    "view_01.png is damaged or cut short"),
    "different sizes": (lambda f: save(f, (30, 24)), r"different sizes: .*32 x 24.*view_01.png 30 x 24"),
    "doubled frame": (lambda f: edit_frame(f, file_path="images/view_00.png"), "listed more than once.*view_00"),
    "empty picture": (lambda f: (f / "images/view_01.png").write_bytes(b""), "view_01.png: the picture is empty"),
    "fisheye": (lambda f: edit(f, camera_model="OPENCV_FISHEYE"), "OPENCV_FISHEYE are not supported"),
    "folding lens": (lambda f: edit(f, k1=-9.0), "view_00.*fold the picture over"),
    "frames are text": (lambda f: edit(f, frames="no"), "'frames' must be a list"),
    "higher distortion": (lambda f: edit(f, k3=0.1), "k3 is not supported"),
    "mirrored": (lambda f: edit_pose(f, lambda p: p @ np.diag([1, -1, 1, 1])), "mirrored.*view_01.*axis is flipped"),
    "no focal length": (lambda f: edit(f, fl_x=0), "singular intrinsics"),
    "no frames": (lambda f: edit(f, frames=[]), "lists no frames"),
    "no pictures": (lambda f: shutil.rmtree(f / "images"), "none of the 16 pictures"),
    "no transform": (lambda f: edit_frame(f, transform_matrix=[1, 2]), r"4 x 4 or 3 x 4 matrix, found shape \(2,\)"),
    "not a picture": (lambda f: (f / "images/view_01.png").write_text("hello"), "01.png is not a readable picture"),
    "not json": (lambda f: (f / "transforms.json").write_text("{"), "not readable JSON"),
    "not rigid": (lambda f: edit_pose(f, lambda p: p @ np.diag([2, 2, 2, 1])), r"not rigid.*view_01.*2.0, 2.0"),
    "number is text": (lambda f: edit(f, fl_x="wide"), "fl_x must be a finite number"),
    "one picture": (lambda f: keep_frames(f, 1), "one picture only|names no picture|is empty"),
    "pose is nan": (lambda f: edit_pose(f, lambda p: p * np.nan), "NaN.*view_01"),
    "split overlaps": (lambda f: (f / "split.json").write_text(json.dumps({"train": ["images/view_01.png"] * 2,
                       "test": ["images/view_01.png"]})), "both a training and a held-out"),
    "split without test": (lambda f: (f / "split.json").write_text(json.dumps({"train": ["images/view_01.png"]})),
                           "names no picture for 'test'"),
    "turned picture": (lambda f: edit(f, w=24, h=32), "turned by 90 degrees"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(DEFECTS))
def test_a_defect_is_told_in_one_clear_message(rig, tmp_path, name):
    break_it, message = DEFECTS[name]
    rig.ngp(tmp_path)
    break_it(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_scene(tmp_path)


def test_a_folder_without_a_scene_says_what_was_looked_for(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(FileNotFoundError, match=r"poses_bounds.npy \(llff\).*What is there: notes.txt"):
        read_scene(tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder"):
        read_scene(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="is a file"):
        read_scene(tmp_path / "notes.txt")


@pytest.mark.parametrize("factor", [0, 25])
def test_a_downscale_that_leaves_nothing_is_refused(rig, tmp_path, factor):
    rig.ngp(tmp_path)
    with pytest.raises(ValueError, match="--downscale"):
        read_scene(tmp_path, downscale=factor)


def test_too_much_memory_is_refused_with_the_downscale_that_helps(rig, tmp_path):
    rig.ngp(tmp_path)
    with pytest.raises(ValueError, match="--downscale 2 is enough"):
        read_scene(tmp_path, max_bytes=16 * 16 * 12 * 4)
    assert read_scene(tmp_path, downscale=2, max_bytes=16 * 16 * 12 * 4).images.shape == (16, 12, 16, 4)


def test_counts_that_the_file_cannot_hold_are_refused_at_once(rig, tmp_path):
    rig.colmap_binary(tmp_path)
    path = tmp_path / "sparse/0/images.bin"
    path.write_bytes(struct.pack("<Q", 2**60) + path.read_bytes()[8:])
    with pytest.raises(ValueError, match="cannot hold"):
        read_scene(tmp_path)


def test_an_array_header_that_lies_is_refused_at_once(rig, tmp_path):
    rig.llff(tmp_path)
    path = tmp_path / "poses_bounds.npy"
    path.write_bytes(path.read_bytes().replace(b"(16, 17), }      ", b"(9999999999, 17),}"[:17], 1))
    with pytest.raises(ValueError, match="not a readable array"):
        read_scene(tmp_path)


def test_a_model_cannot_name_pictures_outside_its_folder(rig, tmp_path):
    rig.colmap_text(tmp_path)
    path = tmp_path / "sparse/0/images.txt"
    path.write_text(path.read_text().replace("view_03.png", "../../secret.png"))
    with pytest.raises(ValueError, match="outside its folder"):
        read_scene(tmp_path)


FRAGILE = {
    "blender": "transforms_train.json",
    "colmap_binary": "sparse/0/images.bin",
    "colmap_text": "sparse/0/images.txt",
    "llff": "poses_bounds.npy",
    "ngp": "transforms.json",
    "nsvf": "intrinsics.txt",
}


@pytest.fixture(scope="module")
def shelf(rig_of, tmp_path_factory):
    """The small scene in every layout, to be broken file by file."""
    top = tmp_path_factory.mktemp("shelf")
    for layout in LAYOUTS:
        rig_of(views=3).write(layout, top / layout)
    return top


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_garbled_files_are_refused_or_read_but_never_crash(shelf, layout, data):
    files = [path for path in sorted((shelf / layout).rglob("*")) if path.is_file()]
    fragile = shelf / layout / FRAGILE[layout]
    path = data.draw(st.sampled_from([fragile, fragile, *files]))
    whole = path.read_bytes()
    broken = bytearray(whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole)
    for _ in range(data.draw(st.integers(0, 4)) if broken else 0):
        place = data.draw(st.integers(0, len(broken) - 1))
        broken[place] = data.draw(st.sampled_from([0, 9, 32, 45, 48, 57, 78, 101, 125, 127, 200, 255]))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / layout
        shutil.copytree(shelf / layout, copy)
        (copy / path.relative_to(shelf / layout)).write_bytes(bytes(broken))
        try:
            scene = read_scene(copy)
        except (ValueError, FileNotFoundError):
            return
        assert scene.cameras.pose.isfinite().all() and len(scene.images) == len(scene.files) == len(scene.cameras)
