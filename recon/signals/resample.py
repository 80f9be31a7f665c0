"""Signals on coarser grids over the same extent, without what those can't hold: it would make false patterns."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

CROSSINGS = 48
"""Of the filter on each side: it keeps what lies below 0.9 of the new rate's half, of which it leaves -50 dB."""
PASSED = 0.95
"""Of the new rate's half: where the filter has fallen to 1/2."""
TRANSPARENT = 1e-6
"""Alpha below which nothing is seen of a colour."""
CHUNK = 1 << 20
"""Products at a time."""


def slowed(values: Float[np.ndarray, "n c"], count: int) -> Float[np.ndarray, "count c"]:
    """Fewer samples of the same sound, through a low pass (a windowed sinc around the middle of each new sample).

    The first and the last sample go on beyond the ends."""
    ratio = len(values) / count
    reach = np.arange(2 * math.ceil(CROSSINGS * ratio)) - math.ceil(CROSSINGS * ratio) + 1
    found = np.empty((count, values.shape[1]), values.dtype)
    for start in range(0, count, step := max(1, CHUNK // len(reach))):
        middle = (np.arange(start, min(start + step, count)) + 0.5) * ratio - 0.5
        index = np.floor(middle).astype(np.int64)[:, None] + reach
        away = (middle[:, None] - index) / ratio
        turn = np.pi * np.clip(away / CROSSINGS, -1, 1)
        weights = np.sinc(PASSED * away) * (0.42 + 0.5 * np.cos(turn) + 0.08 * np.cos(2 * turn))  # Blackman's window
        weights /= weights.sum(axis=1, keepdims=True)
        found[start : start + step] = np.einsum("nk,nkc->nc", weights, values[index.clip(0, len(values) - 1)])
    return found


def shrunk(values: Float[np.ndarray, "h w c"], height: int, width: int) -> Float[np.ndarray, "height width c"]:
    """A smaller picture: each pixel the mean over its area, with the parts of pixels that it covers. Where two or four
    channels end in an alpha, colours weigh by it, as light does."""
    channels = values.shape[2]
    planes = [_mean(values[..., channel], height, width) for channel in range(channels)]
    if channels in (2, 4):
        alpha, weight = values[..., -1], np.maximum(planes[-1], TRANSPARENT)
        planes[:-1] = [_mean(values[..., channel] * alpha, height, width) / weight for channel in range(channels - 1)]
    return np.stack(planes, axis=2)


def _mean(values: Float[np.ndarray, "h w"], height: int, width: int) -> Float[np.ndarray, "height width"]:
    return _mean_along(_mean_along(values, height).T, width).T


def _mean_along(values: Float[np.ndarray, "a b"], count: int) -> Float[np.ndarray, "count b"]:
    """Means over stretches of axis 0, by what is summed up to where each ends."""
    own = len(values)
    if count == own:
        return values
    ends = np.arange(count + 1) * (own / count)
    last = np.minimum(ends.astype(np.int64), own - 1)
    before = np.cumsum(values, axis=0, dtype=np.float64) - values
    sums = before[last] + (ends - last)[:, None] * values[last]
    return (np.diff(sums, axis=0) * (count / own)).astype(values.dtype)
