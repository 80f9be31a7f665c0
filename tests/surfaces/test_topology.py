"""Components and measures of meshes, by counts known beforehand and by trimesh."""

import numpy as np
import pytest
import trimesh

from recon.geometry import Mesh
from recon.surfaces.topology import clean, describe, face_components


def as_mesh(t: trimesh.Trimesh, shift=(0.0, 0.0, 0.0)) -> Mesh:
    return Mesh(np.array(t.vertices, np.float64) + shift, np.array(t.faces, np.int64))


def join(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(m.vertices) for m in meshes)])
    faces = [m.faces + start for m, start in zip(meshes, starts, strict=False)]
    return Mesh(np.concatenate([m.vertices for m in meshes]), np.concatenate(faces))


BALL = as_mesh(trimesh.creation.icosphere(2))
TORUS = as_mesh(trimesh.creation.torus(1.0, 0.3), shift=(5.0, 0.0, 0.0))


def test_description_agrees_with_trimesh():
    both = join(BALL, TORUS)
    reference = trimesh.Trimesh(both.vertices, both.faces, process=False)
    found = describe(both)
    assert found["watertight"] and found["components"] == 2
    assert found["euler"] == reference.euler_number == 2
    assert found["area"] == pytest.approx(reference.area)
    assert found["volume"] == pytest.approx(reference.volume)


@pytest.mark.parametrize("damage", ["hole", "flipped face", "face twice"])
def test_damaged_meshes_are_not_watertight_and_have_no_volume(damage):
    faces = BALL.faces.copy()
    if damage == "hole":
        faces = faces[1:]
    elif damage == "flipped face":
        faces[0] = faces[0, ::-1]
    else:
        faces = np.concatenate([faces, faces[:1]])
    found = describe(Mesh(BALL.vertices, faces))
    assert not found["watertight"] and found["volume"] is None


def test_volume_does_not_suffer_from_distance_to_the_origin():
    far = Mesh(BALL.vertices + 1e6, BALL.faces)
    assert describe(far)["volume"] == pytest.approx(describe(BALL)["volume"], rel=1e-6)


def test_largest_keeps_the_component_with_the_most_area_and_no_loose_vertices():
    both = join(as_mesh(trimesh.creation.icosphere(3, radius=0.1)), TORUS)
    kept = clean(both, "largest")
    assert np.array_equal(kept.vertices[kept.faces], TORUS.triangles)
    assert len(kept.vertices) == len(TORUS.vertices)


def test_all_drops_only_unused_vertices():
    loose = Mesh(np.concatenate([np.full((3, 3), 9.0), BALL.vertices]), BALL.faces + 3)
    assert np.array_equal(clean(loose).triangles, BALL.triangles)
    assert len(clean(loose).vertices) == len(BALL.vertices)


def test_an_empty_mesh_is_described():
    empty = Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    assert describe(empty) == {
        "vertices": 0, "faces": 0, "components": 0, "watertight": False, "euler": 0, "area": 0.0, "volume": None
    }  # fmt: skip
    assert len(clean(empty, "largest").faces) == 0


def test_components_are_counted_from_zero():
    assert set(face_components(join(BALL, TORUS, BALL))) == {0, 1, 2}
