"""Whether scores of several runs may be held against each other, and which run has the best of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recon.report.numbers import number
from recon.report.record import Record, mapping, sequence
from recon.report.sections import BETTER, ERROR

ALIKE = {"task": "tasks", "data": "data", "protocol": "ways of scoring", "size": "sizes of pictures"}
"""Facts that must be the same for any score to compare."""


@dataclass(frozen=True)
class Score:
    """One score of every run."""

    name: str
    values: dict[str, float | int | None]
    """By the names of the runs."""
    meanings: dict[str, str]
    """Definitions by the names of the runs that have one."""
    best: frozenset[str]
    """Runs that share the best value; none where the score can't be compared."""

    @property
    def one_meaning(self) -> bool:
        """Whether all that have the score define it alike."""
        return len(set(self.meanings.values())) < 2


def named(records: Sequence[Record]) -> dict[str, Record]:
    """Runs by short names that tell them apart: fields, counted where one occurs more than once."""
    fields = [str(record.about("field") or record.folder.name)[:60] for record in records]
    several, met = Counter(fields), Counter[str]()
    found: dict[str, Record] = {}
    for field, record in zip(fields, records, strict=True):
        met[field] += 1
        name = field if several[field] == 1 else f"{field} {met[field]}"
        found[f"{name} ({len(found) + 1})" if name in found else name] = record
    return found


def differences(records: Sequence[Record]) -> list[str]:
    """Why no score of these runs compares; nothing where some may."""
    notes = []
    for key, what in ALIKE.items():
        values = list(dict.fromkeys(str(found) for record in records if (found := record.about(key)) is not None))
        if len(values) > 1:
            notes.append(f"Scores do not compare: these runs have different {what} ({', '.join(values)}).")
    shapes = {str(found) for record in records if (found := record.metrics.get("mesh_report")) is not None}
    if not notes and len(shapes) > 1:
        notes.append("Scores do not compare: these runs learned different shapes of the same name.")
    views = {str(found) for record in records if (found := _files(record))}
    if not notes and len(views) > 1:
        notes.append("Scores do not compare: these runs were scored on different views.")
    return notes


def scores(records: Mapping[str, Record]) -> list[Score]:
    """Every score that a run has, in the order of their appearance."""
    ranked = not differences(list(records.values()))
    found = {name: mapping(record.metrics.get("scores")) for name, record in records.items()}
    order = list(dict.fromkeys(key for values in found.values() for key in values if not key.endswith(ERROR)))
    return [_score(key, found, records, ranked) for key in order]


def _score(key: str, found: Mapping[str, dict], records: Mapping[str, Record], ranked: bool) -> Score:
    values = {name: number(scores.get(key)) for name, scores in found.items()}
    meanings = {
        name: str(meaning).partition("NULL:")[0].strip()
        for name, record in records.items()
        if key in found[name] and (meaning := mapping(record.metrics.get("definitions")).get(key)) is not None
    }
    score = Score(key, values, meanings, frozenset())
    known = {name: value for name, value in values.items() if value is not None}
    better = BETTER.get(key.partition("_")[0])
    if not ranked or better is None or len(known) < 2 or not score.one_meaning:
        return score
    top = (max if better == "↑" else min)(known.values())
    best = frozenset(name for name, value in known.items() if value == top)
    return Score(key, values, meanings, best)


def _files(record: Record) -> list[str]:
    """Held-out views that a scene was scored on."""
    rows = sequence(record.metrics.get("rows")) if record.about("task") == "nerf" else []
    return sorted(str(mapping(row).get("file")) for row in rows)
