"""Whole or not at all: atomic writes, and JSON that is not trusted."""

import errno
import json
import os
import time

import pytest

from recon import files
from recon.files import (
    atomic_write_bytes,
    atomic_write_json,
    atomic_write_text,
    check_tensors,
    parse_json,
    printable,
    read_json,
)


def no_space(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "new" / "a.txt"
    atomic_write_text(path, "één")
    atomic_write_text(path, "twee")
    assert path.read_text("utf-8") == "twee" and os.listdir(path.parent) == ["a.txt"]


@pytest.mark.parametrize("culprit", ["_write", "sync_folder"])
def test_a_full_disk_says_so_and_keeps_what_was_there(tmp_path, monkeypatch, culprit):
    path = tmp_path / "a.json"
    atomic_write_json(path, {"old": 1})
    monkeypatch.setattr(files, culprit, no_space)
    with pytest.raises(OSError, match="no space left on the disk.*free some space") as caught:
        atomic_write_json(path, {"new": 1})
    assert caught.value.errno == errno.ENOSPC and str(path) in str(caught.value)
    if culprit == "_write":
        assert read_json(path) == {"old": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot write .*file/a.json.*choose a place"):
        atomic_write_json(tmp_path / "file" / "a.json", {})


def test_old_leftovers_are_swept_and_young_ones_left_to_their_writers(tmp_path):
    old, young = tmp_path / ".a.1-1.tmp", tmp_path / ".a.2-2.tmp"
    old.write_text("")
    young.write_text("")
    os.utime(old, (time.time() - 7200,) * 2)
    atomic_write_bytes(tmp_path / "a", b"x")
    assert not old.exists() and young.exists()


@pytest.mark.parametrize("data", [{"a": float("nan")}, {"a": object()}, {"a": {1, 2}}])
def test_what_json_cannot_say_is_refused(tmp_path, data):
    with pytest.raises(ValueError, match="cannot write .* not JSON"):
        atomic_write_json(tmp_path / "a.json", data)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 70 + b"1" + b"}" * 70, b"[1]", b"3", b"null"]
)
def test_what_is_no_json_object_is_refused_with_its_name(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match="a.json"):
        read_json(tmp_path / "a.json")


def test_json_as_deep_as_anything_of_ours_is_read_and_deeper_is_refused():
    for text in ("[" * 64 + "]" * 64, '{"a":' * 63 + "[]" + "}" * 63, '{"a": [1, {"b": null}]}', "3"):
        assert parse_json(text) == json.loads(text)
    for text in ("[" * 65 + "]" * 65, '{"a":' * 64 + "[]" + "}" * 64, "[" * 900 + "]" * 900, "[" * 100_000):
        with pytest.raises(ValueError, match="nested too deeply"):
            parse_json(text)


def test_missing_and_huge_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no a.json in"):
        read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text("{}" + " " * 100)
    with pytest.raises(ValueError, match="102 bytes"):
        read_json(tmp_path / "a.json", limit=50)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢 \t\n", "plain é 漢 \t\n"),
        ("\x1b]0;owned\x07\x1b[2J", r"\x1b]0;owned\x07\x1b[2J"),
        ("a\rb\x08\x7f\x9b31m", r"a\rb\x08\x7f\x9b31m"),
        ("gnp.\u202eexe", r"gnp.\u202eexe"),
        ("half \ud800", r"half \ud800"),
    ],
)
def test_text_of_a_file_cannot_steer_the_terminal(text, shown):
    assert printable(text) == shown


def test_a_safetensors_file_is_judged_by_its_first_bytes(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes((2).to_bytes(8, "little") + b"{}")
    check_tensors(path, 10)
    with pytest.raises(ValueError, match="has 10 bytes, more than the 9 that are read"):
        check_tensors(path, 9)
    for header in (3, files.TENSORS_HEADER_LIMIT + 1, 2**64 - 1):
        path.write_bytes(header.to_bytes(8, "little") + b"{}")
        with pytest.raises(ValueError, match="no safetensors file"):
            check_tensors(path, 1000)
    os.truncate(path, 10 * 2**30)  # of which the disk holds nothing
    with pytest.raises(ValueError, match="no safetensors file"):
        check_tensors(path, 100 * 2**30)


@pytest.mark.parametrize("data", ["[" * 100_000, '{"a":' * 100_000, "[]", "nul", '{"a": 1', "", "\ud800"])
def test_json_that_is_no_object_is_refused_whatever_it_is(tmp_path, data):
    (tmp_path / "a.json").write_bytes(data.encode("utf-8", "surrogatepass"))
    with pytest.raises(ValueError, match=r"a\.json"):
        read_json(tmp_path / "a.json")
