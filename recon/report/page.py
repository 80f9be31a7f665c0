"""One page about one run: `report.html`, which needs no network and no other file, and shows what is there."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from recon.files import atomic_write_text
from recon.report import lineup
from recon.report.curves import curves
from recon.report.document import LARGEST, document
from recon.report.film import film, frames
from recon.report.html import NOTHING, Html, join, listing, section, tag, text
from recon.report.numbers import duration, number, plain, readable
from recon.report.pictures import Picture, embed, gallery
from recon.report.record import Record, mapping, read_record, sequence
from recon.report.scene import brief, scene, views
from recon.report.sections import (
    ERROR,
    NAME,
    bands,
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
from recon.report.view import embedded, fits
from recon.training.run import Run

HEADLINES = ("iou", "trimap_iou_0.001", "chamfer_l1", "psnr", "ssim", "lpips")
"""Scores of the first line; the first three of whatever there are where a run has none of these."""
VIEW = re.compile(r"test_\d+")
"""Pictures of single held-out views, of which the page shows the worst and the best."""


def write_report(run: Run, view: Callable[[], str] | None = None, out: Path | None = None) -> Path:
    """Writes the page of a run into its folder, or to a file; its path. Only what can't be written is an error.

    `view` makes a page with what was learned in 3-D (`recon.viewer.page.static_page`); where it can't, the report says
    why."""
    path = (run.folder / NAME) if out is None else out.absolute()
    shown, note = _made(view)
    record = replace(read_record(run), link=link_to(run.folder, path.parent))
    atomic_write_text(path, render(replace(record, notes=[*record.notes, *note]), view=shown))
    return path


def _made(view: Callable[[], str] | None) -> tuple[str | None, list[str]]:
    """The 3-D view, or a note about why there is none."""
    try:
        return (None if view is None else view()), []
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        return None, [f"the 3-D view is not shown: {str(error) or type(error).__name__}"]


def link_to(folder: Path, page_folder: Path) -> str:
    """A folder as links on a page in another one name it. It begins with a dot, so that no part is taken for more."""
    relative = Path(os.path.relpath(folder.resolve(), page_folder.resolve())).as_posix()
    return "." if relative == "." else f"./{quote(relative, errors='replace')}"


def render(record: Record, largest: int = LARGEST, view: str | None = None) -> str:
    """The page, of at most about `largest` bytes: the view takes its part, and pictures what the rest leaves."""
    notes: list[str] = []
    if view is not None and not fits(view, largest):
        notes.append(f"the 3-D view is not shown: its {len(view.encode()):,} bytes do not fit into the page")
        view = None
    rest = len(_page(record, {}, notes, view).encode("utf-8"))
    sources, missing_truths = _sources(record)
    pictures, missing_pictures = embed(record.folder, sources, largest - rest)
    shown = {picture.name: picture for picture in pictures}
    return _page(record, shown, [*notes, *missing_truths, *missing_pictures], view)


def _sources(record: Record) -> tuple[dict[str, object], list[str]]:
    """Everything that the page shows pictures of, and notes about what it can't."""
    named = mapping(mapping(record.metrics.get("files")).get("images"))
    found = {name: file for name, file in named.items() if not VIEW.fullmatch(name)}
    single, notes = lineup.sources(record) if record.about("task") == "nerf" else ({}, [])
    if single:
        found.pop("views", None)  # the same views on one sheet
    return {**found, **single, **{glance.name: glance.file for glance in frames(record.glances)}}, notes


def _page(record: Record, pictures: Mapping[str, Picture], notes: Sequence[str], view: str | None) -> str:
    """Everything, in its order."""
    title = f"{name_of(record)} · {plain(record.about('field'))}"
    single = {glance.name for glance in record.glances}
    sheets = [p for name, p in pictures.items() if name not in single and not name.startswith("view ")]
    parts = [
        header(record),
        warnings(record),
        lineup.lineup(record, pictures),
        gallery(sheets, task_of(record.about("task")).captions),
        embedded(view),
        scores(record),
        bands(record),
        views(record),
        curves(record),
        film(record.glances, pictures),
        costs(record),
        scene(record) or doctor(record),
        surface(record),
        settings(record),
        versions(record),
        files(record),
        missing([*notes, *record.notes]),
    ]
    return document(title, parts, view=view is not None)


def header(record: Record) -> Html:
    """Name, what was done to it and with what, and the scores that matter in one line."""
    task, status = record.about("task"), _status(record)
    preset = record.about("preset") or mapping(record.config.get("settings")).get("preset")
    facts = [task_of(task).words, record.about("field"), preset and f"preset {preset}", brief(record)]
    facts += ["scored as in the paper" if record.about("protocol") == "paper" else ""]
    facts.append(str(record.config.get("created", "")).replace("T", " "))
    return tag(
        "header",
        tag("h1", text(name_of(record), 200), tag("em", text(status, 100)) if status != "done" else NOTHING),
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


def name_of(record: Record) -> str:
    """Of what was learned."""
    return str(record.about("data") or record.folder.name)


def _status(record: Record) -> str:
    """How the run ended, with its step where it did not get through."""
    ends = [row for row in record.log if row.get("event") in ("done", "stopped", "interrupted", "diverged")]
    status = record.metrics.get("status") or (ends[-1]["event"] if ends else "unfinished")
    step = record.metrics.get("steps") if number(record.metrics.get("steps")) is not None else None
    return f"{status} at step {readable(step)}" if status != "done" and step is not None else str(status)
