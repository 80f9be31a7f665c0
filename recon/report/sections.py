"""The tables and lists of the page: from a record to a fragment, which is empty where nothing is known."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from recon.report.html import NOTHING, Html, details, join, listing, note, quantity, section, table, tag, text
from recon.report.numbers import MISSING, duration, number, percent, plain, readable, size
from recon.report.record import Record, mapping, sequence
from recon.report.tasks import task_of

NAME = "report.html"
ERROR = "_standard_error"
WORDS = {
    "iou": "IoU",
    "l1": "L1",
    "l2": "L2",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "lpips": "LPIPS",
    "mse": "MSE",
    "snr": "SNR",
}
BETTER = {
    **{"iou": "↑", "trimap": "↑", "f": "↑", "normal": "↑", "chamfer": "↓", "hausdorff": "↓"},
    **{"psnr": "↑", "ssim": "↑", "lpips": "↓", "mse": "↓", "snr": "↑"},
}
"""By the first word of a score's name: whether more or less is better."""
DEEPEST = 5
"""Levels of nested settings that are shown."""
SURFACE = ("vertices", "faces", "components", "watertight", "euler", "area", "volume")

# -- scores -----------------------------------------------------------------------------------------------------------


def scores(record: Record) -> Html:
    """Every score with its standard error; its name opens to say what it means."""
    found, meanings = mapping(record.metrics.get("scores")), mapping(record.metrics.get("definitions"))
    rows = [
        _score(name, value, found.get(name + ERROR), str(meanings.get(name, "")))
        for name, value in found.items()
        if not (name.endswith(ERROR) and name.removesuffix(ERROR) in found)
    ]
    about = "Open a name to read what it measures. ↑ more is better, ↓ less is better"
    about += "; ± is one standard error." if any(name.endswith(ERROR) for name in found) else "."
    return section("Scores", note(about), table(rows, ("score", "value", ""), "numbers")) if rows else NOTHING


def bands(record: Record) -> Html:
    """How wrong a solid is near its surface and far from it."""
    told = mapping(record.metrics.get("bands"))
    lines = [_band(mapping(row)) for row in sequence(told.get("rows"))]
    meaning, _, reason = str(told.get("definition", "")).partition("NULL:")
    shown = table(lines, ("distance", "points", "wrong side", "mean |error|", "bias"), "bands", sorted_by=0)
    return (
        section("By distance from the surface", shown, note(f"{meaning.strip()} {reason.strip()}".strip()))
        if lines
        else NOTHING
    )


def _band(row: dict[str, Any]) -> list[Html]:
    low, high = number(row.get("from")), number(row.get("to"))
    name = f"{plain(low)} to {plain(high)}" if high is not None else f"more than {plain(low)}"
    wrong, *lengths = (number(row.get(key)) for key in ("wrong", "error", "bias"))
    cells = [quantity(count := number(row.get("points")), readable(count)), quantity(wrong, percent(wrong))]
    return [quantity(low, name), *cells, *(quantity(value, readable(value, 3)) for value in lengths)]


def score_name(name: str) -> str:
    """A score's name for people: trimap_iou_0.01 is Trimap IoU 0.01."""
    words = " ".join(WORDS.get(word, word) for word in name.split("_"))
    return words[:1].upper() + words[1:]


def _score(name: str, value: object, error: object, meaning: str) -> list[Html]:
    meaning, _, reason = meaning.partition("NULL:")
    arrow = tag("small", text(BETTER.get(name.partition("_")[0], "")))
    label = join([text(score_name(name), 100), arrow], "\u00a0")
    if meaning:
        label = details(label, tag("p", text(meaning.strip())), tag("p", tag("code", text(name, 100))))
    if number(value) is None:
        return [label, text(MISSING), text(reason.strip() or "not known", 300)]
    spread = tag("span", text(f"± {readable(error, 2)}"), class_="error") if number(error) is not None else NOTHING
    return [label, text(readable(value)), join([text("dB" if name == "psnr" else ""), spread])]


# -- cost and result --------------------------------------------------------------------------------------------------


def costs(record: Record) -> Html:
    """Where time went, and how much memory it took."""
    laps = task_of(record.about("task")).laps
    spent = {
        name: float(n) for name, v in mapping(record.metrics.get("timings")).items() if (n := _seconds(v)) is not None
    }
    # A pretraining from the cache is told as what it once took; this run did not wait for it.
    total = sum(taken for name, taken in spent.items() if name != "pretraining")
    rows = [
        [
            text(laps.get(name, name), 100),
            text(duration(taken)),
            bar(taken / total if total and name != "pretraining" else 0.0),
        ]
        for name, taken in spent.items()
    ]
    if rows:
        rows.append([tag("b", text("this run in all")), tag("b", text(duration(total))), NOTHING])
    peak = peak_memory(record)
    facts: list[tuple[str, object]] = [("most memory while training", size(peak))] if peak is not None else []
    sizes = mapping(record.metrics.get("bytes"))
    facts += [(f"bytes of the {name}", readable(n)) for name, n in sizes.items() if number(n) is not None]
    if record.metrics.get("macs") is not None:
        facts.append(("multiply-accumulates per point", readable(record.metrics["macs"])))
    if record.metrics.get("device"):
        facts.append(("machine", record.metrics["device"]))
    return section("Time and memory", table(rows, ("stage", "time", ""), "numbers costs"), facts_table(facts))


