"""Visual hull: what silhouettes leave of a box, cell by cell. A cell goes only where pictures surely show nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import binary_fill_holes
from torch import Tensor

from recon.geometry import Box, Cameras, Space
from recon.geometry.cameras import distort
from recon.scenes.scene import Scene

MASK_SIZE = 200
"""Silhouettes are reduced to about this many pixels a side; a pixel counts if anything in it shows the object."""
MAX_VIEWS = 100
"""Training views that carve; of more, every n-th."""
COARSE = 16
"""Cells a side of the coarsest grid that is carved."""
WHITE = 250
"""Three-channel pictures on white show the object where a channel is darker than this."""
TRIES = ((0.75, 0.0), (0.5, 0.0), (0.25, 0.0), (0.75, 0.05), (0.5, 0.05), (0.1, 0.0), (0.75, 0.15), (0.5, 0.15))
"""Shares of the views that must see a cell, and that may call it empty all the same; the first that explains the
silhouettes is taken: a strict rule gives a tight box, a lenient one forgives cropped pictures and wrong masks."""
EXPLAINED = 0.995
"""Share of the object's pixels that must lie on the hull's projection."""


@dataclass(frozen=True)
class Silhouettes:
    """Reduced masks of v views, as sums over the rectangle above and left of each corner of a pixel."""

    cameras: Cameras
    sums: Int[Tensor, "v a b"]

    def __len__(self) -> int:
        return len(self.cameras)

    def mask(self, view: int) -> Bool[Tensor, "h w"]:
        """Pixels that show the object."""
        return self.sums[view].diff(dim=0).diff(dim=1) > 0


def silhouettes(scene: Scene) -> Silhouettes | None:
    """Those of the training views, without views that show nothing; none where pictures do not tell the object."""
    if not (scene.has_alpha or scene.white):
        return None
    train = scene.splits["train"]
    height, width = scene.images.shape[1:3]
    factor = math.ceil(max(height, width) / MASK_SIZE)
    pad = (-height % factor, -width % factor)
    kept, sums = [], []
    for view in train[:: math.ceil(len(train) / MAX_VIEWS)]:
        full = np.pad(_mask(scene, view), ((0, pad[0]), (0, pad[1])))
        mask = full.reshape(full.shape[0] // factor, factor, full.shape[1] // factor, factor).any(axis=(1, 3))
        if mask.any():
            kept.append(view)
            sums.append(np.pad(mask.astype(np.int32).cumsum(0).cumsum(1), ((1, 0), (1, 0))))
    if not kept:
        return None
    cameras = scene.cameras.select(kept)
    rows, columns = sums[0].shape
    small = replace(
        cameras, focal=cameras.focal / factor, centre=cameras.centre / factor, height=rows - 1, width=columns - 1
    )
    return Silhouettes(small, torch.from_numpy(np.stack(sums)))


def hull(scene: Scene, space: Space, resolution: int = 64) -> Bool[Tensor, "n n n"]:
    """Cells of the cube (x first) that may hold the object: all, where pictures or space do not tell.

    Conservative: a cell is false only where a training view shows background all over it, or, if masks disagree,
    where several do."""
    seen = silhouettes(scene) if space.kind == "box" else None
    if seen is None:
        return torch.ones(resolution, resolution, resolution, dtype=torch.bool)
    best, most = None, -1.0
    for share, dissent in TRIES:
        keep = _carve(seen, space.box, resolution, share, dissent)
        found = _explained(seen, space.box, keep)
        if found > most:
            best, most = keep, found
        if most >= EXPLAINED:
            break
    assert best is not None
    return best


def hull_box(seen: Silhouettes, start: Box) -> tuple[Box, float]:
    """A tight box around the hull within `start`, and the share of the object's pixels that the hull explains.

    ValueError where no point of `start` agrees with the silhouettes."""
    best: tuple[float, Box] | None = None
    for share, dissent in TRIES:
        box, keep = start, None
        for resolution in (32, 32, 48):
            keep = _carve(seen, box, resolution, share, dissent)
            if not keep.any():
                break
            tight = _bounds(box, keep)
            explained, box = _explained(seen, box, keep) if resolution == 48 else 0.0, tight
            if best is None or explained > best[0]:
                best = (explained, box)
        if best is not None and best[0] >= EXPLAINED:
            break
    if best is None or best[0] < 0.5:
        raise ValueError(
            "the masks do not agree with the cameras: no region of space appears on the object in all views; "
            "poses (axes, scale) or masks (inverted?) are wrong"
        )
    return best[1], best[0]


def centres(box: Box, keep: Bool[Tensor, "n n n"]) -> Float[Tensor, "m 3"]:
    """Middles of the cells of a box that are kept."""
    return _centres(box, keep.nonzero(), len(keep))


def _centres(box: Box, cells: Int[Tensor, "m 3"], resolution: int) -> Float[Tensor, "m 3"]:
    low, high = torch.tensor(box.low), torch.tensor(box.high)
    return low + (cells + 0.5) / resolution * (high - low)


def footprint(
    cameras: Cameras, view: int, points: Float[Tensor, "n 3"], radius: float
) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], Bool[Tensor, " n"], Bool[Tensor, " n"]]:
    """Pixels (x0, y0, x1, y1, not clipped) that surround balls in one view; which balls are all in front of it; and
    which are so near the camera's plane that they have no such pixels."""
    pose, bend = cameras.pose[view].float(), cameras.distortion[view].float()
    local = (points - pose[:, 3]) @ pose[:, :3]
    x, y, depth = local[:, 0], -local[:, 1], -local[:, 2]
    distance = local.norm(dim=-1).clamp(min=1e-12)
    sine, cosine = radius / distance, depth / distance
    # a ball seen at angle t from the axis under the half angle a ends at tan(t + a) on the plane at distance 1
    edge = cosine * (1 - sine * sine).clamp(min=0).sqrt() - (1 - cosine * cosine).clamp(min=0).sqrt() * sine
    front = (edge > 0.05) & (sine < 1)
    around = ~front & (depth > -radius)
    safe = torch.where(front, depth, 1.0)
    reach, x, y = torch.where(front, sine / (cosine * edge), 0.0), x / safe, y / safe
    focal, centre = cameras.focal[view].tolist(), cameras.centre[view].tolist()
    if bend.any():
        # far beyond the picture a lens model folds back into it: only what is near the picture is taken
        limits = [
            1.5 * max(c, s - c) / f for c, s, f in zip(centre, (cameras.width, cameras.height), focal, strict=True)
        ]
        front = front & (x.abs() < limits[0] + reach) & (y.abs() < limits[1] + reach)
        x, y = distort(torch.stack([x, y], dim=-1), bend.expand(len(x), 4)).unbind(-1)
        reach = reach * 1.25
    x, y = x * focal[0] + centre[0], y * focal[1] + centre[1]
    across, along = reach * focal[0], reach * focal[1]
    ends = ((x - across).floor(), (y - along).floor(), (x + across).ceil(), (y + along).ceil())
    a, b, c, d = (end.clamp(-1e6, 1e6).long() for end in ends)
    return (a, b, c, d), front, around


