"""What a table of a paper is: networks in rows, the data that they learn, and the numbers that were printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from recon.signals.prepare import Preparation

Task = Literal["fit", "sdf", "occ", "nerf"]
MEAN = "mean"
"""Over all data, where a paper prints no number for each of them."""
Printed = float | tuple[float, float]
"""A number of a paper, or a mean and the standard deviation over its data."""


@dataclass(frozen=True)
class Size:
    """Of the grid that a signal lives on; what settings may depend on."""

    shape: tuple[int, ...]
    channels: int


@dataclass(frozen=True)
class Datum:
    """A signal, a shape or a scene of a table."""

    name: str
    find: str
    """What it is found by, as behind --signal, --shape or --scene."""
    instead_of: str = ""
    """What the paper used, where this is something else; empty where this is the paper's own."""
    stand_in: bool = False
    """It is left out where the paper's own data are here."""


@dataclass(frozen=True)
class Column:
    """A score of a table."""

    score: str
    """As it is called in `metrics.json`."""
    heading: str
    digits: int = 2


@dataclass(frozen=True)
class Row:
    """A network with its protocol, and what the paper says of it."""

    name: str
    title: str
    settings: Callable[[Size], Any]
    """Of a run of the table's task, at the paper's length."""
    printed: Mapping[str, Mapping[str, Printed]]
    """By datum (or MEAN), by score."""
    params: float | None = None
    macs: float | None = None
    """As printed, rounding included."""
    only: tuple[str, ...] = ()
    """Data that it is about, where not all."""
    segments: str = ""
    """A file beside the datum's own, for the segments of which experts are trained."""


@dataclass(frozen=True)
class Table:
    """One table, or several about the same runs."""

    title: str
    task: Task
    data: tuple[Datum, ...]
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    prepare: Preparation = field(default_factory=Preparation)
    """Of signals, before they are learned."""
    notes: tuple[str, ...] = ()

    @property
    def own_data(self) -> int:
        """How many data the paper's means are over."""
        return sum(not datum.stand_in for datum in self.data)


def means(score: str, other: str = "") -> Callable[..., dict[str, dict[str, Printed]]]:
    """A short way to write rows: `means("psnr", "ssim")((33.1, 2.7), (0.89, 0.02))`."""

    def printed(first: Printed, second: Printed | None = None) -> dict[str, dict[str, Printed]]:
        scores: dict[str, Printed] = {score: first}
        if second is not None:
            scores[other] = second
        return {MEAN: scores}

    return printed
