"""What the page tells of a scene: what was given, and how well each held-out view is seen."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recon.report.html import NOTHING, Html, join, listing, note, quantity, section, table, tag, text
from recon.report.numbers import MISSING, number, plain
from recon.report.record import Record, mapping, sequence
from recon.report.sections import bar, facts_table, score_name

SPACES = {
    "box": "a box; nothing is outside",
    "contracted": "all of space: even within a box, ever coarser beyond it",
    "ndc": "a frustum in front of the cameras, to any distance",
}
COLUMNS = {"psnr": ".2f", "ssim": ".4f", "lpips": ".4f", "mse": ".5f"}
"""Scores of a view, as they are written."""
LARGEST = 1e12
"""Numbers beyond it are no scores."""


@dataclass(frozen=True)
class View:
    """One held-out view."""

    index: int
    """Among the held-out views; names its pictures."""
    file: str
    scores: dict[str, float]


def brief(record: Record) -> str:
    """What the scores of the first line are about: how many held-out views of what size."""
    views, size = mapping(_told(record).get("views")).get("test"), _size(record)
    return f"{plain(views)} held-out views of {size}" if number(views) is not None and size else ""


def scene(record: Record) -> Html:
    """Which pictures were given, what the reader made of them, and what the field covers."""
    told = _told(record)
    counts = [f"{plain(count)} {name}" for name, count in mapping(told.get("views")).items()]
    facts: list[tuple[str, object]] = [("views", ", ".join(counts)), ("size", _size(record))]
    kind = told.get("space")
    facts += [("space", SPACES.get(str(kind), kind)), ("its box", _box(told.get("box")) if kind != "ndc" else "")]
    source = note(f"Source: {record.source}") if record.source else NOTHING
    lines = listing([text(line, 500) for line in sequence(told.get("notes"))])
    shown = facts_table([(name, value) for name, value in facts if value])
    return section("Input", source, shown, lines) if mapping(told.get("views")) else NOTHING


def views(record: Record) -> Html:
    """The scores of every held-out view, the worst first."""
    found = read_views(record)
    if not found:
        return NOTHING
    columns = [name for name in COLUMNS if any(name in view.scores for view in found)]
    most = max(view.scores.get("mse", 0.0) for view in found)
    lines = []
    for view in found:
        cells = [score_cell(view, name) for name in columns]
        share = max(0.0, view.scores.get("mse", 0.0) / most) if most > 0 else 0.0
        lines.append([_name(record, view), *cells, bar(share)])
    head = ["view", *(score_name(name) for name in columns), ""]
    return section("Held-out views", note(_spread(found)), table(lines, head, "views", columns.index("psnr") + 1))


def score_cell(view: View | None, name: str) -> Html:
    """A score of a view; a dash where there is none."""
    value = view.scores.get(name) if view else None
    return quantity(value, MISSING if value is None else format(value, COLUMNS[name]))


def read_views(record: Record) -> list[View]:
    """Views that have a PSNR, the worst first."""
    found = []
    for index, row in enumerate(sequence(record.metrics.get("rows"))):
        values = {name: number(mapping(row).get(name)) for name in COLUMNS}
        scores = {name: float(v) for name, v in values.items() if v is not None and abs(v) < LARGEST}
        if "psnr" in scores and "file" in row:
            found.append(View(index, str(row["file"]), scores))
    return sorted(found, key=lambda view: view.scores["psnr"])


def _told(record: Record) -> dict[str, Any]:
    """Facts of the scene; those of the run's reference, or else those that its scores repeat."""
    return {**record.metrics, **record.scene}


def _size(record: Record) -> str:
    width, height, *_ = [*map(plain, sequence(_told(record).get("size"))), "", ""]
    return f"{width} × {height} pixels" if height else ""


def _box(value: object) -> str:
    """The corners of a box, in the scene's own units."""
    low, high = (sequence(mapping(value).get(corner)) for corner in ("low", "high"))
    pairs = [(number(a), number(b)) for a, b in zip(low, high, strict=False)]
    ends = [(a, b) for a, b in pairs if a is not None and b is not None and max(abs(a), abs(b)) < LARGEST]
    if len(ends) != 3:
        return ""
    corners = (", ".join(f"{value:.3g}" for value in corner) for corner in zip(*ends, strict=True))
    return "from ({}) to ({}), in the units of the cameras".format(*corners)


def _spread(found: Sequence[View]) -> str:
    """From the worst to the best, in words."""
    values = [view.scores["psnr"] for view in found]
    about = f"PSNR from {values[0]:.2f} to {values[-1]:.2f} dB, median {statistics.median(values):.2f} dB"
    return f"{len(values):,} views, the worst first: {about}. Bars are mean squared errors."


def _name(record: Record, view: View) -> Html:
    """The file of a view, and links to what the field renders there."""
    names = {"render": f"test_{view.index:03d}.png", "error": f"test_{view.index:03d}_error.png"}
    there = {word: name for word, name in names.items() if (record.folder / "images" / name).is_file()}
    links = [tag("a", text(word), href=f"{record.link}/images/{name}") for word, name in there.items()]
    return join([text(view.file, 200), *([tag("small", join(links, " "))] if links else [])], " ")
