"""Reading: every format gives the same cube, and no bytes give anything but a sound shape or one clear message."""

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recon.geometry import Mesh
from recon.shapes.load import SUFFIXES, PointCloud, read, read_mesh, read_points
from recon.shapes.polygons import BadShape, fan

CUBE = trimesh.creation.box(extents=(1, 2, 3))
QUADS = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)


def write(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def volume(mesh: Mesh) -> float:
    a, b, c = np.moveaxis(mesh.triangles, 1, 0)
    return float(np.einsum("fd,fd->", a, np.cross(b, c)) / 6)


def ply(order: str, polygons: list[list[int]], extra: bytes = b"") -> bytes:
    """A PLY file of the unit cube's corners, by hand."""
    head = f"ply\nformat {order} 1.0\ncomment by hand\nelement vertex 8\n"
    head += "property float x\nproperty float y\nproperty float z\n"
    head += f"element face {len(polygons)}\nproperty uchar flags\nproperty list uchar int vertex_indices\nend_header\n"
    if order == "ascii":
        rows = [" ".join(map(str, row)) for row in CORNERS] + [f"7 {len(p)} {' '.join(map(str, p))}" for p in polygons]
        return (head + "\n".join(rows) + "\n").encode() + extra
    way = "<" if "little" in order else ">"
    body = CORNERS.astype(way + "f4").tobytes()
    body += b"".join(struct.pack(f"{way}BB{len(p)}i", 7, len(p), *p) for p in polygons)
    return head.encode() + body + extra


@pytest.mark.parametrize("suffix", ["ply", "obj", "off", "stl", "glb"])
def test_each_format_gives_the_same_closed_box(tmp_path, suffix):
    path = write(tmp_path, f"box.{suffix}", CUBE.export(file_type=suffix))
    mesh = read_mesh(path)
    assert len(mesh.vertices) == 8 and len(mesh.faces) == 12
    assert volume(mesh) == pytest.approx(6, rel=1e-6)
    np.testing.assert_allclose(np.sort(mesh.vertices.max(axis=0)), [0.5, 1, 1.5], rtol=1e-6)


@pytest.mark.parametrize("order", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("mixed", [False, True])
def test_ply_polygons_become_triangles_whatever_the_byte_order(tmp_path, order, mixed):
    polygons = [*QUADS[:5], QUADS[5][:3], [QUADS[5][0], *QUADS[5][2:]]] if mixed else QUADS
    mesh = read_mesh(write(tmp_path, "cube.ply", ply(order, polygons, b"\n" if order != "ascii" else b"")))
    assert len(mesh.faces) == 12 and volume(mesh) == pytest.approx(1)


def test_stl_text_and_binary_agree(tmp_path):
    text = read_mesh(write(tmp_path, "a.stl", CUBE.export(file_type="stl_ascii")))
    binary = read_mesh(write(tmp_path, "b.stl", CUBE.export(file_type="stl")))
    assert len(text.vertices) == len(binary.vertices) == 8
    np.testing.assert_allclose(text.triangles, binary.triangles, atol=1e-6)


def test_obj_keeps_one_vertex_at_a_texture_seam_and_counts_back_from_the_end(tmp_path):
    text = (
        "mtllib /etc/passwd\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 1\nf 1/1 2/1 3/1\nv 0 0 1\nf -1/2/ -3//1 -4/1/1\n"
    )
    mesh = read_mesh(write(tmp_path, "seam.obj", text))
    assert len(mesh.vertices) == 4
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2], [3, 1, 0]])


@pytest.mark.parametrize("head", ["OFF\n8 6 0", "OFF8 6 0", "OFF 8 6 0", "# by hand\n\nOFF # magic\n8 6 12"])
def test_off_counts_may_share_the_first_line(tmp_path, head):
    rows = [" ".join(map(str, row)) for row in CORNERS] + [f"4 {' '.join(map(str, q))} 255 0 0" for q in QUADS]
    mesh = read_mesh(write(tmp_path, "cube.off", "\n".join([head, *rows])))
    assert len(mesh.faces) == 12 and volume(mesh) == pytest.approx(1)


def test_gltf_instances_land_where_the_scene_puts_them(tmp_path):
    scene = trimesh.Scene()
    scene.add_geometry(CUBE, node_name="a", geom_name="box")
    mirror = np.diag([-1.0, 2, 1, 1])
    mirror[0, 3] = 10
    scene.graph.update(frame_to="b", matrix=mirror, geometry="box")
    mesh = read_mesh(write(tmp_path, "two.glb", scene.export(file_type="glb")))
    assert len(mesh.faces) == 24
    assert volume(mesh) == pytest.approx(18, rel=1e-6)  # a mirrored copy is turned back outwards
    assert mesh.vertices[:, 0].max() == pytest.approx(10.5)


