"""The page of several runs: what is best is marked only where scores mean the same, and all runs stand side by side."""

import json
import re

import pytest
from PIL import Image

from recon.report.chart import COLOURS
from recon.report.comparable import differences, named, scores
from recon.report.comparison import MOST_RUNS, render, write_comparison
from recon.report.document import LARGEST
from recon.report.record import Record, read_record
from recon.training.run import Run

EVIL = "<script>alert(1)</script>\"'&amp; http://evil.example"


def make(folder, field, iou, chamfer, **facts):
    """A small run of a shape."""
    settings = {"preset": "quick", "train": {"steps": 60, "optim": {"rate": iou / 100}}}
    run = Run.create(facts.get("task", "sdf"), facts.get("data", "box"), field, settings, folder)
    (folder / "images").mkdir()
    images = {}
    for name in ("views", "error"):
        Image.new("RGB", (400, 300), "teal").save(folder / f"images/{name}.png")
        images[name] = f"images/{name}.png"
    for step in (1, 20, 60):
        row = {"step": step, "stage": "all", "seconds": step / 10, "loss": 3 / step, "peak_memory": 2**30}
        run.append_log({**row, "losses": {field: 3 / step}})
    found = {"iou": iou, "chamfer_l1": chamfer, "chamfer_l1_standard_error": 1e-6}
    definitions = {"iou": "shared volume; 128^3 points", "chamfer_l1": "mean distance; seed 0"}
    metrics = {"task": "sdf", "data": "box", "field": field, "scores": found, "definitions": definitions}
    metrics |= {"params": 1000, "macs": 10, "steps": 60, "seconds": 6.0, "device": "cpu", "status": "done"}
    bands = [{"from": 0.0, "to": 0.1, "points": 9, "wrong": iou / 10, "error": None, "bias": None}]
    metrics |= {"files": {"images": images}, "timings": {"training": 6.0}, "bands": {"rows": bands}}
    run.write_metrics(metrics | facts)
    return run


@pytest.fixture
def pair(tmp_path):
    return [make(tmp_path / "a", "siren", 0.9, 0.002), make(tmp_path / "b", "loe", 0.95, 0.003)]


def page_of(runs):
    path, notes = write_comparison(runs)
    page = path.read_text("utf-8")
    assert len(page.encode()) <= LARGEST
    return page, notes


def test_the_page_sets_everything_side_by_side(pair):
    page, notes = page_of(pair)
    assert not notes and "Not comparable" not in page
    heads = ["Runs", "Scores", "By distance from the surface", "Training", "Cost", "Pictures", "Settings that differ"]
    assert re.findall("<h2>(.*?)</h2>", page) == heads
    assert "box: 2 runs" in page and page.count("<svg") == 2 and page.count("<img") == 4
    assert "Losses of different parts do not compare" in page
    differing = page[page.index("<h2>Settings that differ") :]
    assert "train.\u200boptim.\u200brate" in differing and "train.\u200bsteps" not in differing
    assert "9.0 %" in page and "9.5 %" in page and "All on cpu." in page


def test_the_best_of_each_score_is_marked_whether_more_or_less_is_better(pair):
    page, _ = page_of(pair)
    assert re.findall(r'class="best">([\d.]+)', page) == ["0.9500", "0.002000"]


def test_runs_that_share_the_best_are_both_marked_and_those_without_a_score_are_not(pair, tmp_path):
    third = make(tmp_path / "c", "wire", 0.95, None)
    found = {score.name: score.best for score in scores(named([read_record(run) for run in [*pair, third]]))}
    assert found == {"iou": {"loe", "wire"}, "chamfer_l1": {"siren"}}


@pytest.mark.parametrize(
    "facts, words",
    [
        ({"data": "rings"}, "different data (box, rings)"),
        ({"task": "occ"}, "different tasks (sdf, occ)"),
        ({"protocol": "paper"}, "different ways of scoring (default, paper)"),
        ({"mesh_report": {"faces": 2}}, "different shapes of the same name"),
    ],
)
def test_what_cannot_be_compared_is_said_and_nothing_is_marked(tmp_path, facts, words):
    default = {"protocol": "default", "mesh_report": {"faces": 1}}
    runs = [
        make(tmp_path / "a", "siren", 0.9, 0.002, **default),
        make(tmp_path / "b", "loe", 0.95, 0.003, **{**default, **facts}),
    ]
    page, notes = page_of(runs)
    assert len(notes) == 1 and words in notes[0] and words in page
    assert 'class="best"' not in page and "Not comparable" in page


def test_a_score_that_is_defined_otherwise_is_not_compared_while_the_others_are(tmp_path):
    other = {"iou": "shared volume; 64^3 points", "chamfer_l1": "mean distance; seed 0"}
    page, notes = page_of(
        [make(tmp_path / "a", "siren", 0.9, 0.002), make(tmp_path / "b", "loe", 0.95, 0.003, definitions=other)]
    )
    assert not notes and "≠: the runs define this score differently" in page
    assert re.findall(r'class="best">([\d.]+)', page) == ["0.002000"]
    assert "siren: shared volume; 128^3 points" in page and "loe: shared volume; 64^3 points" in page


