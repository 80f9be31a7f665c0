"""A picture of a scene's cameras, its box and its points, from above and from two sides."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from recon.geometry import Cameras, Space
from recon.scenes.hull import centres, hull
from recon.scenes.region import looked_at
from recon.scenes.scene import Scene

COLOURS = {"train": "#2a6fbb", "val": "#8a8a8a", "test": "#d9822b"}
SIDES = ((0, 1, "x", "y"), (0, 2, "x", "z"), (1, 2, "y", "z"))
_EDGES = [(a, b) for a in range(8) for b in range(a) if bin(a ^ b).count("1") == 1]


def scene_picture(scene: Scene, space: Space) -> UInt8[np.ndarray, "h w 3"]:
    """Frusta by split, the box (contracted: its inner box), and sparse or hull points; along z, y and x."""
    figure = Figure(figsize=(15, 5.4), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    points, box = _points(scene, space), _box_lines(scene, space)
    frusta = {split: _frusta(scene.cameras.select(list(views))) for split, views in scene.splits.items()}
    everything = np.concatenate([lines.reshape(-1, 3) for lines in (box, *frusta.values())])
    for place, (a, b, across, along) in enumerate(SIDES):
        axes = figure.add_subplot(1, 3, place + 1)
        axes.scatter(points[:, a], points[:, b], s=1, c="#55555530", linewidths=0)
        axes.add_collection(LineCollection(list(box[..., [a, b]]), colors="#2f9e44", linewidths=1.5, label="box"))
        for split, lines in frusta.items():
            drawn = LineCollection(
                list(lines[..., [a, b]]), colors=COLOURS[split], linewidths=0.7, label=f"{split} ({len(lines) // 8})"
            )
            axes.add_collection(drawn)
        _frame(axes, everything[:, [a, b]], (across, along))
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    figure.suptitle(f"{scene.name}: {scene.layout}, {space.kind} space", fontsize=11)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _frame(axes: Axes, points: Float[np.ndarray, "n 2"], names: tuple[str, str]) -> None:
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high) / 2, 0.53 * max(float((high - low).max()), 1e-6)
    axes.set_xlim(middle[0] - half, middle[0] + half)
    axes.set_ylim(middle[1] - half, middle[1] + half)
    axes.set_aspect("equal")
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])


def _frusta(cameras: Cameras) -> Float[np.ndarray, "s 2 3"]:
    """Eight segments a camera: to the corners of its picture, and around them, a tenth of the way to what it sees."""
    corners = torch.tensor([[0, 0], [1, 0], [1, 1], [0, 1]]).double() * torch.tensor([cameras.width, cameras.height])
    _, distance, _ = looked_at(cameras)
    view = torch.arange(len(cameras)).repeat_interleave(4)
    rays = cameras.rays(view, corners.repeat(len(cameras), 1))
    ends = (rays.origin + 0.1 * distance * rays.direction).reshape(-1, 4, 3)
    spokes = torch.stack([rays.origin.reshape(-1, 4, 3), ends], dim=2)
    rims = torch.stack([ends, ends.roll(-1, dims=1)], dim=2)
    return torch.cat([spokes, rims], dim=1).reshape(-1, 2, 3).numpy()


def _box_lines(scene: Scene, space: Space) -> Float[np.ndarray, "12 2 3"]:
    """Edges of the box; of a frustum, from its near plane to the farthest content."""
    signs = torch.tensor([[1.0 if corner >> axis & 1 else -1.0 for axis in range(3)] for corner in range(8)])
    if space.kind == "ndc":
        assert scene.depth_range is not None
        signs[:, 2] = torch.where(signs[:, 2] > 0, 1 - 2 * space.near / scene.depth_range[1], -1.0)
    elif space.kind == "contracted":
        signs = signs / 2
    corners = space.from_cube(signs)
    return torch.stack([torch.stack([corners[a], corners[b]]) for a, b in _EDGES]).numpy()


def _points(scene: Scene, space: Space) -> Float[np.ndarray, "p 3"]:
    """Sparse points, or the middles of the hull's cells, or none."""
    if scene.points is not None:
        points: Tensor = scene.points
    elif space.kind == "box" and (scene.has_alpha or scene.white):
        points = centres(space.box, hull(scene, space, 32))
    else:
        points = torch.zeros(0, 3)
    return points[:: max(1, len(points) // 20000)].numpy()
