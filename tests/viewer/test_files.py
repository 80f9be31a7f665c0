"""Pages of meshes, clouds and scene folders."""

import numpy as np
import pytest

from recon.scenes.read import read_scene
from recon.shapes.load import PointCloud
from recon.viewer import files
from recon.viewer.files import FileView, FolderView, fitting_downscale, read_mesh_file


@pytest.fixture
def painted(ball, tmp_path):
    mesh = ball.copy()
    mesh.visual.vertex_colors = np.where(mesh.vertices[:, :1] > 10, [[220, 30, 30]], [[30, 30, 220]]).astype(np.uint8)
    mesh.export(tmp_path / "painted.ply")
    return tmp_path / "painted.ply"


def test_in_a_browser_a_mesh_is_seen_in_its_colours_and_its_controls_change_it(painted, tab):
    view = FileView(read_mesh_file(painted), "127.0.0.1", None)
    try:
        tab.page.goto(view.address)
        coloured = tab.changes(coloured=0.02)
        tab.page.get_by_label("Wireframe", exact=True).first.click()
        wired = tab.changes(coloured)
        tab.page.get_by_label("Box", exact=True).first.click()
        tab.changes(wired)
        assert tab.complaints == [] and view.errors == []
    finally:
        view.close()


def test_a_files_colours_are_kept_and_its_numbers_told(painted, ball):
    found = read_mesh_file(painted)
    assert found.colours is not None and len(found.colours) == len(ball.vertices)
    assert set(map(tuple, found.colours.tolist())) == {(220, 30, 30), (30, 30, 220)}
    assert found.facts() == ["painted.ply", "642 vertices, 1,280 faces", "from (6, -4, -4) to (14, 4, 4)"]


def test_a_file_without_colours_is_plain(ball, tmp_path):
    ball.export(tmp_path / "ball.stl")
    assert read_mesh_file(tmp_path / "ball.stl").colours is None


def test_a_cloud_and_a_mesh_too_large_for_a_browser_are_points(ball, tmp_path, monkeypatch, settle):
    rows = np.concatenate([ball.vertices, ball.vertex_normals], axis=1)
    np.savetxt(tmp_path / "cloud.xyz", rows)
    ball.export(tmp_path / "ball.ply")
    monkeypatch.setattr(files, "MOST_FACES", 1000)
    for name in ("cloud.xyz", "ball.ply"):
        view = FileView(read_mesh_file(tmp_path / name), "127.0.0.1", None)
        try:
            assert isinstance(view.shown.shape, PointCloud) == (name == "cloud.xyz")
            assert "/points" in view.server.scene._handle_from_node_name
            view.boxed.value = True
            settle(view)
            assert {"/mesh", "/wires"}.isdisjoint(view.server.scene._handle_from_node_name)
        finally:
            view.close()


def test_a_folder_shows_its_cameras_with_pictures_and_one_of_them_large(scene_folder, settle):
    assert fitting_downscale(scene_folder) == 1
    view = FolderView(read_scene(scene_folder), "127.0.0.1", None)
    try:
        there = view.server.scene._handle_from_node_name
        assert "/box" in there and there["/train/0000"].image is not None and there["/test/0001"].image is not None
        view.view.value = view.view.options[3]
        settle(view)
        assert view.picture.visible and view.picture.image.shape == (24, 24, 3)
    finally:
        view.close()


def test_large_pictures_are_read_small(scene_folder, monkeypatch):
    monkeypatch.setattr(files, "PICTURES", 8)
    assert fitting_downscale(scene_folder) == 3
