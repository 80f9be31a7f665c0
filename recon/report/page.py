"""One page about one run: `report.html`, which needs no network, no script and no other file, and shows what is there."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from recon.report.curves import Curve, chart
from recon.report.html import NOTHING, Html, details, join, listing, note, section, table, tag, text
from recon.report.numbers import MISSING, duration, number, plain, readable, size
from recon.report.pictures import CAPTIONS, embed, gallery
from recon.report.record import Record, mapping, read_record, sequence
from recon.training.files import atomic_write_text
from recon.training.run import Run

NAME = "report.html"
LARGEST = 10_000_000
"""Bytes of the largest page."""
HEADLINES = ("iou", "trimap_iou_0.001", "chamfer_l1")
"""Scores of the first line; the first three of whatever there are where a run has none of these."""
ERROR = "_standard_error"
TASKS = {"sdf": "signed distance", "occ": "occupancy"}
WORDS = {"iou": "IoU", "trimap": "Trimap", "l1": "L1", "l2": "L2", "f": "F", "psnr": "PSNR", "ssim": "SSIM"}
BETTER = {"chamfer": "↓", "hausdorff": "↓", "lpips": "↓", "iou": "↑", "trimap": "↑", "f": "↑", "normal": "↑"}
"""By the first word of a score's name: whether larger or smaller is better."""
STAGES = {
    "reading": "Reading and checking the shape",
    "building": "Building the field",
    "samples": "Samples with exact distances",
    "pretraining": "Pretraining (also where a cache served it)",
    "pretraining_now": "Pretraining in this run",
    "training": "Training, with its start and its checkpoints",
    "extraction": "Extracting the surface",
    "export": "Writing the mesh",
    "pictures": "Drawing pictures",
    "truth": "Truth to score against",
    "scores": "Scoring",
}
CONTENTS = {
    "mesh.ply": "the surface, in the coordinates of the input",
    "metrics.json": "scores and what they mean",
    "config.json": "settings and versions",
    "log.jsonl": "losses, rate, speed and memory, a row every few steps",
    "reference.safetensors": "the true shape, to evaluate without the data",
    "checkpoint": "weights and the optimiser's state, to go on or to evaluate",
    "images": "the pictures of this page",
    "tb": "TensorBoard's events",
}


def write_report(run: Run) -> Path:
    """Writes the page of a run into its folder and returns its path. Only a folder that can't be written is an error."""
    path = run.folder / NAME
    atomic_write_text(path, render(read_record(run)))
    return path


def render(record: Record, largest: int = LARGEST) -> str:
    """The page, of at most about `largest` bytes: pictures take what the rest leaves."""
    before = [header(record), warnings(record)]
    after = [scores(record), curves(record), costs(record), surface(record), doctor(record)]
    after += [settings(record), versions(record), files(record)]
    rest = len(_document(record, [*before, *after]).encode("utf-8"))
    shown, notes = pictures(record, largest - rest - 10_000)
    return _document(record, [*before, shown, *after, missing([*notes, *record.notes])])


