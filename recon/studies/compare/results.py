"""What comparisons say: rows of mean and standard deviation over runs, best first, as text, Markdown and JSON."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

SHAPE_SCORES = (
    *("trimap_iou_sampled_0.01", "iou", "trimap_iou_0.001"),
    *("chamfer_l1", "f_score_0.005", "normal_consistency"),
)
SCORES: dict[str, tuple[str, ...]] = {
    "sdf": SHAPE_SCORES,
    "occ": SHAPE_SCORES,
    "nerf": ("psnr", "ssim", "lpips"),
    "fit": ("psnr", "ssim"),
}
"""Scores of a task that tables show; rows are ranked by the first, of which more is better."""
SHORT = {
    "trimap_iou_sampled_0.01": "IoU near",
    "iou": "IoU",
    "trimap_iou_0.001": "T-IoU(.001)",
    "chamfer_l1": "Chamfer",
    "f_score_0.005": "F(.005)",
    "normal_consistency": "normals",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "lpips": "LPIPS",
}
"""Heads of their columns."""


@dataclass(frozen=True)
class Spread:
    """A number over several runs; `deviation` is that of a sample, none for one run."""

    mean: float | None
    deviation: float | None = None
    runs: int = 0
    """Of how many runs: those that have none, for they diverged, are left out."""

    def text(self, runs: int) -> str:
        """As a table shows it, which says where some of the runs have no such number."""
        if self.mean is None:
            return "-"
        deviation = "" if self.deviation is None else f" ± {self.deviation:.2g}"
        return f"{self.mean:.4g}{deviation}{f' ({self.runs} of {runs})' if self.runs < runs else ''}"


@dataclass(frozen=True)
class Row:
    """A field, or a run, in a table."""

    name: str
    runs: int
    params: int | None
    macs: int | None
    steps: int | None
    """Fewest of its runs."""
    seconds: Spread
    scores: dict[str, Spread]
    status: str = "done"
    preset: str = ""

    @property
    def rank(self) -> float:
        """The score that rows are ranked by; of a run that has none, minus infinity."""
        first = next(iter(self.scores.values()), Spread(None)).mean
        return -math.inf if first is None else first


def spread(values: Iterable[float | None]) -> Spread:
    """Of the numbers that are there and finite; a file may hold anything in their place."""
    known = [float(value) for value in values if isinstance(value, int | float) and _is_finite(value)]
    if not known:
        return Spread(None)
    return Spread(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None, len(known))


def _is_finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def _count(value: Any) -> int | None:
    """A whole number as it is, and nothing for anything else that a file may hold."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def row(name: str, metrics: Sequence[Mapping[str, Any]]) -> Row:
    """One row of the metrics of runs that differ in their seed alone."""
    first = metrics[0]
    wanted = SCORES.get(first["task"]) or tuple(first["scores"])[:4]
    ended = sorted({str(m.get("status") or "done") for m in metrics})
    return Row(
        name,
        len(metrics),
        _count(first.get("params")),
        _count(first.get("macs")),
        min((steps for m in metrics if (steps := _count(m.get("steps"))) is not None), default=None),
        spread(m.get("seconds") for m in metrics),
        {score: spread(m["scores"].get(score) for m in metrics) for score in wanted if score in first["scores"]},
        ", ".join(ended),
        str(first.get("preset") or ""),
    )


def ranked(rows: Sequence[Row]) -> list[Row]:
    """Best first."""
    return sorted(rows, key=lambda one: -one.rank)


def cells(rows: Sequence[Row], extra: Mapping[str, Sequence[str]] | None = None) -> list[list[str]]:
    """A table with its head; columns that nothing fills are left out. `extra` columns follow the name."""
    names = list(dict.fromkeys(name for one in rows for name in one.scores))
    columns: dict[str, list[str]] = {"field": [one.name for one in rows]}
    columns |= {head: list(column) for head, column in (extra or {}).items()}
    for head, key in (("parameters", "params"), ("MACs", "macs"), ("steps", "steps")):
        columns[head] = ["-" if (value := getattr(one, key)) is None else f"{value:,}" for one in rows]
    columns["seconds"] = [one.seconds.text(one.runs) for one in rows]
    columns |= {
        SHORT.get(name, name): [one.scores.get(name, Spread(None)).text(one.runs) for one in rows] for name in names
    }
    if any(one.status != "done" for one in rows):
        columns["ended"] = [one.status for one in rows]
    kept = {head: column for head, column in columns.items() if head == "field" or any(c != "-" for c in column)}
    return [list(kept), *(list(line) for line in zip(*kept.values(), strict=True))]


def as_text(table: Sequence[Sequence[str]]) -> str:
    """Columns one below another: names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for line in table:
        placed = [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        lines.append("  ".join(placed).rstrip())
    return "\n".join(lines)


def as_markdown(table: Sequence[Sequence[str]]) -> str:
    """The same in Markdown; a bar in a name does not end its cell."""
    head, *body = [[cell.replace("|", "\\|") for cell in line] for line in table]
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *body))


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as plain objects, `mean` and `deviation` of each score."""
    return [asdict(one) for one in rows]
