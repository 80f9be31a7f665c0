"""Colours for surfaces that have none: solid patterns, functions of a point. Albedo is linear, in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.ndimage import map_coordinates

Points = Float[np.ndarray, "n 3"]
Values = Float[np.ndarray, " n"]
Colours = Float[np.ndarray, "n 3"]

_PERIOD = 32  # cells of the lattice, after which noise repeats
_PALETTE = ("#31506b", "#6f9aa8", "#e6d3ae", "#c8743c", "#7c3226")


def to_linear(srgb: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """Light of sRGB values in [0, 1] (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """Inverse of `to_linear`."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)


def colour(hexadecimal: str) -> Float[np.ndarray, "3"]:
    """Albedo of a colour as web pages write it, #rrggbb in sRGB."""
    return to_linear(np.array([int(hexadecimal[i : i + 2], 16) for i in (1, 3, 5)]) / 255)


def noise(x: Points, frequency: float, seed: int) -> Values:
    """Smooth noise of mean 0, mostly within -1 .. 1: a cubic B-spline over random numbers on a lattice."""
    lattice = np.random.default_rng(seed).uniform(-2, 2, (_PERIOD,) * 3)
    return map_coordinates(lattice, (x * frequency).T, order=3, mode="grid-wrap", prefilter=False)


def rough(x: Points, frequency: float, seed: int, octaves: int = 3) -> Values:
    """Noise with finer noise on top, each octave half as strong."""
    return sum((noise(x, frequency * 2**k, seed + k) / 2**k for k in range(octaves)), np.zeros(len(x)))


def step(value: Values, edge: float, width: float) -> Values:
    """0 below the edge, 1 above it, smooth over the width."""
    t = np.clip((value - edge) / width + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Colours | Float[np.ndarray, "3"], b: Colours | Float[np.ndarray, "3"], share: Values) -> Colours:
    """From a (share 0) to b (share 1)."""
    return a + (np.asarray(b) - a) * share[:, None]


def ramp(value: Values, colours: Sequence[str]) -> Colours:
    """Colours blended along 0 .. 1."""
    table = np.stack([colour(name) for name in colours])
    at = np.linspace(0, 1, len(table))
    return np.stack([np.interp(value, at, channel) for channel in table.T], axis=1)


def marbled(x: Points, seed: int = 0) -> Colours:
    """Layers of coloured stone, folded, with pale veins and grain: detail at every scale for any shape in [-1, 1]^3."""
    fold = rough(x, 1.6, seed)
    layers = 0.5 + 0.5 * np.sin(9 * (x @ [0.3, 0.9, 0.25]) + 4.5 * fold)
    stone = ramp(layers + 0.12 * rough(x, 14.0, seed + 10), _PALETTE)
    veins = 1 - step(np.abs(rough(x, 3.1, seed + 20)), 0.07, 0.06)
    return mix(stone, colour("#f4ecdd"), 0.8 * veins) * (1 + 0.10 * noise(x, 22.0, seed + 30))[:, None]
