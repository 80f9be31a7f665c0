"""Point clouds on a plane that cameras see, files read back, and cameras through JSON and back."""

import json

import numpy as np
import pytest
import torch
import trimesh

from recon.geometry import Box, Cameras
from recon.surfaces.points import Points, Seen, cameras_json, gather, write_points

BOX = Box((-1.0, -1.0, -5.0), (1.0, 1.0, 1.0))


def cameras(count: int = 3) -> Cameras:
    """Cameras side by side that look along -z."""
    pose = torch.eye(4, dtype=torch.float64)[:3].repeat(count, 1, 1)
    pose[:, 0, 3] = torch.arange(count) * 0.1
    focal = torch.tensor([20.0, 25.0], dtype=torch.float64).repeat(count, 1)
    centre = torch.tensor([12.0, 8.0], dtype=torch.float64).repeat(count, 1)
    lens = torch.tensor([0.01, -0.002, 0.001, 0.003], dtype=torch.float64).repeat(count, 1)
    return Cameras(pose, focal, centre, lens, 16, 24)


def plane(view: int, opacity: float = 1.0) -> Seen:
    """The plane z = -2, coloured by x and y, with normals that rendering has shortened."""
    rays = cameras().view_rays(view)
    t = -2 / rays.direction[:, 2]
    points = rays.origin + t[:, None] * rays.direction
    shape = (16, 24)
    normal = torch.tensor([0.0, 0.0, 0.9]).expand(*shape, 3)
    return Seen(t.reshape(shape), torch.full(shape, opacity), (points / 4 + 0.5).reshape(*shape, 3), normal)


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_points_lie_where_the_rays_end_with_their_colours_and_unit_normals():
    found = gather([plane(view) for view in range(3)], cameras(), 300, draw())
    assert len(found.position) == 300 and found.normal is not None
    np.testing.assert_allclose(found.position[:, 2], -2, atol=1e-5)
    np.testing.assert_allclose(found.colour / 255, np.clip(found.position / 4 + 0.5, 0, 1), atol=0.003)
    np.testing.assert_allclose(found.normal, np.broadcast_to([0, 0, 1], (300, 3)), atol=1e-6)
    again = gather([plane(view) for view in range(3)], cameras(), 300, draw())
    np.testing.assert_array_equal(found.position, again.position)


def test_veils_holes_and_what_lies_outside_the_box_are_left_out():
    seen = plane(0)
    seen.distance[:, :3] = float("nan")
    seen.distance[:, 3] = 0.0
    seen.opacity[:, 4] = 0.5
    found = gather([seen], cameras(1), 10**6, draw())
    assert len(found.position) == 16 * 19 and np.isfinite(found.position).all()
    inside = gather([seen], cameras(1), 10**6, draw(), Box((0.0, -1.0, -3.0), (1.0, 1.0, -1.0)))
    assert 0 < len(inside.position) < 16 * 19 and inside.position[:, 0].min() >= 0


def test_one_view_without_normals_leaves_all_without():
    bare = Seen(plane(1).distance, plane(1).opacity, plane(1).rgb)
    assert gather([plane(0), bare], cameras(2), 10, draw()).normal is None


def test_nothing_opaque_is_said():
    with pytest.raises(ValueError, match="no view shows anything with an opacity of 0.9"):
        gather([plane(0, opacity=0.5)], cameras(1), 10, draw(), BOX)


@pytest.mark.parametrize("bare", [False, True])
def test_a_cloud_comes_back_from_its_file(bare, tmp_path):
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(50, 3))
    normal = None if bare else normal / np.linalg.norm(normal, axis=1, keepdims=True)
    cloud = Points(rng.normal(size=(50, 3)) + 7, rng.integers(0, 256, (50, 3)).astype(np.uint8), normal)
    write_points(tmp_path / "cloud.ply", cloud, "from views")
    found = trimesh.load(tmp_path / "cloud.ply", process=False)
    assert isinstance(found, trimesh.PointCloud)
    np.testing.assert_allclose(found.vertices, cloud.position, atol=1e-5)
    np.testing.assert_array_equal(found.colors[:, :3], cloud.colour)
    head = (tmp_path / "cloud.ply").read_bytes()[:400]
    assert b"binary_little_endian" in head and b"comment from views" in head and (b"property float nx" in head) != bare
    with pytest.raises(ValueError, match="written as .ply"):
        write_points(tmp_path / "cloud.obj", cloud)


def test_cameras_come_back_from_json():
    found = cameras()
    splits = {"train": (0, 2), "test": (1,)}
    data = json.loads(json.dumps(cameras_json(found, ["a.png", "b.png", "c.png"], splits), allow_nan=False))
    rows = data["cameras"]
    assert [(row["file"], row["split"]) for row in rows] == [("a.png", "train"), ("b.png", "test"), ("c.png", "train")]
    poses = torch.tensor([row["pose"] for row in rows], dtype=torch.float64)
    torch.testing.assert_close(poses[:, :3], found.pose, rtol=0, atol=0)
    assert poses[:, 3].tolist() == [[0, 0, 0, 1]] * 3
    lens = [[row[key] for key in ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "w", "h")] for row in rows]
    assert lens == [[20, 25, 12, 8, 0.01, -0.002, 0.001, 0.003, 24, 16]] * 3
    assert "OpenGL" in data["convention"]


def test_a_view_in_no_split_has_none_and_missing_names_are_refused():
    assert cameras_json(cameras(1), ["a"], {"train": ()})["cameras"][0]["split"] is None
    with pytest.raises(ValueError, match="3 cameras need as many names of files, got 1"):
        cameras_json(cameras(), ["a"], {})
