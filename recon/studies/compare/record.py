"""What a comparison leaves in its folder: `compare.json`, `compare.md` and `compare.png`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recon.files import atomic_write_json, atomic_write_text
from recon.studies.compare.arena import Failed, Finished
from recon.studies.compare.contest import Contest, late
from recon.studies.compare.plots import plot_curves
from recon.studies.compare.results import Row, as_json, as_markdown, cells, ranked, row
from recon.training import places as folders
from recon.training.places import renders
from recon.training.run import Run

JSON, MARKDOWN, PICTURE = "compare.json", "compare.md", "compare.png"
FILES = {"json": JSON, "markdown": MARKDOWN, "plot": PICTURE}


def new_folder(parts: Sequence[str], out: Path | None) -> Path:
    """`out`, which must be new or empty, or a fresh folder `renders/compare/.../<time>/`."""
    if out is not None:
        return folders.claim(out.absolute())
    return folders.fresh_folder(renders() / folders.folder_path("compare", *parts))


def write_contest(
    contest: Contest, finished: Sequence[Finished], failed: Sequence[Failed], folder: Path, device: str
) -> tuple[dict[str, Any], list[Row]]:
    """Writes table, figures and plot of the runs that came to their end; returns what the JSON file holds, and rows."""
    by_field: dict[str, list[Finished]] = {}
    for done in finished:
        by_field.setdefault(done.metrics["field"], []).append(done)
    rows = ranked([row(name, [done.metrics for done in group]) for name, group in by_field.items()])
    about = contest.about() | {"device": device}
    notes = [*contest.notes, *late(contest, finished), *(f"{one.folder.name} failed: {one.reason}" for one in failed)]
    if missing := len(contest.entries) * contest.seeds - len(finished) - len(failed):
        notes.append(f"{missing} of {len(contest.entries) * contest.seeds} runs are missing")
    definitions = {name: text for done in finished[:1] for name, text in done.metrics["definitions"].items()}
    result = {
        "study": "compare",
        **about,
        "rows": as_json(rows),
        "runs": [_about_run(done, folder) for done in finished],
        "definitions": {name: definitions[name] for one in rows[:1] for name in one.scores if name in definitions},
        "notes": notes,
        "folder": str(folder),
        "files": FILES,
    }
    curves = {name: [done.looks for done in group] for name, group in by_field.items()}
    title = f"{about['task']} of {about['data']}, {_budget_text(contest)}"
    plot_curves(folder / PICTURE, curves, title, about["looked"])
    atomic_write_text(folder / MARKDOWN, _markdown(title, rows, result))
    atomic_write_json(folder / JSON, result)
    return result, rows


def write_finished(
    rows: Sequence[Row], table: list[list[str]], about: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """The same for runs that were made elsewhere, whose plot is there already."""
    result = {"study": "compare", **about, "rows": as_json(rows), "folder": str(folder)}
    lines = ["# Finished runs", "", as_markdown(table), "", *(f"- {note}" for note in about["notes"])]
    if (folder / PICTURE).is_file():
        lines += ["", f"![final score against seconds and parameters]({PICTURE})"]
    atomic_write_text(folder / MARKDOWN, "\n".join(lines) + "\n")
    atomic_write_json(folder / JSON, result)
    return result


def _about_run(done: Finished, folder: Path) -> dict[str, Any]:
    metrics = done.metrics
    kept = {key: metrics.get(key) for key in ("field", "status", "params", "macs", "steps", "seconds", "scores")}
    seed = Run(done.run.folder).read_config()["settings"]["train"]["seed"]
    curve = [asdict(look) for look in done.looks]
    return {**kept, "seed": seed, "run": str(done.run.folder.relative_to(folder)), "curve": curve}


def _budget_text(contest: Contest) -> str:
    kind, amount = contest.budget.kind, contest.budget.amount
    words = {"params": "parameters", "macs": "MACs", "seconds": "s of training", "steps": "steps"}
    return f"{amount:,.0f} {words[kind]} each, preset {contest.arena.preset}"


def _markdown(title: str, rows: Sequence[Row], result: Mapping[str, Any]) -> str:
    seeds = len(result["seeds"])
    spread = f"mean ± standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
    facts = f"{spread}; {result['batch']:,} points or rays a step for all; on {result['device']}"
    lines = [f"# {title}", "", facts, "", as_markdown(cells(rows)), ""]
    lines += [f"- {note}" for note in result["notes"]]
    lines += [f"- **{name}**: {text}" for name, text in result["definitions"].items()]
    return "\n".join([*lines, "", f"![{result['looked']} against training time]({PICTURE})"]) + "\n"
