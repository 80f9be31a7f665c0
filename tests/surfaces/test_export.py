"""Files read back by trimesh, and writes that fail without a trace."""

import json
import struct

import numpy as np
import pytest
import trimesh

from recon.geometry import Mesh
from recon.surfaces.export import WRITERS, replacing, write_mesh

BALL = trimesh.creation.icosphere(2)
MESH = Mesh(np.array(BALL.vertices) * 40 + (100, -7, 3), np.array(BALL.faces, np.int64))
NORMALS = np.array(BALL.vertices)
COLORS = np.random.default_rng(0).integers(0, 256, (len(NORMALS), 3)).astype(np.uint8)
LEGEND = "colour: signed error\nblue -0.01, red +0.01"


def read(path) -> trimesh.Trimesh:
    """The one mesh in a file as stored."""
    found = trimesh.load(path, process=False)
    if isinstance(found, trimesh.Scene):
        (found,) = found.geometry.values()
    assert isinstance(found, trimesh.Trimesh)
    return found


@pytest.mark.parametrize("suffix", WRITERS)
def test_geometry_comes_back_in_its_coordinates(suffix, tmp_path):
    path = tmp_path / f"ball{suffix}"
    write_mesh(path, MESH, NORMALS, COLORS, LEGEND)
    found = read(path)
    np.testing.assert_allclose(found.triangles, MESH.triangles, atol=2e-5)
    found.merge_vertices(merge_norm=True, merge_tex=True)
    assert found.is_watertight and found.volume > 0
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb"])
def test_normals_and_colours_come_back(suffix, tmp_path):
    path = tmp_path / f"ball{suffix}"
    write_mesh(path, MESH, NORMALS, COLORS, LEGEND)
    found = read(path)
    np.testing.assert_allclose(found.vertex_normals, NORMALS, atol=1e-4)
    np.testing.assert_array_equal(found.visual.vertex_colors[:, :3], COLORS)


@pytest.mark.parametrize("suffix", WRITERS)
def test_bare_and_empty_meshes_are_written(suffix, tmp_path):
    write_mesh(tmp_path / f"bare{suffix}", MESH)
    np.testing.assert_allclose(read(tmp_path / f"bare{suffix}").triangles, MESH.triangles, atol=2e-5)
    write_mesh(tmp_path / f"empty{suffix}", Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64)))
    assert (tmp_path / f"empty{suffix}").stat().st_size > 0


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".stl"])
def test_comment_stands_at_the_head_of_the_file(suffix, tmp_path):
    write_mesh(tmp_path / f"ball{suffix}", MESH, comment=LEGEND)
    assert b"colour: signed error" in (tmp_path / f"ball{suffix}").read_bytes()[:300]


def test_comment_of_glb_is_in_its_extras(tmp_path):
    write_mesh(tmp_path / "ball.glb", MESH, comment=LEGEND)
    data = (tmp_path / "ball.glb").read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    assert json.loads(data[20 : 20 + length])["asset"]["extras"]["comment"] == LEGEND


def test_ply_keeps_large_coordinates_apart(tmp_path):
    far = Mesh(NORMALS * 0.5 + 4e6, MESH.faces)
    write_mesh(tmp_path / "far.ply", far)
    assert b"property double x" in (tmp_path / "far.ply").read_bytes()[:300]
    np.testing.assert_allclose(read(tmp_path / "far.ply").vertices, far.vertices, rtol=0, atol=1e-9)


def test_unknown_suffix_names_the_four(tmp_path):
    with pytest.raises(ValueError, match=r"\.ply, \.obj, \.stl, \.glb.*'\.fbx'"):
        write_mesh(tmp_path / "ball.fbx", MESH)


def test_columns_of_another_length_are_refused(tmp_path):
    with pytest.raises(ValueError, match="colors"):
        write_mesh(tmp_path / "ball.ply", MESH, colors=COLORS[:-1])
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OSError, match="none is not a folder"):
        write_mesh(tmp_path / "none" / "ball.ply", MESH)


def test_a_folder_in_the_way_is_an_os_error(tmp_path):
    (tmp_path / "ball.ply").mkdir()
    with pytest.raises(OSError, match="cannot write"):
        write_mesh(tmp_path / "ball.ply", MESH)
    assert [p.name for p in tmp_path.iterdir()] == ["ball.ply"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("bug")])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "ball.ply"
    path.write_bytes(b"old")
    with pytest.raises(type(error)) as caught, replacing(path) as temporary:
        temporary.write_bytes(b"half of")
        raise error
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["ball.ply"]
    if isinstance(error, OSError):
        assert f"cannot write {path}: no space left" in str(caught.value)
