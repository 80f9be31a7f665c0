"""Scores of a learned signal, with what they mean."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from recon.metrics.signal import (
    DEFINITIONS,
    SOUND_DEFINITIONS,
    psnr_of,
    psnr_paper,
    snr,
    squared_error,
    ssim_of,
)
from recon.signals.signal import Signal


@dataclass(frozen=True)
class Scores:
    """Numbers, their meaning, and of a film a row for each frame."""

    values: dict[str, float | None]
    definitions: dict[str, str]
    rows: list[dict[str, Any]]

    def with_agreement(self, experts: Int[np.ndarray, "*shape"], segments: Int[np.ndarray, "*shape"]) -> Scores:
        """And how well the manager keeps the segments apart."""
        value = float((experts == segments).mean())
        meaning = "share of the values that the expert of their segment serves"
        return replace(
            self,
            values={**self.values, "segment_agreement": value},
            definitions={**self.definitions, "segment_agreement": meaning},
        )


def score(pred: Float[np.ndarray, "*shape c"], signal: Signal) -> Scores:
    """Normalised values on the signal's grid against the truth."""
    true, unit = signal.values, signal.normalised
    error = squared_error(pred, true, unit)
    if signal.kind == "sound":
        values = {"psnr": psnr_of(error), "snr": snr(error, unit()), "mse": error, "mse_1e4": 1e4 * error}
        return Scores(values, dict(SOUND_DEFINITIONS), [{"signal": signal.name, **values}])
    brightest = unit(true.max(keepdims=True)).item()
    values = {"psnr": psnr_of(error), "ssim": None, "psnr_paper": psnr_paper(error, brightest), "mse": error}
    if signal.kind == "image":
        values["ssim"] = ssim_of(pred, true, unit)
        definitions = {name: DEFINITIONS[name] for name in values}
        return Scores(values, definitions, [{"signal": signal.name, **values}])
    rows = [
        {"frame": frame, "psnr": psnr_of(squared_error(a, b, unit)), "ssim": ssim_of(a, b, unit)}
        for frame, (a, b) in enumerate(zip(pred, true, strict=True))
    ]
    found = [row["ssim"] for row in rows if row["ssim"] is not None]
    values["ssim"] = float(np.mean(found)) if found else None
    values["psnr_frames"] = float(np.mean([row["psnr"] for row in rows]))
    return Scores(values, {name: DEFINITIONS[name] for name in values}, rows)
