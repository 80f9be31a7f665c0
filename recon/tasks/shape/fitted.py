"""A trained field as a solid and a surface in the normalised frame, and what it leaves in the run folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from recon import runtime
from recon.fields import Field
from recon.fields.asmr import Asmr
from recon.fields.neural_experts import NeuralExperts
from recon.geometry import DOMAIN, Mesh
from recon.rendering.camera import View
from recon.rendering.picture import (
    categorical_colors,
    contact_sheet,
    diverging_colors,
    error_picture,
    label_picture,
    see,
    shade,
    shade_mesh,
    slice_points,
    slices_picture,
    trace_field,
    write_png,
)
from recon.rendering.shading import Side
from recon.shapes.shape import Shape
from recon.surfaces.export import write_mesh
from recon.surfaces.extract import Extraction, extract_adaptive, extract_dense
from recon.surfaces.grid import Progress
from recon.surfaces.normals import field_normals
from recon.surfaces.topology import clean, describe
from recon.tasks.maps import parts_of
from recon.tasks.shape.settings import LOGIT_SCALE, Task

Colour = Literal["none", "error", "expert"]


@dataclass
class Fitted:
    """A field that was trained on a shape."""

    task: Task
    field: Field
    shape: Shape
    device: torch.device

    def __post_init__(self) -> None:
        self.field.eval()
        runtime.set_products("float32")

    @cached_property
    def _evaluator(self) -> Callable[[Tensor], Tensor]:
        return self.field.evaluator()

    def values(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """The field at points of the normalised frame, negative inside; without gradients."""
        return self._evaluator(points.to(self.device) / DOMAIN)[:, 0]

    def smooth_values(self, points: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """The same with gradients."""
        return self.field(points.to(self.device) / DOMAIN)[:, 0]

    def inside(self, points: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        """Whether points of the normalised frame are inside the learned solid."""
        return self.distance(points) < 0

    def distance(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """The field at points of the normalised frame: what sdf takes for their signed distance."""
        return self.values(torch.from_numpy(points.astype(np.float32))).cpu().numpy()

    def extract(
        self,
        resolution: int,
        method: Literal["adaptive", "dense"] = "adaptive",
        keep: Literal["all", "largest"] = "all",
        progress: Progress | None = None,
    ) -> Extraction:
        """The zero level set in the normalised frame. No bound on a learned field's slope is proven."""
        if method == "dense" or self.task == "occ":
            # Logits grow without bound on either side: their size says nothing about how far the surface is.
            found = extract_dense(self.values, resolution, progress=progress)
        else:
            found = extract_adaptive(self.values, resolution, None, progress=progress)
        return Extraction(clean(found.mesh, keep), found.evaluations, found.complete, found.note)

    def signed_error(self, mesh: Mesh) -> Float[np.ndarray, " v"]:
        """How far each vertex lies outside (+) or inside (-) the true solid."""
        return self.shape.signed_distance(mesh.vertices)

    @property
    def expert_count(self) -> int:
        """Experts of a mixture; 0 for other fields."""
        return self.field.config.experts if isinstance(self.field, NeuralExperts) else 0

    def experts(self, mesh: Mesh) -> Int[np.ndarray, " v"] | None:
        """The expert that serves each vertex; none where the field is no mixture."""
        if not isinstance(self.field, NeuralExperts):
            return None
        x = torch.from_numpy(mesh.vertices.astype(np.float32)).to(self.device) / DOMAIN
        with torch.no_grad():
            return torch.cat([self.field.assign(part) for part in x.split(1 << 16)]).cpu().numpy()

    def colours(self, mesh: Mesh, by: Colour) -> tuple[UInt8[np.ndarray, "v 3"] | None, str]:
        """Vertex colours and what they mean, for an export."""
        if by == "error":
            error = self.signed_error(mesh)
            limit = error_limit(error)
            end = limit / self.shape.transform.scale
            legend = f"colour: signed error, blue -{end:.6g} (inside) over white 0 to red +{end:.6g} (outside)"
            return diverging_colors(error, limit), legend
        if by == "expert":
            labels = self.experts(mesh)
            if labels is None:
                raise ValueError("--colour expert needs a run of neural-experts; this run's field has no experts")
            return categorical_colors(labels, self.expert_count), "colour: the expert that serves each vertex"
        return None, ""

    def export(self, path: Path, mesh: Mesh, by: Colour = "none", normals: bool = True) -> dict:
        """Write a mesh (normalised frame) in the coordinates of the input; returns its description there."""
        colours, legend = self.colours(mesh, by)
        normal = field_normals(self.smooth_values, mesh) if normals and len(mesh.vertices) else None
        transform = self.shape.transform
        moved = Mesh(transform.invert(mesh.vertices), mesh.faces)
        note = f"recon: normalised = (this - {list(transform.centre)}) * {transform.scale!r}"
        write_mesh(path, moved, normal, colours, "\n".join(line for line in (note, legend) if line))
        return describe(moved)

    def pictures(self, folder: Path, mesh: Mesh, view: View | None = None, size: int = 400) -> dict[str, str]:
        """PNG pictures of the result: shaded views, the field traced, error map, experts, slices; name to file name."""
        drawn: dict[str, UInt8[np.ndarray, "_ _ 3"]] = {}
        framed = (view or View()).framing(self._true_corners())
        if len(mesh.faces):
            drawn |= self._mesh_pictures(mesh, framed, size)
        if self.task == "sdf" and not isinstance(self.field, Asmr):
            # a learned distance is steeper than 1 in places; twice the bound keeps rays from stepping through
            drawn["traced"] = trace_field(self.values, framed, size, lipschitz=2.0, supersample=1)
        drawn["slices"] = self._slices()
        for name, picture in drawn.items():
            write_png(folder / f"{name}.png", picture)
        return {name: f"{folder.name}/{name}.png" for name in drawn}

    def _mesh_pictures(self, mesh: Mesh, framed: View, size: int) -> dict[str, UInt8[np.ndarray, "_ _ 3"]]:
        turns = {
            f"{framed.yaw + turn:.0f}°": replace(framed, yaw=framed.yaw + turn) for turn in (0.0, 90.0, 180.0, 270.0)
        }
        turns |= {"from above": replace(framed, pitch=80.0), "from below": replace(framed, pitch=-80.0)}
        sides = dict(zip(turns, see(mesh, _one_scale(list(turns.values()), self._true_corners()), size), strict=True))
        level = list(sides)[:4]
        views = [shade(mesh, sides[name]) for name in level]
        drawn = {"views": contact_sheet(views, 2, level)}
        if self.shape.mesh is not None:
            true = shade_mesh(self.shape.mesh, sides[level[0]].view, size)
            drawn["compare"] = contact_sheet([true, views[0]], 2, ["input", "reconstruction"])
        error = self.signed_error(mesh)
        drawn["error"] = error_picture(mesh, sides, error, error_limit(error))
        return drawn | self._parts_pictures(mesh, {name: sides[name] for name in level})

    def _parts_pictures(self, mesh: Mesh, sides: dict[str, Side]) -> dict[str, UInt8[np.ndarray, "_ _ 3"]]:
        """The experts from all sides; or levels of tiles side by side, from the front and the back."""
        x = torch.from_numpy(mesh.vertices.astype(np.float32)).to(self.device) / DOMAIN
        found = [(parts, parts.at(x).numpy()) for parts in parts_of(self.field)]
        if not found:
            return {}
        if found[0][0].kind == "experts":
            parts, labels = found[0]
            return {"experts": label_picture(mesh, sides, labels, parts.count, 2)}
        pairs = [sides[name] for name in list(sides)[::2]]
        tiles = [
            shade(mesh, side, categorical_colors(labels, parts.count), blend=False)
            for side in pairs
            for parts, labels in found
        ]
        return {"tiles": contact_sheet(tiles, len(found), [parts.title for parts, _ in found] * len(pairs))}

    def _slices(self) -> UInt8[np.ndarray, "_ _ 3"]:
        points = slice_points(160)
        flat = points.reshape(-1, 3)
        predicted = self.values(torch.from_numpy(flat)).cpu().numpy().astype(np.float64)
        true = self.shape.signed_distance(flat.astype(np.float64))
        meaning = "signed distance (negative inside)"
        if self.task == "occ":  # logits do not compare with distances: show both as solids
            meaning = "outside (1) or inside (-1)"
            predicted, true = np.tanh(predicted * (LOGIT_SCALE / 2)), np.sign(true)
        shape = points.shape[:3]
        return slices_picture(predicted.reshape(shape), true.reshape(shape), meaning=meaning)

    def _true_corners(self) -> Float[np.ndarray, "n 3"]:
        if self.shape.mesh is not None:
            return self.shape.mesh.vertices
        assert self.shape.cloud is not None
        return self.shape.cloud.points


def _one_scale(views: list[View], corners: Float[np.ndarray, "n 3"]) -> list[View]:
    """Each look with its own middle, all so near that everything fits into the largest."""
    framed = [view.framing(corners) for view in views]
    radius = max(view.radius for view in framed)
    return [replace(view, radius=radius) for view in framed]


def error_limit(error: Float[np.ndarray, " v"]) -> float:
    """A round number (1, 2 or 5 times a power of ten) that nearly all errors stay below, at which colours end."""
    high = max(float(np.quantile(np.abs(error), 0.99)) if len(error) else 0.0, 1e-6)
    power = 10.0 ** np.floor(np.log10(high))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= high))
