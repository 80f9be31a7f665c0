"""A run that was moved to another machine, where nothing of its data is, does all that it did at home."""

import shutil

import pytest


@pytest.fixture
def elsewhere(home, monkeypatch):
    """Moves a run to another home, in which `latest` leads nowhere, and everything else away."""

    def move(run, *gone):
        there = home / "machine" / "renders" / "sdf" / "ball" / "siren" / "2025-01-02_030405"
        there.parent.mkdir(parents=True)
        shutil.move(run, there)
        for link in (there.parent / "latest", home / "machine" / "renders" / "latest"):
            link.symlink_to("../not/here")
        for path in gone:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        monkeypatch.setenv("RECON_HOME", str(home / "machine"))
        monkeypatch.chdir(home / "machine")
        return there

    return move


def test_a_shape_s_run_is_scored_and_exported_far_from_its_mesh(fit, recon, home, elsewhere):
    made = fit("sdf", "siren", "--out", home / "run").json
    there = elsewhere(home / "run", home / "data", home / "datasets", home / "renders")
    found = recon("eval", "latest", "--json", "--threads", 1)
    assert found.code == 0, found.err
    assert found.json["scores"] == made["scores"] and found.json["run"] == str(there)
    for name in ("ball", "sdf/latest", "siren/latest", "sdf/ball/siren/latest"):
        assert recon("export", name, "--out", "a.ply", "--resolution", 24, "--threads", 1).code == 0
        assert (home / "machine" / "a.ply").read_bytes() == (there / "mesh.ply").read_bytes()


def test_a_scene_s_run_is_scored_rendered_and_exported_far_from_its_pictures(scene_run, recon, home, elsewhere):
    there = elsewhere(scene_run)
    assert str(home) not in (there / "config.json").read_text()
    for words in (
        ("eval", "latest", "--quiet"),
        ("render", "latest", "--frames", 2, "--size", "16x12", "--out", "film"),
        ("export", "latest", "--resolution", 16, "--out", "a.ply"),
        ("export", "latest", "--what", "cameras", "--out", "cameras.json"),
    ):
        result = recon(*words, "--threads", 1)
        assert result.code == 0, result.err
    assert (home / "machine" / "film" / "render_orbit_rgb.mp4").is_file()
