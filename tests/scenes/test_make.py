"""Photographs of shapes whose pictures are known: balls, boxes, planes. Evidence: closed forms, laws, extremes."""

import numpy as np
import pytest
import torch
import trimesh

from recon.geometry import Mesh
from recon.scenes.caster import Caster
from recon.scenes.light import baked, fibonacci_sphere
from recon.scenes.make import MakeSettings, Studio, axes_of, box_around, place_cameras, rays_of
from recon.scenes.surface import Texture, surface_of

TINY = MakeSettings(views=6, test_views=3, width=40, height=30)


def ball(radius: float = 1.0, centre=(0.0, 0.0, 0.0), subdivisions: int = 4) -> Mesh:
    made = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return Mesh(np.array(made.vertices) + centre, np.array(made.faces, np.int64))


def block(sides=(1.0, 1.0, 1.0)) -> Mesh:
    made = trimesh.creation.box(extents=sides)
    return Mesh(np.array(made.vertices, np.float64), np.array(made.faces, np.int64))


def white(mesh: Mesh, longest: float = np.inf):
    return surface_of(mesh, np.ones_like(mesh.vertices), longest=float(longest), budget=20_000)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e5])
@pytest.mark.parametrize("place", [0.0, 30.0])
def test_depth_alpha_and_normals_of_a_ball_are_those_of_the_formula_at_any_scale(scale, place):
    centre = np.full(3, place * scale)
    surface = white(ball(scale, centre))
    cameras = place_cameras(surface, TINY)[0]
    view = Studio(surface, "y").photograph(cameras, 2)
    origin, ways = rays_of(cameras, 2, cameras.pixels().numpy())
    half = ways @ (centre - origin)
    under_root = half**2 - ((centre - origin) ** 2).sum() + scale**2
    # An icosphere of 5,120 faces lies within 0.12 % of a radius below its ball.
    inside, outside = under_root > 0.02 * scale**2, under_root < 0
    depth, alpha = view.depth.ravel(), view.rgba[..., 3].ravel()
    exact = half - np.sqrt(np.maximum(under_root, 0))
    assert inside.sum() > 200 and outside.sum() > 200
    assert np.abs(depth - exact)[inside].max() < 0.02 * scale
    assert (depth[outside] == 0).all() and not view.normal.reshape(-1, 3)[outside].any()
    normal = (origin + exact[:, None] * ways - centre) / scale
    np.testing.assert_allclose(view.normal.reshape(-1, 3)[inside], normal[inside], atol=0.02)
    deep, clear = under_root > 0.3 * scale**2, under_root < -0.3 * scale**2
    assert (alpha[deep] == 255).all() and (alpha[clear] == 0).all()


def test_depth_on_planes_is_exact_to_rounding():
    surface = white(block((1.0, 2.0, 3.0)), longest=0.2)
    cameras = place_cameras(surface, TINY)[0]
    studio = Studio(surface, "y")
    for index in range(len(cameras)):
        view = studio.photograph(cameras, index)
        origin, ways = rays_of(cameras, index, cameras.pixels().numpy())
        seen = view.depth.ravel() > 0
        points = (origin + view.depth.ravel()[:, None] * ways)[seen]
        assert np.abs((np.abs(points) / [0.5, 1.0, 1.5]).max(axis=1) - 1).max() < 1e-9
        normals = view.normal.reshape(-1, 3)[seen]
        np.testing.assert_allclose(np.sort(np.abs(normals), axis=1), np.tile([0, 0, 1.0], (len(normals), 1)), atol=1e-9)
        assert (np.einsum("ni,ni->n", normals, points) > 0).all()


def test_rays_are_those_of_the_cameras():
    cameras = place_cameras(white(block()), TINY)[1]
    expected = cameras.view_rays(1)
    origin, ways = rays_of(cameras, 1, cameras.pixels().numpy())
    np.testing.assert_allclose(ways, expected.direction.numpy(), atol=1e-6)
    np.testing.assert_allclose(origin, expected.origin[0].numpy(), rtol=1e-6)


@pytest.mark.parametrize("up", ["y", "z"])
@pytest.mark.parametrize("around", ["above", "sphere"])
def test_every_camera_has_the_whole_shape_in_its_picture_and_stands_upright(up, around):
    settings = MakeSettings(views=30, test_views=5, width=60, height=45, up=up, around=around)
    surface = white(block((0.3, 2.0, 1.0)))
    corners = torch.from_numpy(surface.mesh.vertices)
    for cameras in place_cameras(surface, settings):
        for view in range(len(cameras)):
            at, depth = cameras.project(torch.full((len(corners),), view), corners)
            assert (depth > 0).all() and (at > 0).all() and (at < torch.tensor([60, 45])).all()
            filled = (at.amax(dim=0) - at.amin(dim=0)) / torch.tensor([60.0, 45.0])
            assert filled.max() > 0.6
        pose = cameras.pose[:, :, :3]
        torch.testing.assert_close(pose.mT @ pose, torch.eye(3).double().expand(len(cameras), 3, 3))
        assert (torch.linalg.det(pose) > 0).all()
        axis = axes_of(up)[1].argmax()
        assert (cameras.pose[:, axis, 1] > 0).all()  # the picture's top is never below its middle
        height = cameras.position()[:, axis]
        assert (height > -1.5).all() if around == "above" else (height < -1.5).any() or len(cameras) < 30


