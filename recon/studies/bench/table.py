"""A benchmark's rows as text for people, and its aims with the figures found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HEADS = ("points", "width", "ms", "x plain", "x mlp", "M points/s", "peak MB", "MACs", "calls")


def lines(result: Mapping[str, Any]) -> list[str]:
    """A table, a line for each row; seconds are the median of so many calls, ratios over those of the plain way
    and of the MLP."""
    rows = result["rows"]
    cells = [HEADS, *map(_cells, rows)]
    names = [f"{result['bench']} on {result['device']}, {result['threads']} threads", *(row["name"] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(HEADS))]
    first = max(map(len, names))
    notes = ["", *(_note(row) for row in rows)]
    return [
        "  ".join([f"{name:<{first}}", *(f"{cell:>{w}}" for cell, w in zip(row, widths, strict=True)), note]).rstrip()
        for name, row, note in zip(names, cells, notes, strict=True)
    ]


def aims(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each aim: met or missed, and the figure."""
    judged = [row for result in results for row in result["rows"] if row["aim"]]
    return [
        f"{'met   ' if row['met'] else 'missed'}  {number(row['figure']):>7}  {row['name']}: {row['aim']}"
        for row in judged
    ]


def number(value: float | None) -> str:
    """Three digits, or nothing."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    def scaled(name: str, factor: float) -> str:
        return number(None if row[name] is None else row[name] * factor)

    whole = ("" if row[name] is None else f"{row[name]:,}" for name in ("batch", "width"))
    ratios = (scaled("ratio_plain", 1.0), scaled("ratio_mlp", 1.0))
    speed = (scaled("points_per_second", 1e-6), scaled("peak_mb", 1.0), scaled("macs", 1.0))
    calls = "" if row["repeats"] is None else str(row["repeats"])
    return (*whole, scaled("seconds", 1e3), *ratios, *speed, calls)


def _note(row: Mapping[str, Any]) -> str:
    against = f"plain: {row['plain']}" if row["plain"] else ""
    return "; ".join(part for part in (against, row["note"]) if part)