def _document(record: Record, parts: Sequence[Html]) -> str:
    """A whole page. The policy makes the browser itself refuse every script and every request."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    style = package_files("recon.report").joinpath("page.css").read_text("utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", text(f"{_name(record)} · {plain(record.about('field'))}", 200)),
        tag("style", Html(style)),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', tag('main', *parts)), lang='en')}\n"


# -- what comes first -------------------------------------------------------------------------------------------------


def header(record: Record) -> Html:
    """Name, what was done to it and with what, and the scores that matter in one line."""
    task, field = record.about("task"), record.about("field")
    preset = record.about("preset") or mapping(record.config.get("settings")).get("preset")
    facts = [TASKS.get(str(task), task), field, preset and f"preset {preset}", record.config.get("created")]
    if record.about("protocol") == "paper":
        facts.insert(3, "scored by the paper's protocol")
    state = _status(record)
    return tag(
        "header",
        tag("h1", text(_name(record), 200), tag("em", text(state, 100)) if state != "done" else NOTHING),
        tag("p", text(" · ".join(str(fact) for fact in facts if fact)), class_="facts"),
        _summary(record),
    )


def _summary(record: Record) -> Html:
    found = mapping(record.metrics.get("scores"))
    names = [name for name in HEADLINES if name in found] or [name for name in found if ERROR not in name][:3]
    parts = [join([text(score_name(name)), tag("b", text(readable(found[name])))], " ") for name in names]
    metrics = record.metrics
    if number(metrics.get("params")) is not None:
        parts.append(text(f"{readable(metrics['params'])} parameters"))
    if number(metrics.get("steps")) is not None:
        took = f" in {duration(metrics['seconds'])}" if number(metrics.get("seconds")) is not None else ""
        parts.append(text(f"{readable(metrics['steps'])} steps{took}"))
    return tag("p", *(tag("span", part) for part in parts), class_="summary") if parts else NOTHING


def warnings(record: Record) -> Html:
    """What a reader should know before trusting the rest."""
    lines = [text(line, 500) for line in sequence(record.metrics.get("warnings"))]
    return tag("aside", tag("h2", text("Warnings" if len(lines) > 1 else "Warning")), listing(lines)) if lines else NOTHING


def pictures(record: Record, budget: int) -> tuple[Html, list[str]]:
    """The pictures within a budget of characters, and notes on those that are not shown."""
    captions = CAPTIONS
    if record.about("task") == "occ":
        cut = "Cuts through the middle: above what the field has learned, below the truth, both as solids; inside is blue."
        captions = {**CAPTIONS, "slices": cut}
    images = mapping(mapping(record.metrics.get("files")).get("images"))
    shown, notes = embed(record.folder, images, budget)
    return gallery(shown, captions), notes


# -- numbers ----------------------------------------------------------------------------------------------------------


def scores(record: Record) -> Html:
    """Every score with its standard error; its name opens to say what it means."""
    found, meanings = mapping(record.metrics.get("scores")), mapping(record.metrics.get("definitions"))
    rows = []
    for name, value in found.items():
        if name.endswith(ERROR) and name.removesuffix(ERROR) in found:
            continue
        meaning, reason = _split_reason(str(meanings.get(name, "")))
        label = tag("span", text(score_name(name)), tag("small", text(f" {BETTER.get(name.split('_')[0], '')}")))
        first = details(label, tag("p", text(meaning)), tag("p", tag("code", text(name)))) if meaning else label
        missing_value = Html(f"{MISSING} {tag('small', text(reason))}") if reason else text(MISSING)
        error = found.get(name + ERROR)
        rows.append(
            [
                first,
                text(readable(value)) if number(value) is not None else missing_value,
                text(f"± {readable(error, 2)}") if number(error) is not None else NOTHING,
            ]
        )
    about = "Open a name to read what it measures. ↑ more is better, ↓ less is better; ± one standard error."
    return section("Scores", note(about), table(rows, ["score", "value", "error"], "numbers")) if rows else NOTHING


def curves(record: Record) -> Html:
    """Loss, learning rate, speed, and what else was measured, over the steps."""
    rows = [row for row in record.log if number(row.get("step")) is not None and "event" not in row]
    marks = _stage_starts(rows)
    names = _keys(rows, "losses")
    losses = [_curve("total" if len(names) > 1 else "", rows, "loss")]
    losses += [_curve(name, rows, "losses", name) for name in names[:3]] if len(names) > 1 else []
    charts = [
        chart("Loss", losses, log=True, marks=marks),
        chart("Learning rate", [_curve("", rows, "rate")], marks=marks),
        chart("Speed", [_curve("", rows, "points_per_second")], unit="points per second", marks=marks),
    ]
    measures = _keys(rows, "measures")
    for stem in dict.fromkeys(name.rpartition("_")[0] or name for name in measures):
        group = [name for name in measures if (name.rpartition("_")[0] or name) == stem][:4]
        lines = [_curve(name.removeprefix(stem).strip("_") or name, rows, "measures", name) for name in group]
        balance = stem == "expert_share"
        charts.append(
            chart(
                "Expert balance" if balance else stem.replace("_", " ").capitalize(),
                lines,
                unit="share of the busiest and of the idlest" if balance else "",
                marks=marks,
            )
        )
    drawn = [found for found in charts[:12] if found]
    about = "Over optimiser steps." + (" Dashed lines: a new stage begins." if marks else "")
    return section("Training", note(about), tag("div", *drawn, class_="charts")) if drawn else NOTHING


def costs(record: Record) -> Html:
    """Where time went, and how much memory it took."""
    spent = {str(k): n for k, v in mapping(record.metrics.get("timings")).items() if (n := number(v)) is not None}
    # A cached pretraining is told as what it once took, and this run did not wait for it.
    lapped = [name for name in spent if name != "pretraining"]
    total = sum(max(0.0, min(float(spent[name]), 1e12)) for name in lapped)
    rows = [
        [text(STAGES.get(name, name)), text(duration(taken)), _bar(float(taken) / total if total and name in lapped else 0)]
        for name, taken in spent.items()
    ]
    if rows:
        rows.append([tag("b", text("All of this run")), tag("b", text(duration(total))), NOTHING])
    peaks = [n for row in record.log if (n := number(row.get("peak_memory"))) is not None]
    facts = [("Most memory while training", size(max(peaks)))] if peaks else []
    facts += [("Multiply-accumulates per point", readable(record.metrics.get("macs")))] if record.metrics.get("macs") else []
    facts += [("Machine", record.metrics["device"])] if record.metrics.get("device") else []
    return section("Time and memory", table(rows, ["stage", "time", ""], "numbers"), _facts(facts))


def _bar(share: float) -> Html:
    share = min(max(share, 0.0), 1.0)
    return tag("span", class_="bar", style=f"width:{100 * share:.1f}%", title=f"{share:.0%}") if share else NOTHING


# -- the shape --------------------------------------------------------------------------------------------------------


def surface(record: Record) -> Html:
    """What the exported mesh is, and how it was found."""
    about = mapping(record.metrics.get("surface"))
    names = ("vertices", "faces", "components", "watertight", "euler", "area", "volume")
    facts = [(n.capitalize(), readable(about[n]) if number(about[n]) else plain(about[n])) for n in names if n in about]
    if (count := number(about.get("evaluations"))) is not None:
        facts.append(("Evaluations of the field", readable(count) + _share_of_dense(count, record.metrics.get("resolution"))))
    if "complete" in about:
        facts.append(("Complete", "yes, proven" if about["complete"] is True else "not proven"))
    parts = [note("Areas and volumes in the units of the input.") if facts else NOTHING, _facts(facts)]
    if about.get("note"):
        parts.append(note(f"{about['note']}."))
    return section("Surface", *parts)


def _share_of_dense(count: float, resolution: object) -> str:
    side = number(resolution)
    if side is None or not 1 < side < 100_000 or not 0 < count < 0.9 * side**3:
        return ""
    return f" ({count / side**3:.1%} of a dense grid of {side}³)"


def doctor(record: Record) -> Html:
    """What the mesh doctor found about the input."""
    found = listing([text(line, 500) for line in record.doctor])
    source = note(f"From {record.source}.") if record.source else NOTHING
    about = note("The shape as it was learned, scaled to fit [-1, 1]³; lengths in these units.") if record.doctor else NOTHING
    return section("Input", source, about, found)


# -- how it was made --------------------------------------------------------------------------------------------------


def settings(record: Record) -> Html:
    """Every setting, folded away."""
    rows = [
        [tag("span", text(name, 200), class_=f"d{depth}"), text(value, 300)]
        for depth, name, value in nested(mapping(record.config.get("settings")))
    ]
    return section("Settings", details(text(f"{len(rows):,} lines from config.json"), table(rows))) if rows else NOTHING


def nested(values: dict[str, Any], depth: int = 0) -> list[tuple[int, str, str]]:
    """Nested settings as lines: depth, name and value; a group has a line of its own, without a value."""
    lines: list[tuple[int, str, str]] = []
    for name, value in values.items():
        if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
            value = {str(position): item for position, item in enumerate(value)}
        if isinstance(value, dict) and value and depth < 5:
            lines += [(depth, name, ""), *nested(value, depth + 1)]
        else:
            lines.append((depth, name, "…" if isinstance(value, dict) and value else plain(value or None) if value == {} else plain(value)))
    return lines


def versions(record: Record) -> Html:
    """What the run was made with."""
    return section("Versions", _facts([(name, plain(v)) for name, v in mapping(record.config.get("versions")).items()]))


def files(record: Record) -> Html:
    """What lies beside this page, with links that work where the folder is."""
    rows = []
    for path in sorted(record.folder.iterdir()) if record.folder.is_dir() else []:
        if path.name == NAME or path.name.startswith("."):
            continue
        name = path.name + "/" * path.is_dir()
        link = tag("a", text(name, 200), href=f"./{quote(name)}")
        rows.append([link, text(size(_bytes(path))), text(CONTENTS.get(path.name, ""))])
    return section("Files", note("In the run folder, beside this page."), table(rows)) if rows else NOTHING


def missing(notes: Sequence[str]) -> Html:
    """What this page leaves out."""
    return section("Left out", listing([text(line, 500) for line in notes])) if notes else NOTHING
