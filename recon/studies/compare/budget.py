"""What all fields of a comparison have in common, and how each is brought to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Literal

from recon.fields.base import FieldConfig
from recon.fields.neural_experts import NeuralExpertsConfig

Kind = Literal["params", "macs", "seconds", "steps"]
KINDS: dict[Kind, str] = {
    "params": "parameters",
    "macs": "multiply-accumulates a point",
    "seconds": "seconds of training",
    "steps": "steps",
}
"""Budgets, and what they count."""
WITHIN = 1 / 3
"""A size that misses what was asked by a larger part of it is refused: that would not be a fair comparison."""
OCTAVES = 24
"""Sizes are looked for within this many doublings and halvings."""
HALVINGS = 20
"""Of the interval in which a size is found."""


@dataclass(frozen=True)
class Budget:
    """What is equal; without an amount, what the first field has by its preset."""

    kind: Kind
    amount: float | None = None

    def __post_init__(self) -> None:
        if self.amount is not None and not (0 < self.amount < math.inf):
            raise ValueError(f"--{self.kind} must be positive, got {self.amount:g}")
        if self.kind == "seconds" and self.amount is None:
            raise ValueError("--budget seconds wants an amount: --seconds N")


def budget_of(kind: Kind | None, amounts: dict[Kind, float | None]) -> Budget:
    """The one budget that was asked for; ValueError where there are two. Without any it is the parameters."""
    given: list[Kind] = [name for name, amount in amounts.items() if amount is not None]
    if len(given) > 1:
        raise ValueError(f"two budgets at once: {' and '.join(f'--{name}' for name in given)}; only one can be equal")
    if kind is not None and given and given[0] != kind:
        raise ValueError(f"--budget {kind} and --{given[0]} are two budgets; give --{kind} N, or --budget {given[0]}")
    chosen: Kind = kind or (given[0] if given else "params")
    return Budget(chosen, amounts[chosen])


@dataclass(frozen=True)
class Sized:
    """A field brought to a size."""

    config: FieldConfig
    count: int
    asked: float

    @property
    def miss(self) -> float:
        """How much larger it is than asked, as a part of that; negative for smaller."""
        return self.count / self.asked - 1


def sized(name: str, config: FieldConfig, count: Callable[[FieldConfig], int], budget: Budget) -> Sized:
    """The field of this kind whose count is nearest to the budget's amount.

    ValueError, with the smallest or largest that there is, where none comes near."""
    asked = budget.amount
    assert asked is not None
    seen: dict[float, tuple[int, FieldConfig]] = {}

    def at(octave: float) -> int | None:
        """The count at 2^octave times the size; None where the settings refuse it, or torch a matrix so large."""
        try:
            candidate = resized(config, 2.0**octave, budget.kind)
            found = count(candidate)
        except (ValueError, RuntimeError):
            return None
        seen[octave] = found, candidate
        return found

    _search(at, asked)
    if not seen:
        count(config)  # says what is wrong
    found, candidate = min(seen.values(), key=lambda pair: abs(pair[0] - asked))
    result = Sized(candidate, found, asked)
    if abs(result.miss) > WITHIN:
        counts = [pair[0] for pair in seen.values()]
        unit = KINDS[budget.kind]
        possible = f"its nearest size has {found:,}"
        if min(counts) > asked or max(counts) < asked:
            possible = f"its {'smallest' if min(counts) > asked else 'largest'} has {found:,}"
        raise ValueError(f"{name} can't have {asked:,.0f} {unit}: {possible}; give another --{budget.kind} or field")
    return result


def resized(config: FieldConfig, factor: float, kind: Kind) -> FieldConfig:
    """`factor` times the field: for parameters as the field says; for work a point its widths, not its tables."""
    if kind == "macs" and any(f.name.endswith("width") for f in fields(config)):
        return FieldConfig.scaled(config, factor)
    if isinstance(config, NeuralExpertsConfig) and config.encoder == "feature-grid":
        return replace(config, grid=config.grid.scaled(factor))  # nearly all that it has are its grids
    return config.scaled(factor)


def _search(at: Callable[[float], int | None], asked: float) -> None:
    """Doubles or halves until the amount lies between two sizes (or no further size is there), then bisects."""
    start = at(0.0)
    step = 1.0 if start is not None and start < asked else -1.0
    near = far = 0.0
    while abs(far) < OCTAVES:
        near, far = far, far + step
        found = at(far)
        if found is None or (found - asked) * step >= 0:
            break
    for _ in range(HALVINGS):
        middle = (near + far) / 2
        found = at(middle)
        if found is not None and (found - asked) * step < 0:
            near = middle
        else:
            far = middle