def test_a_seed_fixes_the_cameras_and_test_views_are_others():
    surface = white(block())
    train, test = place_cameras(surface, TINY)
    again, _ = place_cameras(surface, TINY)
    other, _ = place_cameras(surface, MakeSettings(views=6, test_views=3, width=40, height=30, seed=1))
    assert torch.equal(train.pose, again.pose) and not torch.allclose(train.pose, other.pose)
    assert torch.cdist(train.position(), test.position()).min() > 0.01


def test_the_box_holds_the_shape_with_a_margin():
    box = box_around(white(block((1.0, 2.0, 3.0))))
    assert np.all(np.array(box.low) < [-0.5, -1, -1.5]) and np.all(np.array(box.high) > [0.5, 1, 1.5])
    assert box.radius < 1.1 * np.sqrt(14) / 2


def test_light_on_a_lone_ball_grows_towards_the_lamp_and_the_sky():
    surface = white(ball(subdivisions=3))
    light = baked(surface, Caster(surface.mesh), np.eye(3))
    up = surface.normals[:, 1]
    assert light.min() > 0.02 and light.max() < 1.3
    assert light[up > 0.8].mean() > 2 * light[up < -0.8].mean()


def test_a_roof_takes_the_light_from_what_is_below_it():
    floor = np.array([[-1, 0, -1], [-1, 0, 1], [1, 0, 1], [1, 0, -1.0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    alone = white(Mesh(floor, faces))
    both = white(Mesh(np.concatenate([floor, floor * 4 + [0, 0.3, 0]]), np.concatenate([faces, faces + 4])))
    free, covered = (baked(s, Caster(s.mesh), np.eye(3))[:4] for s in (alone, both))
    below = np.abs(both.mesh.vertices[:4, 1]) < 0.1
    assert (covered[below] < 0.5 * free[: below.sum()]).all()


def test_directions_on_the_sphere_are_even():
    around = fibonacci_sphere(400)
    np.testing.assert_allclose(np.linalg.norm(around, axis=1), 1)
    np.testing.assert_allclose(around.mean(axis=0), 0, atol=0.01)
    np.testing.assert_allclose(around.T @ around / 400, np.eye(3) / 3, atol=0.01)


def test_refining_keeps_the_surface_and_its_orientation():
    plain, fine = white(block()), white(block(), longest=0.2)
    edges = np.linalg.norm(fine.mesh.triangles - np.roll(fine.mesh.triangles, 1, axis=1), axis=2)
    assert edges.max() <= 0.2 and len(fine.mesh.faces) > 50 * len(plain.mesh.faces) / 12
    assert fine.mesh.face_areas().sum() == pytest.approx(6.0)
    np.testing.assert_allclose(np.einsum("fi,fi->f", fine.mesh.triangles.mean(axis=1), fine.mesh.face_normals()), 0.5)
    np.testing.assert_allclose(np.abs(fine.normals).max(axis=1), 1)  # creases stay sharp


def test_refining_stops_at_its_budget():
    surface = surface_of(block(), np.ones((8, 3)), longest=1e-9, budget=1000)
    assert 200 < len(surface.mesh.faces) <= 1000


def test_a_texture_is_found_where_its_coordinates_say():
    """A square whose texture has four colours: each corner of the picture shows its own."""
    square = Mesh(np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0.0]]), np.array([[0, 1, 2], [0, 2, 3]]))
    image = np.kron(np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]]), np.ones((8, 8, 1)))
    texture = Texture(np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]]), image.astype(np.uint8))
    surface = surface_of(square, np.ones((4, 3)), texture, longest=0.3, budget=5000)
    cameras = place_cameras(surface, MakeSettings(views=40, test_views=1, width=48, height=48))[0]
    front = int(cameras.position()[:, 2].argmax())
    view = Studio(surface, "y").photograph(cameras, front)
    points = torch.tensor([[-0.5, 0.5, 0], [0.5, 0.5, 0], [-0.5, -0.5, 0], [0.5, -0.5, 0]]).double()
    at, _ = cameras.project(torch.full((4,), front), points)
    column, row = at.long().T
    shown = view.rgba[row, column, :3] > 60
    assert shown.tolist() == [[True, False, False], [False, True, False], [False, False, True], [True, True, False]]


def test_a_mesh_without_area_is_refused():
    with pytest.raises(ValueError, match="no face with an area"):
        white(Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"views": 0}, "--views must lie in 1"),
        ({"test_views": 0}, "--test-views must lie in 1"),
        ({"width": 4}, "8 .. 8192 pixels, got 4x800"),
        ({"height": 100_000}, "got 800x100000"),
        ({"field_of_view": 0.0}, "degrees"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        MakeSettings(**wrong)
