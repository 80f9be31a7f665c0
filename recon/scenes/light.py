"""Soft light baked at vertices: a sky, a ground, and a wide lamp, each shadowed by casting rays. Linear light."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from recon.scenes.albedo import colour
from recon.scenes.caster import Caster
from recon.scenes.surface import Surface

_SKY_RAYS, _LAMP_RAYS = 50, 9
_LAMP_WIDTH = 0.16  # tangent of half the angle under which the lamp is seen
_LAMP_TOWARDS = (-0.55, 0.75, 0.60)  # right, up, front
_LAMP = 0.74 * colour("#fff4e2")
_SKY, _GROUND = 0.58 * colour("#eef4ff"), 0.22 * colour("#ffeedd")
_SKIN = 2e-4  # where shadow rays start, in diagonals of the shape: clear of rounding, within any relief
_CHUNK = 2**19


def baked(surface: Surface, caster: Caster, axes: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "v 3"]:
    """Light that a white matt surface would send back at each vertex, about 0 .. 1.

    `axes` has the rows right, up and front. All vertices use the same directions: that trades noise, which would look
    like a pattern on the surface, for many faint shadow edges that blend into one soft one."""
    light = np.zeros_like(surface.mesh.vertices)
    for direction, radiance in lamps():
        towards = direction @ axes
        facing = np.einsum("vi,i->v", surface.normals, towards)
        lit = np.flatnonzero(facing > 0)
        free = ~_blocked(caster, surface, lit, towards)
        light[lit] += (facing[lit] * free)[:, None] * radiance
    return light


def lamps() -> list[tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]]:
    """Directions (right, up, front) and the light each brings to a surface that faces it."""
    around = fibonacci_sphere(_SKY_RAYS)
    # A uniform sky of radiance 1 lights a surface with pi: each of n directions stands for 4 pi / n, then / pi.
    share = (around[:, 1:2] + 1) / 2
    ambient = (_GROUND + (_SKY - _GROUND) * share) * 4 / _SKY_RAYS
    towards = np.array(_LAMP_TOWARDS) / np.linalg.norm(_LAMP_TOWARDS)
    side = np.cross(towards, [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    k = np.arange(_LAMP_RAYS) + 0.5
    radius, angle = _LAMP_WIDTH * np.sqrt(k / _LAMP_RAYS), k * np.pi * (3 - 5**0.5)
    disc = np.outer(radius * np.cos(angle), side) + np.outer(radius * np.sin(angle), np.cross(towards, side))
    key = (towards + disc) / np.linalg.norm(towards + disc, axis=1, keepdims=True)
    return [*zip(around, ambient, strict=True), *((direction, _LAMP / _LAMP_RAYS) for direction in key)]


def fibonacci_sphere(n: int, low: float = -1.0, high: float = 1.0) -> Float[np.ndarray, "n 3"]:
    """Unit vectors spread evenly over the part of the sphere whose second coordinate lies in low .. high."""
    height = low + (high - low) * (np.arange(n) + 0.5) / n
    angle = np.arange(n) * np.pi * (3 - 5**0.5)
    flat = np.sqrt(1 - height * height)
    return np.stack([flat * np.cos(angle), height, flat * np.sin(angle)], axis=1)


def _blocked(
    caster: Caster, surface: Surface, at: Int[np.ndarray, " n"], towards: Float[np.ndarray, "3"]
) -> Bool[np.ndarray, " n"]:
    """Whether something stands between vertices and a distant light."""
    vertices = surface.mesh.vertices
    skin = _SKIN * np.linalg.norm(np.ptp(vertices, axis=0))
    blocked = np.zeros(len(at), bool)
    for start in range(0, len(at), _CHUNK):
        part = at[start : start + _CHUNK]
        origins = vertices[part] + skin * surface.normals[part]
        blocked[start : start + _CHUNK] = caster.blocked(origins, np.tile(towards, (len(part), 1)))
    return blocked
