"""A table as JSON and as Markdown: ours beside the paper's, and the difference where the data are the same."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from recon.files import atomic_write_json, atomic_write_text
from recon.studies.compare.results import as_markdown
from recon.studies.tables.model import MEAN, Column, Printed, Row
from recon.studies.tables.order import Order
from recon.studies.tables.run import Done

JSON, MARKDOWN = "table.json", "table.md"
NONE = "-"


def write(order: Order, done: Sequence[Done], missing: Sequence[str], device: str) -> dict[str, Any]:
    """Writes both files; returns what the JSON one holds."""
    groups = _groups(order)
    rows = [_row(order, row, [one for one in done if one.row is row], groups) for row in order.rows]
    table = order.table
    result = {
        "study": "tables",
        "table": order.name,
        "title": table.title,
        "steps_scale": order.scale,
        "recipe": order.recipe,
        "downscale": order.downscale,
        "seed": order.seed,
        "device": device,
        "data": [datum.name for datum in order.data],
        "groups": groups,
        "columns": {column.score: column.heading for column in table.columns},
        "rows": rows,
        "notes": _notes(order, done, missing),
        "folder": str(order.folder),
        "files": {"json": JSON, "markdown": MARKDOWN},
    }
    atomic_write_json(order.folder / JSON, result)
    atomic_write_text(order.folder / MARKDOWN, _markdown(order, result))
    return result


def _groups(order: Order) -> list[str]:
    """Data that the paper prints numbers of one by one; the mean where it prints that, or for other data."""
    printed = {name for row in order.rows for name in row.printed}
    each = [datum.name for datum in order.data if datum.name in printed]
    strangers = len(each) < len(order.data)
    return [*each, *([MEAN] if MEAN in printed or strangers else [])]


def _row(order: Order, row: Row, done: Sequence[Done], groups: Sequence[str]) -> dict[str, Any]:
    """A network's counts and scores."""
    metrics = [one.metrics for one in done if one.metrics is not None]
    return {
        "row": row.name,
        "title": row.title,
        "params": {"ours": metrics[0]["params"] if metrics else None, "paper": row.params},
        "macs": {"ours": _macs(metrics[0]) if metrics else None, "paper": row.macs},
        "steps": metrics[0]["steps"] if metrics else None,
        "seconds": round(sum(one["seconds"] for one in metrics), 1),
        "scores": {
            group: {column.score: _score(order, row, done, group, column) for column in order.table.columns}
            for group in groups
        },
        "failed": {one.datum.name: one.reason for one in done if one.reason},
        "diverged": [one.datum.name for one in done if one.diverged],
    }


def _macs(metrics: dict[str, Any]) -> float:
    return float(metrics.get("macs_shared") or metrics["macs"])


def _score(order: Order, row: Row, done: Sequence[Done], group: str, column: Column) -> dict[str, Any]:
    """Ours (mean and deviation over data), the paper's, and the difference where both are about the same data."""
    about = [one for one in done if group in (MEAN, one.datum.name)]
    values = [one.metrics["scores"].get(column.score) for one in about if one.metrics is not None]
    numbers = [float(value) for value in values if value is not None and math.isfinite(value)]
    paper: Printed | None = row.printed.get(group, {}).get(column.score)
    ours = statistics.fmean(numbers) if numbers else None
    same = _same_data(order, group, len(numbers))
    value = paper[0] if isinstance(paper, tuple) else paper
    return {
        "ours": ours,
        "deviation": statistics.stdev(numbers) if len(numbers) > 1 else None,
        "data": len(numbers),
        "paper": value,
        "paper_deviation": paper[1] if isinstance(paper, tuple) else None,
        "difference": ours - value if same and ours is not None and value is not None else None,
        "same_data": same,
    }


def _same_data(order: Order, group: str, count: int) -> bool:
    """Whether a number of ours is about what the paper's is about."""
    if order.downscale > 1 or any(datum.instead_of for datum in order.data if group in (MEAN, datum.name)):
        return False
    return group != MEAN or count == order.table.own_data


def _notes(order: Order, done: Sequence[Done], missing: Sequence[str]) -> list[str]:
    notes = list(order.table.notes)
    for datum in order.data:
        if datum.instead_of:
            notes.append(f"other data: {datum.name} ({datum.find}) instead of {datum.instead_of}")
    own = [datum for datum in order.data if not datum.instead_of]
    if MEAN in _groups(order) and own and len(own) < order.table.own_data:
        notes.append(
            f"other data: {len(own)} of the paper's {order.table.own_data}, so no difference of means is printed"
        )
    if missing:
        notes.append(f"not here: {', '.join(missing)}")
    if order.downscale > 1:
        notes.append(f"other data: pictures were shrunk {order.downscale} times")
    if order.scale != 1:
        notes.append(f"steps: {order.scale:g} of the paper's, with its rates over them: differences are no verdict")
    if order.recipe == "quick":
        notes.append("optimiser and learning rates are those of recon's quick presets, not the paper's")
    for one in done:
        if one.reason or one.diverged:
            notes.append(f"{one.row.name} on {one.datum.name} {'failed: ' + one.reason if one.reason else 'diverged'}")
    return notes


# -- Markdown ---------------------------------------------------------------------------------------------------------


def _markdown(order: Order, result: dict[str, Any]) -> str:
    parts = [f"# {order.name}: {result['title']}", f"Steps x {order.scale:g}, {result['device']}."]
    for column in order.table.columns:
        parts += [f"## {column.heading}", as_markdown(lines(result, column))]
    parts += ["\n".join(f"- {note}" for note in result["notes"])]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def lines(result: dict[str, Any], column: Column) -> list[list[str]]:
    """One score of a table as rows of words."""
    head = ["network", "parameters", "paper", "MACs", "paper"]
    for group in result["groups"]:
        name = result["data"][0] if group == MEAN and len(result["data"]) == 1 else group
        head += [name, "paper", "difference"]
    found = [head]
    for row in result["rows"]:
        line = [row["title"], *(count(row[what][whose]) for what in ("params", "macs") for whose in ("ours", "paper"))]
        for group in result["groups"]:
            score = row["scores"][group][column.score]
            ours = number(score["ours"], column.digits, score["deviation"])
            if group == MEAN and score["data"] > 1:
                ours += f" ({score['data']})"
            line += [ours, number(score["paper"], column.digits, score["paper_deviation"])]
            line += [NONE if score["difference"] is None else f"{score['difference']:+.{column.digits}f}"]
        found.append(line)
    return found


def count(value: int | float | None) -> str:
    """Parameters or products as the papers print them: 366.0K, 1.29M."""
    if value is None:
        return NONE
    for unit, size in (("M", 1e6), ("K", 1e3)):
        if value >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}"


def number(value: int | float | None, digits: int, deviation: float | None) -> str:
    """A score, with its deviation where there is one."""
    if value is None:
        return NONE
    return f"{value:.{digits}f}" + (f" ± {deviation:.{digits}f}" if deviation is not None else "")
