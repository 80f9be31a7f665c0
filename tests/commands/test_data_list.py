"""`recon data list` and `recon data where`: what a person reads, what a program reads, and that nothing is loaded."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from recon.data.catalogue import entries


@pytest.fixture
def data(home, monkeypatch) -> Path:
    """A folder of RECON_DATA with a bunny, a part of the fox, and another bunny in datasets/."""
    folder = home / "collection"
    for file in ("collection/shapes/bunny.ply", "collection/scenes/fox/transforms.json", "datasets/shapes/bunny.ply"):
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).write_bytes(b"ply\n")
    monkeypatch.setenv("RECON_DATA", str(folder))
    return folder


def test_without_any_data_the_table_shows_what_can_be_had(recon, home):
    result = recon("data", "list")
    assert result.code == 0 and result.err == ""
    words = result.out.split()
    assert set(entries()) <= set(words) and {"idol", "filigree", "rings", "figurines"} <= set(words)
    assert "LLFF, forward-facing (one archive for all)" in result.out
    assert "nothing is here yet" in result.out.splitlines()[-1]
    assert max(map(len, result.out.splitlines()[:-1])) <= 80


def test_what_is_here_is_shown_folder_by_folder(recon, home, data):
    out = recon("data", "list").out
    head, tail = out.split("made by recon")
    assert f"{home}/datasets/shapes/\n  bunny" in head and f"hidden by {home}/datasets/shapes" in head
    assert "not all: 0 x images/*.jpg instead of 67" in head
    assert "bunny" not in tail and "fox" in tail, "what is whole needs no fetching, what is not does"


def test_filters_leave_out_the_rest(recon, data):
    out = recon("data", "list", "--kind", "scene", "--here").out
    assert "fox" in out and "figurines" in out and "bunny" not in out and "fetched" not in out
    rows = recon("data", "list", "--kind", "image", "--json").json["sets"]
    assert [row["name"] for row in rows] == ["kodak"]
    assert recon("data", "list", "--kind", "picture").code == 2


def test_json_is_one_object_that_tells_all(recon, home, data):
    about = recon("data", "list", "--json").json
    assert about["home"] == str(home) and about["data"] == [str(data)]
    rows = {(row["name"], row["here"]): row for row in about["sets"]}
    assert rows["bunny", True]["hidden_by"] == f"{home}/datasets/shapes/bunny.ply"
    assert rows["fox", True]["problems"] and rows["fox", True]["files"] == 1
    lucy = rows["lucy", False]
    assert lucy["download_bytes"] == entries()["lucy"].size and lucy["verified"] is False
    assert "research" in lucy["terms"]


def test_lines_are_cut_where_a_terminal_would_break_them(recon, data, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "50")
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", out := Terminal())
        assert recon("data", "list").code == 0
    lines = [line for line in out.getvalue().splitlines() if line.startswith("  ")]
    assert max(map(len, lines)) <= 50 and any(line.endswith("...") for line in lines)


# --- where ---


def test_where_shows_the_folders_and_the_settings(recon, home, data):
    out = recon("data", "where").out
    assert f"RECON_HOME  {home}" in out and f"RECON_DATA  {data}" in out
    assert out.index(f"+ {home}/datasets/shapes") < out.index(f"+ {data}/shapes")
    assert f"- {data}/TanksAndTemple  (not there)" in out
    about = recon("data", "where", "--json").json
    assert about["settings"] == {"RECON_HOME": str(home), "RECON_DATA": str(data)}
    assert {"path": f"{data}/scenes", "exists": True} in about["folders"]["scenes"]


def test_where_name_prints_the_path_alone(recon, home, data):
    result = recon("data", "where", "Bunny")
    assert result.out == f"{home}/datasets/shapes/bunny.ply\n"
    assert f"also, but searched later: {data}/shapes/bunny.ply" in result.err
    assert recon("data", "where", "fox", "--json").json["found"] == [
        {"kind": "scene", "path": f"{data}/scenes/fox", "hidden": False}
    ]
    assert recon("data", "where", "figurines").out == f"{home}/datasets/scenes/figurines\n"
    assert recon("data", "where", "idol").code == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lucy", "lucy is not here; `recon data get lucy` fetches Lucy"),
        ("Asian Dragon", "asian_dragon is not here"),
        ("shapenet", "put it at datasets/shapenet"),
        ("bunnny", "perhaps you meant bunny"),
        ("03001627/abc", "no file 03001627/abc"),
        ("xyzzy", "recon data list shows what there is"),
    ],
)
def test_where_says_how_to_get_what_is_not_here(recon, data, name, said):
    result = recon("data", "where", *name.split())
    assert result.code == 2 and result.out == "" and said in result.err


# --- check of a set ---


def test_a_set_is_checked_by_name_or_path_and_damage_is_told(recon, home, data):
    result = recon("data", "check", "bunny")
    assert result.code == 0 and "whole: 1 file, 4 B, no hashes known" in result.out
    by_path = recon("data", "check", data / "shapes" / "bunny.ply", "--json").json
    assert by_path["path"] == f"{data}/shapes/bunny.ply" and by_path["problems"] == []
    (home / "datasets/shapes/bunny.ply").write_bytes(b"solid\n")
    result = recon("data", "check", "bunny")
    assert result.code == 2 and "warning: bunny: bunny.ply is no ply file" in result.err and "not whole" in result.out


def test_a_set_that_is_not_here_can_not_be_checked(recon, home):
    result = recon("data", "check", "kodak")
    assert result.code == 2 and "kodak is not here; `recon data get kodak` fetches" in result.err


# --- what starting costs ---


def test_actions_that_look_load_neither_torch_nor_numpy():
    """One process for all of them: their help, and a real look."""
    code = """
import sys, json
from recon.cli import main
for words in (["list", "--help"], ["where", "--help"], ["get", "--help"], ["list"], ["where", "lucy"], ["get", "lucy"]):
    try:
        main(["data", *words])
    except SystemExit:
        pass
print(json.dumps([m for m in ("torch", "numpy", "open3d", "trimesh", "jaxtyping") if m in sys.modules]))
"""
    words, tree = [sys.executable, "-c", code], Path(__file__).parents[2]
    done = subprocess.run(words, cwd=tree, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []
