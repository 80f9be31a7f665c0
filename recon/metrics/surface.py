"""Scores of a surface or solid against the true one; lengths are in the units of the points and distances given.

Directed distances are the distances from samples of one surface to the nearest place on the other: exact ones to the
triangles where the caller has them, else those of `directed_distances`, to the nearest sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from pykdtree.kdtree import KDTree

DEFINITIONS: dict[str, str] = {
    "iou": "points inside both solids / points inside at least one, over all points of the grid; inside: distance < 0",
    "trimap_iou": "iou over those points only whose distance to the true surface is at most the given one",
    "trimap_iou_sampled": "iou estimated from random points within the given distance of the true surface,"
    " each weighted by one over its density, with the standard error of the estimate",
    "chamfer_l1": "(mean distance from predicted to true surface + mean distance from true to predicted) / 2",
    "chamfer_l2": "mean squared distance from predicted to true surface + mean squared distance from true to predicted",
    "f_score": "2 p r / (p + r); p: share of the predicted surface within the given distance of the true one,"
    " r: share of the true surface within it of the predicted one",
    "normal_consistency": "|cosine| between the normals of a sample and of the nearest sample of the other surface,"
    " mean over each surface's samples, mean of the two",
    "hausdorff": "largest distance from a sample of either surface to the other (a lower bound of the true one)",
}
"""What each score means, by its name without the distance it ends in."""


@dataclass(frozen=True)
class WeightedIou:
    """An estimate of an IoU from random points, and its standard error."""

    iou: float
    standard_error: float


@dataclass(frozen=True)
class ChamferScores:
    """Chamfer distances as DEFINITIONS says; l1_error is the standard error of l1 as the samples are random."""

    l1: float
    l2: float
    l1_error: float


@dataclass(frozen=True)
class Sampled:
    """Points drawn evenly from a surface, with unit normals."""

    points: Float[np.ndarray, "n 3"]
    normals: Float[np.ndarray, "n 3"]


def iou(pred_inside: Bool[np.ndarray, "*n"], true_inside: Bool[np.ndarray, "*n"]) -> float:
    """Intersection over union; NaN where neither has a point inside, as two empty solids have no overlap to measure."""
    union = np.count_nonzero(pred_inside | true_inside)
    return np.count_nonzero(pred_inside & true_inside) / union if union else float("nan")


def trimap_iou(
    pred_inside: Bool[np.ndarray, "*n"],
    true_inside: Bool[np.ndarray, "*n"],
    abs_distance: Float[np.ndarray, "*n"],
    within: float,
) -> float:
    """IoU of the points at most `within` from the true surface (Neural Experts, 4.3); NaN as for `iou`."""
    band = abs_distance <= within
    return iou(pred_inside[band], true_inside[band])


def weighted_iou(
    pred_inside: Bool[np.ndarray, " n"], true_inside: Bool[np.ndarray, " n"], weights: Float[np.ndarray, " n"]
) -> WeightedIou:
    """IoU estimated from independent random points, each weighted by one over its density; NaN as for `iou`.

    The standard error is that of a ratio of two sums, to first order: of the residuals w (both - iou * either).
    """
    both, either = pred_inside & true_inside, pred_inside | true_inside
    union = float(weights[either].sum())
    if union <= 0 or len(weights) < 2:
        return WeightedIou(float("nan"), float("nan"))
    ratio = float(weights[both].sum()) / union
    residual = weights * (both - ratio * either)
    n = len(weights)
    return WeightedIou(ratio, float(np.sqrt(np.sum(residual**2, dtype=np.float64) * n / (n - 1)) / union))


def nearest(
    points: Float[np.ndarray, "n 3"], targets: Float[np.ndarray, "m 3"]
) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Distance from each point to the nearest target, and which one it is."""
    if not len(targets):
        raise ValueError("there are no points to be near to: the surface is empty")
    distance, index = KDTree(np.ascontiguousarray(targets)).query(np.ascontiguousarray(points, dtype=targets.dtype))
    return distance, index.astype(np.int64)


def directed_distances(
    pred_points: Float[np.ndarray, "n 3"], true_points: Float[np.ndarray, "m 3"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]]:
    """Distances from each point to the nearest of the other set: from predicted to true, and from true to predicted."""
    return nearest(pred_points, true_points)[0], nearest(true_points, pred_points)[0]


def chamfer(pred_to_true: Float[np.ndarray, " n"], true_to_pred: Float[np.ndarray, " m"]) -> ChamferScores:
    """Chamfer distances from directed ones: l1 is the mean of the two means, l2 the sum of the two mean squares."""
    _require_samples(pred_to_true, true_to_pred)
    means = [float(d.mean(dtype=np.float64)) for d in (pred_to_true, true_to_pred)]
    squares = [float(np.mean(d.astype(np.float64) ** 2)) for d in (pred_to_true, true_to_pred)]
    errors = [float(d.var(dtype=np.float64)) / len(d) for d in (pred_to_true, true_to_pred)]
    return ChamferScores(sum(means) / 2, sum(squares), float(np.sqrt(sum(errors)) / 2))


def f_score(pred_to_true: Float[np.ndarray, " n"], true_to_pred: Float[np.ndarray, " m"], threshold: float) -> float:
    """Harmonic mean of precision and recall at a distance; 0 where both are 0."""
    _require_samples(pred_to_true, true_to_pred)
    precision, recall = float(np.mean(pred_to_true <= threshold)), float(np.mean(true_to_pred <= threshold))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def hausdorff(pred_to_true: Float[np.ndarray, " n"], true_to_pred: Float[np.ndarray, " m"]) -> float:
    """Largest directed distance, either way; give vertices as well as samples, since the extremes lie there."""
    _require_samples(pred_to_true, true_to_pred)
    return float(max(pred_to_true.max(), true_to_pred.max()))


def normal_consistency(pred: Sampled, true: Sampled) -> float:
    """Mean |cosine| between normals of nearest samples (Occupancy Networks, 4.1): 1 is best, 0.5 is chance."""
    _, to_true = nearest(pred.points, true.points)
    _, to_pred = nearest(true.points, pred.points)
    forward = np.abs(np.einsum("ij,ij->i", pred.normals, true.normals[to_true])).mean()
    backward = np.abs(np.einsum("ij,ij->i", true.normals, pred.normals[to_pred])).mean()
    return float(forward + backward) / 2


def surface_scores(
    pred: Sampled,
    true: Sampled,
    pred_to_true: Float[np.ndarray, " n"],
    true_to_pred: Float[np.ndarray, " m"],
    thresholds: tuple[float, ...] = (0.005, 0.01),
) -> dict[str, float]:
    """Every score of two sampled surfaces, by the name it has in metrics.json."""
    distances = chamfer(pred_to_true, true_to_pred)
    return {
        "chamfer_l1": distances.l1,
        "chamfer_l1_standard_error": distances.l1_error,
        "chamfer_l2": distances.l2,
        **{f"f_score_{t:g}": f_score(pred_to_true, true_to_pred, t) for t in thresholds},
        "normal_consistency": normal_consistency(pred, true),
        "hausdorff": hausdorff(pred_to_true, true_to_pred),
    }


def _require_samples(*distances: Float[np.ndarray, " _"]) -> None:
    if not all(len(d) for d in distances):
        raise ValueError("a surface without samples has no distance to another: one of the two meshes is empty")
