"""From what a person typed to a shape; apart from `find`, for this loads what shapes need."""

from __future__ import annotations

from pathlib import Path

from recon.data.find import find_shape
from recon.data.shapenet import model_name
from recon.shapes.load import MAX_FACES
from recon.shapes.procedural import PROCEDURAL
from recon.shapes.shape import Centre, Shape, from_mesh, load_shape


def load(
    name: str | Path, *, centre: Centre = "box", repair: bool = False, max_faces: int = MAX_FACES, seed: int = 0
) -> Shape:
    """Shape of a path or a name."""
    found = find_shape(str(name))
    if isinstance(found, Path):
        shape = load_shape(found, centre=centre, repair=repair, max_faces=max_faces, seed=seed)
        shape.name = model_name(found) or shape.name
        return shape
    return from_mesh(found, PROCEDURAL[found](), "procedural", centre=centre, seed=seed, repair=repair)
