"""A set that came is recounted and compared with what it was; nothing here needs a network."""

import hashlib
import json
from dataclasses import replace

import pytest

from recon.data.catalogue import Entry, Piece, entries
from recon.data.find import datasets_home
from recon.data.record import FETCHED, note_fetched, place_of, places_of, problems_of, verify

PLY = b"ply\nformat ascii 1.0\n"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Where datasets/ lies, and a folder of RECON_DATA."""
    monkeypatch.setenv("RECON_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RECON_DATA", str(tmp_path / "data"))
    return tmp_path


def put(path, body: bytes = PLY):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


@pytest.fixture
def scene() -> Entry:
    """A fetched scene of three files and something hidden."""
    entry = replace(entries()["lego"], files={"train/*.png": [2, 2], "transforms.json": [1, 1]})
    for name in ("train/a.png", "train/b.png", "transforms.json", ".DS_Store"):
        put(place_of(entry) / name, name.encode())
    note_fetched(entry, place_of(entry), "0" * 64)
    return entry


def test_a_set_as_it_came_is_whole_and_its_files_are_compared(scene):
    verdict = verify(scene, place_of(scene))
    assert verdict.problems == () and (verdict.files, verdict.hashed) == (3, 3)
    assert verdict.bytes == sum(map(len, ("train/a.png", "train/b.png", "transforms.json")))


def test_what_is_missing_changed_or_cut_short_is_named(scene):
    place = place_of(scene)
    (place / "train/a.png").unlink()
    (place / "train/b.png").write_bytes(b"train/B.png")
    (place / "transforms.json").write_bytes(b"{")
    assert verify(scene, place).problems == (
        "1 x train/*.png instead of 2", "missing: train/a.png",
        "not as it was published or fetched: train/b.png, transforms.json",
    )  # fmt: skip


def test_what_a_person_adds_is_no_problem(scene):
    put(place_of(scene) / "split.json")
    assert verify(scene, place_of(scene)).problems == ()


def test_a_set_that_is_one_file_is_compared_too():
    lucy = entries()["lucy"]
    put(place_of(lucy))
    note_fetched(lucy, place_of(lucy), "0" * 64)
    assert verify(lucy, place_of(lucy)).hashed == 1
    place_of(lucy).write_bytes(PLY + b"x")
    assert "not as it was" in verify(lucy, place_of(lucy)).problems[0]


def test_a_set_that_was_put_there_by_hand_is_counted_only(home):
    lucy = entries()["lucy"]
    path = put(home / "data/shapes/lucy.ply")
    assert places_of(lucy) == [path]
    verdict = verify(lucy, path)
    assert verdict.problems == () and verdict.hashed == 0
    path.write_bytes(b"solid")
    assert verify(lucy, path).problems == ("lucy.ply is no ply file",)


def test_pieces_are_compared_wherever_they_lie(home):
    kodak = replace(
        entries()["kodak"], pieces=tuple(Piece(f"{k}.png", 1, hashlib.sha256(b"x").hexdigest()) for k in range(6)),
        files={"*.png": [6, 6]},
    )  # fmt: skip
    folder = home / "data/images/kodak"
    put(folder / "0.png", b"x")
    put(folder / "1.png", b"y")
    verdict = verify(kodak, folder)
    assert verdict.hashed == 1
    assert verdict.problems == (
        "2 x *.png instead of 6", "missing: 2.png, 3.png, 4.png and 1 more",
        "not as it was published or fetched: 1.png",
    )  # fmt: skip


@pytest.mark.parametrize("text", ["{", "[]", '{"files": [1]}', '{"files": {"a": 1}}', '{"files": {"a": ["x", "y"]}}'])
def test_a_damaged_record_is_named(scene, text):
    (datasets_home() / FETCHED / "lego.json").write_text(text)
    with pytest.raises(ValueError, match="lego.json"):
        verify(scene, place_of(scene))


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "train/../../x"])
def test_a_record_can_not_lead_out_of_the_set(scene, name):
    (datasets_home() / FETCHED / "lego.json").write_text(json.dumps({"files": {name: [1, "0" * 64]}}))
    with pytest.raises(ValueError, match="outside of the set"):
        verify(scene, place_of(scene))


def test_a_copy_of_shapenet_is_whole_once_a_model_lies_in_it(home):
    shapenet, folder = entries()["shapenet"], home / "data/shapenet"
    put(folder / "watertight/chair.ply")
    assert problems_of(shapenet, folder) == [f"no folder CLASS/MODEL is in {folder}"]
    put(folder / "ShapeNetCore.v2/03001627/abc/models/model_normalized.obj")
    assert problems_of(shapenet, folder) == []
