"""The curves of several runs in one frame: losses and scores, by step and by time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from recon.report.chart import Curve, chart
from recon.report.html import NOTHING, Html, note, section, tag
from recon.report.numbers import number
from recon.report.record import Record, mapping

UNITS = {"step": "by step", "second": "by seconds of training"}


def overlay(records: Mapping[str, Record]) -> Html:
    """Loss and, of scenes, the score on the way; `records` by their names on the page."""
    rows = {name: [row for row in record.log if "event" not in row] for name, record in records.items()}
    charts = [_losses(rows, by) for by in UNITS] + [_glances(records, rows, by) for by in UNITS]
    drawn = [found for found in charts if found]
    parts = {tuple(mapping(row.get("losses"))) for found in rows.values() for row in found[-1:]}
    about = "Losses of different parts do not compare; how fast each falls does." if len(parts) > 1 else ""
    return (
        section("Training", tag("div", *drawn, class_="charts"), note(about) if about else NOTHING)
        if drawn
        else NOTHING
    )


def _losses(rows: Mapping[str, Sequence[dict[str, Any]]], by: str) -> Html:
    lines = []
    for name, found in rows.items():
        pairs = [(_place(row, by), number(row.get("loss"))) for row in found]
        lines.append(_curve(name, pairs))
    return chart("Loss", lines, log=True, unit=UNITS[by], by=by)


def _glances(records: Mapping[str, Record], rows: Mapping[str, Sequence[dict[str, Any]]], by: str) -> Html:
    """PSNR of a held-out view in small, where runs looked at one."""
    lines = []
    for name, record in records.items():
        times = [(step, row) for row in rows[name] if (step := number(row.get("step"))) is not None]
        pairs = []
        for glance in record.glances:
            # The log has a row every few steps: the first that is not before the picture tells its time.
            at = glance.step if by == "step" else next((_place(row, by) for s, row in times if s >= glance.step), None)
            pairs.append((at, glance.psnr))
        lines.append(_curve(name, pairs))
    return chart("PSNR of a held-out view, in small", lines, zero=False, unit=f"dB, {UNITS[by]}", by=by)


def _place(row: Mapping[str, Any], by: str) -> float | int | None:
    return number(row.get("step" if by == "step" else "seconds"))


def _curve(name: str, pairs: Sequence[tuple[float | int | None, float | int | None]]) -> Curve:
    known = [(x, y) for x, y in pairs if x is not None and y is not None]
    return Curve(name, [x for x, _ in known], [y for _, y in known])
