"""Pictures for people of what a field renders: colour, depth, normals, opacity, errors; sRGB uint8 [h, w, 3]."""

from __future__ import annotations

from collections.abc import Iterable

import matplotlib
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from recon.rendering.picture import categorical_colors

WORST_ERROR = 0.25
"""The error from which on `error_heat` is brightest: one scale for all pictures, so that they can be compared."""
_SHADES = 256
"""Of matplotlib's maps: to look up those few takes a fifth of the time that mapping each pixel does."""


def colour_picture(rgb: Float[Tensor, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Colours in [0, 1], rounded to the nearest of 256 steps; others are clipped."""
    return (rgb.detach().nan_to_num().clamp(0, 1) * 255).round().byte().cpu().numpy()


def opacity_picture(opacity: Float[Tensor, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """White where nothing shines through, black where nothing is."""
    return colour_picture(opacity[..., None].expand(-1, -1, 3))


def depth_limits(
    views: Iterable[tuple[Float[Tensor, "h w"], Float[Tensor, "h w"]]],
) -> tuple[float, float]:
    """Depths between which colours are spread over all of a film's frames, given as (depth, opacity) of each.

    The 2nd and 98th of 100 depths of opaque pixels: a few stray ones do not wash out the rest. (0, 1) without any.
    """
    parts = [depth.detach()[_shown(depth, opacity)].double().cpu() for depth, opacity in views]
    found = torch.cat([torch.zeros(0, dtype=torch.float64), *parts])
    if not len(found):
        return 0.0, 1.0
    low, high = np.quantile(found.numpy(), (0.02, 0.98)).tolist()
    return low, max(high, low + 1e-6 * abs(low) + 1e-12)


def depth_picture(
    depth: Float[Tensor, "h w"],
    opacity: Float[Tensor, "h w"],
    limits: tuple[float, float] | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Near is red, far is blue (turbo), nothing is white; limits are this picture's `depth_limits` by default."""
    low, high = limits or depth_limits([(depth, opacity)])
    near = (high - depth.detach().cpu().double().nan_to_num(high, high, low)) / (high - low)
    colour = _mapped(near.clamp(0, 1), "turbo")
    return _on_white(colour, opacity, _shown(depth, opacity, least=0.0))


def normal_picture(normal: Float[Tensor, "h w 3"], opacity: Float[Tensor, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """World normals as (n + 1) / 2 in red, green and blue, on white; of any length, for rendering shortens them."""
    length = normal.detach().cpu().double().norm(dim=-1, keepdim=True)
    unit = normal.detach().cpu().double() / length
    known = length[..., 0] > 0  # false where it is no number
    return _on_white((unit + 1) / 2, opacity, known)


def label_overlay(
    labels: Int[np.ndarray, "h w"], count: int, rgb: Float[Tensor, "h w 3"], opacity: Float[Tensor, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """What a label below `count` at each pixel is, such as a tile: its colour, shaded by a picture, on white."""
    colour = torch.from_numpy(categorical_colors(labels.reshape(-1), count).reshape(*labels.shape, 3) / 255)
    light = rgb.detach().cpu().double().nan_to_num().mean(dim=-1, keepdim=True)
    return _on_white(colour * (0.5 + light.clamp(0, 1) / 2), opacity, opacity.isfinite())


def error_heat(pred: Float[Tensor, "h w 3"], target: Float[Tensor, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Mean absolute error of each pixel's channels: black is none, pale yellow WORST_ERROR or more (magma)."""
    error = (pred - target).detach().abs().mean(dim=-1).cpu().double()
    at = ((error.nan_to_num(1.0) / WORST_ERROR).clamp(0, 1) * _SHADES).clamp(max=_SHADES - 1)
    shades = colour_picture(_mapped(torch.arange(_SHADES)[None] / _SHADES, "magma"))[0]
    return shades[at.to(torch.uint8).numpy()]


def _shown(depth: Float[Tensor, "h w"], opacity: Float[Tensor, "h w"], least: float = 0.5) -> Bool[Tensor, "h w"]:
    return depth.isfinite() & (opacity > least)


def _mapped(values: Float[Tensor, "h w"], name: str) -> Float[Tensor, "h w 3"]:
    return torch.from_numpy(matplotlib.colormaps[name](values.numpy())[..., :3])


def _on_white(
    colour: Float[Tensor, "h w 3"], opacity: Float[Tensor, "h w"], known: Bool[Tensor, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    weight = (opacity.detach().nan_to_num().clamp(0, 1) * known.to(opacity)).cpu().double()[..., None]
    return colour_picture(torch.where(weight > 0, colour, 1.0) * weight + (1 - weight))
