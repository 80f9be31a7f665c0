"""Runs that were made before, side by side: ranked where they are of one task, on one set of data, scored alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from recon.studies.compare.results import SCORES, Row, ranked, row
from recon.training.run import Run


def read_finished(names: Sequence[str]) -> list[tuple[Run, dict[str, Any]]]:
    """Runs and their metrics; ValueError for one that has no scores yet, or is named twice."""
    found: list[tuple[Run, dict[str, Any]]] = []
    for name in names:
        run = Run.open(name)
        if any(run.folder == other.folder for other, _ in found):
            raise ValueError(f"{run.folder} is named twice")
        try:
            metrics = run.read_metrics()
        except FileNotFoundError:
            task = run.read_config()["task"]
            raise ValueError(f"{run.folder} has no scores yet; finish it: recon {task} --resume {name}") from None
        if not isinstance(metrics.get("scores"), dict) or not isinstance(metrics.get("task"), str):
            raise ValueError(f"{run.folder}/metrics.json holds no scores; repeat them: recon eval {name}")
        found.append((run, metrics))
    return found


def tabulate(found: Sequence[tuple[Run, dict[str, Any]]]) -> tuple[list[Row], dict[str, list[str]], list[str]]:
    """Rows, further columns (task and data where they differ, preset) and notes on what can't be compared."""
    pairs = [(row(name, [metrics]), metrics) for name, (_, metrics) in zip(_names(found), found, strict=True)]
    notes = differences([metrics for _, metrics in found])
    if not notes:
        order = [id(one) for one in ranked([one for one, _ in pairs])]
        pairs.sort(key=lambda pair: order.index(id(pair[0])))
    extra = {key: [str(metrics.get(key) or "-") for _, metrics in pairs] for key in ("task", "data")}
    extra = {key: values for key, values in extra.items() if len(set(values)) > 1}
    return [one for one, _ in pairs], {**extra, "preset": [one.preset or "-" for one, _ in pairs]}, notes


def differences(metrics: Sequence[dict[str, Any]]) -> list[str]:
    """Why these runs can't be ranked, one line a reason; none where they can."""
    notes = []
    for key, what in (("task", "tasks"), ("data", "data"), ("protocol", "ways of scoring"), ("size", "picture sizes")):
        values = list(dict.fromkeys(str(one[key]) for one in metrics if one.get(key) is not None))
        if len(values) > 1:
            notes.append(f"not ranked: these runs have different {what}: {', '.join(values)}")
    if not notes and len({_measured(one) for one in metrics}) > 1:
        notes.append("not ranked: these runs were scored on different points or views; see their metrics.json")
    return notes


def _measured(metrics: dict[str, Any]) -> str:
    """The main score's definition, which tells how many points or views it was taken from."""
    main = (SCORES.get(metrics["task"]) or tuple(metrics["scores"]))[0]
    definitions = metrics.get("definitions")
    defined = definitions.get(main) if isinstance(definitions, dict) else None
    return f"{defined} {metrics.get('views')}"


def _names(found: Sequence[tuple[Run, dict[str, Any]]]) -> list[str]:
    """The fields; where one occurs twice, with what tells its runs apart: their folders' names."""
    fields = [str(metrics.get("field") or "-") for _, metrics in found]
    several = Counter(fields)
    folders = Counter(run.folder.name for run, _ in found)
    names = []
    for field, (run, _) in zip(fields, found, strict=True):
        own = run.folder.name if folders[run.folder.name] == 1 else str(run.folder)
        names.append(field if several[field] == 1 else f"{field} ({own})")
    return names