def test_scenes_that_were_scored_on_other_views_do_not_compare(tmp_path):
    def of(files):
        rows = [{"file": file, "psnr": 20.0} for file in files]
        return Record(tmp_path, metrics={"task": "nerf", "data": "lego", "rows": rows})

    assert not differences([of("ab"), of("ba")])
    assert "different views" in differences([of("ab"), of("ac")])[0]


def test_runs_of_one_field_are_told_apart(tmp_path):
    runs = [make(tmp_path / name, "siren", 0.9, 0.1) for name in "abc"]
    assert list(named([read_record(run) for run in runs])) == ["siren 1", "siren 2", "siren 3"]
    alike = [Record(tmp_path / "x", metrics={"field": field}) for field in ("siren 2", "siren", "siren")]
    assert list(named(alike)) == ["siren 2", "siren 1", "siren 2 (3)"]


def test_a_scenes_views_are_shown_once_beside_the_renders_of_all(tmp_path):
    runs = []
    for place, field in enumerate(("siren", "loe")):
        rows = [{"file": f"{name}.png", "psnr": 20.0 + at + place, "mse": 0.01} for at, name in enumerate("abcde")]
        facts = {"task": "nerf", "data": "lego", "rows": rows, "scores": {"psnr": 22.0 + place}, "bands": None}
        runs.append(make(tmp_path / field, field, 0, 0, **facts))
        for view in range(5):
            for end in ("", "_error"):
                Image.new("RGB", (20, 20), "red").save(runs[-1].folder / f"images/test_{view:03d}{end}.png")
    page, notes = page_of(runs)
    part = page[page.index("<h2>Worst and best") : page.index("<h2>Pictures")]
    assert re.findall("<h3>(.*?)</h3>", part) == ["Worst: a.png", "b.png", "Best: e.png"]
    assert re.findall(r"<figcaption>(.*?)</figcaption>", part)[:2] == ["siren, 20.00\u00a0dB", "loe, 21.00\u00a0dB"]
    assert part.count("<img") == 3 * 2 * 2 and not notes
    assert '<data value="20.0">20.00</data></td><td><data value="21.0">21.00</data>' in page


def test_a_run_that_has_only_begun_is_compared_as_far_as_it_goes(pair, tmp_path):
    page, _ = page_of([*pair, Run.create("sdf", "box", "wire", {}, tmp_path / "new")])
    assert "wire: no metrics.json" in page or "wire: " in page[page.index("<h2>Left out") :]
    assert "box: 3 runs" in page


def test_hostile_names_stay_text_and_the_page_stays_within_its_size(tmp_path):
    facts = {key: EVIL for key in ("data", "device", "status")}
    facts |= {"scores": {EVIL: 1.0}, "definitions": {EVIL: EVIL}, "bands": {"rows": [{"from": EVIL, "to": EVIL}]}}
    runs = [make(tmp_path / str(n), EVIL, 0.9, 0.1, **facts) for n in range(2)]
    config = json.loads((runs[0].folder / "config.json").read_text())
    (runs[0].folder / "config.json").write_text(
        json.dumps({**config, "settings": {EVIL: EVIL}, "versions": {EVIL: EVIL}})
    )
    page, _ = page_of(runs)
    assert page.count("<script") == 1 and "&lt;script&gt;" in page
    records = [read_record(run) for run in runs]
    bare = render(records, largest=0)
    assert "<img" not in bare and "does not fit into the page" in bare


def test_more_runs_than_colours_are_drawn_and_more_than_a_page_holds_are_refused(pair, tmp_path):
    runs = [make(tmp_path / f"r{n}", "siren", 0.9, 0.1) for n in range(COLOURS + 1)]
    page, _ = page_of(runs)
    assert f'class="curve c{COLOURS - 1}"' in page and f"c{COLOURS}" not in re.sub(r"(?s)<style>.*?</style>", "", page)
    with pytest.raises(ValueError, match=f"at most {MOST_RUNS}"):
        write_comparison([runs[0]] * 0 + [Run(tmp_path / f"x{n}") for n in range(MOST_RUNS + 1)])
    with pytest.raises(ValueError, match="named twice"):
        write_comparison([pair[0], pair[0]])


def test_links_lead_from_the_page_to_the_runs(pair):
    (pair[0].folder / "report.html").write_text("")
    path, _ = write_comparison(pair)
    (link,) = [link for link in re.findall(r'href="([^"]*)"', path.read_text()) if link.endswith("report.html")]
    assert (path.parent / link).resolve() == (pair[0].folder / "report.html").resolve()
