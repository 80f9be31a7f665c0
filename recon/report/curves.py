"""The curves of a run, from the rows of its log: loss, rate, speed, and whatever else was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recon.report.chart import Curve, chart
from recon.report.html import NOTHING, Html, note, section, tag
from recon.report.numbers import number
from recon.report.record import Record, mapping

MOST_CHARTS = 12
MOST_CURVES = 4
MOST_STEPS = 1e15


def curves(record: Record) -> Html:
    """Charts over the steps, side by side where there is room."""
    rows = [row for row in record.log if "event" not in row and _is_step(row.get("step"))]
    marks = stage_starts(rows)
    charts = [
        chart("Loss", _losses(rows), log=True, marks=marks),
        chart("Learning rate", [_curve("", rows, "rate")], marks=marks),
        chart("Speed", [_curve("", rows, "points_per_second")], unit="points per second", marks=marks),
        *(_measure(stem, names, rows, marks) for stem, names in _grouped(_keys(rows, "measures")).items()),
    ]
    drawn = [found for found in charts[:MOST_CHARTS] if found]
    about = note("By optimiser step." + (" Dashed: a new stage begins." if marks else ""))
    return section("Training", tag("div", *drawn, class_="charts"), about) if drawn else NOTHING


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


def _measure(stem: str, names: list[str], rows: Sequence[dict[str, Any]], marks: Sequence[float]) -> Html:
    """What a job measures about itself, in one chart for names that differ in their last word."""
    lines = [_curve(name.removeprefix(stem).strip("_"), rows, "measures", name) for name in names[:MOST_CURVES]]
    if stem == "expert_share":
        return chart("Expert balance", lines, unit="share of the busiest and the idlest", marks=marks)
    return chart(stem.replace("_", " ").capitalize(), lines, marks=marks)


def _grouped(names: Sequence[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.rpartition("_")[0] or name, []).append(name)
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
