"""What a scene run leaves, against closed forms: a ball and a wall whose densities and colours are written down."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recon.fields.base import Field, FieldConfig
from recon.fields.radiance import HeadConfig, RadianceField
from recon.geometry import Box, Cameras, Space
from recon.rendering.paths import look_at
from recon.surfaces.tsdf import _open3d
from recon.tasks.nerf import export, film
from recon.tasks.nerf.fitted import Fitted
from recon.tasks.nerf.look import look, training_cameras
from recon.tasks.nerf.reference import Reference
from recon.tasks.nerf.sampling import Lit, RaySamplerConfig

CENTRE, HALF, RADIUS = torch.tensor([10.0, -4.0, 2.0]), 2.0, 1.2
BOX = Space("box", Box((8.0, -6.0, 0.0), (12.0, -2.0, 4.0)))
FRONTAL = Space("ndc", Box((-1.0, -1.0, -40.0), (1.0, 1.0, -1.0)), near=1.0)
WALL = 5.0
"""Depth of the wall that the frontal scene shows."""


class Drawn(Field):
    """Raw density and colours of solids in closed form: positive where `inside` is; red above the middle, else blue."""

    def __init__(self, inside):
        super().__init__(3, 4)
        self.inside = inside

    def forward(self, x):
        raw = (2000 * self.inside(x)).clamp(-20, 20)
        above = 8 * x[:, 2].sign()
        return torch.stack([raw, above, torch.full_like(raw, -8.0), -above], dim=1)


@dataclass(frozen=True)
class DrawnConfig(FieldConfig):
    inside: object = None

    def build(self, in_dim, out_dim):
        return Drawn(self.inside)


def fitted_of(inside, space: Space, cameras: Cameras, rays: RaySamplerConfig | None = None) -> Fitted:
    head = HeadConfig(kind="direct", density_bias=0.0, density_scale=20.0)
    lit = Lit(RadianceField(DrawnConfig(inside), head, space), rays or RaySamplerConfig("uniform", count=200))
    views = tuple(range(len(cameras)))
    images = torch.zeros(1, cameras.height, cameras.width, 3, dtype=torch.uint8)
    files = tuple(f"{view}.png" for view in views)
    splits = {"train": views[1:], "test": views[:1]}
    reference = Reference("drawn", Path("gone"), 1, cameras, space, files, splits, images)
    return Fitted(lit, reference, torch.device("cpu"), torch.ones(3))


def cameras_at(pose, width=32, height=24, focal=40.0) -> Cameras:
    count = len(pose)
    centre = torch.tensor([[width / 2, height / 2]]).double().repeat(count, 1)
    return Cameras(pose, torch.full((count, 2), focal).double(), centre, torch.zeros(count, 4).double(), height, width)


def around(count=13, distance=6.0) -> Cameras:
    """Cameras on all sides of the ball."""
    z = 1 - 2 * (torch.arange(count) + 0.5) / count
    turn = torch.arange(count) * 2.4
    way = torch.stack([(1 - z * z).sqrt() * turn.cos(), (1 - z * z).sqrt() * turn.sin(), z], dim=1).double()
    centre = CENTRE.double()
    return cameras_at(look_at(centre + distance * way, centre, torch.tensor([0.0, 0, 1]).double()))


def ball(u):
    return RADIUS / HALF - u.norm(dim=1)


def two_balls(u):
    """The ball, and a small one near a corner."""
    return torch.maximum(ball(u), 0.2 - (u - 0.75).norm(dim=1))


@pytest.fixture
def solid() -> Fitted:
    return fitted_of(ball, BOX, around())


def radii(vertices) -> np.ndarray:
    return np.linalg.norm(vertices - CENTRE.numpy(), axis=1)


def told(lines):
    return lines.append


# -- meshes ------------------------------------------------------------------------------------------------------------


def test_the_mesh_of_a_ball_is_that_ball_in_the_frame_of_the_input_with_its_colours(solid):
    found = export.level_mesh(solid, 48, lambda line: None)
    cell = 2 * HALF / 47
    assert np.abs(radii(found.mesh.vertices) - RADIUS).max() < 0.5 * cell
    assert found.facts["watertight"] and found.facts["components"] == 1 and found.facts["removed_floaters"] == 0
    assert found.facts["volume"] == pytest.approx(4 / 3 * math.pi * RADIUS**3, rel=0.05)
    assert found.facts["level_chosen"] == "automatic" and 0 < found.facts["level"] < 400 / HALF
    above = found.mesh.vertices[:, 2] > float(CENTRE[2])
    assert (found.colours[above] == [255, 0, 0]).all() and (found.colours[~above] == [0, 0, 255]).all()
    outward = ((found.mesh.vertices - CENTRE.numpy()) * found.normals).sum(axis=1) / RADIUS
    assert outward.min() > 0.8 and np.median(outward) > 0.95, "a hard edge lies on the grid's edges with some error"


def test_a_level_that_is_given_is_taken_and_one_beyond_the_density_gives_an_empty_mesh(solid):
    found = export.level_mesh(solid, 32, lambda line: None, level=50.0)
    assert found.facts["level"] == 50 and found.facts["level_chosen"] == "by flag"
    empty = export.level_mesh(solid, 32, lambda line: None, level=1e6)
    assert len(empty.mesh.faces) == 0 and "lower level" in empty.facts["note"]


def test_what_stands_where_rays_never_look_is_no_surface():
    fitted = fitted_of(two_balls, BOX, around(), RaySamplerConfig(steps=200, grid=16))
    assert export.level_mesh(fitted, 40, lambda line: None).facts["components"] == 2
    assert export.level_mesh(fitted, 40, lambda line: None, keep="largest").facts["components"] == 1
    grid = fitted.lit.grid
    assert grid is not None
    middle = grid.points(torch.arange(16**3), torch.Generator().manual_seed(0))
    grid.occupied &= middle.norm(dim=1) < 0.9
    fitted.lit.refresh()
    assert export.level_mesh(fitted, 40, lambda line: None).facts["components"] == 1


def test_noise_is_refused_before_it_is_coloured(solid, monkeypatch):
    monkeypatch.setattr(export, "MOST_FACES", 100)
    monkeypatch.setattr(export, "vertex_colours", None)
    with pytest.raises(ValueError, match=r"faces, more than the 100 .*train longer"):
        export.level_mesh(solid, 24, lambda line: None)


def test_a_scene_without_anything_opaque_has_no_automatic_level():
    empty = fitted_of(lambda u: -u.norm(dim=1), BOX, around())
    with pytest.raises(ValueError, match="train longer, or give a level"):
        export.level_mesh(empty, 24, lambda line: None)


@pytest.fixture
def few_views(monkeypatch):
    monkeypatch.setattr(export, "VIEWS", 12)
    monkeypatch.setattr(export, "FUSED_SIDE", 64)


@pytest.mark.usefixtures("few_views")
def test_fused_depth_of_a_ball_is_that_ball():
    try:
        _open3d()
    except ImportError as error:
        pytest.skip(str(error))
    lines: list[str] = []
    found = export.fused_mesh(fitted_of(ball, BOX, around()), 64, told(lines))
    voxel = 2 * HALF / 64
    assert found.facts["voxel"] == voxel and found.facts["views"] == 12
    assert np.quantile(np.abs(radii(found.mesh.vertices) - RADIUS), 0.95) < voxel
    assert found.facts["area"] == pytest.approx(4 * math.pi * RADIUS**2, rel=0.1)
    above = found.mesh.vertices[:, 2] > float(CENTRE[2]) + 2 * voxel
    assert (np.abs(found.colours[above].astype(int) - [255, 0, 0]).max(axis=1) < 10).mean() > 0.97
    assert "depth of view 12/12" in lines[-1]


# -- points and cameras ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("few_views")
def test_points_lie_on_the_ball_with_its_normals_and_colours(solid, monkeypatch):
    monkeypatch.setattr(export, "POINTS", 1200)
    points = export.point_cloud(solid, lambda line: None)
    assert 600 < len(points.position) <= 1200
    assert np.abs(radii(points.position) - RADIUS).max() < 0.03, "a sample of a ray is 0.02 long"
    assert points.normal is not None
    outward = (points.position - CENTRE.numpy()) / radii(points.position)[:, None]
    assert ((points.normal * outward).sum(axis=1) > 0.99).all()
    above = points.position[:, 2] > float(CENTRE[2]) + 0.1
    assert (points.colour[above] == [255, 0, 0]).mean() > 0.98


def test_cameras_are_told_as_they_are(solid):
    told_of = json.loads(json.dumps(export.scene_cameras(solid)))["cameras"]
    assert [camera["split"] for camera in told_of] == ["test"] + ["train"] * 12
    np.testing.assert_allclose([camera["pose"][:3] for camera in told_of], solid.reference.cameras.pose)
    assert {camera["w"] for camera in told_of} == {32} and told_of[3]["file"] == "3.png"


def test_training_cameras_are_spread_without_distortion_and_never_those_held_out(solid):
    lens = torch.full((13, 4), 0.1).double()
    reference = replace(solid.reference, cameras=replace(solid.reference.cameras, distortion=lens))
    chosen = training_cameras(reference, 4, 16)
    assert len(chosen) == 4 and (chosen.width, chosen.height) == (16, 12) and not chosen.distortion.any()
    train = solid.reference.cameras.pose[1:]
    torch.testing.assert_close(chosen.pose, train[[0, 3, 6, 9]])
    assert len(training_cameras(reference, 99, 16)) == 12


def test_rays_of_a_look_end_on_the_surface(solid):
    assert (look(solid, 4, 16).ends() - CENTRE).norm(dim=1).sub(RADIUS).abs().max() < 0.03


# -- films -------------------------------------------------------------------------------------------------------------


def read(folder: Path) -> np.ndarray:
    import imageio.v3 as iio  # noqa: PLC0415

    return np.stack([iio.imread(file) for file in sorted(folder.glob("*.png"))]).astype(int)


def test_an_orbit_of_a_ball_shows_the_same_depths_in_every_frame(solid, tmp_path):
    cameras = film.film_cameras(solid, "orbit", 4, (24, 24))
    folders = {what: tmp_path / what for what in film.WHATS}
    assert film.orbit_warnings(solid.reference) == []
    frames = list(film.render_film(solid, cameras, folders, lambda line: None))
    assert [frame["rgb"].name for frame in frames] == ["0000.png", "0001.png", "0002.png", "0003.png"]
    depth, opacity = read(tmp_path / "depth"), read(tmp_path / "opacity")
    hit = opacity[0, ..., 0] > 250
    assert 0.1 < hit.mean() < 0.5 and (np.abs(depth - depth[0]).max(axis=-1)[:, hit] < 60).mean() > 0.97
    middle, side = depth[:, 12, 12], depth[:, 12][:, hit[12].nonzero()[0][0]]
    assert (middle[:, 0] > middle[:, 2]).all() and (side[:, 2] > side[:, 0]).all(), "near is red, far is blue"
    assert (opacity[:, 0, 0] == 0).all() and (read(tmp_path / "rgb")[:, 0, 0] == 255).all()


def test_frames_of_an_earlier_film_are_removed_and_nothing_else(solid, tmp_path):
    for name in ("0007.png", "mine.png", "0007.txt"):
        (tmp_path / name).write_text("old")
    cameras = film.film_cameras(solid, "test", 120, (16, 12))
    list(film.render_film(solid, cameras, {"rgb": tmp_path}, lambda line: None))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0000.png", "0007.txt", "mine.png"]


def test_normals_are_drawn_as_the_directions_that_they_are(solid, tmp_path):
    cameras = film.film_cameras(solid, "test", 1, (25, 25))
    list(film.render_film(solid, cameras, {"normal": tmp_path}, lambda line: None))
    towards = cameras.pose[0, :, 2].numpy()
    np.testing.assert_allclose(read(tmp_path)[0, 12, 12], (towards + 1) / 2 * 255, atol=4)


def test_where_space_has_no_end_depth_is_shown_by_its_inverse(solid):
    picture = solid.render(around(1), 0)
    assert film.shown_depth(picture, BOX) is picture.depth
    shown = film.shown_depth(picture, Space("contracted", BOX.box))
    there = picture.depth > 0
    torch.testing.assert_close(-1 / shown[there], picture.depth[there])
    assert (shown[~there] == torch.inf).all()


def test_a_spiral_before_a_wall_looks_at_the_wall():
    """In a frustum depth d is at 1 - 2 near / d of the cube."""
    side = torch.linspace(-0.2, 0.2, 5).double()
    position = torch.stack([side, side.flip(0).square(), 0 * side], dim=1)
    pose = torch.cat([torch.eye(3).double().repeat(5, 1, 1), position[..., None]], dim=2)
    fitted = fitted_of(lambda u: u[:, 2] - (1 - 2 / WALL), FRONTAL, cameras_at(pose))
    assert "one side" in film.orbit_warnings(fitted.reference)[0]
    assert film.usual_path(FRONTAL) == "spiral" and film.usual_path(BOX) == "orbit"
    cameras = film.film_cameras(fitted, "spiral", 8)
    middle = pose[1:, :, 3].mean(dim=0)
    target = middle + torch.tensor([0.0, 0, -WALL])
    at, depth = cameras.project(torch.arange(8), target.repeat(8, 1))
    np.testing.assert_allclose(at, [[16, 12]] * 8, atol=0.3)
    assert (depth > 0).all()
