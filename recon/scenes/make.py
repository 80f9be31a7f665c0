"""Pictures of a surface from cameras around it. World and units are the mesh's; depth is distance along the ray."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from scipy.ndimage import map_coordinates

from recon.geometry import Box, Cameras
from recon.scenes.albedo import to_linear, to_srgb
from recon.scenes.caster import Caster
from recon.scenes.light import baked, fibonacci_sphere
from recon.scenes.surface import Surface, Texture

# Where the rays of a pixel pass: its centre, which also tells depth and normal, and four more on a turned grid, which
# smooths edges near the picture's axes best.
_OFFSETS = np.array([(0, 0), (0.125, 0.375), (-0.375, 0.125), (-0.125, -0.375), (0.375, -0.125)])
_CHUNK = 2**18
_FILL = 0.95  # share of the picture that the shape may take
_HULL_DIRECTIONS = 200
AXES: dict[str, tuple[int, int, int]] = {"y": (0, 1, 2), "z": (1, 2, 0)}
"""Which axes of the world are right, up and front."""


@dataclass(frozen=True)
class MakeSettings:
    """How many cameras look at a shape, from where, and how large their pictures are."""

    views: int = 100
    """Training views."""
    test_views: int = 20
    """Test views, from directions of their own."""
    width: int = 800
    height: int = 800
    up: Literal["y", "z"] = "y"
    """The axis of the mesh that points up."""
    around: Literal["above", "sphere"] = "above"
    """Look from a little below the horizon up to the zenith, or from all sides."""
    field_of_view: float = 36.0
    """Degrees, across the shorter side of the picture."""
    seed: int = 0
    """Of the cameras' places."""

    def __post_init__(self) -> None:
        for name, least, most in (("views", 1, 10_000), ("test_views", 1, 10_000)):
            if not least <= getattr(self, name) <= most:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} must lie in {least} .. {most}, got {getattr(self, name)}")
        if not (8 <= self.width <= 8192 and 8 <= self.height <= 8192):
            raise ValueError(f"a picture's sides must lie in 8 .. 8192 pixels, got {self.width}x{self.height}")
        if not 1 <= self.field_of_view <= 120:
            raise ValueError(f"field_of_view must lie in 1 .. 120 degrees, got {self.field_of_view}")


@dataclass(frozen=True)
class View:
    """What one camera sees."""

    rgba: UInt8[np.ndarray, "h w 4"]
    """sRGB and straight alpha: the share of a pixel's rays that meet the surface."""
    depth: Float[np.ndarray, "h w"]
    """Distance from the camera along the ray through the pixel's centre, in world units; 0 where it meets nothing."""
    normal: Float[np.ndarray, "h w 3"]
    """Unit normal in world space where that ray meets the surface, towards the camera; else 0."""


def axes_of(up: str) -> Float[np.ndarray, "3 3"]:
    """Rows: right, up and front as directions of the world."""
    return np.eye(3)[list(AXES[up])]


def place_cameras(surface: Surface, settings: MakeSettings) -> tuple[Cameras, Cameras]:
    """Training and test cameras around a shape: each has all of it in its picture, and little more."""
    rng = np.random.default_rng(settings.seed)
    vertices = surface.mesh.vertices
    extremes = sorted({int((vertices @ way).argmax()) for way in fibonacci_sphere(_HULL_DIRECTIONS)})
    hull = vertices[extremes]
    train = _ring(hull, settings, settings.views, rng)
    return train, _ring(hull, settings, settings.test_views, rng)


def box_around(surface: Surface, margin: float = 0.02) -> Box:
    """The surface's box, wider by a share of its diagonal on each side."""
    low, high = surface.mesh.vertices.min(axis=0), surface.mesh.vertices.max(axis=0)
    pad = margin * float(np.linalg.norm(high - low))
    (a, b, c), (d, e, f) = (low - pad).tolist(), (high + pad).tolist()
    return Box((a, b, c), (d, e, f))


def _ring(hull: Float[np.ndarray, "n 3"], settings: MakeSettings, count: int, rng: np.random.Generator) -> Cameras:
    """Cameras on a Fibonacci lattice, shaken, turned as a whole by chance."""
    focal = min(settings.width, settings.height) / 2 / np.tan(np.radians(settings.field_of_view) / 2)
    low = -0.08 if settings.around == "above" else -0.96
    directions = fibonacci_sphere(count, low, 0.96)
    shaken = directions + rng.normal(0, 0.3 / np.sqrt(count), directions.shape)
    turn = rng.uniform(0, 2 * np.pi)
    spin = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    towards = shaken @ spin @ axes_of(settings.up)
    tangents = np.array([settings.width, settings.height]) / 2 / focal
    poses = [_pose(hull, direction, axes_of(settings.up)[1], tangents, rng) for direction in towards]
    return Cameras(
        pose=torch.from_numpy(np.stack(poses)),
        focal=torch.full((count, 2), float(focal), dtype=torch.float64),
        centre=torch.tensor([[settings.width / 2, settings.height / 2]], dtype=torch.float64).repeat(count, 1),
        distortion=torch.zeros(count, 4, dtype=torch.float64),
        height=settings.height,
        width=settings.width,
    )


