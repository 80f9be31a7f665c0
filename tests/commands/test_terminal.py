"""What files and folders are called is shown to a person, but never obeyed by the terminal."""

import json

import pytest

from recon import cli

TITLE = "\x1b]0;owned\x07"


@pytest.fixture
def scene(tmp_path):
    frames = [{"file_path": f"../{TITLE}.png", "transform_matrix": [[1, 0, 0, 0]] * 3}]
    (tmp_path / "transforms.json").write_text(json.dumps({"camera_angle_x": 0.8, "frames": frames}))
    return tmp_path


def test_a_refusal_spells_out_the_names_of_files(scene, capsys):
    assert cli.main(["data", "check", str(scene)]) == 2
    said = capsys.readouterr().err
    assert "outside its folder" in said and not {"\x1b", "\x07"} & set(said)


def test_a_table_spells_out_the_names_in_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RECON_HOME", str(tmp_path))
    for name in "ab":
        (tmp_path / name).mkdir()
        about = {"task": "sdf", "data": f"{name}{TITLE}", "field": f"{name}{TITLE}"}
        (tmp_path / name / "config.json").write_text(json.dumps({**about, "settings": {}}))
        scores = {"scores": {"iou": 0.5}, "definitions": {}, "status": TITLE, "preset": TITLE}
        (tmp_path / name / "metrics.json").write_text(json.dumps({**about, **scores}))
    assert cli.main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    said = "".join(capsys.readouterr())
    assert r"a\x1b]0;owned\x07" in said and not {"\x1b", "\x07"} & set(said)


def test_the_list_of_runs_spells_out_what_their_files_say(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RECON_HOME", str(tmp_path))
    place = tmp_path / "renders" / "sdf" / "box" / "siren" / "2026-01-02_03-04-05"
    place.mkdir(parents=True)
    about = {"task": "sdf", "data": "box", "field": "siren"}
    (place / "config.json").write_text(json.dumps({**about, "settings": {"preset": TITLE}}))
    (place / "metrics.json").write_text(json.dumps({**about, "scores": {TITLE: 0.5}, "status": TITLE, "steps": 3}))
    assert cli.main(["runs"]) == 0
    said = "".join(capsys.readouterr())
    assert r"\x1b]0;owned\x07 0.5" in said and not {"\x1b", "\x07"} & set(said)
