"""Films of a trained scene: cameras along a path, and one PNG a frame of colour, depth, normals or opacity."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from recon.geometry import Cameras, Space
from recon.rendering.depth_picture import colour_picture, depth_limits, depth_picture, normal_picture, opacity_picture
from recon.rendering.paths import Kind, path, up_direction
from recon.rendering.picture import write_png
from recon.tasks.bench import Say
from recon.tasks.nerf.fitted import Fitted, Picture
from recon.tasks.nerf.look import look, told
from recon.tasks.nerf.reference import Reference

What = Literal["rgb", "depth", "normal", "opacity"]
WHATS: tuple[What, ...] = ("rgb", "depth", "normal", "opacity")
GLANCES, GLANCE_SIDE = 24, 64
"""How many frames are rendered small, before a film, to find the depths that colours are spread over; their side."""

ONE_SIDED = 0.5
"""Length of the mean horizontal direction of view from which on cameras look from one side: a half circle has 0.64."""


def usual_path(space: Space) -> Kind:
    """A path that suits a space: around what is seen, or, of a forward-facing scene, in front of it."""
    return "spiral" if space.kind == "ndc" else "orbit"


def orbit_warnings(reference: Reference) -> list[str]:
    """What a person should know before a film goes around this scene."""
    cameras = reference.cameras.select(list(reference.splits["train"]))
    up, forward = up_direction(cameras), cameras.forward()
    flat = torch.nn.functional.normalize(forward - (forward @ up)[:, None] * up, dim=1)
    if float(flat.mean(dim=0).norm()) < ONE_SIDED:
        return []
    return ["all cameras look from one side: an orbit goes behind what they saw; --path interpolate or spiral does not"]


def film_cameras(fitted: Fitted, kind: Kind, frames: int, size: tuple[int, int] | None = None) -> Cameras:
    """The cameras of a film: the held-out ones (test), or a path made from those that the scene was learned from."""
    reference, space = fitted.reference, fitted.lit.radiance.space
    views = reference.splits["test" if kind == "test" else "train"]
    focus = None
    if kind == "spiral" and space.kind == "ndc":
        focus = look(fitted).ends().double().median(dim=0).values
    return path(kind, reference.cameras.select(list(views)), frames, size, focus)


def render_film(fitted: Fitted, cameras: Cameras, folders: dict[What, Path], say: Say) -> Iterator[dict[What, Path]]:
    """Renders each camera once and writes a picture of each kind into its folder, as 0000.png, 0001.png, ...

    Gives the files of each frame when they are whole. Frames of an earlier film there are removed first.
    """
    for folder in folders.values():
        _empty(folder)
    limits = film_limits(fitted, cameras) if "depth" in folders else None
    pictures = told(fitted.renders(cameras, normals="normal" in folders), len(cameras), "frame", say)
    for frame, picture in enumerate(pictures):
        files: dict[What, Path] = {}
        for what, folder in folders.items():
            files[what] = folder / f"{frame:04d}.png"
            write_png(files[what], draw(what, picture, fitted.lit.radiance.space, limits))
        yield files


def film_limits(fitted: Fitted, cameras: Cameras) -> tuple[float, float]:
    """One pair of limits for all frames, in the measure of `shown_depth`, from small pictures of some of them."""
    count, space = min(GLANCES, len(cameras)), fitted.lit.radiance.space
    some: Sequence[int] = [index * len(cameras) // count for index in range(count)]
    factor = min(1.0, GLANCE_SIDE / max(cameras.height, cameras.width))
    height, width = (max(1, round(factor * extent)) for extent in (cameras.height, cameras.width))
    small = cameras.select(list(some)).resized(height, width)
    return depth_limits((shown_depth(picture, space), picture.opacity) for picture in fitted.renders(small))


def draw(
    what: What, picture: Picture, space: Space, limits: tuple[float, float] | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """One frame as people see it."""
    if what == "rgb":
        return colour_picture(picture.rgb)
    if what == "opacity":
        return opacity_picture(picture.opacity)
    if what == "depth":
        return depth_picture(shown_depth(picture, space), picture.opacity, limits)
    assert picture.normal is not None
    return normal_picture(picture.normal, picture.opacity)


def shown_depth(picture: Picture, space: Space) -> Float[Tensor, "h w"]:
    """What colours of depth are even in: distance, or where space has no end minus its inverse, which also grows."""
    if space.kind == "box":
        return picture.depth
    return torch.where(picture.depth > 0, -1 / picture.depth.clamp(min=1e-12), torch.inf)


def _empty(folder: Path) -> None:
    """Makes a folder, without the frames of an earlier film; whatever else is in it stays."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        if re.fullmatch(r"\d{4,}\.png", file.name):
            file.unlink()
