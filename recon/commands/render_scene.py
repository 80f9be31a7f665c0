"""Films and pictures of a scene run along a path of cameras, from its folder alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from recon import runtime
from recon.commands.common import be_quiet, parse_size, print_json, refuse_flags, say
from recon.commands.render import Render
from recon.geometry import Cameras
from recon.rendering.video import read_pngs, write_mp4
from recon.tasks.nerf.film import WHATS, What, film_cameras, orbit_warnings, render_film, usual_path
from recon.tasks.nerf.fitted import Fitted
from recon.tasks.nerf.run import reopen
from recon.training.run import Run

FRAMES = 120
MOST_FRAMES = 10_000
MOST_PIXELS = 2**24
"""Of one frame: a slip of the size would fill the memory."""


def render(names: list[str], flags: Render, run: Run, kind: str) -> int:
    """Render, write, print. Raises ValueError for a run of another kind than a scene's."""
    whats, size = _whats(names, run, kind), _checked(flags)
    refuse_flags(flags, ["rate"], run, kind, "a sound")
    run_on = runtime.start(flags.device, flags.precision, 0, flags.threads, flags.malloc)
    voice = be_quiet if flags.quiet else say
    voice(f"recon render: {run.folder}, on {run_on.line()}")
    _, fitted, _, warnings = reopen(run, run_on)
    path = flags.path or usual_path(fitted.lit.radiance.space)
    if path == "orbit":
        warnings = [*warnings, *orbit_warnings(fitted.reference)]
    for text in warnings:
        say(f"warning: {text}")
    cameras = film_cameras(fitted, path, FRAMES if flags.frames is None else flags.frames, size)
    voice(f"{len(cameras)} frames of {cameras.width}x{cameras.height} along {path}: {', '.join(whats)}")
    began = time.perf_counter()
    made = _film(fitted, cameras, {what: f"render_{path}_{what}" for what in whats}, flags.out or run.folder, flags)
    facts: dict[str, Any] = {"run": str(run.folder), "path": path, "frames": len(cameras), "fps": flags.fps}
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


def _whats(names: list[str], run: Run, kind: str) -> list[What]:
    """Kinds of picture, each once; ValueError for those of pictures that were learned."""
    for name in names:
        if name not in WHATS:
            raise ValueError(f"--what {name} is for runs of recon fit; {run.folder} is one of a {kind}")
    return [what for what in WHATS if what in (names or ["rgb"])]


def _checked(flags: Render) -> tuple[int, int] | None:
    """The size, if one is given; ValueError for numbers that make no film."""
    if flags.frames is not None and not 1 <= flags.frames <= MOST_FRAMES:
        raise ValueError(f"--frames must lie in 1 .. {MOST_FRAMES}, got {flags.frames}")
    if not 0.1 <= flags.fps <= 240:
        raise ValueError(f"--fps must lie in 0.1 .. 240, got {flags.fps:g}")
    if flags.size is None:
        return None
    width, height = parse_size(flags.size)
    if not 1 <= width * height <= MOST_PIXELS:
        raise ValueError(f"--size {flags.size} has {width * height:,} pixels; 1 .. {MOST_PIXELS:,} are rendered")
    return width, height
