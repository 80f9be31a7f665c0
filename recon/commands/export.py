"""`recon export RUN`: the surface of a run as a mesh file, in the coordinates of its input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from recon import runtime
from recon.commands.common import print_json, say
from recon.commands.machine import Machine
from recon.surfaces.export import WRITERS
from recon.tasks.shape.fitted import Colour
from recon.tasks.shape.run import reopen
from recon.training.run import Run


@dataclass(frozen=True)
class Export(Machine):
    """Extract and write the surface of a run."""

    run: Annotated[str, tyro.conf.Positional] = "latest"
    """A run folder, a name under renders/, or latest."""
    resolution: int | None = None
    """Grid points per axis; default that of the run."""
    format: Literal["ply", "obj", "glb", "stl"] | None = None
    """Kind of file; default that of --out, else ply."""
    out: Path | None = None
    """The file; default mesh_RESOLUTION.FORMAT in the run folder."""
    colour: Colour = "none"
    """Vertex colours: signed error against the input, or the expert that serves each vertex."""
    keep: Literal["all", "largest"] = "all"
    """All components, or that of the largest area."""
    method: Literal["adaptive", "dense"] = "adaptive"
    """Evaluate only where the surface may be, or everywhere."""


def main(name: str, argv: Sequence[str]) -> int:
    """Parse, extract, write, print."""
    del name
    flags = tyro.cli(Export, args=list(argv), prog="recon export")
    if flags.resolution is not None and not 8 <= flags.resolution <= 2048:
        raise ValueError(f"--resolution must lie in 8 .. 2048, got {flags.resolution}")
    run = Run.open(flags.run)
    run_on = runtime.start(flags.device, flags.precision, 0, flags.threads)
    say(f"recon export: {run.folder}, on {run_on.line()}")
    plan, fitted, _, warnings = reopen(run, run_on)
    for text in warnings:
        say(f"warning: {text}")
    resolution = flags.resolution or plan.settings.resolution
    path = flags.out or run.folder / f"mesh_{resolution}.{flags.format or 'ply'}"
    if flags.out is not None and flags.format and path.suffix.lower() != f".{flags.format}":
        raise ValueError(f"--out {path.name} and --format {flags.format} disagree; leave one of them out")
    if path.suffix.lower() not in WRITERS:
        raise ValueError(f"a mesh is written as {', '.join(WRITERS)}; {path.name} has the suffix '{path.suffix}'")
    found = fitted.extract(resolution, flags.method, flags.keep)
    fewer = resolution**3 / max(1, found.evaluations)
    say(f"{found.evaluations:,} evaluations ({fewer:.0f}x fewer than all); {found.note}")
    if not len(found.mesh.faces):
        say("warning: the field has no surface in the domain; the mesh is empty")
    about = fitted.export(path, found.mesh, flags.colour)
    result = {"file": str(path), "resolution": resolution, **about, "evaluations": found.evaluations}
    result |= {"complete": found.complete, "note": found.note, "run": str(run.folder)}
    if flags.json:
        print_json(result)
    else:
        facts = ", ".join(f"{key} {_brief(value)}" for key, value in about.items())
        print(f"{path}\n  {facts}")
    return 0


def _brief(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
