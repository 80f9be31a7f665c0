"""The page of a run: whole, self-contained, inert whatever the files say, and there whatever they lack."""

import base64
import hashlib
import html.parser
import io
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from recon.geometry import Mesh
from recon.report.document import LARGEST
from recon.report.page import render, write_report
from recon.report.pictures import embed
from recon.report.record import Record, read_record
from recon.shapes.load import PointCloud
from recon.shapes.shape import Shape, from_mesh
from recon.tasks.shape.reference import write_reference
from recon.training.run import Run

EVIL = "<script>alert(1)</script>\"'&amp; http://evil.example"
TETRAHEDRON = Mesh(
    np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]),
    np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]]),
)
DEFINITION = "mean distance; 200,000 points, seed 0."


class Outline(html.parser.HTMLParser):
    """Every element with its attributes, and that they are closed in order."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.open, self.words = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("br", "img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def run(tmp_path):
    """A finished run of a shape, small but with every piece."""
    run = Run.create("sdf", "box", "neural-experts", {"preset": "quick", "train": {"steps": 60}}, tmp_path / "run")
    (run.folder / "images").mkdir()
    images = {}
    for name, size in (("slices", (60, 40)), ("views", (160, 40)), ("error", (50, 40)), ("extra", (9, 9))):
        Image.new("RGB", size, "teal").save(run.folder / "images" / f"{name}.png")
        images[name] = f"images/{name}.png"
    for step in (1, 20, 40, 60):
        row = {"step": step, "stage": "all" if step < 30 else "last", "loss": 3 / step, "rate": 0.01 / step}
        row |= {"points_per_second": 2e5, "peak_memory": 3 * 2**30, "losses": {"sdf": 3 / step}}
        run.append_log({**row, "measures": {"expert_share_max": 0.5, "expert_share_min": 0.01}})
    run.append_log({"event": "done", "step": 60, "seconds": 9.0, "reason": ""})
    scores = {"iou": 0.95876, "trimap_iou_0.001": None, "chamfer_l1": 0.0029262, "chamfer_l1_standard_error": 6.4e-6}
    definitions = {"iou": "shared volume", "trimap_iou_0.001": "near. NULL: a point cloud has no inside."}
    metrics = {"task": "sdf", "data": "box", "field": "neural-experts", "preset": "quick", "params": 32_353_808}
    metrics |= {"macs": 5472, "steps": 60, "seconds": 92.0, "status": "done", "device": "cpu with 2 threads"}
    metrics |= {"scores": scores, "definitions": {**definitions, "chamfer_l1": DEFINITION}, "resolution": 256}
    metrics |= {"files": {"mesh": "mesh.ply", "images": images}, "timings": {"training": 30.0, "scores": 10.0}}
    metrics |= {"warnings": ["5 faces are wound against their neighbours"]}
    metrics["surface"] = {"vertices": 131_220, "watertight": True, "area": 43569.35, "evaluations": 782_454}
    metrics["surface"] |= {"complete": False, "note": "completeness is unproven"}
    run.write_metrics(metrics)
    write_reference(run.folder, from_mesh("box", TETRAHEDRON))
    return run


def test_the_page_tells_everything_in_order(run):
    path = write_report(run)
    assert path == run.folder / "report.html"
    page = Outline(path.read_text("utf-8"))
    assert not page.open
    heads = re.findall(r"<h2>(.*?)</h2>", path.read_text("utf-8"))
    parts = ["Warning", "Scores", "Training", "Time and memory", "Input", "Surface", "Settings", "Versions", "Files"]
    assert heads == parts
    for words in ("box", "0.9588", "0.002926", "± 6.4×10⁻⁶", DEFINITION, "a point cloud has no inside.", "32,353,808"):
        assert words in page.text
    for words in ("1 min 32 s", "3.00 GiB", "watertight yes", "131,220", "43,569", "4.7% of a dense grid of 256³"):
        assert words in page.text
    assert (
        "completeness is unproven." in page.text and "5 faces are wound" in page.text and "neural-experts" in page.text
    )
    assert [a["src"][:22] for a in page.all("img")] == ["data:image/png;base64,"] * 4
    assert [a["width"] for a in page.all("img")] == ["160", "50", "60", "9"]  # views, error, slices, and then others
    assert len(page.all("svg")) == 4
    assert {"./config.json", "./images/", "./log.jsonl"} <= {a["href"] for a in page.all("a")}


def test_the_page_asks_the_network_for_nothing(run):
    page = write_report(run).read_text("utf-8")
    outline = Outline(page)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|fetch|XMLHttpRequest", page)
    assert not {"link", "iframe", "object", "embed", "form", "base"} & {name for name, _ in outline.elements}
    policy = policy_of(outline)
    assert policy.startswith("default-src 'none'") and "unsafe-inline'; script" in policy
    (script,) = re.findall(r"(?s)<script>(.*?)</script>", page)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.endswith(f"script-src 'sha256-{digest}'")  # and nothing else that runs


def policy_of(outline):
    return next(a["content"] for a in outline.all("meta") if a.get("http-equiv") == "Content-Security-Policy")


def test_the_view_is_inert_until_it_is_asked_for_and_its_policy_names_no_network(run):
    view = '<!doctype html><script>alert("1")</script>' + "x" * 1000
    page = write_report(run, lambda: view).read_text("utf-8")
    outline = Outline(page)
    (frame,) = outline.all("iframe")
    assert frame == {"sandbox": "allow-scripts", "title": "3-D view", "data-page": view}
    assert page.count("<script") == 1 and "<h2>3-D view" in page
    allowed = {"'none'", "data:", "blob:", "'unsafe-inline'", "'unsafe-eval'"}
    assert {source for rule in policy_of(outline).split("; ") for source in rule.split()[1:]} <= allowed


@pytest.mark.parametrize(
    ("error", "said"), [(ValueError("no checkpoint in it"), "no checkpoint in it"), (MemoryError(), "MemoryError")]
)
def test_a_view_that_cannot_be_made_is_left_out_with_the_reason(run, error, said):
    def make():
        raise error

    page = write_report(run, make).read_text("utf-8")
    assert not Outline(page).all("iframe") and f"the 3-D view is not shown: {said}" in page


def test_a_view_that_does_not_fit_is_left_out_with_a_note_and_one_that_fits_leaves_room_for_pictures(run):
    large = render(read_record(run), largest=200_000, view="<p>" * 20_000)  # 9 bytes each when they are escaped
    assert not Outline(large).all("iframe") and "the 3-D view is not shown: its 60,000 bytes" in large
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3), np.uint8)
    Image.fromarray(noise).save(run.folder / "images/views.png")
    both = render(read_record(run), largest=600_000, view="<p>" * 30_000)
    assert Outline(both).all("iframe") and len(Outline(both).all("img")) == 4
    assert 300_000 < len(both.encode()) <= 600_000 and "Reduced, to keep the page small" in both


def test_a_page_elsewhere_links_into_the_run_folder(run, tmp_path):
    where = write_report(run, out=tmp_path / "pages" / "a.html")
    hrefs = {a["href"] for a in Outline(where.read_text("utf-8")).all("a")}
    assert "./../run/config.json" in hrefs and (where.parent / "./../run/config.json").is_file()
    assert not (run.folder / "report.html").exists()


def test_errors_are_told_by_distance_and_sort_by_their_numbers(run):
    rows = [
        {"from": 0.0, "to": 0.001, "points": 1_082_276, "wrong": 0.372, "error": 0.00116, "bias": -4e-5},
        {"from": 0.1, "to": None, "points": 9, "wrong": 0.0, "error": None, "bias": None},
    ]
    run.write_metrics({**run.read_metrics(), "bands": {"definition": "share. NULL: it is no distance.", "rows": rows}})
    page = write_report(run).read_text("utf-8")
    table = page[page.index("<h2>By distance") : page.index("<h2>Training")]
    assert re.findall(r"<th scope=.row.>(.*?)</th>", table)[1] == '<data value="0.1">more than 0.1</data>'
    assert '<data value="0.372">37.2 %</data>' in table and '<data value="">–</data>' in table
    assert "share. it is no distance." in table and 'class="bands sortable"' in table
    assert table.count('aria-sort="ascending"') == 1


def test_what_files_say_is_never_markup(run):
    metrics = json.loads((run.folder / "metrics.json").read_text())
    hostile = {key: EVIL for key in ("data", "field", "preset", "device", "status", "task", "steps", "macs")}
    metrics |= hostile | {"warnings": [EVIL], "scores": {EVIL: 1.0, "x": EVIL}, "definitions": {EVIL: EVIL}}
    metrics |= {"timings": {EVIL: 1.0}, "surface": {"vertices": EVIL, "note": EVIL}, "files": {"images": {EVIL: EVIL}}}
    run.write_metrics(metrics)
    config = json.loads((run.folder / "config.json").read_text())
    config |= {
        "data": EVIL,
        "created": EVIL,
        "settings": {EVIL: {EVIL: [EVIL, {EVIL: EVIL}]}},
        "versions": {EVIL: EVIL},
    }
    (run.folder / "config.json").write_text(json.dumps(config))
    (run.folder / 'a"onclick="x<b>.txt').write_text("")
    run.append_log({"step": 61, "stage": EVIL, "loss": 1.0, "losses": {EVIL: 1.0}, "measures": {EVIL: 1.0}})
    run.append_log({"step": 62, "stage": EVIL, "loss": 1.0, "losses": {EVIL: 2.0}, "measures": {EVIL: 2.0}})
    page = Outline(write_report(run).read_text("utf-8"))
    assert not page.open and EVIL in page.text and len(page.all("script")) == 1
    allowed = {
        "svg",
        "path",
        "line",
        "text",
        "img",
        "meta",
        "a",
        "details",
        "summary",
        "code",
        "b",
        "i",
        "em",
        "small",
        "script",
        "data",
    }
    allowed |= {
        "html",
        "head",
        "title",
        "style",
        "body",
        "main",
        "header",
        "section",
        "aside",
        "div",
        "span",
        "p",
        "ul",
    }
    allowed |= {"li", "h1", "h2", "h3", "table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption"}
    assert {name for name, _ in page.elements} <= allowed
    assert not [key for _, attributes in page.elements for key in attributes if key.startswith("on")]
    assert all(a["href"].startswith("./") and ":" not in a["href"] for a in page.all("a"))


@pytest.mark.parametrize(
    "name", ["metrics.json", "config.json", "log.jsonl", "reference.safetensors", "images/views.png"]
)
@pytest.mark.parametrize("damage", ["missing", "empty", "garbage"])
def test_a_missing_or_damaged_piece_is_left_out_with_a_note(run, name, damage):
    path = run.folder / name
    path.unlink() if damage == "missing" else path.write_bytes(b"" if damage == "empty" else b"\x00\xff{[")
    page = Outline(write_report(run).read_text("utf-8"))
    assert not page.open and "box" in page.text
    if name != "reference.safetensors" or damage != "missing":  # tasks without a shape have none: nothing is amiss
        assert "Left out" in page.text
    if name == "images/views.png":
        assert "picture 'views' is not shown" in page.text and len(page.all("img")) == 3


def test_a_run_that_has_only_begun_has_a_page(tmp_path):
    run = Run.create("nerf", "family", "siren", {}, tmp_path / "new")
    page = Outline(write_report(run).read_text("utf-8"))
    assert "family" in page.text and "unfinished" in page.text and "no metrics.json" in page.text
    assert "<h2>Scores" not in (run.folder / "report.html").read_text("utf-8")


@pytest.mark.parametrize("value", [None, True, -1, 10**400, 1e308, -5e-324, "x", [], [[[1]]], {}, {"a": {"b": [None]}}])
def test_values_of_any_kind_make_a_page(tmp_path, value):
    keys = ("task", "data", "field", "preset", "params", "macs", "steps", "seconds", "status", "device", "scores")
    keys += ("definitions", "files", "timings", "surface", "warnings", "resolution", "protocol")
    log = [{"step": step, "stage": value, "loss": value, "rate": value, "measures": value} for step in (1, 2)]
    log += [
        {"step": value, "losses": value, "peak_memory": value},
        {"event": value},
        {"step": 9, "measures": {"m": value}},
    ]
    inner = {"scores": {"a": value}, "definitions": {"a": value}, "timings": {"a": value}, "warnings": [value]}
    inner |= {"surface": {"vertices": value, "evaluations": value, "note": value}, "resolution": value}
    inner |= {"files": {"images": {"views": value}}, "log": value}
    config = {"settings": value, "versions": value, "created": value}
    for metrics in (dict.fromkeys(keys, value), inner):
        assert not Outline(render(Record(tmp_path, config, metrics, log))).open
        assert not Outline(render(Record(tmp_path, {"settings": {"a": [value]}}, metrics, log * 3))).open


def test_text_that_utf8_cannot_hold_is_written_anyway(run):
    path = run.folder / "metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "warnings": ["half \ud800 character"]}))
    assert "half ? character" in write_report(run).read_text("utf-8")


def test_the_page_stays_small_whatever_the_pictures_weigh(run):
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1600, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG", compress_level=1)
    for name in ("views", "error", "slices"):
        (run.folder / f"images/{name}.png").write_bytes(buffer.getvalue())
    page = write_report(run).read_text("utf-8")
    assert len(page.encode()) <= LARGEST and page.count("(Reduced, to keep the page small") == 3
    assert len(Outline(page).all("img")) == 4
    bare = render(read_record(run), largest=0)
    assert not Outline(bare).all("img") and bare.count("does not fit into the page") == 4
    tight = render(read_record(run), largest=len(bare.encode()) + 80_000)
    assert len(tight.encode()) <= len(bare.encode()) + 80_000 and len(Outline(tight).all("img")) == 4


def test_pictures_from_outside_the_run_or_of_absurd_size_are_not_embedded(run, tmp_path, monkeypatch):
    Image.new("RGB", (5, 5)).save(tmp_path / "secret.png")
    (run.folder / "images/link.png").symlink_to(tmp_path / "secret.png")
    metrics = json.loads((run.folder / "metrics.json").read_text())
    images = {"up": "../secret.png", "far": str(tmp_path / "secret.png"), "link": "images/link.png", "no": "log.jsonl"}
    run.write_metrics({**metrics, "files": {"images": {**images, "views": "images/views.png"}}})
    monkeypatch.setattr("recon.report.pictures.MOST_PIXELS", 100)
    page = write_report(run).read_text("utf-8")
    assert not Outline(page).all("img")
    assert page.count("is no path inside the run folder") == 3 and "more than the 100 that are opened" in page


@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=8), st.integers(0, 400))
@settings(deadline=None, max_examples=200)
def test_damaged_pictures_are_noted_and_never_raise(tmp_path_factory, seed, noise, cut):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(buffer, ("PNG", "JPEG", "WEBP")[seed % 3])
    data = bytearray(buffer.getvalue())
    at = seed % len(data)
    data[at : at + len(noise)] = noise
    folder = tmp_path_factory.getbasetemp()
    (folder / "fuzzed.png").write_bytes(data[: len(data) - cut] if seed % 2 else data)
    shown, notes = embed(folder, {"views": "fuzzed.png"}, 100_000)
    assert len(shown) + len(notes) == 1


def test_a_run_that_was_interrupted_says_so_beside_its_name(run):
    run.write_metrics({**run.read_metrics(), "status": "interrupted"})
    assert "<em>interrupted at step 60</em>" in write_report(run).read_text("utf-8")


def test_a_point_cloud_has_no_report_of_the_doctor_and_still_its_source(run):
    cloud = PointCloud(np.eye(3), np.eye(3))
    write_reference(run.folder, Shape("cloud", "scan.xyz", cloud=cloud))
    page = write_report(run).read_text("utf-8")
    assert "scan.xyz" in page and "Left out" not in page


def test_writing_twice_gives_the_same_page(run):
    assert write_report(run).read_bytes() == write_report(run).read_bytes()
    assert not [path for path in run.folder.iterdir() if path.name.endswith(".tmp")]
