"""`recon data make`: flags to a scene, and what is refused."""

import json

import pytest
import trimesh

from recon.commands.make import make, parse_size


@pytest.fixture
def box(tmp_path):
    trimesh.creation.box(extents=(1, 1, 1)).export(tmp_path / "box.ply")
    return str(tmp_path / "box.ply")


SMALL = ("--views", "2", "--test-views", "1", "--size", "24x16")


def test_a_scene_is_made_where_it_was_asked(box, tmp_path, capsys):
    assert make(["--mesh", box, *SMALL, "--format", "blender", "--out", str(tmp_path / "scene"), "--json"]) == 0
    said = capsys.readouterr()
    facts = json.loads(said.out)
    assert facts["folder"] == str(tmp_path / "scene") and facts["width"] == 24 and facts["mesh"] == "box"
    assert "3 of 3 views" in said.err
    assert (tmp_path / "scene" / "transforms_test.json").is_file()


def test_a_scene_lies_among_the_data_by_default(box, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RECON_HOME", str(tmp_path))
    assert make(["--mesh", box, *SMALL]) == 0
    assert (tmp_path / "datasets" / "scenes" / "box" / "bbox.txt").is_file()
    assert "recon nerf --scene" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "800", "800x", "x800", "-8x8", "8.5x8", "axb"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="WIDTHxHEIGHT"):
        parse_size(text)


def test_a_size_is_width_times_height():
    assert parse_size(" 640X480 ") == (640, 480)


def test_what_makes_no_sense_is_refused_before_anything_is_written(box, tmp_path):
    out = ("--out", str(tmp_path / "scene"))
    with pytest.raises(ValueError, match="--views must lie in"):
        make(["--mesh", box, "--views", "0", *out])
    with pytest.raises(FileNotFoundError, match=r"none\.ply"):
        make(["--mesh", str(tmp_path / "none.ply"), *out])
    with pytest.raises(FileExistsError, match="choose another --out"):
        make(["--mesh", box, *SMALL, "--out", str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["box.ply"]
