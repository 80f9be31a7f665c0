"""Scores of a radiance field on its held-out views, view by view with file names, and the pictures they rest on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from recon.geometry import Cameras
from recon.metrics.image import DEFINITIONS, mse, psnr, ssim
from recon.rendering.depth_picture import colour_picture, depth_picture, error_heat, label_overlay, normal_picture
from recon.rendering.picture import contact_sheet, write_png
from recon.tasks.maps import Parts, parts_of
from recon.tasks.nerf.fitted import Fitted, Picture

SHOWN = 5
"""Held-out views on the sheet: the worst, the best, and others between them."""
SMALLEST_SSIM = 11


def score_views(
    fitted: Fitted,
    folder: Path | None,
    lpips: Callable[..., float] | None = None,
    on_view: Callable[[int], None] | None = None,
) -> list[dict[str, Any]]:
    """Renders every held-out view and scores it; with a folder, keeps each picture and its error there."""
    rows = []
    cameras = fitted.reference.cameras.select(list(fitted.reference.test))
    small = min(cameras.height, cameras.width) < SMALLEST_SSIM
    for index, view in enumerate(fitted.reference.test):
        picture = fitted.render(cameras, index)
        truth = fitted.reference.truth(index, fitted.background)
        row: dict[str, Any] = {"file": fitted.reference.files[view]}
        row |= {"psnr": psnr(picture.rgb, truth), "ssim": None if small else ssim(picture.rgb, truth)}
        row |= {"lpips": _lpips(lpips, picture.rgb, truth), "mse": mse(picture.rgb, truth)}
        rows.append(row)
        if folder is not None:
            write_png(folder / f"test_{index:03d}.png", colour_picture(picture.rgb))
            write_png(folder / f"test_{index:03d}_error.png", error_heat(picture.rgb, truth))
        if on_view is not None:
            on_view(index + 1)
    return rows


def _lpips(
    lpips: Callable[..., float] | None, pred: Float[Tensor, "h w 3"], truth: Float[Tensor, "h w 3"]
) -> float | None:
    """The distance; none without weights, and for pictures that are too small, which must not cost a run its scores."""
    if lpips is None:
        return None
    try:
        return lpips(pred, truth)
    except ValueError:
        return None


def mean_scores(rows: list[dict[str, Any]], lpips_known: bool) -> tuple[dict[str, float | None], dict[str, str]]:
    """Means over the views, and what each score means."""
    scores: dict[str, float | None] = {}
    definitions = {}
    for name in ("psnr", "ssim", "lpips", "mse"):
        values = [row[name] for row in rows]
        known = all(value is not None and math.isfinite(value) for value in values)
        scores[name] = sum(values) / len(values) if known else None
        definitions[name] = f"{DEFINITIONS[name]}; mean over {len(rows)} held-out views"
    if not lpips_known:
        definitions["lpips"] += ". NULL: no weights were given (--lpips-weights FILE.safetensors)."
    elif scores["lpips"] is None:
        definitions["lpips"] += ". NULL: the pictures are too small for its network."
    if scores["ssim"] is None:
        definitions["ssim"] += f". NULL: a side is shorter than {SMALLEST_SSIM} pixels."
    return scores, definitions


def picture_sheets(fitted: Fitted, rows: list[dict[str, Any]], folder: Path) -> dict[str, str]:
    """Draws the pictures for people: held-out views beside truth and error, and depth and normals."""
    order = sorted(range(len(rows)), key=lambda i: rows[i]["psnr"])
    count = min(SHOWN, len(order))
    chosen = [order[round(i * (len(order) - 1) / max(1, count - 1))] for i in range(count)]
    cameras = fitted.reference.cameras.select(list(fitted.reference.test))
    views: list[UInt8[np.ndarray, "h w 3"]] = []
    inside: list[UInt8[np.ndarray, "h w 3"]] = []
    labels, tiles, titles = [], [], []
    parts = parts_of(fitted.lit.radiance.field)
    for index in chosen:
        picture = fitted.render(cameras, index, normals=True)
        truth = fitted.reference.truth(index, fitted.background)
        views += [colour_picture(truth), colour_picture(picture.rgb), error_heat(picture.rgb, truth)]
        labels += [f"{Path(rows[index]['file']).name}", f"{rows[index]['psnr']:.2f} dB", "error"]
        assert picture.normal is not None
        inside += [depth_picture(picture.depth, picture.opacity), normal_picture(picture.normal, picture.opacity)]
        if parts and index in (chosen[0], chosen[-1]):
            tiles += [colour_picture(picture.rgb), *_tiles(fitted, parts, cameras, index, picture)]
            titles += [Path(rows[index]["file"]).name, *(part.title for part in parts)]
    write_png(folder / "views.png", contact_sheet([_enlarged(v) for v in views], 3, labels))
    names = ["depth", "normals"] * count
    write_png(folder / "inside.png", contact_sheet([_enlarged(v) for v in inside], 4 if count > 1 else 2, names))
    drawn = {"views": "images/views.png", "inside": "images/inside.png"}
    if tiles:
        write_png(folder / "tiles.png", contact_sheet([_enlarged(v) for v in tiles], 1 + len(parts), titles))
        drawn["tiles"] = "images/tiles.png"
    return drawn


def _tiles(
    fitted: Fitted, parts: Sequence[Parts], cameras: Cameras, view: int, picture: Picture
) -> list[UInt8[np.ndarray, "h w 3"]]:
    """Which part of the field serves each place that a camera sees, one picture for each way of dividing space."""
    rays = cameras.view_rays(view)
    points = rays.origin + picture.depth.reshape(-1, 1) * rays.direction
    u = fitted.lit.radiance.space.to_cube(points.to(fitted.device))
    shape = tuple(picture.opacity.shape)
    found = [(part.at(u).numpy().reshape(shape), part.count) for part in parts]
    return [label_overlay(labels, count, picture.rgb, picture.opacity) for labels, count in found]


def _enlarged(picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "a b 3"]:
    """Small pictures with whole pixels repeated, large ones thinned out, to sides of a few hundred pixels."""
    side = max(picture.shape[:2])
    if side > 600:
        step = -(-side // 600)
        return picture[::step, ::step]
    factor = max(1, 300 // side)
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)
