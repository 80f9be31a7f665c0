"""Scores of a signal against the true one, on normalised values: pictures and films in [0, 1], sounds in [-1, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Shaped

from recon.metrics.image import MOST_PSNR, ssim_share, window_bands

DEFINITIONS: dict[str, str] = {
    "mse": "mean of (predicted - true)^2 over all values and channels (alpha is one), values in [0, 1], predictions"
    " clipped",
    "psnr": f"-10 log10(mse), in dB; at most {MOST_PSNR:g}. Of a film over all its frames at once",
    "psnr_paper": "as Neural Experts' code counts: 10 log10(max(true)^2 / mse) with values in [-1, 1]; 6.02 dB less"
    " than psnr where the brightest value is 1",
    "ssim": "structural similarity (Wang et al. 2004): Gaussian window of 11x11 pixels with sigma 1.5, data range 1,"
    " mean over the windows within the picture, over channels, and of a film over its frames",
    "psnr_frames": "mean over the frames of each frame's own psnr",
}
SOUND_DEFINITIONS: dict[str, str] = {
    "mse": "mean of (predicted - true)^2 over all samples and channels, divided by max |true| before",
    "mse_1e4": "the same in units of 1e-4, as Neural Experts' Table 3 has it",
    "psnr": f"-10 log10(mse), in dB, with a peak of 1; at most {MOST_PSNR:g}",
    "snr": "10 log10(mean of true^2 / mean of (predicted - true)^2), in dB; null for silence",
}
CHUNK = 1 << 22
"""Values that are compared at a time, so that large pictures need no copy in doubles."""
Normalise = Callable[[np.ndarray], np.ndarray]
"""Turns a part of the true values, as they are stored, into those that are compared."""


def _as_they_are(true: np.ndarray) -> np.ndarray:
    return true


def squared_error(
    pred: Float[np.ndarray, "*shape c"], true: Shaped[np.ndarray, "*shape c"], normalise: Normalise = _as_they_are
) -> float:
    """Mean squared error, summed in doubles."""
    a, b = pred.reshape(-1), true.reshape(-1)
    parts = (a[i : i + CHUNK].astype(np.float64) - normalise(b[i : i + CHUNK]) for i in range(0, len(a), CHUNK))
    return sum(float(part @ part) for part in parts) / len(a)


def psnr_of(mse: float, peak: float = 1.0) -> float:
    """10 log10(peak^2 / mse), at most MOST_PSNR."""
    return min(MOST_PSNR, 10 * math.log10(peak**2 / mse)) if mse > 0 else MOST_PSNR


def psnr_paper(mse: float, brightest: float) -> float | None:
    """Neural Experts' PSNR from the mean squared error on [0, 1] and the largest true value there; none where that is
    1/2, which is 0 on the paper's [-1, 1]."""
    peak = abs(2 * brightest - 1)
    return psnr_of(4 * mse, peak) if peak > 0 else None


def ssim_of(
    pred: Float[np.ndarray, "h w c"], true: Shaped[np.ndarray, "h w c"], normalise: Normalise = _as_they_are
) -> float | None:
    """Mean over channels; none for pictures smaller than its window."""
    if min(pred.shape[:2]) < 11:
        return None
    parts = ((pred[rows], normalise(true[rows])) for rows in window_bands(pred.shape))
    return sum(ssim_share(torch.from_numpy(a), torch.from_numpy(b), pred.shape) for a, b in parts)


def snr(mse: float, true: Float[np.ndarray, "n c"]) -> float | None:
    """Power of the true samples over that of the error; none for silence."""
    power = float(np.square(true, dtype=np.float64).mean())
    return psnr_of(mse / power) if power > 0 else None
