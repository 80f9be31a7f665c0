"""Files of strangers that claim or hold too much are refused before memory is taken; what is written reads back."""

import io
import json
import os
import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from recon.geometry import Box, Cameras
from recon.scenes import colmap, listing, llff
from recon.scenes.images import MAX_PIXELS, read_header
from recon.scenes.make import View
from recon.scenes.read import read_scene
from recon.scenes.write import SceneWriter


@pytest.mark.parametrize(
    ("layout", "file", "limit"),
    [
        ("ngp", "transforms.json", listing.JSON_LIMIT),
        ("blender", "transforms_train.json", listing.JSON_LIMIT),
        ("nsvf", "intrinsics.txt", 2**20),
        ("llff", "poses_bounds.npy", llff.NPY_LIMIT),
        ("colmap_binary", "sparse/0/images.bin", colmap.MODEL_LIMIT),
        ("colmap_text", "sparse/0/cameras.txt", colmap.MODEL_LIMIT),
    ],
)
def test_a_file_beyond_its_limit_is_refused_unread(rig_of, tmp_path, layout, file, limit):
    rig_of(views=3).write(layout, tmp_path)
    os.truncate(tmp_path / file, limit + 1)  # of which the disk holds nothing
    with pytest.raises(ValueError, match=r"bytes, more than the [\d,]+ that are read"):
        read_scene(tmp_path)


@pytest.mark.parametrize("file", ["cameras", "images", "points3D"])
@pytest.mark.parametrize("count", [10**12, 2**64 - 1, 10**6])
def test_a_model_that_claims_more_than_it_holds_is_refused(rig_of, tmp_path, file, count):
    rig_of(views=3).write("colmap_binary", tmp_path)
    path = tmp_path / f"sparse/0/{file}.bin"
    path.write_bytes(struct.pack("<Q", count) + path.read_bytes()[8:])
    with pytest.raises(ValueError, match="entries follow"):
        read_scene(tmp_path)


@pytest.mark.parametrize("file", ["cameras", "images", "points3D"])
def test_a_model_of_nothing_is_refused(rig_of, tmp_path, file):
    rig_of(views=3).write("colmap_binary", tmp_path)
    (tmp_path / f"sparse/0/{file}.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=f"{file}.bin"):
        read_scene(tmp_path)


def test_a_line_without_end_is_refused(rig_of, tmp_path, monkeypatch):
    monkeypatch.setattr(colmap, "LINE_LIMIT", 1000)
    rig_of(views=3).write("colmap_text", tmp_path)
    path = tmp_path / "sparse/0/points3D.txt"
    path.write_text(path.read_text() + "1 " * 1000)
    with pytest.raises(ValueError, match="a line has more than 1,000 bytes"):
        read_scene(tmp_path)


@pytest.mark.parametrize("side", [100_000, 2**31 - 1])
def test_a_picture_that_claims_billions_of_pixels_is_refused_by_its_header(tmp_path, side):
    Image.new("RGB", (1, 1)).save(buffer := io.BytesIO(), "PNG")
    data = bytearray(buffer.getvalue())
    data[16:24] = struct.pack(">II", side, side)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "bomb.png").write_bytes(bytes(data))
    with pytest.raises(ValueError, match="decompression bomb"):
        read_header(tmp_path / "bomb.png")
    assert side * side > MAX_PIXELS


@pytest.mark.parametrize("depth", [900, 100_000])
def test_deeply_nested_json_is_refused(rig_of, tmp_path, depth):
    rig_of(views=3).write("ngp", tmp_path)
    path = tmp_path / "transforms.json"
    data = json.loads(path.read_text())
    deep = "[" * depth + "]" * depth
    path.write_text(json.dumps(data).replace(json.dumps(data["frames"][0]["transform_matrix"]), deep, 1))
    with pytest.raises(ValueError, match="not readable JSON|the pose must be"):
        read_scene(tmp_path)


# --- what is written reads back ---

UNIT = st.floats(-1, 1)


@pytest.mark.parametrize("layout", ["nsvf", "blender"])
@settings(max_examples=10, deadline=None)
@given(
    turns=st.lists(st.tuples(UNIT, UNIT, UNIT, st.floats(0.1, 1)), min_size=3, max_size=4),
    shift=st.floats(-1e3, 1e3),
    focal=st.floats(2, 50),
)
def test_any_cameras_come_back_from_a_written_scene(tmp_path_factory, layout, turns, shift, focal):
    folder = tmp_path_factory.mktemp("scene")
    pose = np.concatenate([np.stack([rotation(*turn) for turn in turns]), np.zeros((len(turns), 3, 1))], axis=2)
    pose[:, :, 3] = np.array(turns)[:, :3] + shift
    count = len(turns)
    every = Cameras(
        pose=torch.from_numpy(pose),
        focal=torch.full((count, 2), focal).double(),
        centre=torch.tensor([[4.0, 3.0]]).double().expand(count, 2).contiguous(),
        distortion=torch.zeros(count, 4).double(),
        height=6,
        width=8,
    )
    cameras = {"train": every.select(list(range(1, count))), "test": every.select([0])}
    writer = SceneWriter(folder, layout, cameras, Box((-1.0, -2.0, -3.0), (1.0, 2.0, 3.0)))
    picture = np.full((6, 8, 4), 255, np.uint8)
    for split, some in cameras.items():
        for index in range(len(some)):
            writer.add(split, index, View(picture, np.ones((6, 8), np.float32), np.zeros((6, 8, 3), np.float32)))
    writer.close({})
    scene = read_scene(folder)
    for split, some in cameras.items():
        chosen = scene.cameras.select(list(scene.splits[split]))
        torch.testing.assert_close(chosen.pose, some.pose, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(chosen.focal, some.focal, rtol=1e-9, atol=0)
        torch.testing.assert_close(chosen.centre, some.centre)


def rotation(x: float, y: float, z: float, w: float) -> np.ndarray:
    """Of a quaternion of any length, by turning the axes with the double cross product."""
    axis, length = np.array([x, y, z]), np.sqrt(x * x + y * y + z * z + w * w)
    axis, w = axis / length, w / length
    eye = np.eye(3)
    return (eye + 2 * w * np.cross(axis, eye) + 2 * np.cross(axis, np.cross(axis, eye))).T
