"""Tables with a column for each of several runs: scores with the best marked, costs, settings that differ."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recon.report.comparable import Score, scores
from recon.report.html import NOTHING, Html, details, join, note, section, table, tag, text
from recon.report.numbers import MISSING, duration, number, percent, plain, readable, size
from recon.report.record import Record, mapping, sequence
from recon.report.scene import read_views, score_cell
from recon.report.sections import BETTER, NAME, bytes_of, nested, peak_memory, score_name

Runs = Mapping[str, Record]
"""By their names on the page."""


def heads(records: Runs) -> Html:
    """Which runs these are, with links to their own pages."""
    rows = []
    for name, record in records.items():
        page = record.folder / NAME
        shown = text(name, 100)
        link = tag("a", shown, href=f"{record.link}/{NAME}") if page.is_file() else shown
        facts = [record.about("task"), record.about("data"), record.about("field"), record.about("preset")]
        made = str(record.config.get("created", "")).replace("T", " ")
        steps = record.metrics.get("steps")
        facts += [f"{readable(steps)} steps" if number(steps) is not None else "", made]
        about = text(" · ".join(str(fact) for fact in facts if fact), 300)
        rows.append([link, join([about, tag("br"), tag("small", text(record.folder, 300))])])
    return section("Runs", table(rows, class_="named"))


def score_table(records: Runs) -> Html:
    """Every score, a run a column; the best is marked where all mean the same."""
    found = scores(records)
    rows = [[_label(score), *(_value(score, name) for name in records)] for score in found]
    about = "★ is the best of a score that all runs define alike; open a name to read what it measures."
    apart = "≠: the runs define this score differently, so it does not compare."
    notes = [note(about), *([note(apart)] if any(not score.one_meaning for score in found) else [])]
    return section("Scores", *notes, table(rows, ("score", *records), "versus")) if rows else NOTHING


def _label(score: Score) -> Html:
    arrow = tag("small", text(BETTER.get(score.name.partition("_")[0], "") if score.one_meaning else "≠"))
    label = join([text(score_name(score.name), 100), arrow], "\u00a0")
    if not score.meanings:
        return label
    if score.one_meaning:
        return details(label, tag("p", text(next(iter(score.meanings.values())))))
    return details(label, *(tag("p", text(f"{name}: {meaning}")) for name, meaning in score.meanings.items()))


def _value(score: Score, name: str) -> Html:
    shown = text(readable(score.values[name]) + "\u00a0dB" * (score.name == "psnr" and score.values[name] is not None))
    best = tag("small", text("\u00a0★"), title="best")
    return tag("span", shown, best, class_="best") if name in score.best else shown


def band_table(records: Runs) -> Html:
    """The share of each band of distance that lies on the wrong side."""
    columns = {name: sequence(mapping(record.metrics.get("bands")).get("rows")) for name, record in records.items()}
    edges = [[(mapping(row).get("from"), mapping(row).get("to")) for row in rows] for rows in columns.values()]
    if not edges or not edges[0] or any(other != edges[0] for other in edges):
        return NOTHING
    rows = []
    for at, (low, high) in enumerate(edges[0]):
        name = f"{plain(low)} to {plain(high)}" if high is not None else f"more than {plain(low)}"
        rows.append([text(name, 60), *(text(percent(mapping(found[at]).get("wrong"))) for found in columns.values())])
    about = note("Share of the volume at that distance from the surface that is on the wrong side.")
    return section("By distance from the surface", table(rows, ("distance", *records), "versus"), about)


def view_table(records: Runs) -> Html:
    """PSNR of every held-out view, run by run; the worst of the first run first."""
    by_run = {name: {view.file: view for view in read_views(record)} for name, record in records.items()}
    files = list(dict.fromkeys(file for found in by_run.values() for file in found))
    if not files:
        return NOTHING
    rows = [[text(file, 200), *(score_cell(found.get(file), "psnr") for found in by_run.values())] for file in files]
    return section("Held-out views", note("PSNR in dB."), table(rows, ("view", *records), "views", sorted_by=1))


# -- cost -------------------------------------------------------------------------------------------------------------


def cost_table(records: Runs) -> Html:
    """What each run took."""
    facts: dict[str, Callable[[Record], str]] = {
        "parameters": lambda record: readable(record.metrics.get("params")),
        "multiply-accumulates per point": lambda record: readable(record.metrics.get("macs")),
        "steps": lambda record: readable(record.metrics.get("steps")),
        "training": lambda record: duration(record.metrics.get("seconds")),
        "run in all": lambda record: duration(_total(record)),
        "most memory while training": lambda record: size(peak_memory(record)),
        "weights": lambda record: size(_weights(record)),
        "exported mesh": lambda record: size(_file(record, "mesh.ply")),
        "run folder": lambda record: size(bytes_of(record.folder)),
    }
    rows = [(name, [of(record) for record in records.values()]) for name, of in facts.items()]
    shown = [[text(name), *(text(cell, 200) for cell in cells)] for name, cells in rows if set(cells) != {MISSING}]
    machines = list(dict.fromkeys(plain(record.metrics.get("device")) for record in records.values()))
    same = note(f"All on {machines[0]}.") if len(machines) == 1 else NOTHING
    if len(machines) > 1:
        shown.append(
            [text("machine"), *(text(plain(record.metrics.get("device")), 300) for record in records.values())]
        )
    return section("Cost", table(shown, ("", *records), "versus"), same) if shown else NOTHING


def _total(record: Record) -> float | None:
    """Seconds of all stages but a pretraining that came from the cache."""
    laps = mapping(record.metrics.get("timings"))
    known = [found for name, lap in laps.items() if name != "pretraining" and (found := number(lap)) is not None]
    return sum(float(lap) for lap in known if abs(lap) < 1e12) if known else None


def _weights(record: Record) -> int | None:
    """Bytes of the newest weights."""
    found = sorted((record.folder / "checkpoint").glob("*/model.safetensors"))
    return bytes_of(found[-1]) if found else None


def _file(record: Record, name: str) -> int | None:
    with contextlib.suppress(OSError):
        return (record.folder / name).stat().st_size
    return None


# -- settings ---------------------------------------------------------------------------------------------------------


def settings_table(records: Runs) -> Html:
    """Settings and versions that are not the same in all runs."""
    columns = [_flat(mapping(record.config.get("settings"))) for record in records.values()]
    made = [mapping(record.config.get("versions")) for record in records.values()]
    columns = [
        {**own, **{f"{name} (version)": plain(v) for name, v in of.items()}}
        for own, of in zip(columns, made, strict=True)
    ]
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = [(name, [column.get(name, MISSING) for column in columns]) for name in names]
    apart = [
        [text(name.replace(".", ".\u200b"), 120), *(text(cell, 200) for cell in cells)]
        for name, cells in rows
        if len(set(cells)) > 1
    ]
    body = table(apart, ("setting", *records), "versus") if apart else note("All settings and versions are the same.")
    return section("Settings that differ", body)


def _flat(settings: dict[str, Any]) -> dict[str, str]:
    """Nested settings by dotted names."""
    flat: dict[str, str] = {}
    above: list[str] = []
    for depth, name, value in nested(settings):
        above = [*above[:depth], name]
        if value:
            flat[".".join(above)] = value
    return flat


def labels(records: Runs) -> Sequence[str]:
    """What the runs have learned, each once."""
    return list(dict.fromkeys(str(record.about("data") or record.folder.name) for record in records.values()))
