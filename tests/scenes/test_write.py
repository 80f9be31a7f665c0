"""Made scenes on disk: what their readers expect, read back; whole or not at all."""

import json

import numpy as np
import pytest
import torch
import trimesh
from safetensors.numpy import load_file

from recon.geometry import Mesh
from recon.scenes.make import MakeSettings, Studio, box_around, place_cameras
from recon.scenes.read import read_scene
from recon.scenes.surface import surface_of
from recon.scenes.write import SceneWriter, whole_folder


@pytest.fixture(scope="module")
def made():
    """A block, its cameras, and a view of each."""
    box = trimesh.creation.box(extents=(1, 2, 3))
    mesh = Mesh(np.array(box.vertices, np.float64), np.array(box.faces, np.int64))
    surface = surface_of(mesh, np.ones((8, 3)), longest=1.0, budget=1000)
    train, test = place_cameras(surface, MakeSettings(views=4, test_views=2, width=24, height=16))
    studio = Studio(surface, "y")
    cameras = {"train": train, "test": test}
    views = {split: [studio.photograph(some, i) for i in range(len(some))] for split, some in cameras.items()}
    return surface, cameras, views


@pytest.mark.parametrize("layout", ["nsvf", "blender"])
def test_a_scene_reads_back_as_it_was_made(made, layout, tmp_path):
    surface, cameras, views = made
    out = tmp_path / "new" / "scene"
    with whole_folder(out) as folder:
        writer = SceneWriter(folder, layout, cameras, box_around(surface))
        for split, some in views.items():
            for index, view in enumerate(some):
                writer.add(split, index, view)
        writer.close({"mesh": "block"})
        assert not out.exists()
    scene = read_scene(out)
    assert scene.layout == layout and scene.has_alpha
    for split in ("train", "test"):
        chosen = list(scene.splits[split])
        torch.testing.assert_close(scene.cameras.pose[chosen], cameras[split].pose, rtol=0, atol=1e-12)
        torch.testing.assert_close(scene.cameras.focal[chosen], cameras[split].focal, rtol=1e-12, atol=0)
        torch.testing.assert_close(scene.cameras.centre[chosen], cameras[split].centre)
        for index, view in zip(chosen, views[split], strict=True):
            alpha = view.rgba[..., 3:] > 0
            np.testing.assert_array_equal(scene.images[index].numpy() * alpha, view.rgba * alpha)
    if layout == "nsvf":
        assert scene.box == box_around(surface)


def test_depth_and_normals_lie_beside_the_pictures(made, tmp_path):
    surface, cameras, views = made
    writer = SceneWriter(tmp_path, "nsvf", cameras, box_around(surface))
    writer.add("test", 1, views["test"][1])
    truth = load_file(tmp_path / "truth" / "1_0001.safetensors")
    np.testing.assert_allclose(truth["depth"], views["test"][1].depth, rtol=1e-7)
    np.testing.assert_allclose(truth["normal"], views["test"][1].normal, atol=1e-3)
    writer.close({"mesh": "block"})
    assert "along the ray" in json.loads((tmp_path / "made.json").read_text())["depth"]


def test_a_failure_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError, match="stop"), whole_folder(tmp_path / "scene") as folder:
        (folder / "half").write_text("")
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_never_touched(tmp_path):
    (tmp_path / "precious").write_text("")
    with pytest.raises(FileExistsError, match="not empty"), whole_folder(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "scene").mkdir()
    with whole_folder(tmp_path / "scene") as folder:
        (folder / "all").write_text("")
    assert [path.name for path in (tmp_path / "scene").iterdir()] == ["all"]
