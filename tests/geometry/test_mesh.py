"""Areas and normals by closed forms; frames by their inverse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recon.geometry import DOMAIN, Mesh, Similarity

TETRAHEDRON = Mesh(
    np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
)


def test_areas_of_a_corner_of_the_cube():
    np.testing.assert_allclose(TETRAHEDRON.face_areas(), [0.5, 0.5, 0.5, np.sqrt(3) / 2])


def test_normals_point_outward():
    expected = [[0, 0, -1], [0, -1, 0], [-1, 0, 0], np.ones(3) / np.sqrt(3)]
    np.testing.assert_allclose(TETRAHEDRON.face_normals(), expected, atol=1e-15)


def test_area_vectors_of_a_closed_mesh_sum_to_zero():
    vectors = TETRAHEDRON.face_normals() * TETRAHEDRON.face_areas()[:, None]
    np.testing.assert_allclose(vectors.sum(axis=0), 0, atol=1e-15)


def test_triangles_are_the_faces_corners():
    np.testing.assert_array_equal(TETRAHEDRON.triangles[3], np.eye(3))


def test_a_face_without_area_has_a_zero_normal():
    line = Mesh(np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]), np.array([[0, 1, 2], [1, 1, 1]]))
    assert not line.face_areas().any()
    assert not line.face_normals().any()


def test_a_mesh_without_faces_has_nothing():
    empty = Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    assert empty.triangles.shape == (0, 3, 3)
    assert empty.face_areas().shape == (0,)
    assert empty.face_normals().shape == (0, 3)


def test_areas_scale_with_the_square_and_normals_do_not():
    larger = Mesh(TETRAHEDRON.vertices * 3 + 7, TETRAHEDRON.faces)
    np.testing.assert_allclose(larger.face_areas(), 9 * TETRAHEDRON.face_areas())
    np.testing.assert_allclose(larger.face_normals(), TETRAHEDRON.face_normals(), atol=1e-12)


numbers = st.floats(-1e3, 1e3)


@given(centre=st.tuples(numbers, numbers, numbers), scale=st.floats(1e-3, 1e3), point=st.tuples(*[numbers] * 3))
def test_frames_undo_each_other(centre, scale, point):
    frame, x = Similarity(centre, scale), np.array([point])
    np.testing.assert_allclose(frame.invert(frame.apply(x)), x, atol=1e-9)
    np.testing.assert_allclose(frame.apply(np.array([centre])), 0, atol=1e-9)


def test_distances_scale_by_the_frame_s_scale():
    frame, x = Similarity((1.0, 2.0, 3.0), 0.25), np.array([[0.0, 0, 0], [4.0, 0, 0]])
    assert np.linalg.norm(np.diff(frame.apply(x), axis=0)) == pytest.approx(1)
    np.testing.assert_allclose(Similarity().apply(x), x)


def test_the_domain_leaves_room_around_a_normalised_shape():
    assert DOMAIN == 1.2
