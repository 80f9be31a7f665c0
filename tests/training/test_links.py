"""A run of a stranger cannot make recon write elsewhere."""

import json

import pytest

from recon.training.run import Run


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("RECON_HOME", str(tmp_path / "home"))
    folder = tmp_path / "run"
    (folder / "images").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"task": "sdf", "data": "a", "field": "siren", "settings": {}}))
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("precious")
    return folder


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("checkpoint", "../precious"),
        ("log.jsonl", "../precious/file"),
        ("images/views.png", "/etc/passwd"),
        ("mesh.ply", "../not-there-yet"),
        ("round", "round"),
    ],
)
def test_a_link_that_leads_out_of_a_run_is_refused(run, name, target):
    (run / name).symlink_to(target)
    with pytest.raises(ValueError, match=f"{name} is a link that leads out of the run folder"):
        Run.open(run)


def test_links_within_a_run_and_to_a_run_are_followed(run, tmp_path):
    (run / "best.png").symlink_to("images/views.png")
    (tmp_path / "link").symlink_to(run)
    assert Run.open(tmp_path / "link").folder == run.resolve()
