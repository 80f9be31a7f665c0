"""How large the benchmarks' networks, batches and grids are: on a CPU, on a GPU, or as a test wants them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True)
class Sizes:
    """The defaults are for a CPU: all benchmarks together take less than ten minutes on two cores."""

    width: int = 64
    """Of every field where batches grow."""
    batches: tuple[int, ...] = (1024, 4096, 16_384, 65_536)
    widths: tuple[int, ...] = (64, 128, 256, 512)
    """Of the fields whose width grows, and"""
    width_batch: int = 4096
    """the points that they are given."""
    layer_widths: tuple[int, ...] = (64, 256)
    """Of a single layer with tiles."""
    tiles: int = 64
    points: int = 16_384
    """Of a single layer and of inference."""
    expert_points: int = 30_000
    """Of a training step of Neural Experts, as in the paper."""
    step_batch: int = 8192
    """Points of each field's training step."""
    pool: int = 200_000
    """Points from which batches are drawn."""
    drawn: str = "neural-experts"
    """Field whose quick step draws a batch."""
    asmr_width: int = 256
    picture: tuple[tuple[int, ...], ...] = ((4, 4, 4, 8), (4, 4, 6, 8))
    """Digits of an image's rows and columns: 512 x 768."""
    full_batch: tuple[int, ...] = (4, 4, 4, 8)
    """Digits of both axes of the image that is trained whole: 512 x 512."""
    solid: tuple[int, ...] = (4, 4, 8)
    """Digits of each axis of the solid that is trained whole: 128^3."""
    last_level: tuple[int, int] = (32, 8)
    """Parents and children per axis of a grid of two levels."""
    part: int = 16_384
    """Points on which networks run that would take too long on a whole grid."""
    surface: int = 512
    """Grid points per axis of the surface."""
    surface_coarse: int = 128
    """The same where all of them would take too long."""
    occupancy_levels: int = 9
    """Levels of two of the occupancy grid: 2^9 cells per axis."""
    occupancy_least: int = 6
    """The same where all of them would take too long."""
    occupancy_width: int = 512

    @staticmethod
    def on(device: torch.device) -> Sizes:
        """Those for a device."""
        if device.type == "cpu":
            return Sizes()
        batches = (*Sizes.batches, 262_144, 1_048_576)
        return replace(Sizes(), batches=batches, width_batch=65_536, points=262_144, step_batch=65_536, part=1 << 18)
