"""Pictures of comparisons: score against training time, and final scores against time and size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, pstdev

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from recon.files import replacing
from recon.studies.compare.results import Row
from recon.studies.compare.watch import Look

MARKERS = "osD^vP*X<>dph8"
WIDE = 8.0
"""Ratio of the largest to the smallest time or size from which its axis is logarithmic."""


def plot_curves(path: Path, curves: Mapping[str, Sequence[Sequence[Look]]], title: str, score: str) -> None:
    """Score against training time, a line for each field: the mean over its runs, with their deviation shaded."""
    figure = Figure(figsize=(7.5, 4.8), dpi=120, layout="constrained")
    axes = figure.subplots()
    for number, (name, runs) in enumerate(curves.items()):
        count = min((len(looks) for looks in runs), default=0)
        if not count:
            continue
        seconds = [fmean(looks[i].seconds for looks in runs) for i in range(count)]
        values = [[looks[i].score for looks in runs] for i in range(count)]
        means, spreads = [fmean(v) for v in values], [pstdev(v) for v in values]
        (line,) = axes.plot(seconds, means, marker=MARKERS[number % len(MARKERS)], markersize=4, label=name)
        if len(runs) > 1:
            low, high = ([m + sign * s for m, s in zip(means, spreads, strict=True)] for sign in (-1, 1))
            axes.fill_between(seconds, low, high, color=line.get_color(), alpha=0.18, linewidth=0)
    ends = [look.seconds for runs in curves.values() for looks in runs for look in looks]
    _scale(axes, ends)
    _label(axes, "seconds of training (scoring not counted)", score)
    if axes.lines:
        axes.legend()
    figure.suptitle(title)
    _save(figure, path)


def plot_finals(path: Path, rows: Sequence[Row], title: str, score: str) -> None:
    """Final score against seconds and against parameters, a point for each row that has them."""
    figure = Figure(figsize=(9.0, 4.2), dpi=120, layout="constrained")
    for axes, about in zip(figure.subplots(1, 2, sharey=True), ("seconds of training", "parameters"), strict=True):
        places = []
        for number, one in enumerate(rows):
            x = one.seconds.mean if about.startswith("seconds") else one.params
            final = next(iter(one.scores.values())) if one.scores else None
            if x is None or x <= 0 or final is None or final.mean is None:
                continue
            marker = MARKERS[number % len(MARKERS)]
            axes.errorbar([x], [final.mean], [final.deviation or 0.0], marker=marker, linestyle="", label=one.name)
            axes.annotate(one.name, (x, final.mean), textcoords="offset points", xytext=(5, 4), fontsize=8)
            places.append(float(x))
        _scale(axes, places)
        _label(axes, about, score if about.startswith("seconds") else "")
    figure.suptitle(title)
    _save(figure, path)


def _scale(axes: Axes, values: Sequence[float]) -> None:
    positive = [value for value in values if value > 0]
    if positive and max(positive) / min(positive) > WIDE:
        axes.set_xscale("log")


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, ".png") as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))
