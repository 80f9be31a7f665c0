"""`recon tables`: a table on each kind of data in a few steps, what goes on and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from recon.studies.tables import TABLES, asmr, levels_of_experts, neural_experts, order
from recon.studies.tables.model import MEAN
from recon.tasks.nerf.settings import preset as scene_preset
from recon.tasks.signal import run as signals

FEW = ("--steps-scale", "0.0003", "--threads", "1")


@pytest.fixture
def picture(home):
    """A small picture with some structure."""
    x, y = np.meshgrid(np.linspace(0, 3, 16), np.linspace(0, 2, 12))
    values = 127 + 100 * np.sin(2 * x + y)
    Image.fromarray(values.astype(np.uint8)).save(home / "waves.png")
    return home / "waves.png"


def test_pictures_are_learned_by_each_network_and_done_once(recon, picture, home):
    asked = ("tables", "asmr-2", "--rows", "asmr-3,siren-3", "--data", picture, *FEW)
    made = recon(*asked, "--json")
    assert made.code == 0, made.err
    assert [row["row"] for row in made.json["rows"]] == ["siren-3", "asmr-3"]
    for row in made.json["rows"]:
        score = row["scores"][MEAN]["psnr"]
        assert score["ours"] > 0 and score["difference"] is None and row["steps"] == 3
    assert made.json["rows"][0]["params"] == {"ours": 66_817, "paper": 66.8e3}
    assert any("other data: waves" in note for note in made.json["notes"])
    folder = home / "renders" / "tables" / "asmr-2" / "steps-0.0003"
    text = (folder / "table.md").read_text()
    assert "SIREN (3)" in text and "31.44" in text and (folder / "asmr-3" / "waves" / "report.html").is_file()
    again = recon(*asked, "--json")
    assert again.err.count("done before") == 2 and again.json["rows"] == made.json["rows"]
    for name in ("siren-3", "asmr-3"):
        assert recon("eval", folder / name / "waves", "--json").code == 0
    shown = recon(*asked)
    assert "network" in shown.out and "table.md" in shown.out
    assert not (home / "renders" / "latest").exists()


def test_a_stopped_table_goes_on_with_the_same_command(recon, picture, monkeypatch):
    fit, calls = signals.fit, []

    def once(*args, **more):
        calls.append(more["resume"])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit(*args, **more)

    monkeypatch.setattr(signals, "fit", once)
    asked = ("tables", "asmr-2", "--rows", "asmr-3", "siren-3", "--data", picture, *FEW, "--json")
    stopped = recon(*asked)
    assert stopped.code == 130 and stopped.json["rows"][1]["scores"][MEAN]["psnr"]["ours"] is None
    whole = recon(*asked)
    assert whole.code == 0 and calls == [False, False, True] and "done before" in whole.err
    assert whole.json["rows"][1]["scores"][MEAN]["psnr"]["ours"] > 0


def test_a_table_of_a_part_of_the_paper_s_own_data(recon, home):
    folder = home / "datasets" / "images" / "kodak"
    folder.mkdir(parents=True)
    for number in (1, 2):
        values = np.random.default_rng(number).integers(0, 256, (64, 48, 3)).astype(np.uint8)
        Image.fromarray(values).save(folder / f"kodim0{number}.png")
    more = ("--steps-scale", "0.0001", "--threads", "1", "--json")
    made = recon("tables", "neural-experts-2", "--rows", "small", "vanilla", *more)
    assert made.code == 0, made.err
    small = made.json["rows"][0]["scores"][MEAN]["psnr_paper"]
    assert small["data"] == 2 and small["deviation"] is not None and small["difference"] is None
    assert any("2 of the paper's 24" in note for note in made.json["notes"])


def test_a_failing_network_does_not_end_the_others(recon, picture, monkeypatch):
    monkeypatch.setattr(signals, "fit", lambda *args, **more: (_ for _ in ()).throw(ValueError("no such luck")))
    made = recon("tables", "asmr-2", "--rows", "asmr-3", "siren-3", "--data", picture, *FEW, "--json")
    assert made.code == 4
    assert [row["failed"] for row in made.json["rows"]] == [{"waves": "ValueError: no such luck"}] * 2


@pytest.mark.parametrize("name", ["neural-experts-4", "asmr-6"])
def test_shapes(recon, ball_file, monkeypatch, name):
    monkeypatch.setattr(neural_experts, "GRID", 16)
    monkeypatch.setattr(asmr, "GRID", 16)
    row = "siren-small" if name == "neural-experts-4" else "siren"
    more = ("--steps-scale", "0.0001", "--threads", "1", "--json")
    made = recon("tables", name, "--rows", row, "--data", ball_file, *more)
    assert made.code == 0, made.err
    assert set(made.json["rows"][0]["scores"][MEAN]) == set(made.json["columns"])


def test_scenes(recon, ball_scene, monkeypatch):
    def small(preset, name):
        settings = scene_preset(preset, name)
        rays = replace(settings.rays, count=4, fine=4)
        field = replace(settings.field, width=8)
        return replace(settings, field=field, rays=rays, train=replace(settings.train, batch=16))

    monkeypatch.setattr(levels_of_experts, "scene_preset", small)
    more = ("--steps-scale", "0.00001", "--threads", "1", "--json")
    made = recon("tables", "loe-3", "--rows", "no-hierarchy", "--data", ball_scene, *more)
    assert made.code == 0, made.err
    assert made.json["rows"][0]["scores"][MEAN]["psnr"]["ours"] > 0


def test_all_tables_are_listed_with_what_is_here(recon, monkeypatch):
    found = recon("tables", "--json").json["tables"]
    assert [one["table"] for one in found] == list(TABLES)
    assert all(one["data"] == [] for one in found if one["task"] == "fit")
    monkeypatch.setitem(order.FINDERS, "fit", lambda name: name)
    assert "cameraman" in recon("tables").out


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("asmr-9",), "perhaps you meant"),
        (("asmr-2", "--rows", "asmr-33"), "--rows asmr-33 is unknown; perhaps asmr-3"),
        (("asmr-2",), "none of its data is here (cameraman)"),
        (("asmr-2", "--data", "none.png"), "none.png"),
        (("asmr-2", "--steps-scale", "0"), "--steps-scale must be positive"),
        (("asmr-2", "--recipe", "mine"), "recipe"),
        (("asmr-6", "--downscale", "2"), "is about shapes"),
    ],
)
def test_what_makes_no_table_is_refused(recon, words, what):
    done = recon("tables", *words)
    assert done.code == 2 and what in done.err and "Traceback" not in done.err


def test_runs_of_fields_without_a_preset_of_their_paper_s_can_be_opened(recon, picture, home):
    made = recon("tables", "asmr-2", "--rows", "kilonerf-3", "--data", picture, *FEW, "--out", home / "t")
    assert made.code == 0, made.err
    assert recon("eval", home / "t" / "kilonerf-3" / "waves", "--json").code == 0


def test_other_data_of_the_same_name_are_not_taken_for_these(recon, picture, home):
    asked = ("tables", "asmr-2", "--rows", "asmr-3", "--data", picture, *FEW, "--json")
    assert recon(*asked).code == 0
    Image.fromarray(np.zeros((12, 16), np.uint8)).save(picture)
    other = recon(*asked)
    assert other.code == 4 and "learned other data of this name" in other.err


def test_runs_of_other_settings_are_not_taken_for_these(recon, picture, home):
    asked = ("tables", "asmr-2", "--rows", "asmr-3", "--data", picture, "--out", home / "t", "--threads", "1", "--json")
    assert recon(*asked, "--steps-scale", "0.0002").code == 0
    other = recon(*asked, "--steps-scale", "0.0003")
    assert other.code == 4 and "was made with other settings" in other.err
