"""What programs give by mistake: past the types, people do."""

import numpy as np
import pytest
import trimesh

from recon.api.inputs import as_points, as_shape, named_field, one_of
from recon.shapes.load import PointCloud


def uneven_cloud() -> PointCloud:
    cloud = PointCloud(np.eye(3), np.eye(3))
    object.__setattr__(cloud, "normals", np.eye(3)[:2])
    return cloud


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "a shape is a path"),
        (None, "a shape is a path"),
        (trimesh.Scene(), "scene.to_mesh"),
        (trimesh.PointCloud(np.eye(3)), "recon.PointCloud"),
        ((np.eye(3), np.array([["a", "b", "c"]])), "numbers are wanted"),
        (uneven_cloud(), "one normal a point"),
    ],
)
def test_what_is_no_shape_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        as_shape(given, centre="box", repair=False, seed=0)


def test_a_cloud_is_not_repaired():
    with pytest.raises(ValueError, match="repair works on meshes"):
        as_shape(PointCloud(np.eye(3), np.eye(3)), centre="box", repair=True, seed=0)


def test_a_shape_is_named_as_its_mesh_is():
    ball = trimesh.creation.icosphere(subdivisions=1)
    assert as_shape(ball, centre="box", repair=False, seed=0).name == "mesh"
    ball.metadata["file_name"] = "marble.ply"
    assert as_shape(ball, centre="box", repair=False, seed=0).name == "marble"
    ball.metadata["name"] = "agate"
    assert as_shape(ball, centre="box", repair=False, seed=0).name == "agate"


def test_a_shape_in_memory_is_repaired_where_that_is_asked_for():
    ball = trimesh.creation.icosphere(subdivisions=2)
    holed = (ball.vertices, ball.faces[5:])
    assert as_shape(holed, centre="box", repair=True, seed=0).repair is not None
    assert as_shape(holed, centre="box", repair=False, seed=0).repair is None


def test_names_that_there_are_not_are_answered_with_the_nearest():
    with pytest.raises(ValueError, match="preset 'quik' is unknown; perhaps you meant quick"):
        one_of("preset", "quik", ["quick", "small"])
    with pytest.raises(ValueError, match="known: quick, small"):
        one_of("preset", "zzz", ["quick", "small"])
    with pytest.raises(ValueError, match="a field is a name or its settings"):
        named_field(3)


@pytest.mark.parametrize("given", ["here", [["a", "b"]], np.zeros((2, 2), bool), np.zeros((2, 3)), 0.5])
def test_what_is_no_point_is_refused(given):
    with pytest.raises(ValueError, match=r"points are rows of two numbers, \[..., 2\]; got"):
        as_points(given, 2)


def test_points_are_taken_from_lists_and_from_arrays_that_torch_would_not_share():
    array = np.arange(6.0).reshape(3, 2)
    array.flags.writeable = False
    for given in (array, array[::-1][::-1], array.tolist()):
        np.testing.assert_array_equal(as_points(given, 2).numpy(), array)
    np.testing.assert_array_equal(as_points(array[::-1], 2).numpy(), array[::-1])
