"""A person's own copy of ShapeNet: models are found by class and name, however the archive was unpacked."""

import pytest
import trimesh

from recon.data.find import find_shape
from recon.data.load import load
from recon.data.shapenet import count_models, find_model, model_name

MODEL = "1007e20d5e811b308351982a6e40cf41"


@pytest.fixture(params=["", "ShapeNetCore.v2/"])
def root(request, tmp_path, monkeypatch):
    """One model of version 2 and one of version 1 in a folder of RECON_DATA."""
    monkeypatch.setenv("RECON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RECON_DATA", str(tmp_path))
    for file in (f"03001627/{MODEL}/models/model_normalized.obj", "02691156/old-1/model.obj"):
        path = tmp_path / "shapenet" / request.param / file
        path.parent.mkdir(parents=True)
        trimesh.creation.box().export(path)
    return tmp_path


@pytest.mark.parametrize("name", [f"03001627/{MODEL}", MODEL])
def test_a_model_is_found_by_its_class_and_name_or_by_its_name(root, name):
    assert find_shape(name) == find_model(name, [root])
    shape = load(name)
    assert shape.name == MODEL and shape.source.endswith("model_normalized.obj")


def test_models_of_the_first_version_are_found(root):
    assert load("02691156/old-1").name == "old-1"
    assert count_models(root) == (2, 2)


@pytest.mark.parametrize("name", [f"02691156/{MODEL}", f"03001627/{MODEL}x", "03001627/..", "03001627", "0300162/x"])
def test_what_is_not_there_is_not_found(root, name):
    assert find_model(name, [root]) is None
    with pytest.raises(FileNotFoundError):
        find_shape(name)


def test_only_models_take_the_name_of_their_folder(tmp_path):
    assert model_name(tmp_path / "03001627" / MODEL / "models" / "model_normalized.obj") == MODEL
    assert model_name(tmp_path / "03001627" / MODEL / "model.obj") == MODEL
    assert model_name(tmp_path / "mine" / "model.obj") == ""
    assert model_name(tmp_path / "shapes" / "dragon.ply") == ""
