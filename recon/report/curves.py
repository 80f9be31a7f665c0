"""The curves of a run, from the rows of its log: loss, rate, speed, and whatever else was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recon.report.chart import Curve, chart
from recon.report.html import NOTHING, Html, note, section, tag
from recon.report.numbers import number
from recon.report.record import Record, mapping
from recon.report.tasks import task_of

MOST_CHARTS = 12
MOST_CURVES = 4
MOST_STEPS = 1e15
MEASURES = {
    "expert_share": ("Expert balance", "share of the busiest and the idlest"),
    "occupied": ("Occupied space", "share of the grid's cells"),
}
"""Titles and units of measures whose names are not enough."""


def curves(record: Record) -> Html:
    """Charts over the steps, side by side where there is room."""
    task = task_of(record.about("task"))
    rows = [row for row in record.log if "event" not in row and _is_step(row.get("step"))]
    marks = stage_starts(rows)
    charts = [
        chart("Loss", _losses(rows), log=True, marks=marks),
        _glances(record, marks),
        chart("Learning rate", [_curve("", rows, "rate")], marks=marks),
        chart("Speed", [_curve("", rows, "points_per_second")], unit=f"{task.points} per second", marks=marks),
        *(_measure(stem, names, rows, marks) for stem, names in _grouped(_keys(rows, "measures")).items()),
    ]
    drawn = [found for found in charts[:MOST_CHARTS] if found]
    stages = list(dict.fromkeys(str(row.get("stage")) for row in rows)) if marks else []
    about = "By optimiser step." + (f" Dashed: a new stage begins ({', then '.join(stages[:6])})." if stages else "")
    about = " ".join([about, *(task.stages[name] for name in stages if name in task.stages)])
    return section("Training", tag("div", *drawn, class_="charts"), note(about)) if drawn else NOTHING


def stage_starts(rows: Sequence[dict[str, Any]]) -> list[float]:
    """Steps of the last rows before the stage changes."""
    pairs = zip(rows[:-1], rows[1:], strict=True)
    return [float(old["step"]) for old, new in pairs if old.get("stage") != new.get("stage")][:20]


def _is_step(value: object) -> bool:
    found = number(value)
    return found is not None and 0 <= found < MOST_STEPS


def _losses(rows: Sequence[dict[str, Any]]) -> list[Curve]:
    """The loss; and its parts where there are several."""
    names = _keys(rows, "losses")
    parts = [_curve(name, rows, "losses", name) for name in names[: MOST_CURVES - 1]] if len(names) > 1 else []
    return [_curve("all" if parts else "", rows, "loss"), *parts]


def _glances(record: Record, marks: Sequence[float]) -> Html:
    """How well a held-out view was seen meanwhile."""
    steps, values = [glance.step for glance in record.glances], [glance.psnr for glance in record.glances]
    line = Curve("", steps, values)
    return chart("PSNR of a held-out view, in small", [line], zero=False, unit="dB", marks=marks)


def _measure(stem: str, names: list[str], rows: Sequence[dict[str, Any]], marks: Sequence[float]) -> Html:
    """What a job measures about itself, in one chart for names that differ in their last word."""
    lines = [_curve(name.removeprefix(stem).strip("_"), rows, "measures", name) for name in names[:MOST_CURVES]]
    title, unit = MEASURES.get(stem, (stem.replace("_", " ").capitalize(), ""))
    return chart(title, lines, unit=unit, marks=marks)


def _grouped(names: Sequence[str]) -> dict[str, list[str]]:
    """Names that are alike but for their last word, by what they share; others by themselves."""
    stems = [name.rpartition("_")[0] or name for name in names]
    groups: dict[str, list[str]] = {}
    for name, stem in zip(names, stems, strict=True):
        groups.setdefault(stem if stems.count(stem) > 1 else name, []).append(name)
    return groups


def _keys(rows: Sequence[dict[str, Any]], group: str) -> list[str]:
    """Names within a group, such as the losses, in the order of their appearance."""
    return list(dict.fromkeys(name for row in rows for name in mapping(row.get(group))))


def _curve(name: str, rows: Sequence[dict[str, Any]], key: str, inner: str | None = None) -> Curve:
    """The steps and values of the rows that have one."""
    found = []
    for row in rows:
        value = number(row.get(key) if inner is None else mapping(row.get(key)).get(inner))
        if value is not None:
            found.append((row["step"], value))
    return Curve(name, [step for step, _ in found], [value for _, value in found])
