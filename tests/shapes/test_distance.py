"""Distance and sign: closed forms, an independent reference, laws of distance, and the grid against brute force."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recon.geometry import Mesh
from recon.shapes import distance as module
from recon.shapes.distance import CloudDistance, MeshDistance, edges_cancel
from recon.shapes.grid import grid_signs_and_band


def mesh_of(source: trimesh.Trimesh) -> Mesh:
    return Mesh(np.asarray(source.vertices, np.float64), np.asarray(source.faces, np.int64))


CUBE = mesh_of(trimesh.creation.box(extents=(2, 2, 2)))
SPHERE = mesh_of(trimesh.creation.icosphere(subdivisions=4))
POINTS = hnp.arrays(np.float64, (20, 3), elements=st.floats(-1.5, 1.5, width=32))
FAST = settings(max_examples=25, deadline=None)


def cube_distance(x: np.ndarray) -> np.ndarray:
    """Signed distance to the cube [-1, 1]^3, in closed form."""
    out = np.abs(x) - 1
    return np.linalg.norm(np.maximum(out, 0), axis=1) + np.minimum(out.max(axis=1), 0)


@FAST
@given(POINTS)
def test_distance_to_a_cube_is_the_closed_form(x):
    truth = cube_distance(x)
    distance = MeshDistance(CUBE)
    np.testing.assert_allclose(distance.unsigned(x), np.abs(truth), atol=1e-12)
    clear = np.abs(truth) > 1e-6
    np.testing.assert_array_equal(distance.inside(x)[clear], truth[clear] < 0)
    np.testing.assert_allclose(distance.signed(x)[clear], truth[clear], atol=1e-12)


@FAST
@given(POINTS)
def test_distance_to_a_fine_sphere_is_nearly_that_to_the_round_one(x):
    np.testing.assert_allclose(MeshDistance(SPHERE).signed(x), np.linalg.norm(x, axis=1) - 1, atol=5e-3)


@FAST
@given(POINTS, st.floats(0.1, 10), hnp.arrays(np.float64, 3, elements=st.floats(-5, 5)))
def test_distance_moves_and_scales_with_the_shape(x, scale, shift):
    there = MeshDistance(Mesh(SPHERE.vertices * scale + shift, SPHERE.faces)).unsigned(x * scale + shift)
    np.testing.assert_allclose(there, scale * MeshDistance(SPHERE).unsigned(x), atol=1e-9)


@FAST
@given(POINTS, POINTS)
def test_distance_is_1_lipschitz(x, y):
    distance = MeshDistance(CUBE)
    apart = np.linalg.norm(x - y, axis=1)
    assert (np.abs(distance.signed(x) - distance.signed(y)) <= apart + 1e-9).all()


def test_nearest_points_lie_on_their_faces_at_the_distance():
    x = np.random.default_rng(0).uniform(-1.5, 1.5, (50, 3))
    face, point = MeshDistance(CUBE).nearest(x)
    np.testing.assert_allclose(np.linalg.norm(x - point, axis=1), MeshDistance(CUBE).unsigned(x))
    normal, corner = CUBE.face_normals()[face], CUBE.triangles[face, 0]
    np.testing.assert_allclose(np.einsum("nd,nd->n", point - corner, normal), 0, atol=1e-12)


@pytest.mark.parametrize("with_open3d", [True, False])
def test_parity_agrees_with_the_winding_number_on_a_closed_mesh(monkeypatch, with_open3d):
    if not with_open3d:
        monkeypatch.setattr(module, "import_open3d", lambda: "Open3D does not load: a test")
    elif isinstance(module.import_open3d(), str):
        pytest.skip(module.import_open3d())
    x = np.random.default_rng(0).uniform(-1.2, 1.2, (2000, 3))
    distance = MeshDistance(SPHERE)
    np.testing.assert_array_equal(distance.parity(x), distance.inside(x))


def test_rays_hit_the_sphere_where_geometry_says():
    origins = np.array([[0.0, 0, 3], [0, 0, 0], [0, 3, 3]])
    face, t = MeshDistance(SPHERE).cast(origins, np.array([[0.0, 0, -1], [0, 0, 2], [0, 0, -1]]))
    np.testing.assert_allclose(t, [2, 0.5, np.inf], atol=5e-3)
    assert face[2] == -1 and (face[:2] >= 0).all()


def test_holes_leave_the_winding_number_in_doubt_only_near_them():
    open_sphere = Mesh(SPHERE.vertices, SPHERE.faces[SPHERE.triangles.mean(axis=1)[:, 2] < 0.9])
    distance = MeshDistance(open_sphere)
    assert not distance.closed and MeshDistance(SPHERE).closed
    assert distance.inside(np.array([[0.0, 0, 0], [0, 0, -0.9]])).all()
    assert 0.1 < distance.winding(np.array([[0, 0, 0.95]]))[0] < 0.9


def test_edges_cancel_tells_closed_from_open_and_flipped():
    assert edges_cancel(CUBE.faces)
    assert not edges_cancel(CUBE.faces[1:])
    flipped = CUBE.faces.copy()
    flipped[0] = flipped[0, ::-1]
    assert not edges_cancel(flipped)


def test_an_oriented_cloud_has_the_sign_of_its_nearest_normal():
    points = SPHERE.vertices
    distance = CloudDistance(points, points / np.linalg.norm(points, axis=1, keepdims=True))
    x = np.random.default_rng(0).uniform(-1.2, 1.2, (500, 3))
    brute = np.linalg.norm(x[:, None] - points, axis=2).min(axis=1)
    np.testing.assert_allclose(distance.unsigned(x), brute)
    truth = np.linalg.norm(x, axis=1) - 1
    clear = np.abs(truth) > 0.01
    np.testing.assert_array_equal(distance.inside(x)[clear], truth[clear] < 0)
    np.testing.assert_allclose(distance.signed(x), np.where(distance.inside(x), -brute, brute))
    assert distance.parity(x) is None


@pytest.mark.parametrize("make", [MeshDistance, lambda mesh: CloudDistance(mesh.vertices, mesh.vertices)])
def test_no_points_have_no_distances(make):
    distance, none = make(SPHERE), np.zeros((0, 3))
    assert distance.signed(none).shape == distance.unsigned(none).shape == distance.inside(none).shape == (0,)


@pytest.mark.parametrize("resolution", [2, 7, 33, 40])
@pytest.mark.parametrize("kind", ["closed", "open", "cloud"])
def test_the_grid_is_exactly_what_every_point_alone_would_say(resolution, kind):
    small = mesh_of(trimesh.creation.icosphere(subdivisions=2))
    if kind == "cloud":
        distance = CloudDistance(small.vertices, small.vertices)
    else:
        distance = MeshDistance(small if kind == "closed" else Mesh(small.vertices, small.faces[20:]))
    truth = grid_signs_and_band(distance, resolution, 1.2, 0.1)
    axis = np.linspace(-1.2, 1.2, resolution)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    signed = distance.signed(points)
    np.testing.assert_array_equal(truth.inside.reshape(-1), distance.inside(points))
    np.testing.assert_array_equal(truth.band_index, np.flatnonzero(np.abs(signed) <= 0.1))
    np.testing.assert_allclose(truth.band_distance, signed[truth.band_index], atol=1e-12)


def test_the_grid_asks_for_few_points(monkeypatch):
    asked = []
    distance = MeshDistance(SPHERE)
    unsigned = distance.unsigned
    monkeypatch.setattr(distance, "unsigned", lambda x: asked.append(len(x)) or unsigned(x))
    grid_signs_and_band(distance, 96, 1.2, 0.01)
    assert sum(asked) < 0.2 * 96**3
