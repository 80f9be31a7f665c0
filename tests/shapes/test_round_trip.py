"""What one program writes the other reads: meshes of any triangles come back from every format as they went in."""

import contextlib
import json
import struct
import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recon.geometry import Mesh
from recon.shapes.load import read, read_mesh
from recon.shapes.polygons import BadShape
from recon.surfaces.export import WRITERS, write_mesh

COORDINATES = st.floats(-1000, 1000, width=32).map(lambda x: round(x, 3))
POINTS = hnp.arrays(np.float64, st.tuples(st.integers(3, 8), st.just(3)), elements=COORDINATES, unique=True)


@pytest.mark.parametrize("suffix", [*WRITERS, ".off"])
@settings(max_examples=25, deadline=None)
@given(points=POINTS, data=st.data())
def test_triangles_come_back_from_every_format(tmp_path_factory, suffix, points, data):
    index = st.integers(0, len(points) - 1)
    corners = st.lists(index, min_size=3, max_size=3, unique=True)
    mesh = Mesh(points, np.array(data.draw(st.lists(corners, min_size=1, max_size=6)), np.int64))
    path = tmp_path_factory.mktemp("mesh") / f"mesh{suffix}"
    if suffix == ".off":  # read only: written here, by its definition
        rows = [f"OFF\n{len(points)} {len(mesh.faces)} 0", *(" ".join(map(repr, row)) for row in points.tolist())]
        path.write_text("\n".join([*rows, *(f"3 {a} {b} {c}" for a, b, c in mesh.faces.tolist())]))
    else:
        write_mesh(path, mesh)
    assume(mesh.face_areas().max() > 1e-3)
    found = read_mesh(path)
    np.testing.assert_allclose(found.triangles, mesh.triangles, rtol=1e-6, atol=2e-6 * np.ptp(points, axis=0).max())
    if suffix in (".ply", ".obj", ".off"):  # the others have no vertices of their own, but corners
        assert len(found.vertices) == len(np.unique(mesh.faces))


@pytest.mark.parametrize("suffix", [".glb", ".gltf"])
@pytest.mark.parametrize("uri", ["secret.png", "file:///etc/passwd", "/etc/passwd", "http://127.0.0.1:9/x.png"])
def test_a_texture_that_a_scene_names_is_never_opened(tmp_path, suffix, uri):
    root = {"asset": {"version": "2.0"}, "images": [{"uri": uri}], "textures": [{"source": 0}], "scene": 0}
    root |= {"materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}], "scenes": [{"nodes": [0]}]}
    root |= {"nodes": [{"mesh": 0}], "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "material": 0}]}]}
    root |= {"accessors": [{"bufferView": 0, "componentType": 5126, "type": "VEC3", "count": 3}]}
    root |= {"bufferViews": [{"buffer": 0, "byteLength": 36}], "buffers": [{"byteLength": 36}]}
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4").tobytes()
    text = json.dumps(root).encode()
    text += b" " * (-len(text) % 4)
    data = struct.pack("<4sIIII", b"glTF", 2, 28 + len(text) + 36, len(text), 0x4E4F534A) + text
    path = tmp_path / f"mesh{suffix}"
    path.write_bytes(text if suffix == ".gltf" else data + struct.pack("<II", 36, 0x004E4942) + points)
    opened, recording = [], True

    def note(event, arguments):  # it stays for the life of the process, but idle
        if recording and event in ("open", "socket.connect"):
            opened.append(str(arguments[0]))

    sys.addaudithook(note)
    with contextlib.suppress(BadShape):
        read(path)
    recording = False
    assert str(path) in opened
    assert not [name for name in opened if "secret" in name or "passwd" in name or "socket" in name]
