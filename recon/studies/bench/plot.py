"""A benchmark's picture: lines over batch and width where a name was measured at several, bars elsewhere."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

MARKS = ("o", "s", "^", "v", "D", "P", "X")


def picture(result: Mapping[str, Any]) -> bytes:
    """The plot as PNG."""
    rows = [row for row in result["rows"] if row["seconds"]]
    panels = _panels(rows)
    drawn = {id(row) for _, _, lines in panels for line in lines.values() for row in line}
    bars = [row for row in rows if id(row) not in drawn]
    count = max(1, len(panels) + bool(bars))
    columns = min(2, count)
    down = math.ceil(count / columns)
    height = 4.5 if panels else max(2.0, 1.2 + 0.25 * len(bars))
    figure = Figure(figsize=(7.5 * columns, height * down), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(down, columns, squeeze=False).flat)
    for axis, (title, over, lines) in zip(axes, panels, strict=False):
        _curves(axis, title, over, lines)
    if bars:
        _bars(axes[len(panels)], bars)
    for axis in axes[count:]:
        axis.set_axis_off()
    figure.suptitle(f"recon bench {result['bench']}: {result['device']}, {result['threads']} threads", fontsize=11)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


Lines = dict[str, list[Mapping[str, Any]]]


def _panels(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, Lines]]:
    """Title, what grows, and the lines, each by the field's name: those with at least two points to join."""
    panels = []
    kinds = list(dict.fromkeys(row["name"].partition(": ")[2] for row in rows))
    for over, other in (("batch", "width"), ("width", "batch")):
        for kind in kinds:
            lines: dict[tuple[str, Any], list[Mapping[str, Any]]] = defaultdict(list)
            for row in rows:
                name, _, its = row["name"].partition(": ")
                if its == kind and row[over]:
                    lines[name, row[other]].append(row)
            several = {
                name: sorted(line, key=lambda row: row[over])
                for (name, _), line in lines.items()
                if len({row[over] for row in line}) > 1
            }
            if several:
                panels.append((kind, over, several))
    return panels


def _curves(axis: Axes, title: str, over: str, lines: Lines) -> None:
    for index, (name, line) in enumerate(lines.items()):
        style = {"color": f"C{index % 10}", "marker": MARKS[index // 10 % len(MARKS)], "markersize": 4}
        axis.plot([row[over] for row in line], [1e3 * row["seconds"] for row in line], label=name, **style)
    axis.set(title=title, xlabel="points" if over == "batch" else over, ylabel="ms", xscale="log", yscale="log")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _bars(axis: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Milliseconds of every row on a logarithmic scale; the colour says of a row with an aim whether it is met."""
    colours = {True: "tab:green", False: "tab:red", None: "tab:blue"}
    places = range(len(rows) - 1, -1, -1)
    axis.barh(places, [1e3 * row["seconds"] for row in rows], color=[colours[row["met"]] for row in rows], log=True)
    axis.set_yticks(places, [row["name"] for row in rows], fontsize=7)
    low = min(row["seconds"] for row in rows)
    axis.set_xlim(left=10.0 ** math.floor(math.log10(1e3 * low) - 0.3))
    axis.set_ymargin(0.01)
    axis.set_xlabel("ms (green: aim met, red: missed)")
