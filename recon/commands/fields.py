"""`recon fields`: the networks that there are and what they cost, and the papers' own beside what the papers say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recon.commands.common import print_json, say
from recon.commands.flags import read_flags
from recon.fields import FIELDS
from recon.fields.papers import PAPERS, Entry, count

LEGEND = "MACs: products of matrices per point, 3 -> 1 at default settings; (..) in evaluation, where that is less"
PAPERS_LEGEND = (
    "MACs: products of matrices per point; profiler: with biases, as ASMR counts; paper's MACs by its own rule"
)


@dataclass(frozen=True)
class Fields:
    """List the fields that --field takes, or with --papers the networks of the papers, with what they cost."""

    papers: bool = False
    """The papers' configurations, counted, beside the papers' numbers."""
    json: bool = False
    """Print exactly one JSON object on standard output, keyed by name."""


def main(name: str, argv: Sequence[str]) -> int:
    """Parse, count, print."""
    flags = read_flags(Fields, argv, f"recon {name}")
    rows = papers() if flags.papers else fields()
    if flags.json:
        print_json(rows)
    elif flags.papers:
        _print_papers(rows)
    else:
        _print_fields(rows)
    return 0


def fields() -> dict[str, dict[str, Any]]:
    """Each field's origin, purpose, and cost from 3 coordinates to 1 number at default settings."""
    rows = {}
    for name, config in FIELDS.items():
        costs: dict[str, Any] = {"params": None, "macs": None, "macs_profiler": None}
        try:
            found = count(Entry(config, 3, 1))
            costs = {key: value for key, value in found.items() if not key.startswith("paper_")}
        except Exception as error:  # another package's field may build only where there are numbers, or not in 3-D
            say(f"warning: the costs of {name} could not be counted: {error}")
        rows[name] = {"paper": config.paper, "purpose": config.purpose, **costs}
    return rows


def papers() -> dict[str, dict[str, Any]]:
    """What we count and what the papers say, with the rule that their multiply-accumulates follow, and remarks."""
    return {name: {**count(entry), "paper_rule": entry.rule, "note": entry.note} for name, entry in PAPERS.items()}


def _print_fields(rows: dict[str, dict[str, Any]]) -> None:
    lines = [("field", "parameters", "MACs", "", "paper", "what it is for")]
    for name, row in rows.items():
        routed = f"({_number(row['macs_routed'])})" if "macs_routed" in row else ""
        lines.append((name, _number(row["params"]), _number(row["macs"]), routed, row["paper"], row["purpose"]))
    _print_table(lines, right=(1, 2, 3))
    print(f"\n{LEGEND}")


def _print_papers(rows: dict[str, dict[str, Any]]) -> None:
    lines: list[tuple[str, ...]] = [("network", "parameters", "paper", "MACs", "profiler", "paper", "note")]
    for name, row in rows.items():
        keys = ("params", "paper_params", "macs", "macs_profiler", "paper_macs")
        lines.append((name, *[_number(row[key]) for key in keys], row["note"]))
    _print_table(lines, right=(1, 2, 3, 4, 5))
    print(f"\n{PAPERS_LEGEND}")


def _print_table(lines: list[tuple[str, ...]], right: tuple[int, ...]) -> None:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        cells = (
            f"{cell:>{w}}" if n in right else f"{cell:<{w}}"
            for n, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join(cells).rstrip())


def _number(value: int | float | None) -> str:
    """1,353.75, without zeros that say nothing."""
    return "-" if value is None else f"{value:,.2f}".rstrip("0").rstrip(".")