def _mask(scene: Scene, view: int) -> Bool[np.ndarray, "h w"]:
    picture = scene.images[view].numpy()
    if scene.has_alpha:
        return picture[..., 3] > 0
    # white spots within the object are the object
    return np.asarray(binary_fill_holes(picture.min(axis=2) < WHITE))


def _clipped(corner: tuple[Tensor, Tensor, Tensor, Tensor], cameras: Cameras) -> list[Tensor]:
    limits = (cameras.width, cameras.height, cameras.width, cameras.height)
    return [part.clamp(0, limit) for part, limit in zip(corner, limits, strict=True)]


def _carve(seen: Silhouettes, box: Box, resolution: int, share: float, dissent: float) -> Bool[Tensor, "n n n"]:
    """Cells that at least a share of the views see, and that no more than a share call empty; large cells first."""
    size = resolution
    while size % 2 == 0 and size > COARSE:
        size //= 2
    cells = torch.cartesian_prod(*[torch.arange(size)] * 3)
    while True:
        cells = cells[_possible(seen, _centres(box, cells, size), box.radius / size, share, dissent)]
        if size == resolution:
            break
        halves = torch.cartesian_prod(*[torch.arange(2)] * 3)
        cells, size = (2 * cells[:, None] + halves).reshape(-1, 3), 2 * size
    keep = torch.zeros(resolution, resolution, resolution, dtype=torch.bool)
    keep[cells[:, 0], cells[:, 1], cells[:, 2]] = True
    return keep


