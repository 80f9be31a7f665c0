"""Scores of a predicted solid and surface against the truth about a shape, each with its definition."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from recon.geometry import Mesh
from recon.metrics.surface import (
    DEFINITIONS,
    Sampled,
    chamfer,
    hausdorff,
    iou,
    nearest,
    surface_scores,
    trimap_iou,
    weighted_iou,
)
from recon.shapes.distance import MeshDistance
from recon.shapes.shape import Shape
from recon.tasks.shape.bands import by_distance
from recon.tasks.shape.truth import BANDS, GRID, Truth

SURFACE_SAMPLES = 200_000
"""Random points on each surface for the distances between them."""
PAPER_SAMPLES = 300_000
MOST_FACES = 5_000_000
"""Faces of the largest mesh that is drawn and measured: a field that diverged fills all of space with them."""
BETWEEN = (
    *("chamfer_l1", "chamfer_l1_standard_error", "chamfer_l2"),
    *("f_score_0.005", "f_score_0.01", "normal_consistency", "hausdorff"),
)
"""Scores of one surface against another."""

Inside = Callable[[Float[np.ndarray, "n 3"]], Bool[np.ndarray, " n"]]
Distance = Callable[[Float[np.ndarray, "n 3"]], Float[np.ndarray, " n"]]


@dataclass(frozen=True)
class Scores:
    """Scores by name (None where one can't be had), what each means, and why some are None."""

    values: dict[str, float | None]
    definitions: dict[str, str]
    bands: dict[str, Any] | None = None
    """Errors by distance from the surface (`bands.by_distance`)."""

    def with_extra(self, name: str, value: float, definition: str) -> Scores:
        """One more score."""
        return _scores({**self.values, name: value}, {**self.definitions, name: definition}, self.bands)


def score(
    inside: Inside | None,
    mesh: Mesh,
    shape: Shape,
    truth: Truth,
    *,
    distance: Distance | None = None,
    protocol: str = "default",
    seed: int = 0,
) -> Scores:
    """All scores of a prediction: `inside` tells a solid (None where there is none), `mesh` is its surface, `distance`
    (where that is what was learned) is the signed distance whose negative values are the solid.

    All are in the normalised frame of `shape`."""
    values: dict[str, float | None] = {}
    definitions: dict[str, str] = {}
    ruler = truth.ruler
    bands = _solid_scores(values, definitions, inside, truth, seed=seed, distance=distance)
    rng = np.random.default_rng(seed)
    if 0 < len(mesh.faces) <= MOST_FACES:
        values.update(_between(mesh, shape, rng, ruler.scale))
        reason = ""
    else:
        values.update(dict.fromkeys(BETWEEN))
        reason = " NULL: the predicted surface is empty."
        if len(mesh.faces):
            reason = f" NULL: the predicted surface is noise of {len(mesh.faces):,} faces."
    for name in BETWEEN:
        if name.endswith("_standard_error"):
            definitions[name] = (
                f"standard error of {name.removesuffix('_standard_error')} over the random points.{reason}"
            )
            continue
        base = name if name in DEFINITIONS else name.rsplit("_", 1)[0]
        how = f"{SURFACE_SAMPLES:,} random points on each surface, exact distances, {ruler.units}, seed {seed}"
        if name == "normal_consistency":
            how = f"{SURFACE_SAMPLES:,} random points on each surface, seed {seed}"
        elif name == "hausdorff":
            how += "; vertices of both meshes besides"
        definitions[name] = f"{DEFINITIONS[base]}; {how}.{reason}"
    if protocol == "paper" and 0 < len(mesh.faces) <= MOST_FACES:
        values["chamfer_paper_1e5"] = _paper_chamfer(mesh, shape, rng)
        definitions["chamfer_paper_1e5"] = (
            f"1e5 times the sum of the two mean squared distances between {PAPER_SAMPLES:,} random input vertices and "
            f"{PAPER_SAMPLES:,} points of the marching-cubes mesh at {GRID}^3 (Neural Experts' code), {ruler.units}."
        )
    return _scores(values, definitions, bands)


def _solid_scores(
    values: dict[str, float | None],
    definitions: dict[str, str],
    inside: Inside | None,
    truth: Truth,
    *,
    seed: int,
    distance: Distance | None = None,
) -> dict[str, Any] | None:
    """IoU and Trimap IoU on the grid, and Trimap IoU from random points near the surface; errors by distance."""
    grid = f"{truth.ruler.grid}, {truth.ruler.units}"
    reason = " NULL: a point cloud has no inside." if inside is None else ""
    definitions["iou"] = f"{DEFINITIONS['iou']}; {grid}.{reason}"
    predicted = inside(truth.grid_points) if inside is not None else None
    values["iou"] = None if predicted is None else iou(predicted, truth.inside.reshape(-1))
    for band, reach in zip(BANDS, truth.ruler.bands, strict=True):
        name = f"trimap_iou_{band:g}"
        count = int((truth.band_distance <= reach).sum())
        definitions[name] = f"{DEFINITIONS['trimap_iou']} ({band:g}); {count:,} points of {grid}.{reason}"
        values[name] = None
        if predicted is not None:
            pick = truth.band_index
            values[name] = trimap_iou(predicted[pick], truth.inside.reshape(-1)[pick], truth.band_distance, reach)
    near_values = distance(truth.near_points) if inside is not None and distance is not None else None
    near = inside(truth.near_points) if inside is not None and near_values is None else None
    near = near if near_values is None else near_values < 0
    weights = truth.near_weight
    for band, reach in zip(BANDS, truth.ruler.bands, strict=True):
        name = f"trimap_iou_sampled_{band:g}"
        within = truth.near_distance <= reach
        values[name] = values[f"{name}_standard_error"] = None
        definitions[name] = (
            f"{DEFINITIONS['trimap_iou_sampled']} ({band:g}); {int(within.sum()):,} points, seed {seed}.{reason}"
        )
        definitions[f"{name}_standard_error"] = f"standard error of {name} over the random points.{reason}"
        if near is not None:
            estimate = weighted_iou(near[within], truth.near_inside[within], weights[within])
            values[name], values[f"{name}_standard_error"] = estimate.iou, estimate.standard_error
    return by_distance(truth, near, predicted, near_values) if near is not None and predicted is not None else None


def _between(mesh: Mesh, shape: Shape, rng: np.random.Generator, scale: float) -> dict[str, float]:
    """Scores of two surfaces by exact distances from points of one to the other, told in lengths / scale."""
    found = Shape("prediction", "prediction", mesh=mesh)
    pred = Sampled(*found.surface(SURFACE_SAMPLES, rng))
    true = Sampled(*shape.surface(SURFACE_SAMPLES, rng))
    to_pred = MeshDistance(mesh)
    pred_to_true = shape.unsigned_distance(pred.points) / scale
    true_to_pred = to_pred.unsigned(true.points) / scale
    scores = surface_scores(pred, true, pred_to_true, true_to_pred)
    corners = shape.mesh.vertices if shape.mesh is not None else np.zeros((0, 3))
    scores["hausdorff"] = hausdorff(
        np.concatenate([pred_to_true, shape.unsigned_distance(mesh.vertices) / scale]),
        np.concatenate([true_to_pred, to_pred.unsigned(corners) / scale]),
    )
    return scores


def _paper_chamfer(mesh: Mesh, shape: Shape, rng: np.random.Generator) -> float:
    true = shape.mesh.vertices if shape.mesh is not None else shape.surface(PAPER_SAMPLES, rng)[0]
    if len(true) > PAPER_SAMPLES:
        true = true[rng.choice(len(true), PAPER_SAMPLES, replace=False)]
    pred = Shape("prediction", "prediction", mesh=mesh).surface(PAPER_SAMPLES, rng)[0]
    return 1e5 * chamfer(nearest(pred, true)[0], nearest(true, pred)[0]).l2


def _scores(
    values: dict[str, float | None], definitions: dict[str, str], bands: dict[str, Any] | None = None
) -> Scores:
    """JSON has no NaN: a score that can't be had is null, and its definition says why."""
    numbers = {name: float(v) if v is not None and math.isfinite(v) else None for name, v in values.items()}
    empty = " NULL: neither solid holds one of these points."  # all that makes an IoU, and its error, undefined
    reasons = {name: empty for name, v in numbers.items() if v is None and "NULL:" not in definitions[name]}
    return Scores(numbers, {name: text + reasons.get(name, "") for name, text in definitions.items()}, bands)
