"""Frames and cameras of the 3-D view."""

import io

import numpy as np
import pytest
import torch
import trimesh

from recon.geometry import Box, Cameras, Mesh
from recon.viewer.serving import LOOPBACK, close_server, open_server
from recon.viewer.stage import Stage, as_glb, camera_at, framing, orientation, plain_name


@pytest.fixture
def stage():
    server = open_server(LOOPBACK, 0, "title")
    yield Stage(server)
    close_server(server)


def some_camera() -> Cameras:
    """A camera with an odd pose."""
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(3)).double())
    turn = turn * torch.linalg.det(turn)
    pose = torch.cat([turn, torch.tensor([[1.0], [2.0], [3.0]]).double()], dim=1)[None]
    return Cameras(pose, torch.full((1, 2), 40.0).double(), torch.tensor([[24.0, 16.0]]).double(),
                   torch.zeros(1, 4).double(), 32, 48)  # fmt: skip


def test_a_browser_at_a_cameras_place_sees_along_the_same_rays():
    camera = some_camera()
    fov = 2 * np.arctan(16 / 40)
    seen = camera_at(orientation(camera, 0), camera.position()[0].numpy(), fov, 48, 32)
    torch.testing.assert_close(seen.view_rays(0).direction, camera.view_rays(0).direction, atol=1e-6, rtol=0)
    torch.testing.assert_close(seen.view_rays(0).origin, camera.view_rays(0).origin)


def test_a_box_fills_the_view_whatever_its_size_and_place():
    box = Box((1e6, 0.0, -3.0), (1e6 + 8e4, 2e4, 5.0))
    corners = framing(box).apply(np.array([box.low, box.high]))
    assert np.abs(corners).max() == pytest.approx(1)
    np.testing.assert_allclose(corners[0], -corners[1])


def test_all_points_are_in_the_picture_at_the_start(stage):
    points = np.random.default_rng(0).normal(size=(200, 3)) * [1.0, 3.0, 0.3]
    stage.look_around(points, "z")
    begin = stage.server.initial_camera
    ahead = begin.look_at - begin.position
    away = points - begin.position
    angle = np.arccos(away @ ahead / np.linalg.norm(away, axis=1) / np.linalg.norm(ahead))
    assert angle.max() < begin.fov / 2


def test_a_mesh_keeps_its_colours_and_normals_on_the_way_to_the_browser():
    mesh = Mesh(np.eye(3), np.array([[0, 1, 2]]))
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    scene = trimesh.load(io.BytesIO(as_glb(mesh, colours)), file_type="glb")
    (sent,) = scene.geometry.values()
    np.testing.assert_array_equal(sent.visual.vertex_colors[:, :3], colours)
    np.testing.assert_allclose(sent.vertex_normals, np.full((3, 3), 3**-0.5), atol=1e-6)


def test_a_mesh_without_faces_takes_the_old_one_away(stage):
    mesh = Mesh(np.eye(3), np.array([[0, 1, 2]]))
    stage.mesh("/surface", mesh)
    assert "/surface" in stage.server.scene._handle_from_node_name
    stage.mesh("/surface", Mesh(mesh.vertices, mesh.faces[:0]))
    assert "/surface" not in stage.server.scene._handle_from_node_name


def test_a_name_from_a_file_is_one_short_line():
    assert plain_name("a\nb\x00c") == "a b c"
    long = plain_name("x" * 500 + ".png")
    assert len(long) == 80 and long.endswith(".png") and long.startswith("...")