def _possible(
    seen: Silhouettes, points: Float[Tensor, "n 3"], radius: float, share: float, dissent: float
) -> Bool[Tensor, " n"]:
    """Balls that at least a share of the views see, and that no more than a share call empty."""
    allowed = int(dissent * len(seen))
    views, against = torch.zeros(len(points)), torch.zeros(len(points))
    alive = torch.arange(len(points))
    for view in range(len(seen)):
        corner, front, around = footprint(seen.cameras, view, points[alive], radius)
        x0, y0, x1, y1 = _clipped(corner, seen.cameras)
        width, sums = seen.cameras.width + 1, seen.sums[view].flatten()
        shown = sums[y1 * width + x1] - sums[y0 * width + x1] - sums[y1 * width + x0] + sums[y0 * width + x0]
        touches = front & (x1 > x0) & (y1 > y0)
        whole = (corner[0] == x0) & (corner[1] == y0) & (corner[2] == x1) & (corner[3] == y1)
        empty = touches & whole & (shown == 0)
        views[alive] += touches | around
        against[alive] += empty
        if empty.any():
            alive = alive[against[alive] <= allowed]
    return (against <= allowed) & (views >= max(share * len(seen), min(2, len(seen))))


def _explained(seen: Silhouettes, box: Box, keep: Bool[Tensor, "n n n"]) -> float:
    """Share of the object's pixels, over some of the views, onto which a cell that was kept projects."""
    if not keep.any():
        return 0.0
    points, radius = centres(box, keep), box.radius / len(keep)
    hit = total = 0
    for view in range(0, len(seen), math.ceil(len(seen) / 30)):
        corner, front, _ = footprint(seen.cameras, view, points, radius)
        # a cell that fills a picture, next to its camera, would explain whatever the picture shows
        small = front & (corner[2] - corner[0] < seen.cameras.width / 3)
        x0, y0, x1, y1 = (part[small] for part in _clipped(corner, seen.cameras))
        edges = torch.zeros(seen.cameras.height + 1, seen.cameras.width + 1, dtype=torch.int32)
        for y, x, sign in ((y0, x0, 1), (y1, x1, 1), (y0, x1, -1), (y1, x0, -1)):
            edges.index_put_((y, x), torch.full((len(y),), sign, dtype=torch.int32), accumulate=True)
        covered = edges.cumsum(0).cumsum(1)[:-1, :-1] > 0
        mask = seen.mask(view)
        hit, total = hit + int((mask & covered).sum()), total + int(mask.sum())
    return hit / total


def _bounds(box: Box, keep: Bool[Tensor, "n n n"]) -> Box:
    """The least box around cells."""
    corners = []
    for axis in range(3):
        others = [other for other in range(3) if other != axis]
        index = keep.any(dim=others[1]).any(dim=others[0]).nonzero()
        step = (box.high[axis] - box.low[axis]) / len(keep)
        corners.append((box.low[axis] + int(index.min()) * step, box.low[axis] + (int(index.max()) + 1) * step))
    (a, d), (b, e), (c, f) = corners
    return Box((a, b, c), (d, e, f))
