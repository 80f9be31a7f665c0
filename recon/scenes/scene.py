"""A scene: cameras, their pictures, and what is known of the space they show. World frame and units as in the files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from recon.geometry import Box, Cameras

Layout = Literal["nsvf", "blender", "instant-ngp", "llff", "colmap"]
Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Scene:
    """v views. Pictures stay uint8 until a batch needs them."""

    name: str
    layout: Layout
    folder: Path
    cameras: Cameras
    images: UInt8[Tensor, "v h w c"]
    """RGB (c = 3), or RGB and straight alpha (c = 4); masks, where given, are the alpha."""
    files: tuple[str, ...]
    """Names of the pictures, relative to the folder."""
    splits: dict[Split, tuple[int, ...]]
    """Indices of views; train and test are there and not empty, val may be missing."""
    box: Box | None = None
    """Where the content lies, if the files say so."""
    depth_range: tuple[float, float] | None = None
    """Smallest and largest depth of the content seen from its cameras, if the files say so."""
    points: Float[Tensor, "p 3"] | None = None
    """Sparse points of structure from motion, if there are any."""
    white: bool = False
    """Three-channel pictures show an object on white (NSVF), so that the rest of space is empty."""
    notes: tuple[str, ...] = ()
    """What the reader converted, skipped or chose, for people."""

    @property
    def has_alpha(self) -> bool:
        """Whether pictures tell object from background."""
        return self.images.shape[-1] == 4

    def pixels(self, view: Tensor, index: Tensor, background: Tensor) -> Float[Tensor, "r 3"]:
        """Colours in [0, 1] of pixels (row * width + column) of some views; alpha blends onto `background`."""
        rows = self.images.flatten(1, 2)[view, index].float() / 255
        if not self.has_alpha:
            return rows
        alpha = rows[:, 3:]
        return rows[:, :3] * alpha + background * (1 - alpha)

    def image(self, view: int, background: Tensor) -> Float[Tensor, "h w 3"]:
        """One whole picture, as `pixels` gives it."""
        height, width = self.images.shape[1:3]
        index = torch.arange(height * width)
        return self.pixels(torch.full_like(index, view), index, background).reshape(height, width, 3)
