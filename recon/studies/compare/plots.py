"""Pictures of comparisons: score against training time, and final scores against time and size."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from statistics import fmean

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from recon.files import replacing
from recon.studies.compare.results import Row, Spread, spread
from recon.studies.compare.watch import Look

MARKERS = "osD^vP*X<>dph8"
WIDE = 8.0
"""Ratio of the largest to the smallest time or size from which its axis is logarithmic."""


def plot_curves(path: Path, curves: Mapping[str, Sequence[Sequence[Look]]], title: str, score: str) -> None:
    """Score against training time, a line for each field: the mean over its runs, with the deviation shaded
    where there are several. A run that diverged counts as far as it went."""
    figure = Figure(figsize=(7.5, 4.8), dpi=120, layout="constrained")
    axes = figure.subplots()
    for number, (name, runs) in enumerate(curves.items()):
        seconds, found = _means([look for looks in runs for look in looks])
        if not seconds:
            continue
        means, spreads = [one.mean or 0.0 for one in found], [one.deviation or 0.0 for one in found]
        (line,) = axes.plot(seconds, means, marker=MARKERS[number % len(MARKERS)], markersize=4, label=name)
        if len(runs) > 1:
            low, high = ([m + sign * s for m, s in zip(means, spreads, strict=True)] for sign in (-1, 1))
            axes.fill_between(seconds, low, high, color=line.get_color(), alpha=0.18, linewidth=0)
    ends = [look.seconds for runs in curves.values() for looks in runs for look in looks]
    _scale(axes, ends)
    shaded = "; shaded: standard deviation over runs" if any(len(runs) > 1 for runs in curves.values()) else ""
    _label(axes, f"seconds of training, scoring not counted{shaded}", score)
    if axes.lines:
        axes.legend()
    figure.suptitle(title)
    _save(figure, path)


def _means(looks: Sequence[Look]) -> tuple[list[float], list[Spread]]:
    """Mean seconds and score at each step, over the looks that have a score there."""
    known = sorted((look for look in looks if look.score is not None), key=lambda look: look.step)
    groups = [list(group) for _, group in groupby(known, key=lambda look: look.step)]
    return [fmean(x.seconds for x in group) for group in groups], [spread(x.score for x in group) for group in groups]


def plot_finals(path: Path, rows: Sequence[Row], title: str, score: str) -> None:
    """Final score against seconds and against parameters, a point for each row that has them."""
    figure = Figure(figsize=(10.0, 4.2), dpi=120, layout="constrained")
    shown: dict[str, Artist] = {}
    for axes, about in zip(figure.subplots(1, 2, sharey=True), ("seconds of training", "parameters"), strict=True):
        places = []
        for number, one in enumerate(rows):
            x = one.seconds.mean if about.startswith("seconds") else one.params
            final = next(iter(one.scores.values())) if one.scores else None
            if x is None or x <= 0 or final is None or final.mean is None:
                continue
            style = {"marker": MARKERS[number % len(MARKERS)], "color": f"C{number % 10}", "linestyle": ""}
            shown[one.name] = axes.plot([x], [final.mean], **style)[0]
            places.append(float(x))
        _scale(axes, places)
        _label(axes, about, score if about.startswith("seconds") else "")
    figure.legend(list(shown.values()), list(shown), loc="outside right upper")
    figure.suptitle(title)
    _save(figure, path)


def _scale(axes: Axes, values: Sequence[float]) -> None:
    positive = [value for value in values if value > 0]
    if positive and max(positive) / min(positive) > WIDE:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value / 1e6:g}M" if value >= 1e6 else f"{value:,g}")
        )
        axes.xaxis.set_minor_formatter(NullFormatter())


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(textwrap.fill(y, 48))
    axes.grid(alpha=0.3)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, ".png") as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))
