"""Finding a shape or a scene: a path, a name in datasets or RECON_DATA, one of our own, or an answer that helps."""

import os
from pathlib import Path

import pytest
import trimesh

from recon.data.find import cache_home, datasets_home, find_scene, find_shape
from recon.data.load import load

BOX = trimesh.creation.box().export(file_type="ply")


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch) -> Path:
    """A home and two data folders; the second holds a shape of the same name as the first."""
    monkeypatch.setenv("RECON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(
        "RECON_DATA", os.pathsep.join([str(tmp_path / "one"), str(tmp_path / "two"), str(tmp_path / "gone")])
    )
    for file in ("one/shapes/Dragon.ply", "two/shapes/dragon.ply", "two/shapenet/watertight/chair_0001.ply"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(BOX)
    return tmp_path


def test_a_path_is_itself(places):
    path = places / "two/shapes/dragon.ply"
    assert find_shape(str(path)) == path


def test_names_are_found_whatever_their_case_first_folder_first(places):
    assert find_shape("DRAGON") == places / "one/shapes/Dragon.ply"
    assert find_shape("Chair_0001") == places / "two/shapenet/watertight/chair_0001.ply"


def test_datasets_come_before_data_folders_and_files_before_our_own(places):
    for file in ("shapes/dragon.ply", "rings.ply"):
        (datasets_home() / file).parent.mkdir(parents=True, exist_ok=True)
        (datasets_home() / file).write_bytes(BOX)
    assert find_shape("dragon") == places / "home/datasets/shapes/dragon.ply"
    assert find_shape("rings") == places / "home/datasets/rings.ply"
    assert find_shape("Idol") == "idol"


def test_an_unknown_name_gets_the_nearest_ones_and_where_they_were_sought(places):
    with pytest.raises(FileNotFoundError, match="perhaps: dragon") as caught:
        find_shape("dragn")
    assert str(places / "one/shapes") in str(caught.value) and "idol" in str(caught.value)


def test_without_any_folder_the_message_names_the_setting(monkeypatch):
    monkeypatch.delenv("RECON_DATA")
    with pytest.raises(FileNotFoundError, match="set RECON_DATA"):
        find_shape("dragon")


def test_a_missing_path_gets_its_neighbours(places):
    with pytest.raises(FileNotFoundError, match=r"perhaps: dragon\.ply"):
        find_shape(str(places / "two/shapes/dragoon.ply"))
    with pytest.raises(FileNotFoundError, match="no folder"):
        find_shape(str(places / "nowhere/dragon.ply"))
    with pytest.raises(FileNotFoundError, match="is a folder"):
        find_shape(str(places / "two/shapes"))


def test_loading_gives_a_shape_from_a_file_and_from_our_own():
    assert load("chair_0001").name == "chair_0001"
    shape = load("rings")
    assert (shape.name, shape.source) == ("rings", "procedural")
    assert shape.mesh is not None and abs(shape.mesh.vertices).max() == pytest.approx(1)


def test_homes_follow_the_setting_or_the_working_directory(places, monkeypatch):
    assert cache_home() == places / "home/datasets/.cache"
    monkeypatch.delenv("RECON_HOME")
    monkeypatch.chdir(places)
    assert datasets_home() == places / "datasets"


# --- scenes ---


@pytest.fixture
def scenes(places):
    for folder in (
        "one/scenes/Fox",
        "two/scenes/fox",
        "two/TanksAndTemple/Barn",
        "two/TanksAndTemple/.Truck.unpacking",
    ):
        (places / folder).mkdir(parents=True)
    return places


def test_a_folder_is_itself(scenes):
    assert find_scene(str(scenes / "two/scenes/fox")) == scenes / "two/scenes/fox"


def test_scenes_are_found_whatever_their_case_first_folder_first(scenes):
    assert find_scene("FOX") == scenes / "one/scenes/Fox"
    assert find_scene("barn") == scenes / "two/TanksAndTemple/Barn"
    (datasets_home() / "TanksAndTemple/fox").mkdir(parents=True)
    assert find_scene("Fox") == scenes / "home/datasets/TanksAndTemple/fox"


def test_an_absent_scene_of_the_catalogue_is_offered(scenes):
    with pytest.raises(FileNotFoundError, match="no scene 'Family'; `recon data get family` fetches") as caught:
        find_scene("Family")
    for text in ("Tanks and Temples", "https://dl.fbaipublicfiles.com", "terms: non-commercial", "of a size that"):
        assert text in str(caught.value)


def test_an_absent_shape_of_the_catalogue_is_offered_but_no_scene_for_a_shape():
    with pytest.raises(FileNotFoundError, match="no shape 'Lucy'; `recon data get lucy` fetches .*322 MB"):
        find_shape("Lucy")
    with pytest.raises(FileNotFoundError, match="no shape 'family'; perhaps"):
        find_shape("family")
    with pytest.raises(FileNotFoundError, match="no scene 'lucy'; perhaps"):
        find_scene("lucy")


def test_an_unknown_scene_gets_the_nearest_and_where_it_was_sought(scenes):
    with pytest.raises(FileNotFoundError, match="no scene 'foxx'; perhaps: fox") as caught:
        find_scene("foxx")
    assert str(scenes / "one/scenes") in str(caught.value)
    with pytest.raises(FileNotFoundError, match="perhaps: family"):
        find_scene("famili")
    with pytest.raises(FileNotFoundError, match="no scene '.Truck.unpacking'"):
        find_scene(".Truck.unpacking")


def test_a_path_that_is_no_scene_is_told(scenes):
    with pytest.raises(FileNotFoundError, match="no folder .*/two/scenes/wolf"):
        find_scene(str(scenes / "two/scenes/wolf"))
    with pytest.raises(FileNotFoundError, match="nor .*/nowhere"):
        find_scene(str(scenes / "nowhere/wolf"))
    with pytest.raises(FileNotFoundError, match="is a file; a scene is a folder: give .*/one/shapes"):
        find_scene(str(scenes / "one/shapes/Dragon.ply"))