def _pose(
    hull: Float[np.ndarray, "n 3"],
    direction: Float[np.ndarray, "3"],
    up: Float[np.ndarray, "3"],
    tangents: Float[np.ndarray, "2"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "3 4"]:
    """A camera in that direction, looking near the shape's middle, as near as shows all of it, or a little further."""
    back = direction / np.linalg.norm(direction)
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(back, right), back])
    local = hull @ axes.T
    middle = (local.min(axis=0) + local.max(axis=0)) / 2
    middle += 0.02 * np.linalg.norm(np.ptp(local, axis=0)) * rng.uniform(-1, 1, 3)
    x, y, z = (local - middle).T
    # A point at height z above the middle is at depth D - z, and has to be within the picture's tangent there.
    needed = np.maximum(np.abs(x) / tangents[0], np.abs(y) / tangents[1]) / _FILL + z
    middle[2] += float(needed.max()) * rng.uniform(1.0, 1.08)
    return np.concatenate([axes.T, (middle @ axes)[:, None]], axis=1)


class Studio:
    """A surface in its light, ready for any number of pictures."""

    def __init__(self, surface: Surface, up: str) -> None:
        """Bakes the light, which takes seconds; `up` is the axis that points away from the ground."""
        self.surface = surface
        self._caster = Caster(surface.mesh)
        light = baked(surface, self._caster, axes_of(up))
        self._shade = light if surface.texture is not None else light * surface.albedo

    def photograph(self, cameras: Cameras, view: int) -> View:
        """What one of the cameras sees."""
        height, width = cameras.height, cameras.width
        pixels = cameras.pixels().numpy()
        rgba, depth, normal = np.empty((len(pixels), 4), np.uint8), np.zeros(len(pixels)), np.zeros((len(pixels), 3))
        rows = max(1, _CHUNK // len(_OFFSETS))
        for start in range(0, len(pixels), rows):
            part = slice(start, start + rows)
            points = (pixels[part, None] + _OFFSETS).reshape(-1, 2)
            origin, directions = rays_of(cameras, view, points)
            ray, face, weights, distance = self._caster.first(np.tile(origin, (len(directions), 1)), directions)
            rgba[part] = _developed(_colours(self.surface, self._shade, face, weights), ray, len(pixels[part]))
            middle = ray % len(_OFFSETS) == 0
            place = start + ray[middle] // len(_OFFSETS)
            depth[place] = distance[middle]
            normal[place] = _normals(self.surface, face[middle], weights[middle], directions[ray[middle]])
        return View(rgba.reshape(height, width, 4), depth.reshape(height, width), normal.reshape(height, width, 3))


def rays_of(
    cameras: Cameras, view: int, pixel: Float[np.ndarray, "r 2"]
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "r 3"]]:
    """Origin and unit directions of rays, as `Cameras.rays` but in double precision; for lenses without distortion."""
    pose, focal, centre = (part[view].numpy() for part in (cameras.pose, cameras.focal, cameras.centre))
    plane = (pixel - centre) / focal
    directions = np.stack([plane[:, 0], -plane[:, 1], np.full(len(plane), -1.0)], axis=1) @ pose[:, :3].T
    return pose[:, 3], directions / np.sqrt(np.einsum("ri,ri->r", directions, directions))[:, None]


def _colours(
    surface: Surface, shade: Float[np.ndarray, "v 3"], face: Int[np.ndarray, " h"], weights: Float[np.ndarray, "h 3"]
) -> Float[np.ndarray, "h 3"]:
    corners = surface.mesh.faces[face]
    linear = np.einsum("hk,hkc->hc", weights, shade[corners])
    if surface.texture is None:
        return linear
    at = np.einsum("hk,hkc->hc", weights, surface.texture.uv[corners])
    return linear * np.einsum("hk,hkc->hc", weights, surface.albedo[corners]) * _looked_up(surface.texture, at)


def _looked_up(texture: Texture, uv: Float[np.ndarray, "h 2"]) -> Float[np.ndarray, "h 3"]:
    """Linear light of a texture, texels blended linearly; a texel's value holds at its centre."""
    height, width = texture.image.shape[:2]
    at = np.stack([(1 - uv[:, 1]) * height, uv[:, 0] * width]) - 0.5
    channels = [map_coordinates(texture.image[..., c], at, np.float64, 1, mode="grid-wrap") for c in range(3)]
    return to_linear(np.stack(channels, axis=1) / 255)


def _normals(
    surface: Surface, face: Int[np.ndarray, " h"], weights: Float[np.ndarray, "h 3"], directions: np.ndarray
) -> Float[np.ndarray, "h 3"]:
    """Smooth normals, turned towards the camera where a face is seen from its inside."""
    a, b, c = np.moveaxis(surface.mesh.vertices[surface.mesh.faces[face]], 1, 0)
    behind = np.einsum("hi,hi->h", np.cross(b - a, c - a), directions) > 0
    normals = np.einsum("hk,hkc->hc", weights, surface.normals[surface.mesh.faces[face]])
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return np.where(behind[:, None], -normals, normals)


def _developed(linear: Float[np.ndarray, "h 3"], ray: Int[np.ndarray, " h"], pixels: int) -> UInt8[np.ndarray, "p 4"]:
    """Means of the rays of each pixel that met the surface, in sRGB, and the share of those rays."""
    pixel, rays = ray // len(_OFFSETS), len(_OFFSETS)
    met = np.bincount(pixel, minlength=pixels)
    sums = np.stack([np.bincount(pixel, linear[:, c], pixels) for c in range(3)], axis=1)
    rgb = to_srgb(np.clip(sums / np.maximum(met, 1)[:, None], 0, 1))
    return np.rint(np.concatenate([rgb, met[:, None] / rays], axis=1) * 255).astype(np.uint8)
