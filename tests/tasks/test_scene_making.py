"""From files of meshes to scenes; the group of statuettes; texture and vertex colours as their formats mean them."""

import numpy as np
import pytest
import trimesh
from PIL import Image

from recon.geometry import Mesh
from recon.scenes.albedo import to_linear
from recon.scenes.make import MakeSettings
from recon.scenes.read import read_scene
from recon.tasks import scene_making
from recon.tasks.scene_making import group, make_figurines, make_scene
from recon.tasks.scene_paint import read_painted

TINY = MakeSettings(views=3, test_views=2, width=24, height=24)
OBJ = """mtllib square.mtl
v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0
vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1
usemtl m
f 1/1 2/2 3/3\nf 1/1 3/3 4/4
"""


def small_group(monkeypatch):
    """A stand-in for the statuettes, which take seconds."""
    box = trimesh.creation.box(extents=(1, 1, 1))
    mesh = Mesh(np.array(box.vertices, np.float64), np.array(box.faces, np.int64))
    made = scene_making.surface_of(mesh, np.full((8, 3), 0.5), longest=1.0, budget=100)
    monkeypatch.setattr(scene_making, "group", lambda: made)
    monkeypatch.setattr(scene_making, "FIGURINES", TINY)


def test_an_obj_with_a_texture_is_read_with_its_coordinates(tmp_path):
    (tmp_path / "square.obj").write_text(OBJ)
    (tmp_path / "square.mtl").write_text("newmtl m\nKd 1 1 1\nmap_Kd square.png\n")
    Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 9, 9]]], np.uint8)).save(
        tmp_path / "square.png"
    )
    painting = read_painted(tmp_path / "square.obj")
    assert painting.texture is not None and "texture of 2x2" in painting.note
    np.testing.assert_allclose(painting.texture.uv, painting.mesh.vertices[:, :2])
    assert painting.texture.image[0, 0].tolist() == [255, 0, 0]  # the first row is the top: v = 1


def test_a_texture_that_is_missing_leaves_the_shape(tmp_path):
    (tmp_path / "square.obj").write_text(OBJ)
    painting = read_painted(tmp_path / "square.obj")
    assert painting.texture is None and len(painting.mesh.faces) == 2


@pytest.mark.parametrize("suffix", ["glb", "obj", "ply"])
def test_vertex_colours_are_read_from_every_format_that_has_them(suffix, tmp_path):
    box = trimesh.creation.box(extents=(1, 1, 1))
    red = (100 * (box.vertices[:, 0] > 0) + 50).astype(np.uint8)
    box.visual.vertex_colors = np.stack([red, red // 2, red // 5, 0 * red + 255], axis=1)
    box.export(tmp_path / f"box.{suffix}")
    painting = read_painted(tmp_path / f"box.{suffix}")
    assert painting.albedo is not None and "vertex" in painting.note
    red = 100.0 * (painting.mesh.vertices[:, 0] > 0) + 50
    np.testing.assert_allclose(painting.albedo, to_linear(red[:, None] * [1, 0.5, 0.2] / 255), atol=0.01)


def test_a_mesh_without_colours_or_of_one_colour_has_none_to_show(tmp_path):
    trimesh.creation.box(extents=(1, 1, 1)).export(tmp_path / "box.stl")
    assert read_painted(tmp_path / "box.stl").albedo is None
    grey = trimesh.creation.box(extents=(1, 1, 1))
    grey.visual.vertex_colors = [99, 99, 99, 255]
    grey.export(tmp_path / "box.ply")
    assert read_painted(tmp_path / "box.ply").albedo is None


def test_a_file_becomes_a_scene_in_the_frame_of_its_mesh(tmp_path):
    box = trimesh.creation.box(extents=(20, 10, 10))
    box.apply_translation([500, 0, 0])
    box.export(tmp_path / "box.ply")
    lines = []
    facts = make_scene(tmp_path / "box.ply", tmp_path / "scene", TINY, name="box", say=lines.append)
    scene = read_scene(tmp_path / "scene")
    assert scene.images.shape == (5, 24, 24, 4) and len(scene.splits["test"]) == 2
    assert scene.box is not None and np.allclose(scene.box.centre, [500, 0, 0], atol=1e-6)
    assert "procedural" in facts["colour"] and any("5 of 5 views" in line for line in lines)


def test_the_same_settings_make_the_same_files(tmp_path):
    box = trimesh.creation.box(extents=(1, 1, 1))
    mesh = Mesh(np.array(box.vertices, np.float64), np.array(box.faces, np.int64))
    for name in "ab":
        make_scene(mesh, tmp_path / name, TINY, "blender")
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 2 * 5 + 3
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_a_missing_mesh_and_a_full_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.ply"):
        make_scene(tmp_path / "none.ply", tmp_path / "scene", TINY)
    (tmp_path / "kept").write_text("")
    with pytest.raises(FileExistsError, match="not empty"):
        make_scene(tmp_path / "none.ply", tmp_path, TINY)


def test_figurines_are_made_once(tmp_path, monkeypatch):
    small_group(monkeypatch)
    folder = make_figurines(tmp_path / "figurines")
    assert read_scene(folder).layout == "nsvf"
    monkeypatch.setattr(scene_making, "group", lambda: pytest.fail("made twice"))
    assert make_figurines(folder) == folder


def test_figurines_made_by_two_at_once_are_whole(tmp_path, monkeypatch):
    small_group(monkeypatch)
    folder = tmp_path / "figurines"
    real = scene_making.Studio

    def other_is_faster(surface, up):
        monkeypatch.setattr(scene_making, "Studio", real)
        make_figurines(folder)
        return real(surface, up)

    monkeypatch.setattr(scene_making, "Studio", other_is_faster)
    assert make_figurines(folder) == folder and len(read_scene(folder).images) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["figurines"]


def test_figurines_refuse_a_folder_of_something_else(tmp_path, monkeypatch):
    small_group(monkeypatch)
    (tmp_path / "letter.txt").write_text("")
    with pytest.raises(FileExistsError, match="not empty"):
        make_figurines(tmp_path)


def test_the_group_stands_on_its_plinth():
    surface = group()
    low, high = surface.mesh.vertices.min(axis=0), surface.mesh.vertices.max(axis=0)
    assert (np.abs(low[[0, 2]]) < 1.1).all() and (high[[0, 2]] < 1.1).all() and 1 < high[1] < 1.4
    assert surface.albedo.shape == surface.mesh.vertices.shape == surface.normals.shape
