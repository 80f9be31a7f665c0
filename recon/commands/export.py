"""`recon export RUN`: what a run has learned as files for other programs, in the coordinates of its input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from recon import runtime
from recon.commands.common import be_quiet, print_json, refuse_flags, say, shape_or_scene
from recon.commands.flags import read_flags
from recon.commands.machine import Machine
from recon.files import atomic_write_json
from recon.surfaces.export import WRITERS, write_mesh
from recon.surfaces.points import write_points
from recon.tasks.nerf import export as scenes
from recon.tasks.nerf import run as scene_runs
from recon.tasks.nerf.fitted import Fitted
from recon.tasks.shape import run as shape_runs
from recon.tasks.shape.fitted import Colour
from recon.training.run import Run

SCENE_RESOLUTION = 256
METHODS = {"shape": ("adaptive", "dense"), "scene": ("level", "tsdf")}
"""By kind of run; the first is the default."""


@dataclass(frozen=True)
class Export(Machine):
    """Extract and write the surface of a run. A scene's is coloured; it may also give points, or its cameras."""

    run: Annotated[str, tyro.conf.Positional] = "latest"
    """A run folder, a name under renders/, or latest."""
    what: Literal["mesh", "points", "cameras"] = "mesh"
    """Scenes: a mesh, a cloud of what the cameras see (ply, with normals), or the cameras (json)."""
    resolution: int | None = None
    """Grid points per axis; default that of the run, or 256 for a scene. tsdf: voxels along the longest side."""
    format: Literal["ply", "obj", "glb", "stl"] | None = None
    """Kind of file of a mesh; default that of --out, else ply."""
    out: Path | None = None
    """The file; default mesh_RESOLUTION.FORMAT, mesh_tsdf.FORMAT, points.ply or cameras.json in the run folder."""
    colour: Colour = "none"
    """Shapes: vertex colours: signed error against the input, or the expert that serves each vertex."""
    keep: Literal["all", "largest"] = "all"
    """All components (of a scene: but for floaters), or that of the largest area."""
    method: Literal["adaptive", "dense", "level", "tsdf"] | None = None
    """Shapes: adaptive (evaluates only where the surface may be) or dense. Scenes: level (where the density rises above
    one) or tsdf (depth of the training views, fused by Open3D). The first of each is the default."""
    level: float | None = None
    """Scenes: density of the surface, per world unit; default the one that agrees best with what rays see."""


def main(name: str, argv: Sequence[str]) -> int:
    """Parse, extract, write, print."""
    del name
    flags = read_flags(Export, argv, "recon export")
    if flags.resolution is not None and not 8 <= flags.resolution <= 2048:
        raise ValueError(f"--resolution must lie in 8 .. 2048, got {flags.resolution}")
    run = Run.open(flags.run)
    kind = shape_or_scene(run, "its reconstruction lies in its folder, in the file's own format")
    _check(flags, run, kind)
    run_on = runtime.start(flags.device, flags.precision, 0, flags.threads, flags.malloc)
    voice = be_quiet if flags.quiet else say
    voice(f"recon export: {run.folder}, on {run_on.line()}")
    result = _shape(flags, run, run_on) if kind == "shape" else _scene(flags, run, run_on)
    result["run"] = str(run.folder)
    if flags.json:
        print_json(result)
    else:
        facts = {key: value for key, value in result.items() if key not in ("file", "run", "note")}
        print(f"{result['file']}\n  {', '.join(f'{key} {_brief(value)}' for key, value in facts.items())}")
    return 0


