"""Digits of cells: the bases, coarse to fine, in which the cells of an axis are numbered level by level."""

from __future__ import annotations

import math

SURPLUS = 3
"""A grid is padded on up to three axes: bases that make more cells than asked for cost this power of their ratio."""


def choose_bases(cells: int, levels: int) -> tuple[int, ...]:
    """`levels` bases, ascending, whose product is `cells` or a little more: as even as their surplus allows.

    The smallest sum, times a power of product over `cells`. The largest base comes last: the last level is cheapest."""
    if cells < 1 or levels < 1:
        raise ValueError(f"a grid needs at least one cell and one level on each axis, got {cells} and {levels}")
    return _search(cells, levels, (), (math.inf, ()))[1]


def _search(
    cells: int, left: int, given: tuple[int, ...], best: tuple[float, tuple[int, ...]]
) -> tuple[float, tuple[int, ...]]:
    """The better of `best` (a score, and bases) and of all bases that begin with `given`."""
    product, least = math.prod(given), given[-1] if given else 1
    if left == 1:
        bases = *given, max(least, -(-cells // product))
        score = sum(bases) * (math.prod(bases) / cells) ** SURPLUS
        return (score, bases) if score < best[0] * (1 - 1e-9) else best
    even = max(1.0, cells / product) ** (1 / left)
    for base in range(math.ceil(even - 1e-9), least - 1, -1):
        # What is left sums to no less than if it were even, so that smaller bases can only be worse.
        rest = max(1.0, cells / (product * base)) ** (1 / (left - 1))
        if sum(given) + base + (left - 1) * max(base, rest) >= best[0] * (1 - 1e-9):
            if rest >= base:
                break
            continue
        best = _search(cells, left - 1, (*given, base), best)
    return best
