"""A mesh file with its colours: those of its vertices or faces, or a texture; trimesh reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float

from recon.geometry import Mesh
from recon.scenes.albedo import to_linear
from recon.scenes.surface import Texture
from recon.shapes.load import read_mesh

MAX_TEXELS = 2**28
"""Texels of the largest texture that is decoded."""


@dataclass(frozen=True)
class Painting:
    """A mesh and what is known of its colours."""

    mesh: Mesh
    albedo: Float[np.ndarray, "v 3"] | None = None
    """Linear; multiplied with the texture where there is one. None for a mesh without colours, or of one colour."""
    texture: Texture | None = None
    note: str = "nothing"
    """Where the colours come from, for people."""


def read_painted(path: Path) -> Painting:
    """Mesh and colours of a file; raises as `read_mesh` does, which checks the file before trimesh sees it."""
    plain = read_mesh(path)
    try:
        loaded = trimesh.load(path, process=False, maintain_order=True, force="mesh")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OSError, NotImplementedError):
        return Painting(plain)  # the shape is there all the same
    assert isinstance(loaded, trimesh.Trimesh)
    if len(loaded.faces) != len(plain.faces):
        return Painting(plain)
    mesh = Mesh(np.array(loaded.vertices, np.float64), np.array(loaded.faces, np.int64))
    return _textured(path, mesh, loaded.visual) or _coloured(mesh, loaded.visual) or Painting(plain)


def _textured(path: Path, mesh: Mesh, visual: Any) -> Painting | None:
    """With a picture and texture coordinates, if the file has both."""
    uv, material = getattr(visual, "uv", None), getattr(visual, "material", None)
    picture = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    if uv is None or picture is None or np.shape(uv) != (len(mesh.vertices), 2) or not np.isfinite(uv).all():
        return None
    if picture.width * picture.height > MAX_TEXELS:
        raise ValueError(
            f"{path}: its texture has {picture.width}x{picture.height} texels; reduce it to {MAX_TEXELS:,}"
        )
    image = np.asarray(picture.convert("RGB"))
    if not np.ptp(image, axis=(0, 1)).any():  # trimesh puts such a picture where a texture is missing
        return None
    factor = getattr(material, "baseColorFactor", None)  # glTF multiplies the two; OBJ's Kd stands for the picture
    albedo = np.ones((len(mesh.vertices), 3))
    if factor is not None:
        albedo *= np.asarray(factor, np.float64)[:3] / (255 if np.asarray(factor).dtype.kind in "iu" else 1)
    texture = Texture(np.array(uv, np.float64), np.ascontiguousarray(image))
    return Painting(mesh, albedo, texture, f"a texture of {picture.width}x{picture.height}")


def _coloured(mesh: Mesh, visual: Any) -> Painting | None:
    """With colours of vertices, or of faces averaged at vertices; a material's single colour counts."""
    if getattr(visual, "uv", None) is not None or getattr(visual, "kind", None) == "texture":
        visual = visual.to_color()
    if getattr(visual, "kind", None) not in ("vertex", "face"):
        return None
    colours = np.asarray(visual.vertex_colors)
    if not np.ptp(colours[:, :3], axis=0).any():
        return None
    return Painting(mesh, to_linear(colours[:, :3] / 255.0), None, f"its {visual.kind} colours")
