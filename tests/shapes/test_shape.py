"""Shapes: fitted, sampled evenly, named by content, and brought back to where they came from."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recon.geometry import Mesh
from recon.shapes.load import PointCloud
from recon.shapes.polygons import BadShape
from recon.shapes.shape import Shape, from_mesh, from_points, load_shape, normalise

BOX = trimesh.creation.box(extents=(2, 4, 1))
BOX_MESH = Mesh(np.asarray(BOX.vertices, np.float64) + [10, 0, -3], np.asarray(BOX.faces, np.int64))
CLOUDS = hnp.arrays(np.float64, (12, 3), elements=st.floats(-1e6, 1e6, width=32))


@settings(max_examples=50, deadline=None)
@given(CLOUDS, st.sampled_from(["box", "mean"]))
def test_normalised_points_just_fit_the_cube_and_come_back(points, centre):
    if np.ptp(points, axis=0).max() < 1e-3 * (1 + np.abs(points).max()):
        return
    transform = normalise(points, centre)
    fitted = transform.apply(points)
    assert np.abs(fitted).max() == pytest.approx(1)
    middle = fitted.mean(axis=0) if centre == "mean" else (fitted.min(axis=0) + fitted.max(axis=0)) / 2
    np.testing.assert_allclose(middle, 0, atol=1e-9)
    np.testing.assert_allclose(transform.invert(fitted), points, atol=1e-6)


def test_surface_points_lie_on_the_surface_even_by_area_with_its_normals():
    shape = from_mesh("box", BOX_MESH)
    points, normals = shape.surface(20_000, np.random.default_rng(0))
    np.testing.assert_allclose(shape.unsigned_distance(points), 0, atol=1e-12)
    # Areas of the faces across x, y, z: 4x1, 2x1, 2x4, each twice.
    share = np.abs(normals).mean(axis=0)
    np.testing.assert_allclose(share, np.array([4, 2, 8]) / 14, atol=4 * np.sqrt(0.25 / 20_000))
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=0.02)
    np.testing.assert_array_equal(np.sign(np.einsum("nd,nd->n", points, normals)), 1)


def test_faces_without_area_are_never_sampled():
    faces = np.concatenate([np.array([[0, 1, 1]] * 5), BOX_MESH.faces, np.array([[0, 0, 1]] * 5)])
    _, normals = from_mesh("box", Mesh(BOX_MESH.vertices, faces)).surface(2000, np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)


def test_no_samples_are_samples():
    points, normals = from_mesh("box", BOX_MESH).surface(0, np.random.default_rng(0))
    assert points.shape == normals.shape == (0, 3)


def test_distances_are_in_normalised_units():
    shape = from_mesh("box", BOX_MESH)
    assert shape.transform.scale == pytest.approx(0.5)
    np.testing.assert_allclose(shape.signed_distance(np.array([[0.0, 0, 0], [0, 1.2, 0]])), [-0.25, 0.2])
    assert shape.inside(np.array([[0.0, 0, 0], [0, 1.2, 0]])).tolist() == [True, False]


def test_the_hash_names_the_geometry_and_nothing_else():
    a, b = from_mesh("a", BOX_MESH), from_mesh("b", BOX_MESH, "elsewhere.ply", seed=7)
    assert a.content_hash() == b.content_hash()
    moved = BOX_MESH.vertices.copy()
    moved[0, 0] += 1e-9
    assert from_mesh("a", Mesh(moved, BOX_MESH.faces)).content_hash() != a.content_hash()
    assert from_mesh("a", Mesh(BOX_MESH.vertices, BOX_MESH.faces[::-1])).content_hash() != a.content_hash()
    cloud = from_points("a", PointCloud(BOX_MESH.vertices, BOX_MESH.vertices))
    assert cloud.content_hash() != a.content_hash()


def test_a_file_becomes_a_shape_that_knows_its_source(tmp_path):
    path = tmp_path / "Box.PLY"
    path.write_bytes(BOX.export(file_type="ply"))
    shape = load_shape(path)
    assert shape.name == "box" and shape.source == str(path) and shape.report is not None and shape.report.watertight
    assert shape.repair is None


def test_repair_is_only_done_when_asked_and_is_kept(tmp_path):
    path = tmp_path / "open.off"
    path.write_text(trimesh.Trimesh(BOX.vertices, BOX.faces[1:], process=False).export(file_type="off"))
    as_it_is, mended = load_shape(path), load_shape(path, repair=True)
    assert as_it_is.report is not None and not as_it_is.report.watertight and as_it_is.repair is None
    assert mended.report is not None and mended.report.watertight and mended.repair is not None
    assert mended.repair.before.holes == 1 and mended.repair.after.volume == pytest.approx(8)


def test_a_cloud_becomes_a_shape_and_cannot_be_repaired(tmp_path):
    sphere = trimesh.creation.icosphere(subdivisions=2).vertices
    path = tmp_path / "cloud.xyz"
    np.savetxt(path, np.concatenate([3 * sphere + 1, sphere], axis=1))
    shape = load_shape(path)
    assert shape.mesh is None and shape.report is None
    points, normals = shape.surface(100, np.random.default_rng(0))
    np.testing.assert_allclose(points, normals, atol=1e-6)
    assert shape.signed_distance(np.zeros((1, 3)))[0] == pytest.approx(-1, abs=1e-6)
    with pytest.raises(ValueError, match="point cloud"):
        load_shape(path, repair=True)


def test_a_shape_is_a_mesh_or_a_cloud():
    with pytest.raises(ValueError, match="not both"):
        Shape("nothing", "nowhere")


def test_the_face_limit_reaches_the_reader(tmp_path):
    path = tmp_path / "box.ply"
    path.write_bytes(BOX.export(file_type="ply"))
    with pytest.raises(BadShape, match="--max-faces"):
        load_shape(path, max_faces=5)
