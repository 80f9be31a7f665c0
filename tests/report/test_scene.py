"""The page of a scene's run: what was given, every held-out view, the pictures on the way, and nothing of a shape."""

import base64
import html.parser
import io
import json
import math
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image

from recon.geometry import Box, Cameras, Space
from recon.report.document import LARGEST
from recon.report.film import FRAMES, film, frames, glances
from recon.report.page import render, write_report
from recon.report.pictures import embed
from recon.report.record import Record
from recon.report.scene import brief, scene, views
from recon.tasks.nerf.reference import Reference, write_reference
from recon.training.run import Run

EVIL = "<script>alert(1)</script>\"'&amp; http://evil.example"
SHOWN = 1 + 3 + 3 + 1
"""Pictures that are no frames: depth and normals, three renders and their truths, an error."""
FILES = ("train/a.png", "test/b.png", "test/c.png", "test/d.png")


class Outline(html.parser.HTMLParser):
    """That elements are closed in order, and which there are."""

    def __init__(self, page):
        super().__init__()
        self.open, self.names = [], set()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        if tag not in ("br", "img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def reference(kind: Literal["box", "ndc"] = "box", notes=("layout: blender",)):
    """Held-out pictures of red, green and blue that shine through by half."""
    pose = torch.eye(4, dtype=torch.float64)[:3].repeat(4, 1, 1)
    focal, centre, distortion = (torch.full((4, count), 2.0, dtype=torch.float64) for count in (2, 2, 4))
    cameras = Cameras(pose, focal, centre, distortion, 3, 5)
    space = Space(kind, Box((-1.0, -2.0, 0.0), (1.0, 2.0, 0.5)), 0.1)
    images = torch.zeros(3, 3, 5, 4, dtype=torch.uint8)
    images[range(3), :, :, range(3)] = 255
    images[..., 3] = 127
    return Reference(
        "lego", Path("/data/lego"), 2, cameras, space, FILES, {"train": (0,), "test": (1, 2, 3)}, images, notes
    )


def halves(path, left, right):
    """A glance: the truth and a render, of one grey each."""
    pixels = np.full((20, 40, 3), left, np.uint8)
    pixels[:, 20:] = right
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def run(tmp_path):
    """A finished run of a scene, small but with every piece."""
    run = Run.create("nerf", "lego", "voxel", {"preset": "quick"}, tmp_path / "run")
    for step in range(100, 1000, 100):
        halves(run.folder / f"images/training/{step:06d}.png", 100, 100 + (1000 - step) // 20)
    for name in ("views", "inside", *(f"test_00{i}" for i in range(3)), "test_000_error"):
        Image.new("RGB", (900, 60), "teal").save(run.folder / f"images/{name}.png")
    for step in range(100, 1000, 100):
        measures = {"samples_per_ray": 9.0, "occupied": 0.5}
        row = {"step": step, "stage": "voxels" if step <= 300 else "field", "loss": 1 / step, "rate": 0.1}
        run.append_log({**row, "points_per_second": 2e5, "losses": {"rgb": 1 / step}, "measures": measures})
    scores = {"psnr": 21.5, "ssim": 0.9, "lpips": None, "mse": 0.0123}
    definitions = {"psnr": "-10 log10(mse)", "lpips": "learned distance. NULL: no weights were given."}
    rows = [
        {"file": file, "psnr": psnr, "ssim": 0.9, "lpips": None, "mse": 10 ** (-psnr / 10)}
        for file, psnr in zip(FILES[1:], (24.0, 18.25, 22.0), strict=True)
    ]
    names = ("views", "inside", *(f"test_00{i}" for i in range(3)))
    images = {name: f"images/{name}.png" for name in names}
    metrics = {"task": "nerf", "data": "lego", "field": "voxel", "scores": scores, "definitions": definitions}
    metrics |= {"status": "done", "steps": 900, "rows": rows, "files": {"images": images}, "warnings": []}
    metrics |= {"size": [5, 3], "views": {"train": 1, "test": 3}, "space": "box", "notes": ["layout: blender"]}
    run.write_metrics({**metrics, "timings": {"reading": 1.0, "scores": 2.0}})
    write_reference(run.folder, reference())
    return run


def page_of(run):
    page = write_report(run).read_text("utf-8")
    assert not Outline(page).open and len(page) < LARGEST
    return page


def test_the_page_of_a_scene_tells_everything_in_order_and_nothing_of_shapes(run):
    page = page_of(run)
    parts = [
        "Worst and best views",
        "Scores",
        "Held-out views",
        "Training",
        "While training",
        "Time and memory",
        "Input",
        "Settings",
    ]
    assert re.findall(r"<h2>(.*?)</h2>", page) == [*parts, "Versions", "Files"]
    for words in ("radiance field", "3 held-out views of 5 × 3 pixels", "21.50\u00a0dB", "no weights were given."):
        assert words in page
    for words in ("/data/lego", "1 train, 3 test", "nothing is outside", "from (-1, -2, 0) to (1, 2, 0.5)"):
        assert words in page
    assert "rays per second" in page and "rendering the held-out views" in page and "Left out" not in page
    assert not re.search(
        "the shape|the surface|signed distance", re.sub("(?s)<style>.*?</style>|<script>.*?</script>", "", page)
    )


def test_views_go_from_the_worst_to_the_best_with_bars_that_share_out_their_errors(run):
    page = page_of(run)
    table = page[page.index("<h2>Held-out") : page.index("<h2>Training")]
    assert re.findall(r"test/\w\.png", table) == ["test/c.png", "test/d.png", "test/b.png"]
    widths = [float(width) for width in re.findall(r"width:([\d.]+)%", table)]
    assert widths == pytest.approx([100, 100 * 10**-0.375, 100 * 10**-0.575], abs=0.06)
    assert "3 views, the worst first: PSNR from 18.25 to 24.00 dB, median 22.00 dB" in table
    assert "LPIPS" not in table  # nobody knows any
    assert re.findall(r'href="([^"]*)"', table) == [
        "./images/test_001.png",
        "./images/test_002.png",
        "./images/test_000.png",
        "./images/test_000_error.png",
    ]


def test_the_worst_and_the_best_views_stand_beside_their_truth_and_error(run):
    page = page_of(run)
    part = page[page.index("<h2>Worst and best") : page.index("<h2>Scores")]
    assert re.findall(r"<h3>(.*?)</h3>", part) == ["Worst: test/c.png", "test/d.png", "Best: test/b.png"]
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", part)[:7]
    assert captions[:3] == ["truth", "render, 18.25\u00a0dB", "truth"]  # its error was not kept
    truth = Image.open(io.BytesIO(base64.b64decode(re.findall(r'base64,([^"]*)" alt="truth"', part)[0])))
    assert truth.size == (5, 3) and truth.getpixel((0, 0)) == (128, 255, 128)  # half green, on white


def test_without_truths_the_views_are_shown_alone_and_a_note_says_why(run):
    (run.folder / "reference.safetensors").write_bytes(b"\xff" * 64)
    page = page_of(run)
    assert "held-out pictures of" in page and "Worst: test/c.png" in page and 'alt="truth"' not in page


def test_only_sheets_chosen_views_and_a_few_frames_are_embedded(run):
    page = page_of(run)
    assert page.count("<img") == SHOWN + FRAMES
    assert "Held-out views, a row each" not in page and "Depth and normals" in page


def test_the_score_of_a_glance_is_the_error_between_its_halves(run):
    found = glances(run.folder, [], notes := [])
    assert [glance.step for glance in found] == list(range(100, 1000, 100)) and not notes
    for glance in found:
        error = (1000 - glance.step) // 20 / 255
        assert glance.psnr == pytest.approx(-20 * math.log10(error))
    halves(run.folder / "images/training/000950.png", 7, 7)
    assert glances(run.folder, [], [])[-1].psnr == pytest.approx(100)


def test_the_strip_has_the_first_and_the_last_frame_and_says_what_was_learning(run):
    page = page_of(run)
    captions = re.findall(r"<figcaption>((?:Step|Truth).*?)</figcaption>", page)
    assert len(captions) == FRAMES
    assert captions[0] == "Step 100 (voxels): 15.1 dB" and captions[-1].startswith("Truth, and step 900 (field): ")
    assert page.count('class="whole"') == 1
    assert "PSNR of a held-out view" in page and "not yet the field" in page


def test_a_run_of_one_stage_and_one_glance_shows_it_without_a_curve(run):
    found = glances(run.folder, run.read_log(), [])[-1:]
    shown, _ = embed(run.folder, {found[0].name: found[0].file}, 100_000)
    strip = film(found, {picture.name: picture for picture in shown})
    assert "Truth, and step 900: " in strip and frames(found) == found and film([], {}) == ""


@pytest.mark.parametrize("damage", ["garbage", "empty", "narrow", "large"])
def test_a_damaged_glance_is_left_out_with_a_note(run, damage, monkeypatch):
    path = run.folder / "images/training/000500.png"
    if damage == "narrow":
        Image.new("RGB", (1, 8)).save(path)
    elif damage == "large":
        Image.new("RGB", (900, 60)).save(path)
        monkeypatch.setattr("recon.report.film.LARGEST", 5000)
    else:
        path.write_bytes(b"" if damage == "empty" else b"\x89PNG\r\n\x1a\nrest")
    (run.folder / "images/training/notes.png").write_bytes(b"")
    page = page_of(run)
    assert (
        "picture &#x27;000500.png&#x27; of the training is not shown" in page and page.count("<img") == SHOWN + FRAMES
    )


def test_a_run_that_was_cut_short_shows_its_scene_and_its_glances(run):
    (run.folder / "metrics.json").unlink()
    page = page_of(run)
    assert "While training" in page and "1 train, 3 test" in page and "3 held-out views of 5 × 3" in page
    assert "<h2>Scores" not in page and "<h2>Held-out" not in page


@pytest.mark.parametrize("damage", ["missing", "garbage"])
def test_without_its_reference_a_run_tells_what_its_scores_repeat(run, damage):
    path = run.folder / "reference.safetensors"
    path.unlink() if damage == "missing" else path.write_bytes(b"\xff" * 64)
    page = page_of(run)
    assert "1 train, 3 test" in page and "layout: blender" in page and "/data/lego" not in page
    assert ("is damaged" in page) == (damage != "missing")


def test_the_frustum_of_a_forward_facing_scene_is_told_without_a_box(run):
    write_reference(run.folder, reference("ndc", notes=("layout: llff", EVIL)))
    page = page_of(run)
    assert "a frustum in front of the cameras" in page and "its box" not in page
    assert "layout: llff" in page and page.count("<script") == 1


def test_names_and_stages_of_any_kind_are_text(run):
    metrics = json.loads((run.folder / "metrics.json").read_text())
    metrics["rows"][0]["file"] = EVIL
    run.write_metrics(metrics | {"space": EVIL, "notes": [EVIL], "views": {EVIL: EVIL}, "size": [EVIL, EVIL]})
    (run.folder / "reference.safetensors").unlink()
    log = run.folder / "log.jsonl"
    log.write_text(log.read_text().replace('"voxels"', json.dumps(EVIL)))
    page = page_of(run)
    assert page.count("<script") == 1 and "&lt;script&gt;" in page


@pytest.mark.parametrize("value", [None, True, -1, 0.0, 10**400, 1e308, "x", [], [[1]], {}, {"low": [1], "test": {}}])
def test_facts_of_any_kind_make_a_page(tmp_path, value):
    keys = ("rows", "views", "size", "space", "notes", "box", "files", "scores")
    rows = [{"file": value, "psnr": 1.0, "mse": value, "ssim": value}, {"file": "b", "psnr": value}, value]
    inner = {"rows": rows, "views": {"test": value}, "size": [value, value]}
    cases: list[dict[str, Any]] = [{key: value for key in keys}, inner]
    for told in cases:
        record = Record(tmp_path, metrics={"task": "nerf", **told}, scene={"box": {"low": [value], "high": value}})
        assert not Outline(render(record)).open
        assert isinstance(brief(record) + scene(record) + views(record), str)