def _check(flags: Export, run: Run, kind: Literal["shape", "scene"]) -> None:
    """ValueError for flags that do not go together, or not with this run."""
    refuse_flags(flags, {"shape": ["what", "level"], "scene": ["colour"]}[kind], run, kind)
    if flags.method is not None and flags.method not in METHODS[kind]:
        raise ValueError(f"a {kind} is extracted by {' or '.join(METHODS[kind])}, not by --method {flags.method}")
    if flags.level is not None and flags.method == "tsdf":
        raise ValueError("--level is for --method level; tsdf takes where rays end")
    if flags.what != "mesh":
        for name in ("resolution", "format", "keep", "method", "level"):
            if getattr(flags, name) != getattr(Export, name):
                raise ValueError(f"--{name} is for --what mesh, not for {flags.what}")
    if flags.out is not None and flags.format and flags.out.suffix.lower() != f".{flags.format}":
        raise ValueError(f"--out {flags.out.name} and --format {flags.format} disagree; leave one of them out")
    if flags.out is not None:
        known = {"mesh": tuple(WRITERS), "points": (".ply",), "cameras": (".json",)}[flags.what]
        if flags.out.suffix.lower() not in known:
            thing = {"mesh": "a mesh is", "points": "points are", "cameras": "cameras are"}[flags.what]
            said = f"{flags.out.name} has the suffix '{flags.out.suffix}'"
            raise ValueError(f"{thing} written as {', '.join(known)}; {said}")


def _shape(flags: Export, run: Run, run_on: runtime.Runtime) -> dict[str, Any]:
    plan, fitted, _, warnings = shape_runs.reopen(run, run_on)
    for text in warnings:
        say(f"warning: {text}")
    resolution = flags.resolution or plan.settings.resolution
    path = flags.out or run.folder / f"mesh_{resolution}.{flags.format or 'ply'}"
    found = fitted.extract(resolution, "dense" if flags.method == "dense" else "adaptive", flags.keep)
    fewer = resolution**3 / max(1, found.evaluations)
    (be_quiet if flags.quiet else say)(f"{found.evaluations:,} evaluations ({fewer:.0f}x fewer than all); {found.note}")
    if not len(found.mesh.faces):
        say("warning: the field has no surface in the domain; the mesh is empty")
    about = fitted.export(path, found.mesh, flags.colour)
    result = {"file": str(path), "resolution": resolution, **about, "evaluations": found.evaluations}
    return result | {"complete": found.complete, "note": found.note}


def _scene(flags: Export, run: Run, run_on: runtime.Runtime) -> dict[str, Any]:
    _, fitted, _, warnings = scene_runs.reopen(run, run_on)
    for text in warnings:
        say(f"warning: {text}")
    return {"mesh": _scene_mesh, "points": _scene_points, "cameras": _scene_cameras}[flags.what](flags, run, fitted)


def _scene_mesh(flags: Export, run: Run, fitted: Fitted) -> dict[str, Any]:
    resolution, voice = flags.resolution or SCENE_RESOLUTION, be_quiet if flags.quiet else say
    fused = flags.method == "tsdf"
    path = flags.out or run.folder / f"mesh_{'tsdf' if fused else resolution}.{flags.format or 'ply'}"
    if fused:
        found = scenes.fused_mesh(fitted, resolution, voice, keep=flags.keep)
    else:
        found = scenes.level_mesh(fitted, resolution, voice, level=flags.level, keep=flags.keep)
    if not len(found.mesh.faces):
        say(f"warning: the mesh is empty: {found.facts['note']}")
    write_mesh(path, found.mesh, found.normals, found.colours, f"recon: {found.facts['note']}")
    return {"file": str(path), **found.facts}


def _scene_points(flags: Export, run: Run, fitted: Fitted) -> dict[str, Any]:
    path = flags.out or run.folder / "points.ply"
    points = scenes.point_cloud(fitted, be_quiet if flags.quiet else say)
    write_points(path, points, "recon: where half of the light of rays through training views is stopped")
    low, high = (corner.tolist() for corner in (points.position.min(axis=0), points.position.max(axis=0)))
    return {"file": str(path), "points": len(points.position), "low": low, "high": high}


def _scene_cameras(flags: Export, run: Run, fitted: Fitted) -> dict[str, Any]:
    path = flags.out or run.folder / "cameras.json"
    cameras = scenes.scene_cameras(fitted)
    atomic_write_json(path, cameras)
    return {"file": str(path), "cameras": len(cameras["cameras"])}


def _brief(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, list):
        return f"({', '.join(_brief(part) for part in value)})"
    return f"{value:.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
