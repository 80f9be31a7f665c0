"""`recon render RUN`: a scene along a path of cameras, or a learned signal on another grid, from its folder alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from recon.commands.common import kind_of, nearest_of
from recon.commands.flags import read_flags
from recon.commands.machine import Machine
from recon.tasks.nerf.film import WHATS as OF_SCENES
from recon.tasks.signal.render import WHATS as OF_SIGNALS
from recon.training.run import Run

RENDERED: tuple[str, ...] = (*OF_SCENES, *OF_SIGNALS)
"""What --what takes. rgb is the values of a signal as well."""


@dataclass(frozen=True)
class Render(Machine):
    """Render a trained scene along a path: PNG files and a film (mp4) of each kind of picture. Or write a learned
    picture, sound or film once more in its own format, larger or smaller or at another rate; or its derivatives."""

    run: Annotated[str, tyro.conf.Positional] = "latest"
    """A run folder, a name under renders/, or latest."""
    path: Literal["test", "orbit", "spiral", "interpolate"] | None = None
    """test: the held-out views; orbit: once around; spiral: in front, for forward-facing scenes; interpolate: past the
    training cameras. Default orbit, or spiral where the scene is forward-facing (ndc)."""
    frames: int | None = None
    """Pictures along the path, default 120; test has one for each held-out view. Of a learned film, frames in the same
    time; default its own."""
    size: str | None = None
    """Pixels, WIDTHxHEIGHT; default that of the training views, or of the learned picture or film."""
    rate: int | None = None
    """Of a learned sound, samples a second; default its own."""
    what: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Scenes: rgb, depth, normal, opacity. Signals: values (or rgb); of pictures also gradient and laplacian, the
    field's own beside the truth's. One (default rgb), or several with commas between them."""
    fps: float = 30.0
    """Scenes: frames a second."""
    out: Path | None = None
    """Folder that takes render_PATH_WHAT/ and render_PATH_WHAT.mp4, or a signal's render_SIZE and render_WHAT_SIZE.png;
    default the run's."""


def main(name: str, argv: Sequence[str]) -> int:
    """Parse, and leave the rest to what the kind of run needs."""
    del name
    flags = read_flags(Render, argv, "recon render")
    names = _names(flags.what)
    run = Run.open(flags.run)
    kind = kind_of(run)
    # They take flags of the kind above.
    from recon.commands import render_scene, render_signal  # noqa: PLC0415

    if kind == "signal":
        return render_signal.render(names, flags, run)
    return render_scene.render(names, flags, run, kind)


def _names(given: Sequence[str]) -> list[str]:
    """What to render as people type it; ValueError with the nearest name for one that is none."""
    names = [name.strip().lower() for text in given for name in text.split(",")]
    for name in names:
        if name not in RENDERED:
            raise ValueError(f"--what {name} is unknown; {nearest_of(name, RENDERED)}")
    return names