def test_gltf_opens_no_other_file(tmp_path):
    write(tmp_path, "secret.bin", b"\0" * 96)
    root = {"asset": {"version": "2.0"}, "buffers": [{"uri": "secret.bin", "byteLength": 96}]}
    with pytest.raises(BadShape, match="another file"):
        read(write(tmp_path, "leak.gltf", json.dumps(root)))


def test_a_small_gltf_file_cannot_ask_for_much_memory(tmp_path):
    accessor = {"componentType": 5126, "type": "VEC3", "count": 100_000_000}
    with pytest.raises(BadShape, match="more corners than it holds"):
        read(write(tmp_path, "bomb.gltf", json.dumps({"asset": {"version": "2.0"}, "accessors": [accessor] * 9})))


def test_unused_vertices_are_dropped_and_the_others_keep_their_order(tmp_path):
    mesh = read_mesh(write(tmp_path, "far.obj", "v 9 9 9\nv 0 0 0\nv 1 0 0\nv 5 5 5\nv 0 1 0\nf 2 3 5\n"))
    np.testing.assert_array_equal(mesh.vertices, [[0, 0, 0], [1, 0, 0], [0, 1, 0]])


def test_clouds_have_unit_normals_from_ply_and_from_rows(tmp_path):
    rows = "# x y z nx ny nz\n0 0 0  0 0 2\n1,0,0, 0,3,0\n0 1 0  1 0 0  255 255 255\n"
    points, normals = read_points(write(tmp_path, "a.xyz", rows))
    np.testing.assert_array_equal(normals, [[0, 0, 1], [0, 1, 0], [1, 0, 0]])
    head = "ply\nformat ascii 1.0\nelement vertex 2\n" + "".join(
        f"property float {n}\n" for n in "x y z nx ny nz".split()
    )
    cloud = read(write(tmp_path, "b.ply", head + "end_header\n0 0 0 0 0 1\n1 1 1 0 2 0\n"))
    assert isinstance(cloud, PointCloud) and len(cloud.points) == 2
    assert points.shape == (3, 3)


def test_a_fan_has_two_triangles_less_than_corners():
    faces = fan(np.array([3, 2, 5]), np.arange(10))
    np.testing.assert_array_equal(faces, [[0, 1, 2], [5, 6, 7], [5, 7, 8], [5, 8, 9]])


TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
HUGE_PLY = (
    "ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
)
HUGE_PLY += "element face 60000000\nproperty list uchar int vertex_indices\nend_header\n"
BAD = {
    "empty.ply": ("", "empty"),
    "not.ply": ("hello world, no mesh", "not a PLY"),
    "not.stl": (os.urandom(300), "not a readable stl|no vertices"),
    "not.glb": (os.urandom(300), "not a glTF"),
    "not.off": ("hello", "not an OFF"),
    "kind.blend": ("BLENDER", "unknown kind of file '.blend'"),
    "none.obj": (TRIANGLE, "no faces"),
    "nan.obj": (TRIANGLE.replace("1 0 0", "nan 0 0") + "f 1 2 3\n", "NaN or infinite"),
    "inf.obj": (TRIANGLE.replace("1 0 0", "1e999 0 0") + "f 1 2 3\n", "NaN or infinite"),
    "big.obj": (TRIANGLE.replace("1 0 0", "1e307 0 0") + "f 1 2 3\n", "extent"),
    "point.obj": ("v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n", "zero extent"),
    "line.obj": ("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", "zero area"),
    "range.obj": (TRIANGLE + "f 1 2 4\n", "do not exist"),
    "negative.obj": (TRIANGLE + "f 1 2 -9\n", "do not exist"),
    "zero.obj": (TRIANGLE + "f 0 1 2\n", "count from 1"),
    "word.obj": (TRIANGLE + "f one 2 3\n", "no index"),
    "short.obj": ("v 0 0\n", "fewer than three"),
    "huge.ply": (HUGE_PLY, "60,000,000 faces.*--max-faces"),
    "huge.off": ("OFF\n3 60000000 0\n", "60,000,000 faces.*--max-faces"),
    "cut.ply": (ply("binary_little_endian", QUADS)[:-5], "cut short"),
    "cut_text.ply": (ply("ascii", QUADS)[:-20], "cut short|number of corners"),
    "cut.stl": (CUBE.export(file_type="stl")[:-7], "not a readable stl|no vertices"),
    "cut.off": ("OFF\n8 6 0\n0 0 0\n", "cut short"),
    "bare.xyz": ("0 0 0\n1 1 1\n", "normals"),
    "flat.xyz": ("0 0 0 0 0 0\n1 1 1 0 0 1\n", "normals are zero"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_get_one_message_that_names_file_and_fault(tmp_path, name):
    data, message = BAD[name]
    with pytest.raises(BadShape, match=message) as caught:
        read(write(tmp_path, name, data))
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone.ply"):
        read(tmp_path / "gone.ply")
    (tmp_path / "folder.ply").mkdir()
    with pytest.raises(BadShape, match="folder"):
        read(tmp_path / "folder.ply")


def test_the_face_limit_can_be_raised(tmp_path):
    for suffix in ("ply", "off", "stl", "glb", "obj"):
        path = write(tmp_path, f"box.{suffix}", CUBE.export(file_type=suffix))
        with pytest.raises(BadShape, match="12 faces are more than the limit of 11"):
            read_mesh(path, max_faces=11)
        assert len(read_mesh(path, max_faces=12).faces) == 12


def test_a_mesh_is_no_cloud_and_a_cloud_no_mesh(tmp_path):
    with pytest.raises(BadShape, match="points with normals are wanted"):
        read_points(write(tmp_path, "a.obj", TRIANGLE + "f 1 2 3\n"))
    with pytest.raises(BadShape, match="a mesh is wanted"):
        read_mesh(write(tmp_path, "b.xyz", "0 0 0 0 0 1\n1 1 1 0 0 1\n"))


def judged(path: Path) -> None:
    """Read a file of any bytes: a sound shape or one of our errors."""
    try:
        shape = read(path, max_faces=100_000)
    except (BadShape, FileNotFoundError) as error:
        assert str(path) in str(error)
        return
    points = shape.vertices if isinstance(shape, Mesh) else shape.points
    assert np.isfinite(points).all() and np.ptp(points, axis=0).max() > 0
    if isinstance(shape, Mesh):
        assert 0 <= shape.faces.min() and shape.faces.max() < len(points)


FUZZ = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(
    suffix=st.sampled_from(SUFFIXES),
    data=st.binary(max_size=400),
    magic=st.sampled_from([b"", b"ply\n", b"OFF", b"solid", b"glTF"]),
)
def test_no_bytes_break_a_reader(tmp_path, suffix, data, magic):
    judged(write(tmp_path, f"fuzz{suffix}", magic + data))


VALID = {
    ".ply": [ply("ascii", QUADS), ply("binary_little_endian", QUADS), ply("binary_big_endian", [*QUADS, [0, 1, 2]])],
    ".obj": [CUBE.export(file_type="obj").encode()],
    ".off": [CUBE.export(file_type="off").encode()],
    ".stl": [CUBE.export(file_type="stl"), CUBE.export(file_type="stl_ascii").encode()],
    ".glb": [CUBE.export(file_type="glb")],
    ".xyz": [b"0 0 0 0 0 1\n1 1 1 0 0 1\n"],
}


@FUZZ
@given(data=st.data())
@pytest.mark.parametrize("suffix", VALID)
def test_no_damage_to_a_valid_file_breaks_a_reader(tmp_path, suffix, data):
    content = bytearray(data.draw(st.sampled_from(VALID[suffix])))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, max(len(content) - 1, 0)))
        kind = data.draw(st.sampled_from(["set", "cut", "insert", "digit"]))
        if kind == "set" and content:
            content[at] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del content[at : at + data.draw(st.integers(1, 40))]
        elif kind == "digit":
            content[at:at] = data.draw(st.sampled_from([b"9", b"-", b"1e9", b" nan ", b"\n", b"99999999999999999999"]))
        else:
            content[at:at] = data.draw(st.binary(max_size=8))
    judged(write(tmp_path, f"fuzz{suffix}", bytes(content)))


DATA = Path(os.environ.get("RECON_DATA", str(Path(__file__).parents[2] / "../shared/data")).split(os.pathsep)[0])


@pytest.mark.skipif(not (DATA / "shapes").is_dir(), reason=f"no real meshes at {DATA} (set RECON_DATA)")
def test_real_meshes_have_the_counts_of_their_list():
    mesh = read_mesh(DATA / "shapes/rocker_arm.ply")
    assert (len(mesh.vertices), len(mesh.faces)) == (10_044, 20_088)
    np.testing.assert_allclose(mesh.vertices.max(axis=0), [0.1517, 0.2575, 0.5], atol=1e-4)
