"""Everything that has a name is listed, with its place, and with what else the name means."""

import os

import pytest

from recon.data.listing import found, made, places, to_fetch
from recon.shapes.load import _READERS
from recon.shapes.names import PROCEDURAL_NAMES, SUFFIXES
from recon.shapes.procedural import PROCEDURAL


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A home and a data folder, of each kind something."""
    monkeypatch.setenv("RECON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RECON_DATA", os.pathsep.join([str(tmp_path / "data"), str(tmp_path / "gone")]))
    for file in (
        "home/datasets/mine.OBJ", "home/datasets/shapes/bunny.ply", "home/datasets/.cache/x.ply",
        "data/shapes/Bunny.ply", "data/shapes/readme.txt", "data/scenes/fox/transforms.json",
        "data/images/kodak/kodim01.png", "data/images/photo.png", "data/audio/bach.wav", "data/audio/bach.json",
        "data/video/bikes.mp4", "data/shapenet/03001627/abc/model.obj", "data/shapenet/watertight/chair.off",
    ):  # fmt: skip
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"ply\n")
    return tmp_path


def test_all_that_is_here_is_listed_in_the_order_in_which_it_is_searched(here):
    assert [(row.name, row.kind, str(row.path.relative_to(here))) for row in found()] == [
        ("mine", "shape", "home/datasets/mine.OBJ"),
        ("bunny", "shape", "home/datasets/shapes/bunny.ply"),
        ("bunny", "shape", "data/shapes/Bunny.ply"),
        ("chair", "shape", "data/shapenet/watertight/chair.off"),
        ("shapenet", "shape", "data/shapenet"),
        ("fox", "scene", "data/scenes/fox"),
        ("kodak", "image", "data/images/kodak"),
        ("photo", "image", "data/images/photo.png"),
        ("bach", "sound", "data/audio/bach.wav"),
        ("bikes", "video", "data/video/bikes.mp4"),
    ]


def test_what_another_of_the_same_name_hides_says_so(here):
    first, second = places("Bunny")
    assert first.hidden_by is None and second.hidden_by == first.path
    assert first.entry is not None and first.entry.name == "bunny"


def test_a_set_that_is_not_whole_says_what_it_lacks():
    (fox,) = found("scene")
    assert fox.problems == ("0 x images/*.jpg instead of 67",) and (fox.files, fox.bytes) == (1, 4)
    (shapenet,) = places("shapenet")
    assert (shapenet.files, shapenet.bytes, shapenet.problems) == (1, None, ())


def test_what_is_whole_somewhere_needs_no_fetching():
    names = {entry.name for entry in to_fetch()}
    assert {"fox", "kodak", "lucy"} <= names and names.isdisjoint({"bunny", "shapenet"})
    assert {entry.name for entry in to_fetch("image")} == {"kodak"}


def test_what_is_made_here_is_what_can_be_made():
    assert [thing.name for thing in made() if thing.kind == "shape"] == [*PROCEDURAL_NAMES] == [*PROCEDURAL]
    assert [thing.name for thing in made() if thing.kind == "scene"] == ["figurines"]


def test_files_that_are_named_are_files_that_are_read():
    assert tuple(_READERS) == SUFFIXES
