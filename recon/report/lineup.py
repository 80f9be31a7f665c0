"""Best and worst held-out views of a scene, side by side: the truth, what a field renders there, and the error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image

from recon.report.html import NOTHING, Html, note, section, tag, text
from recon.report.pictures import Picture
from recon.report.record import Record, mapping
from recon.report.scene import View, read_views
from recon.tasks.nerf.reference import NAME, read_truths

WORST, BEST = 3, 2
SMALL = 240
"""Pixels up to which pictures are shown with their pixels as squares."""
ABOUT = "The error is black where there is none, pale yellow at a quarter of full brightness or more."


def sources(record: Record) -> tuple[dict[str, object], list[str]]:
    """The pictures of the chosen views by name, as `pictures.embed` takes them; and notes about what is missing."""
    found: dict[str, object] = {}
    shown = chosen(read_views(record))
    for view in shown:
        for kind, end in (("render", ""), ("error", "_error")):
            file = f"images/test_{view.index:03d}{end}.png"
            if (record.folder / file).is_file():
                found[name_of(view.index, kind)] = file
    truth, notes = truths(record, [view.index for view in shown])
    return found | truth, notes


def truths(record: Record, wanted: Sequence[int]) -> tuple[dict[str, object], list[str]]:
    """What the held-out cameras saw, on the background that the run is scored on."""
    if not wanted or not (record.folder / NAME).is_file():
        return {}, []
    grey = 0.0 if mapping(record.config.get("settings")).get("background") == "black" else 1.0
    try:
        found = read_truths(record.folder, wanted, grey)
    except ValueError as error:
        return {}, [str(error)]
    return {name_of(index, "truth"): Image.fromarray(pixels) for index, pixels in found.items()}, []


def lineup(record: Record, pictures: Mapping[str, Picture]) -> Html:
    """The chosen views, the worst first; those without a render are left out."""
    views = read_views(record)
    rows = []
    for view in chosen(views):
        if name_of(view.index, "render") in pictures:
            place = "Best" if view is views[-1] and len(views) > 1 else "Worst" if view is views[0] else ""
            head = tag("h3", text(f"{place}: {view.file}" if place else view.file, 200))
            score = f"{view.scores['psnr']:.2f}\u00a0dB"
            trio = [
                framed(pictures.get(name_of(view.index, kind)), f"{kind}{f', {score}' if kind == 'render' else ''}")
                for kind in ("truth", "render", "error")
            ]
            rows.append(tag("div", head, tag("div", *trio, class_="trio"), class_="lineup"))
    return section("Worst and best views", *rows, note(ABOUT)) if rows else NOTHING


def framed(picture: Picture | None, words: str) -> Html:
    """One picture with a few words below it."""
    if picture is None:
        return NOTHING
    class_ = "pixels" if max(picture.width, picture.height) <= SMALL else None
    image = tag("img", src=picture.uri, alt=words, width=picture.width, height=picture.height, class_=class_)
    return tag("figure", tag("div", image, class_="paper"), tag("figcaption", text(words, 200)))


def chosen(views: Sequence[View]) -> list[View]:
    """The worst and the best of views in order."""
    return [*views[:WORST], *views[max(WORST, len(views) - BEST) :]]


def name_of(index: int, kind: str) -> str:
    """What a picture of a view is called among those of the page."""
    return f"view {index:06d} {kind}"
