"""Pictures that a run rendered while it trained, `images/training/STEP.png`: truth on the left, the field's right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from recon.report.html import NOTHING, Html, note, section, tag, text
from recon.report.numbers import number
from recon.report.pictures import UNREADABLE, Picture, opened

T = TypeVar("T")
FOLDER = "images/training"
FRAMES = 6
"""Frames of the strip."""
MOST = 100
"""Pictures that are looked at."""
LARGEST = 1_000_000
"""Pixels of one of them."""


@dataclass(frozen=True)
class Glance:
    """One of the pictures, and how close its two halves are."""

    step: int
    file: str
    """Relative to the run folder."""
    psnr: float
    stage: str = ""
    """Of training; what learns may differ from one to another."""

    @property
    def name(self) -> str:
        """What it is called among the page's pictures; sorts by step."""
        return f"glance {self.step:015d}"


def glances(folder: Path, log: Sequence[Mapping[str, Any]], notes: list[str]) -> list[Glance]:
    """The pictures of a run by their steps, evenly thinned out; `notes` takes what can't be read."""
    stages = [(step, str(row["stage"])) for row in log if "stage" in row and (step := number(row.get("step")))]
    paths = {int(path.stem): path for path in folder.glob(f"{FOLDER}/*.png") if path.stem.isdecimal()}
    found = []
    for step in _evenly(sorted(paths), MOST):
        try:
            stage = next((name for until, name in stages if until >= step), "")
            found.append(Glance(step, f"{FOLDER}/{paths[step].name}", _psnr(paths[step]), stage))
        except UNREADABLE as error:
            notes.append(f"picture '{paths[step].name}' of the training is not shown: {error}")
    return found


def frames(found: Sequence[Glance]) -> list[Glance]:
    """Those on the strip: the first, the last, and others between them."""
    return _evenly(found, FRAMES)


def film(found: Sequence[Glance], pictures: Mapping[str, Picture]) -> Html:
    """The strip: renders alone, and at its end the whole last picture with the truth."""
    shown = [(glance, pictures[glance.name]) for glance in frames(found) if glance.name in pictures]
    if not shown:
        return NOTHING
    staged = len({glance.stage for glance, _ in shown}) > 1
    strip = [_frame(glance, picture, staged, glance is shown[-1][0]) for glance, picture in shown]
    about = note("A held-out view in small, as training went on; the truth is beside the last.")
    return section("While training", tag("div", *strip, class_="film"), about)


def _frame(glance: Glance, picture: Picture, staged: bool, last: bool) -> Html:
    stage = f" ({glance.stage[:40]})" if staged else ""
    words = f"{'Truth, and step' if last else 'Step'} {glance.step:,}{stage}: {glance.psnr:.1f} dB"
    ratio = picture.width / picture.height / (1 if last else 2)
    image = tag("img", src=picture.uri, alt=words, style=f"aspect-ratio:{ratio:.4f}")
    caption = tag("figcaption", text(words))
    return tag("figure", tag("div", image, class_="paper"), caption, class_="whole" if last else None)


def _psnr(path: Path) -> float:
    """PSNR of the right half against the left, of their 8 bits; 100 dB at most."""
    with opened(path) as image:
        if image.width < 2 or image.width * image.height > LARGEST:
            raise ValueError(f"{image.width} x {image.height} pixels are not two small pictures side by side")
        pixels = np.asarray(image.convert("RGB"), np.float64) / 255
    half = pixels.shape[1] // 2
    error = float(np.square(pixels[:, half : 2 * half] - pixels[:, :half]).mean())
    return -10 * math.log10(max(error, 1e-10))


def _evenly(items: Sequence[T], most: int) -> list[T]:
    """At most so many, the first and the last among them."""
    count = min(most, len(items))
    return [items[round(i * (len(items) - 1) / max(1, count - 1))] for i in range(count)]
