"""Fused depth of a sphere, whose distance along every ray is known in closed form."""

import builtins
import sys

import numpy as np
import pytest
import torch

from recon.geometry import Box, Cameras
from recon.surfaces.topology import describe
from recon.surfaces.tsdf import INSTALL, SYSTEM_INSTALL, fuse

CENTRE = torch.tensor([5.0, 1.0, -2.0], dtype=torch.float64)
RADIUS = 1.0
BOX = Box((3.5, -0.5, -3.5), (6.5, 2.5, -0.5))
SIZE = (192, 160)  # width, height


def cameras(distortion: float = 0.0) -> Cameras:
    """Cameras all around that look past the sphere's centre with a wide angle."""
    corners = torch.tensor([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]).double() / 3**0.5
    poses = []
    for back in (*torch.eye(3).double(), *-torch.eye(3).double(), *corners):
        right = torch.linalg.cross(torch.tensor([0.1, 0.7, 0.3]).double(), back)
        right = right / right.norm()
        poses.append(torch.stack([right, torch.linalg.cross(back, right), back, CENTRE + 2.2 * back + 0.3 * right], 1))
    count, (width, height) = len(poses), SIZE
    lens = torch.full((count, 4), distortion, dtype=torch.float64)
    focal = torch.tensor([110.0, 100.0], dtype=torch.float64).repeat(count, 1)
    centre = torch.tensor([width / 2 - 6.0, height / 2 + 2.0], dtype=torch.float64).repeat(count, 1)
    return Cameras(torch.stack(poses), focal, centre, lens, height, width)


def sphere(found: Cameras, view: int) -> tuple[torch.Tensor, np.ndarray]:
    """Distance along each ray, infinite for a miss; colour: the place in the box."""
    rays = found.view_rays(view)
    origin, direction = rays.origin.double() - CENTRE, rays.direction.double()
    b = (origin * direction).sum(dim=1)
    square = b * b - (origin * origin).sum(dim=1) + RADIUS**2
    t = torch.where(square > 0, -b - square.clamp(min=0).sqrt(), torch.inf)
    place = (origin + t[:, None] * direction).nan_to_num(0, 0, 0) / 3 + 0.5
    colour = (place.clamp(0, 1) * 255).round().byte().reshape(found.height, found.width, 3).numpy()
    return t.float().reshape(found.height, found.width), colour


def views(found: Cameras):
    return (sphere(found, view) for view in range(len(found)))


pytest.importorskip("open3d", exc_type=ImportError)


def test_a_sphere_comes_back_with_its_radius_place_and_colours():
    voxel = 0.05
    mesh, colours = fuse(views(cameras()), cameras(), voxel, 4 * voxel, BOX)
    arm = mesh.vertices - CENTRE.numpy()
    radius = np.linalg.norm(arm, axis=1)
    assert np.abs(radius - RADIUS).max() < voxel and abs(radius.mean() - RADIUS) < 0.2 * voxel
    np.testing.assert_allclose(arm.mean(axis=0), 0, atol=0.02)
    measures = describe(mesh)
    assert measures["watertight"] and measures["components"] == 1 and measures["volume"] is not None
    assert measures["volume"] == pytest.approx(4 / 3 * np.pi, rel=0.03), "above 0: faces look at the cameras"
    assert np.abs(colours / 255 - (arm / 3 + 0.5)).mean() < 0.02


def test_only_what_lies_in_the_box_is_kept():
    half = Box(BOX.low, (5.2, 2.5, -0.5))
    mesh, colours = fuse(views(cameras()), cameras(), 0.05, 0.2, half)
    assert len(mesh.faces) and mesh.vertices[:, 0].max() <= 5.2 and len(colours) == len(mesh.vertices)


def test_holes_alone_are_an_empty_mesh():
    blank = [(torch.full((160, 192), value), np.zeros((160, 192, 3), np.uint8)) for value in (0.0, float("nan"))]
    mesh, colours = fuse(blank, cameras(), 0.05, 0.2, BOX)
    assert mesh.faces.shape == (0, 3) and colours.shape == (0, 3)


def test_what_cannot_be_fused_is_refused():
    with pytest.raises(ValueError, match="without distortion"):
        fuse([], cameras(0.1), 0.05, 0.2, BOX)
    with pytest.raises(ValueError, match="0 < voxel <= truncation, got 0.3 and 0.2"):
        fuse([], cameras(), 0.3, 0.2, BOX)
    with pytest.raises(ValueError, match=r"voxels of 1e-05 are too small.*take 0.0013"):
        fuse([], cameras(), 1e-5, 0.2, BOX)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ModuleNotFoundError("No module named 'open3d'"), INSTALL),
        (OSError("libGL.so.1: cannot open shared object file"), SYSTEM_INSTALL),
        (ImportError("libX11.so.6: cannot open shared object file"), SYSTEM_INSTALL),
    ],
)
def test_a_missing_open3d_names_the_line_that_installs_what_is_missing(error, line, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "open3d":
            raise error
        return real(name, *args, **kwargs)

    monkeypatch.setitem(sys.modules, "open3d", None)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError) as caught:
        fuse([], cameras(), 0.05, 0.2, BOX)
    assert str(error) in str(caught.value) and str(caught.value).endswith(line)
