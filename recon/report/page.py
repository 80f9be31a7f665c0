"""One page about one run: `report.html`, which needs no network, script or other file, and shows what is there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files as package_files
from pathlib import Path

from recon.files import atomic_write_text
from recon.report.curves import curves
from recon.report.film import film, frames
from recon.report.html import NOTHING, Html, join, listing, section, tag, text
from recon.report.numbers import duration, number, plain, readable
from recon.report.pictures import Picture, embed, gallery
from recon.report.record import Record, mapping, read_record, sequence
from recon.report.scene import brief, scene, views
from recon.report.sections import (
    ERROR,
    NAME,
    costs,
    doctor,
    files,
    score_name,
    scores,
    settings,
    surface,
    versions,
)
from recon.report.tasks import task_of
from recon.training.run import Run

LARGEST = 10_000_000
"""Bytes of the largest page."""
HEADLINES = ("iou", "trimap_iou_0.001", "chamfer_l1", "psnr", "ssim", "lpips")
"""Scores of the first line; the first three of whatever there are where a run has none of these."""
VIEW = re.compile(r"test_\d+")
"""Pictures of single held-out views, which the table of views links to."""


def write_report(run: Run) -> Path:
    """Writes the page of a run into its folder; its path. Only a folder that can't be written is an error."""
    path = run.folder / NAME
    atomic_write_text(path, render(read_record(run)))
    return path


def render(record: Record, largest: int = LARGEST) -> str:
    """The page, of at most about `largest` bytes: pictures take what the rest leaves."""
    rest = len(_document(record, _parts(record, [], [])).encode("utf-8"))
    named = mapping(mapping(record.metrics.get("files")).get("images"))
    images = {name: file for name, file in named.items() if not VIEW.fullmatch(name)}
    images |= {glance.name: glance.file for glance in frames(record.glances)}
    return _document(record, _parts(record, *embed(record.folder, images, largest - rest)))


def _parts(record: Record, pictures: Sequence[Picture], notes: Sequence[str]) -> list[Html]:
    """Everything on the page, in its order."""
    glances = {glance.name for glance in record.glances}
    sheets = [picture for picture in pictures if picture.name not in glances]
    return [
        header(record),
        warnings(record),
        gallery(sheets, task_of(record.about("task")).captions),
        scores(record),
        views(record),
        curves(record),
        film(record.glances, {picture.name: picture for picture in pictures}),
        costs(record),
        scene(record) or doctor(record),
        surface(record),
        settings(record),
        versions(record),
        files(record),
        missing([*notes, *record.notes]),
    ]


def _document(record: Record, parts: Sequence[Html]) -> str:
    """A whole page. Its policy makes the browser itself refuse every script and every request."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    style = package_files("recon.report").joinpath("page.css").read_text("utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", text(f"{_name(record)} · {plain(record.about('field'))}", 200)),
        tag("style", Html(style)),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', tag('main', *parts)), lang='en')}\n"


def header(record: Record) -> Html:
    """Name, what was done to it and with what, and the scores that matter in one line."""
    task, status = record.about("task"), _status(record)
    preset = record.about("preset") or mapping(record.config.get("settings")).get("preset")
    facts = [task_of(task).words, record.about("field"), preset and f"preset {preset}", brief(record)]
    facts += ["scored as in the paper" if record.about("protocol") == "paper" else ""]
    facts.append(str(record.config.get("created", "")).replace("T", " "))
    return tag(
        "header",
        tag("h1", text(_name(record), 200), tag("em", text(status, 100)) if status != "done" else NOTHING),
        tag("p", text(" · ".join(str(fact) for fact in facts if fact), 400), class_="facts"),
        _summary(record),
    )


def warnings(record: Record) -> Html:
    """What a reader should know before trusting the rest."""
    lines = [text(line, 500) for line in sequence(record.metrics.get("warnings"))]
    title = text("Warnings" if len(lines) > 1 else "Warning")
    return tag("aside", tag("h2", title), listing(lines)) if lines else NOTHING


def missing(notes: Sequence[str]) -> Html:
    """What this page leaves out, and why."""
    return section("Left out", listing([text(line, 500) for line in notes]))


def _summary(record: Record) -> Html:
    metrics = record.metrics
    found = {k: v for k, v in mapping(metrics.get("scores")).items() if number(v) is not None and not k.endswith(ERROR)}
    names = [name for name in HEADLINES if name in found] or list(found)[:3]
    values = [readable(found[name]) + "\u00a0dB" * (name == "psnr") for name in names]
    parts = [join([text(score_name(n)), tag("b", text(v))], " ") for n, v in zip(names, values, strict=True)]
    if number(metrics.get("params")) is not None:
        parts.append(text(f"{readable(metrics['params'])} parameters"))
    if number(metrics.get("steps")) is not None:
        took = f" in {duration(metrics['seconds'])}" if number(metrics.get("seconds")) is not None else ""
        parts.append(text(f"{readable(metrics['steps'])} steps{took}"))
    return tag("p", *(tag("span", part) for part in parts), class_="summary") if parts else NOTHING


def _name(record: Record) -> str:
    return str(record.about("data") or record.folder.name)


def _status(record: Record) -> str:
    """How the run ended, with its step where it did not get through."""
    ends = [row for row in record.log if row.get("event") in ("done", "stopped", "interrupted", "diverged")]
    status = record.metrics.get("status") or (ends[-1]["event"] if ends else "unfinished")
    step = record.metrics.get("steps") if number(record.metrics.get("steps")) is not None else None
    return f"{status} at step {readable(step)}" if status != "done" and step is not None else str(status)
