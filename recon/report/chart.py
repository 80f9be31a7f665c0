"""Curves over steps or time as inline SVG, which needs no script and takes its colours from the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from recon.report.html import NOTHING, Html, tag, text
from recon.report.numbers import readable

WIDTH, HEIGHT = 400.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 12.0, 10.0, 28.0
COLOURS = 8
"""Of curves in one frame; with more they repeat."""
MOST_POINTS = 300
"""Points of a drawn curve; more would not be seen."""
EXTREME = 1e30
"""Values beyond it, or closer to 0 than one over it, are not drawn: they would overflow a scale."""


@dataclass(frozen=True)
class Curve:
    """A named line of finite numbers."""

    name: str
    x: Sequence[float | int]
    y: Sequence[float | int]


@dataclass(frozen=True)
class Axis:
    """A range of values on a stretch of the drawing."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value lies."""
        low, high, value = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    def ticks(self) -> list[float]:
        """Three to seven round values within the range."""
        if self.log:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            if len(powers) >= 3:
                return [10.0**power for power in powers[:: math.ceil(len(powers) / 6)]]
            first = math.floor(math.log10(self.low))
            inner = [m * 10.0**p for p in range(first, first + 4) for m in (1, 2, 5)]
            return [value for value in inner if self.low <= value <= self.high]
        step = _round_step((self.high - self.low) / 4)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def chart(
    title: str,
    curves: Sequence[Curve],
    *,
    log: bool = False,
    zero: bool = True,
    unit: str = "",
    marks: Sequence[float] = (),
    by: str = "step",
) -> Html:
    """Curves in one frame with their last values beside their names; `marks` are places where a vertical line goes, and
    where curves are broken; `by` says what they go along. `zero` begins a linear scale of positive values at 0.

    On a logarithmic scale values that are not positive are left out; nothing is drawn where no two points are left."""
    drawn = [found for curve in curves if len((found := _visible(curve, log)).x) > 1]
    if not drawn:
        return NOTHING
    x = Axis(*_range([v for curve in drawn for v in curve.x]), LEFT, WIDTH - RIGHT)
    y = Axis(*_range([v for curve in drawn for v in curve.y], log, zero and not log), HEIGHT - BOTTOM, TOP, log)
    lines = [_line(curve, x, y, colour, marks) for colour, curve in enumerate(drawn)]
    borders = [_rule(x.place(at), TOP, x.place(at), HEIGHT - BOTTOM, "mark") for at in marks if x.low < at < x.high]
    about = ". ".join(
        f"{c.name or title}: {readable(c.y[0], 3)} at first, {readable(c.y[-1], 3)} at last" for c in drawn
    )
    picture = tag(
        "svg",
        *_grid(x, y),
        *borders,
        *lines,
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        role="img",
        aria_label=f"{title} by {by}. {about}",
    )
    scale = ", logarithmic" if log else ""
    head = tag("h3", text(title), tag("small", text(f" {unit}{scale}" if unit else scale.lstrip(","))))
    return tag("div", head, _legend(drawn), picture, class_="chart")


def _legend(curves: Sequence[Curve]) -> Html:
    """Names, colours and last values."""
    entries = [
        tag(
            "span",
            tag("i", class_=f"c{colour % COLOURS}"),
            text(f"{curve.name or 'last'} "),
            tag("b", text(readable(curve.y[-1], 3))),
        )
        for colour, curve in enumerate(curves)
    ]
    return tag("p", *entries, class_="legend")


def _line(curve: Curve, x: Axis, y: Axis, colour: int, marks: Sequence[float]) -> Html:
    """A curve, which is not drawn across a mark: what it measures may be something else beyond."""
    path = ""
    for at, (a, b) in enumerate(zip(curve.x, curve.y, strict=True)):
        across = at == 0 or any(curve.x[at - 1] <= mark < a for mark in marks)
        path += f"{'M' if across else 'L'}{x.place(a):.1f},{y.place(b):.1f}"
    return tag("path", d=path, class_=f"curve c{colour % COLOURS}")


def _grid(x: Axis, y: Axis) -> list[Html]:
    """Horizontal lines with their values, and steps below."""
    parts = []
    for value in y.ticks():
        at = y.place(value)
        parts += [_rule(LEFT, at, WIDTH - RIGHT, at, "grid"), _label(LEFT - 6, at + 3.5, _short(value), "end")]
    for value in (steps := x.ticks()):
        # A label in the last corner would be cut off.
        anchor = "end" if value == steps[-1] and x.place(value) > WIDTH - RIGHT - 16 else "middle"
        parts.append(_label(min(x.place(value), WIDTH - 2), HEIGHT - BOTTOM + 17, _short(value), anchor))
    return parts


def _rule(x1: float, y1: float, x2: float, y2: float, class_: str) -> Html:
    return tag("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", class_=class_)


def _label(x: float, y: float, words: str, anchor: str) -> Html:
    return tag("text", text(words), x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)


def _visible(curve: Curve, log: bool) -> Curve:
    """Points that can be drawn, from left to right, thinned out evenly; the last one stays."""
    kept: list[tuple[float, float]] = []
    for a, b in zip(curve.x, curve.y, strict=True):
        drawable = abs(a) < EXTREME and (1 / EXTREME < b < EXTREME if log else abs(b) < EXTREME)
        if drawable and (not kept or a > kept[-1][0]):
            kept.append((float(a), float(b) if abs(b) > 1 / EXTREME else 0.0))
    stride = math.ceil(len(kept) / MOST_POINTS) or 1
    kept = kept[:-1:stride] + kept[-1:]
    return Curve(curve.name, [a for a, _ in kept], [b for _, b in kept])


def _range(values: Sequence[float | int], log: bool = False, zero: bool = False) -> tuple[float, float]:
    """Smallest and largest value, never the same; with 0 where that is asked for and all are positive."""
    low, high = min(values), max(values)
    if zero and low > 0:
        low = 0.0
    if log:
        return (low / 2, high * 2) if high / low < 1.5 else (low / 1.1, high * 1.1)
    # at least a millionth of the value: beside a huge one, 1 is lost in rounding, and the range would be empty
    margin = max(1.0, 1e-6 * abs(low))
    return (low, high) if high - low > 1e-9 * abs(low) else (low - margin, high + margin)


def _round_step(size: float) -> float:
    """The least of 1, 2, 5 times a power of ten that is not below `size`."""
    power = 10.0 ** math.floor(math.log10(size))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= size * (1 - 1e-9))


def _short(value: float) -> str:
    """A label of a tick: 200k, 0.05, 1e-4."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor * 0.999 and abs(value) < 1e12:
            return f"{value / factor:.4g}{letter}"
    return f"{value:.4g}".replace("e-0", "e-").replace("e+0", "e")
