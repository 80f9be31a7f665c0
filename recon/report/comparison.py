"""One page about several runs side by side: scores, curves, costs, what differs, and their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from recon.files import atomic_write_text
from recon.report.comparable import differences, named
from recon.report.document import LARGEST, document
from recon.report.html import NOTHING, Html, listing, tag, text
from recon.report.overlay import overlay
from recon.report.page import link_to, missing
from recon.report.record import Record, read_record
from recon.report.sections import NAME
from recon.report.side_by_side import Shown, embedded, lineups, sheets
from recon.report.versus import (
    Runs,
    band_table,
    cost_table,
    heads,
    labels,
    score_table,
    settings_table,
    view_table,
)
from recon.training.places import fresh_folder, renders
from recon.training.run import Run

MOST_RUNS = 12
"""Runs on one page; more columns nobody reads."""


def write_comparison(runs: Sequence[Run], out: Path | None = None) -> tuple[Path, list[str]]:
    """Writes the page of two or more runs to a file, or into a new folder; its path, and why scores do not compare."""
    folders = [run.folder.resolve() for run in runs]
    for folder in folders:
        if folders.count(folder) > 1:
            raise ValueError(f"{folder} is named twice; a comparison takes different runs")
    if len(runs) > MOST_RUNS:
        raise ValueError(
            f"one page compares at most {MOST_RUNS} runs, got {len(runs)}; recon compare RUN ... takes more"
        )
    found = [read_record(run) for run in runs]
    path = out.absolute() if out is not None else fresh_folder(renders() / "compare" / "runs") / NAME
    found = [replace(record, link=link_to(record.folder, path.parent)) for record in found]
    atomic_write_text(path, render(found))
    return path, differences(found)


def render(records: Sequence[Record], largest: int = LARGEST) -> str:
    """The page, of at most about `largest` bytes: pictures take what the rest leaves."""
    runs = named(records)
    notes = [f"{name}: {line}" for name, record in runs.items() for line in record.notes]
    rest = len(_page(runs, {name: {} for name in runs}, notes).encode("utf-8"))
    shown, missing_pictures = embedded(runs, largest - rest)
    return _page(runs, shown, [*notes, *missing_pictures])


def _page(runs: Runs, shown: Shown, notes: Sequence[str]) -> str:
    """Everything, in its order."""
    title = f"{', '.join(labels(runs))}: {len(runs)} runs"
    apart = [text(line, 800) for line in differences(list(runs.values()))]
    parts: list[Html] = [
        tag("header", tag("h1", text(title, 200)), tag("p", text(", ".join(runs), 400), class_="facts")),
        tag("aside", tag("h2", text("Not comparable")), listing(apart)) if apart else NOTHING,
        heads(runs),
        score_table(runs),
        band_table(runs),
        overlay(runs),
        cost_table(runs),
        lineups(runs, shown),
        sheets(runs, shown),
        view_table(runs),
        settings_table(runs),
        missing(notes),
    ]
    return document(title, parts)
