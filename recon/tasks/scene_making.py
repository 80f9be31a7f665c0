"""From a mesh, or from statuettes of our own, to a posed scene on disk: pictures, cameras, exact depth and normals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from recon.geometry import Mesh
from recon.scenes.albedo import marbled
from recon.scenes.figurines import painted
from recon.scenes.make import MakeSettings, Studio, box_around, place_cameras
from recon.scenes.surface import Surface, surface_of
from recon.scenes.write import Format, SceneWriter, refuse_full, whole_folder
from recon.shapes.figurines import FIGURES
from recon.shapes.shape import normalise
from recon.tasks.scene_paint import read_painted

FIGURINES = MakeSettings(views=100, test_views=20, width=128, height=128, seed=7)
"""The embedded default scene: small enough to be made in seconds and learned in minutes."""
BUDGET = 300_000
"""Faces up to which a mesh is made finer, so that light and patterns have detail."""

# Figure: x and z on the plinth, size, degrees about the up axis. Front is +z.
_PLACES: dict[str, tuple[float, float, float, float]] = {
    "plinth": (0.0, 0.0, 1.0, 0.0),
    "small_idol": (0.0, -0.24, 0.62, 0.0),
    "owl": (-0.50, 0.28, 0.68, -20.0),
    "cat": (0.20, 0.54, 0.62, 15.0),
    "vase": (0.66, -0.12, 0.60, 0.0),
    "totem": (-0.54, -0.46, 0.64, 20.0),
}

Say = Callable[[str], None]


def make_scene(
    source: Path | Mesh,
    out: Path,
    settings: MakeSettings,
    layout: Format = "nsvf",
    *,
    name: str = "mesh",
    say: Say = lambda line: None,
) -> dict[str, Any]:
    """Photographs a mesh, in its own frame, into the new folder `out`; returns the facts that made.json holds.

    Colours are the file's, from its vertices or texture; a mesh without any, or of one colour, is painted with a solid
    pattern: views that show no detail teach little. Raises
    FileExistsError where `out` is not empty, and what reading meshes raises.
    """
    refuse_full(out)
    painting = read_painted(source) if isinstance(source, Path) else None
    mesh = painting.mesh if painting else source
    assert isinstance(mesh, Mesh)
    longest = _pixel_width(mesh, settings)
    if painting and painting.albedo is not None:
        surface = surface_of(mesh, painting.albedo, painting.texture, longest=3 * longest, budget=BUDGET)
        about = painting.note
    else:
        surface = surface_of(mesh, np.ones_like(mesh.vertices), longest=1.5 * longest, budget=BUDGET)
        fitted = normalise(mesh.vertices).apply(surface.mesh.vertices)
        surface, about = Surface(surface.mesh, surface.normals, marbled(fitted)), "a procedural pattern"
    say(f"{name}: {len(mesh.faces):,} faces, coloured by {about}; light is baked at {len(surface.normals):,} points")
    return _write(surface, out, settings, {"mesh": name, "colour": about, "layout": layout}, say)


def make_figurines(folder: Path, say: Say = lambda line: None) -> Path:
    """The embedded default scene, in NSVF's layout, made in seconds at first use and found there from then on."""
    if not (folder / "bbox.txt").is_file():
        try:
            _write(group(), folder, FIGURINES, {"mesh": "figurines", "layout": "nsvf"}, say)
        except FileExistsError:
            if not (folder / "bbox.txt").is_file():  # else another process was faster
                raise
    return folder


def group() -> Surface:
    """The statuettes on their plinth, painted."""
    parts, rows, count = [], [], 0
    for name, (x, z, size, degrees) in _PLACES.items():
        mesh = FIGURES[name]()
        own = surface_of(mesh, np.ones_like(mesh.vertices), longest=np.inf, budget=0)
        turn = _turn(degrees)
        place = size * own.mesh.vertices @ turn.T + [x, 0, z]
        rows.append(np.stack([place, own.normals @ turn.T, painted(name, own.mesh.vertices)]))
        parts.append(own.mesh.faces + count)
        count += len(place)
    vertices, normals, albedo = np.concatenate(rows, axis=1)
    return Surface(Mesh(vertices, np.concatenate(parts)), normals, albedo)


def _write(surface: Surface, out: Path, settings: MakeSettings, about: dict[str, Any], say: Say) -> dict[str, Any]:
    box = box_around(surface)
    train, test = place_cameras(surface, settings)
    splits = {"train": train, "test": test}
    shots = [(split, index) for split, cameras in splits.items() for index in range(len(cameras))]
    with whole_folder(out) as partial:
        studio = Studio(surface, settings.up)
        writer = SceneWriter(partial, about["layout"], splits, box)
        for done, (split, index) in enumerate(shots, start=1):
            writer.add(split, index, studio.photograph(splits[split], index))
            if 10 * done // len(shots) > 10 * (done - 1) // len(shots):
                say(f"{done} of {len(shots)} views")
        facts = {**about, **asdict(settings), "faces": len(surface.mesh.faces)}
        writer.close(facts)
    return facts


def _pixel_width(mesh: Mesh, settings: MakeSettings) -> float:
    """About what a pixel covers on the shape."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    return float(np.linalg.norm(high - low)) / min(settings.width, settings.height)


def _turn(degrees: float) -> np.ndarray:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
