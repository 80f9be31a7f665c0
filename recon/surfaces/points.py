"""Point clouds with colours and normals from rendered views, and cameras as JSON; all in the frame of the input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from recon.geometry import Box, Cameras, Mesh, Rays
from recon.surfaces.export import write_mesh

OPAQUE = 0.9
"""Opacity from which a pixel shows a surface."""


@dataclass(frozen=True)
class Points:
    """A point cloud in world space; normals have length 1, or 0 where none is known."""

    position: Float[np.ndarray, "n 3"]
    colour: UInt8[np.ndarray, "n 3"]
    normal: Float[np.ndarray, "n 3"] | None


@dataclass(frozen=True)
class Seen:
    """What one view shows: distance along the ray, opacity, colour in [0, 1] and, where known, world normals."""

    distance: Float[Tensor, "h w"]
    opacity: Float[Tensor, "h w"]
    rgb: Float[Tensor, "h w 3"]
    normal: Float[Tensor, "h w 3"] | None = None


def gather(views: Iterable[Seen], cameras: Cameras, count: int, rng: torch.Generator, box: Box | None = None) -> Points:
    """Points on what cameras see, about `count` of them or fewer, drawn evenly from the opaque pixels of all views.

    Only points within the box, where one is given. ValueError where no pixel is opaque there.
    """
    share = -(-count // max(1, len(cameras)))
    parts = [_of_view(seen, cameras.view_rays(view), share, rng, box) for view, seen in enumerate(views)]
    if not sum(len(part.position) for part in parts):
        raise ValueError(
            f"no view shows anything with an opacity of {OPAQUE:g} there; train longer, or enlarge the box"
        )
    normals = [part.normal for part in parts if part.normal is not None]
    return Points(
        np.concatenate([part.position for part in parts]),
        np.concatenate([part.colour for part in parts]),
        np.concatenate(normals) if len(normals) == len(parts) else None,
    )


def _of_view(seen: Seen, rays: Rays, share: int, rng: torch.Generator, box: Box | None) -> Points:
    distance = seen.distance.detach().cpu().reshape(-1)
    points = rays.origin.double() + distance.double()[:, None] * rays.direction.double()
    use = (seen.opacity.detach().cpu().reshape(-1) >= OPAQUE) & distance.isfinite() & (distance > 0)
    if box is not None:
        use &= ((points - points.new_tensor(box.centre)).abs() <= points.new_tensor(box.half)).all(dim=1)
    pixel = use.nonzero()[:, 0]
    pixel = pixel[torch.randperm(len(pixel), generator=rng)[:share]].sort().values
    rgb = seen.rgb.detach().cpu().reshape(-1, 3)[pixel]
    normal = None
    if seen.normal is not None:
        normal = seen.normal.detach().cpu().double().reshape(-1, 3)[pixel].nan_to_num()
        normal = torch.nn.functional.normalize(normal, dim=1).numpy()
    return Points(points[pixel].numpy(), (rgb.nan_to_num().clamp(0, 1) * 255).round().byte().numpy(), normal)


def write_points(path: Path, points: Points, comment: str | None = None) -> None:
    """Writes a binary PLY file, whole or not at all."""
    if path.suffix.lower() != ".ply":
        raise ValueError(f"a point cloud is written as .ply, '{path.name}' has the suffix '{path.suffix}'")
    bare = Mesh(points.position, np.zeros((0, 3), np.int64))
    write_mesh(path, bare, points.normal, points.colour, comment)


def cameras_json(cameras: Cameras, files: Sequence[str], splits: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """All cameras as one JSON object: `convention`, in words, and `cameras`, one object a view.

    Each has `file` (the picture), `split` (train, val, test or null), `pose` (4x4, row by row), `w`, `h`, `fx`, `fy`,
    `cx`, `cy` in pixels, and OpenCV's distortion `k1`, `k2`, `p1`, `p2`.
    """
    if len(files) != len(cameras):
        raise ValueError(f"{len(cameras)} cameras need as many names of files, got {len(files)}")
    split_of = {view: name for name, views in splits.items() for view in views}
    rows = []
    for view, file in enumerate(files):
        lens = torch.cat([cameras.focal[view], cameras.centre[view], cameras.distortion[view]]).tolist()
        rows.append(
            {
                "file": file,
                "split": split_of.get(view),
                "pose": [*cameras.pose[view].tolist(), [0.0, 0.0, 0.0, 1.0]],
                "w": cameras.width,
                "h": cameras.height,
                **dict(zip(("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2"), lens, strict=True)),
            }
        )
    return {
        "convention": "pose: camera to world in the frame of the input; the camera's axes are right, up, backwards"
        " (OpenGL); pixel centres at +0.5 from the upper left corner; distortion as in OpenCV",
        "cameras": rows,
    }
