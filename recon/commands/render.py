"""`recon render RUN`: films and pictures of a scene run along a path of cameras, from its folder alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from recon import runtime
from recon.commands.common import be_quiet, nearest_of, parse_size, print_json, say
from recon.commands.flags import read_flags
from recon.commands.machine import Machine
from recon.geometry import Cameras
from recon.rendering.video import read_pngs, write_mp4
from recon.tasks.nerf.film import WHATS, What, film_cameras, orbit_warnings, render_film, usual_path
from recon.tasks.nerf.fitted import Fitted
from recon.tasks.nerf.run import reopen
from recon.training.run import Run

MOST_FRAMES = 10_000
MOST_PIXELS = 2**24
"""Of one frame: a slip of the size would fill the memory."""


@dataclass(frozen=True)
class Render(Machine):
    """Render a trained scene along a path: PNG files and a film (mp4) of each kind of picture."""

    run: Annotated[str, tyro.conf.Positional] = "latest"
    """A run folder, a name under renders/, or latest."""
    path: Literal["test", "orbit", "spiral", "interpolate"] | None = None
    """test: the held-out views; orbit: once around; spiral: in front, for forward-facing scenes; interpolate: past the
    training cameras. Default orbit, or spiral where the scene is forward-facing (ndc)."""
    frames: int = 120
    """Pictures along the path; test has one for each held-out view."""
    size: str | None = None
    """Pixels, WIDTHxHEIGHT; default that of the training views."""
    what: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """rgb, depth, normal, opacity: one (default rgb), or several with commas between them; all are rendered at once."""
    fps: float = 30.0
    """Frames a second."""
    out: Path | None = None
    """Folder that takes render_PATH_WHAT/ and render_PATH_WHAT.mp4; default the run's."""


def main(name: str, argv: Sequence[str]) -> int:
    """Parse, render, write, print."""
    del name
    flags = read_flags(Render, argv, "recon render")
    whats, size = parse_whats(flags.what), _checked(flags)
    run = Run.open(flags.run)
    run_on = runtime.start(flags.device, flags.precision, 0, flags.threads, flags.malloc)
    voice = be_quiet if flags.quiet else say
    voice(f"recon render: {run.folder}, on {run_on.line()}")
    _, fitted, _, warnings = reopen(run, run_on)
    kind = flags.path or usual_path(fitted.lit.radiance.space)
    if kind == "orbit":
        warnings = [*warnings, *orbit_warnings(fitted.reference)]
    for text in warnings:
        say(f"warning: {text}")
    cameras = film_cameras(fitted, kind, flags.frames, size)
    voice(f"{len(cameras)} frames of {cameras.width}x{cameras.height} along {kind}: {', '.join(whats)}")
    began = time.perf_counter()
    made = _film(fitted, cameras, {what: f"render_{kind}_{what}" for what in whats}, flags.out or run.folder, flags)
    facts: dict[str, Any] = {"run": str(run.folder), "path": kind, "frames": len(cameras), "fps": flags.fps}
    facts |= {"size": [cameras.width, cameras.height], "seconds": round(time.perf_counter() - began, 3), "what": made}
    if flags.json:
        print_json({**facts, "warnings": warnings})
    else:
        print(f"{len(cameras)} frames of {cameras.width}x{cameras.height} in {facts['seconds']:.0f} s")
        for what, place in made.items():
            print(f"  {what:<8} {place['film']}\n  {'':<8} {place['frames']}/")
    return 0


def _film(
    fitted: Fitted, cameras: Cameras, names: dict[What, str], place: Path, flags: Render
) -> dict[str, dict[str, str]]:
    """Writes all frames, then the films; says where they are."""
    folders: dict[What, Path] = {what: place / name for what, name in names.items()}
    files: dict[What, list[Path]] = {what: [] for what in names}
    done = 0
    try:
        for frame in render_film(fitted, cameras, folders, be_quiet if flags.quiet else say):
            done += 1
            for what, file in frame.items():
                files[what].append(file)
    except KeyboardInterrupt:
        say(f"{done} of {len(cameras)} frames are whole, in {', '.join(map(str, folders.values()))}")
        raise
    made: dict[str, dict[str, str]] = {}
    for what, name in names.items():
        film = place / f"{name}.mp4"
        write_mp4(film, read_pngs(files[what]), flags.fps)
        made[what] = {"frames": str(folders[what]), "film": str(film)}
    return made


def parse_whats(given: Sequence[str]) -> list[What]:
    """Kinds of picture as people type them, each once; ValueError with the nearest name for one that is none."""
    names = [name.strip().lower() for text in given for name in text.split(",")] or ["rgb"]
    for name in names:
        if name not in WHATS:
            raise ValueError(f"--what {name} is unknown; {nearest_of(name, WHATS)}")
    return [what for what in WHATS if what in names]


def _checked(flags: Render) -> tuple[int, int] | None:
    """The size, if one is given; ValueError for numbers that make no film."""
    if not 1 <= flags.frames <= MOST_FRAMES:
        raise ValueError(f"--frames must lie in 1 .. {MOST_FRAMES}, got {flags.frames}")
    if not 0.1 <= flags.fps <= 240:
        raise ValueError(f"--fps must lie in 0.1 .. 240, got {flags.fps:g}")
    if flags.size is None:
        return None
    width, height = parse_size(flags.size)
    if not 1 <= width * height <= MOST_PIXELS:
        raise ValueError(f"--size {flags.size} has {width * height:,} pixels; 1 .. {MOST_PIXELS:,} are rendered")
    return width, height