def peak_memory(record: Record) -> float | int | None:
    """Bytes, of training alone."""
    return max((n for row in record.log if (n := number(row.get("peak_memory"))) is not None), default=None)


def doctor(record: Record) -> Html:
    """What the mesh doctor found about the input."""
    about = "Lengths, areas and volumes of the shape as it was learned, scaled to fit [-1, 1]³."
    source = note(f"Source: {record.source}") if record.source else NOTHING
    findings = listing([text(line, 500) for line in record.doctor])
    return section("Input", source, findings, note(about) if findings else NOTHING)


def surface(record: Record) -> Html:
    """What the exported mesh is, and how it was found."""
    about = mapping(record.metrics.get("surface"))
    facts: list[tuple[str, object]] = [(name, _fact(about[name])) for name in SURFACE if name in about]
    if (count := number(about.get("evaluations"))) is not None:
        share = _share_of_dense(count, record.metrics.get("resolution"))
        facts.append(("evaluations of the field", f"{readable(count)}{share}"))
    if "complete" in about:
        facts.append(("complete", "yes, proven" if about["complete"] is True else "not proven"))
    notes = [note(f"{str(about['note']).rstrip('.')}.")] if about.get("note") else []
    units = [note("Area and volume of the exported mesh, in the units of the input.")] if facts else []
    return section("Surface", facts_table(facts), *notes, *units)


def _seconds(value: object) -> float | None:
    found = number(value)
    return float(found) if found is not None and 0 <= found < 1e12 else None


def bar(share: float) -> Html:
    """A share of something, for the eye."""
    return tag("span", class_="bar", style=f"width:{100 * share:.1f}%", title=f"{share:.0%}") if share else NOTHING


def _share_of_dense(count: float | int, resolution: object) -> str:
    side = number(resolution)
    if side is None or not 1 < side < 100_000 or not 0 < count < 0.9 * side**3:
        return ""
    return f" ({count / side**3:.1%} of a dense grid of {side}³)"


# -- how it was made --------------------------------------------------------------------------------------------------


def settings(record: Record) -> Html:
    """Every setting, folded away."""
    rows = [
        [tag("span", text(name, 100), class_=f"depth{depth}"), text(value, 300)]
        for depth, name, value in nested(mapping(record.config.get("settings")))
    ]
    return section("Settings", details(text("all settings of this run"), table(rows))) if rows else NOTHING


def nested(values: dict[str, Any], depth: int = 0) -> list[tuple[int, str, str]]:
    """Nested settings as lines of depth, name and value; a group is a line without a value."""
    lines: list[tuple[int, str, str]] = []
    for name, value in values.items():
        group = _group(value)
        if group and depth < DEEPEST:
            lines += [(depth, name, ""), *nested(group, depth + 1)]
        else:
            lines.append((depth, name, "…" if group else plain(value)))
    return lines


def _group(value: object) -> dict[str, Any]:
    """What has names of its own: an object, or a list of objects by their positions."""
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return {str(position): item for position, item in enumerate(value)}
    return mapping(value)


def versions(record: Record) -> Html:
    """What the run was made with."""
    return section("Versions", facts_table(list(mapping(record.config.get("versions")).items())))


def files(record: Record) -> Html:
    """What lies beside this page, with links that work where the folder is."""
    rows, contents = [], task_of(record.about("task")).contents
    for path in sorted(record.folder.iterdir()) if record.folder.is_dir() else []:
        if path.name != NAME and not path.name.startswith("."):
            name = path.name + "/" * path.is_dir()
            link = tag("a", text(name, 200), href=f"{record.link}/{quote(name, errors='replace')}")
            rows.append([link, text(size(bytes_of(path))), text(contents.get(path.name, ""))])
    where = note("Links work where this page and the run folder are.")
    return section("Files", table(rows, class_="files"), where if rows else NOTHING)


def bytes_of(path: Path) -> int:
    """Size of a file, or of the files in a folder; links are not followed."""
    total = 0
    for part in [path, *path.rglob("*")] if path.is_dir() and not path.is_symlink() else [path]:
        with contextlib.suppress(OSError):  # a run that is still at work replaces its checkpoints
            total += part.lstat().st_size if not part.is_dir() else 0
    return total


def facts_table(facts: Sequence[tuple[str, object]]) -> Html:
    """Names and values."""
    return table([[text(name, 100), text(_fact(value), 500)] for name, value in facts], class_="facts")


def _fact(value: object) -> str:
    return readable(value) if isinstance(value, float) else plain(value)
