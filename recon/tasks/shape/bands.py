"""How wrong a prediction is near the surface and far from it: errors by distance from the true surface."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from recon.tasks.shape.truth import BANDS, Truth

DEFINITION = (
    "wrong: share of the volume within the band that is predicted on the wrong side; error: mean absolute difference of"
    " predicted and true signed distance there, bias: mean difference (below 0: the solid is too large), in {units};"
    " from the random points of trimap_iou_sampled, each by the volume that it stands for; beyond the last band from"
    " grid points, without distances.{reason}"
)
NO_DISTANCE = " NULL: what was predicted is no distance."


def by_distance(
    truth: Truth,
    near_inside: Bool[np.ndarray, " m"],
    grid_inside: Bool[np.ndarray, " n"],
    near_values: Float[np.ndarray, " m"] | None = None,
) -> dict[str, Any]:
    """Rows for bands of distance from the surface, with what they mean, for `metrics.json`; in the ruler's units.

    `near_values` are predicted signed distances of the truth's near points; None where there are none."""
    ruler, edges = truth.ruler, (0.0, *sorted(truth.ruler.bands))
    names = (0.0, *sorted(BANDS))
    signed = np.where(truth.near_inside, -1.0, 1.0) * truth.near_distance
    rows = []
    for at in range(len(names) - 1):
        within = (truth.near_distance <= edges[at + 1]) & ((truth.near_distance > edges[at]) | (at == 0))
        weight = truth.near_weight[within].astype(np.float64)
        row = {"from": names[at], "to": names[at + 1], "points": int(within.sum())}
        row["wrong"] = _mean(near_inside[within] != truth.near_inside[within], weight)
        apart = None if near_values is None else (near_values[within] - signed[within]) / ruler.scale
        row["error"] = None if apart is None else _mean(np.abs(apart), weight)
        row["bias"] = None if apart is None else _mean(apart, weight)
        rows.append(row)
    far = np.ones(truth.inside.size, bool)
    far[truth.band_index] = False
    wrong = _mean(grid_inside[far] != truth.inside.reshape(-1)[far], np.ones(int(far.sum())))
    rows.append({"from": names[-1], "to": None, "points": int(far.sum()), "wrong": wrong, "error": None, "bias": None})
    reason = "" if near_values is not None else NO_DISTANCE
    return {"definition": DEFINITION.format(units=ruler.units, reason=reason), "rows": rows}


def _mean(values: np.ndarray, weight: Float[np.ndarray, " m"]) -> float | None:
    """Weighted mean; None of nothing."""
    total = float(weight.sum())
    found = float((values * weight).sum()) / total if total > 0 else float("nan")
    return found if np.isfinite(found) else None
