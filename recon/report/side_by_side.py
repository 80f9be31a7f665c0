"""Pictures of several runs side by side: what each drew, and the same held-out views of a scene."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from recon.report.html import NOTHING, Html, note, section, tag, text
from recon.report.lineup import ABOUT, SMALL, framed, name_of, truths
from recon.report.pictures import ORDER, Picture, embed
from recon.report.record import Record, mapping
from recon.report.scene import View, read_views
from recon.report.tasks import task_of

WORST, BEST = 2, 1
Shown = Mapping[str, Mapping[str, Picture]]
"""Pictures by the names of their runs, and their own."""


def embedded(records: Mapping[str, Record], budget: int) -> tuple[dict[str, dict[str, Picture]], list[str]]:
    """Everything that the page shows pictures of, in at most `budget` characters; and notes on what is missing."""
    shown: dict[str, dict[str, Picture]] = {}
    notes: list[str] = []
    files = chosen_files(records)
    for place, (name, record) in enumerate(records.items()):
        index = {view.file: view.index for view in read_views(record)}
        found = _own(record, [index[file] for file in files if file in index])
        if place == 0 and files:
            truth, missing = truths(record, [index[file] for file in files])
            found |= truth
            notes += missing
        pictures, missing = embed(record.folder, found, budget // (len(records) - place))
        shown[name] = {picture.name: picture for picture in pictures}
        budget -= sum(len(picture.uri) for picture in pictures)
        notes += [f"{name}: {line}" for line in missing]
    return shown, notes


def _own(record: Record, views: Sequence[int]) -> dict[str, object]:
    """Sheets that a run drew, but not the one of its own choice of views; and the views that all runs show."""
    drawn = mapping(mapping(record.metrics.get("files")).get("images"))
    skipped = {"views"} if record.about("task") == "nerf" else set()
    found: dict[str, object] = {name: drawn[name] for name in ORDER if name in drawn and name not in skipped}
    for index in views:
        for kind, end in (("render", ""), ("error", "_error")):
            found[name_of(index, kind)] = f"images/test_{index:03d}{end}.png"
    return found


def chosen_files(records: Mapping[str, Record]) -> list[str]:
    """Views that all runs have scored: the worst and the best by the mean of their PSNR."""
    by_run = [{view.file: view.scores["psnr"] for view in read_views(record)} for record in records.values()]
    shared = set.intersection(*map(set, by_run)) if by_run else set()
    order = sorted(shared, key=lambda file: (statistics.fmean(found[file] for found in by_run), file))
    return [*order[:WORST], *order[max(WORST, len(order) - BEST) :]]


def lineups(records: Mapping[str, Record], shown: Shown) -> Html:
    """Each chosen view: the truth once, and below each other the render and the error of each run."""
    files, parts = chosen_files(records), []
    by_run = {name: {view.file: view for view in read_views(record)} for name, record in records.items()}
    for place, file in enumerate(files):
        first = next(iter(by_run))
        truth = framed(shown[first].get(name_of(by_run[first][file].index, "truth")), "truth")
        pairs = [_pair(name, by_run[name][file], shown[name]) for name in records]
        words = "Best: " if place >= WORST else "Worst: " if place == 0 else ""
        if any(pairs):
            parts += [tag("h3", text(f"{words}{file}", 200)), tag("div", truth, *pairs, class_="runs many")]
    about = f"Views by the mean PSNR of all runs; below each render its error. {ABOUT}"
    return section("Worst and best views", *parts, note(about)) if parts else NOTHING


def _pair(name: str, view: View, pictures: Mapping[str, Picture]) -> Html:
    words = f"{name}, {view.scores['psnr']:.2f}\u00a0dB"
    both = [pictures[key] for kind in ("render", "error") if (key := name_of(view.index, kind)) in pictures]
    images = [
        tag("img", src=p.uri, alt=f"{words}, {kind}", width=p.width, height=p.height, class_=_class(p))
        for kind, p in zip(("render", "error"), both, strict=False)
    ]
    return (
        tag("figure", tag("div", *images, class_="paper"), tag("figcaption", text(words, 200))) if images else NOTHING
    )


def _class(picture: Picture) -> str | None:
    return "pixels" if max(picture.width, picture.height) <= SMALL else None


def sheets(records: Mapping[str, Record], shown: Shown) -> Html:
    """What runs drew of their results, sheet by sheet."""
    parts = []
    for sheet in ORDER:
        figures = [framed(shown[name].get(sheet), name) for name in records]
        if any(figures):
            captions = task_of(next(iter(records.values())).about("task")).captions
            head = tag("h3", text(sheet.capitalize()))
            parts += [head, note(captions.get(sheet, "")), tag("div", *figures, class_="runs")]
    return section("Pictures", *parts)
