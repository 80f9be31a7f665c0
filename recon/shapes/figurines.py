"""Statuettes for a group on one plinth: solids as in procedural.py, made to be looked at.

Each stands at y = 0, y up, its foot a little below that: it is to be set on something.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.interpolate import PchipInterpolator

from recon.geometry import Mesh
from recon.shapes.procedural import Points, Values, _idol, _solid, capsule, carve, disc, ellipsoid, join, mirrored

STOREY = 0.235
"""Height of the totem's storeys."""
_PROFILE = PchipInterpolator(
    (-0.1, 0.0, 0.10, 0.25, 0.45, 0.62, 0.80, 0.95, 1.08, 1.20, 1.3),
    (0.26, 0.25, 0.25, 0.36, 0.455, 0.44, 0.29, 0.165, 0.16, 0.23, 0.26),
)
"""Radius of the vase at a height."""


def owl(spacing: float = 0.02) -> Mesh:
    """A round owl with scalloped feathers, tufts and large eyes; about 1.2 tall."""
    return _solid(_owl, (-0.6, -0.12, -0.6), (0.6, 1.32, 0.6), spacing)


def cat(spacing: float = 0.02) -> Mesh:
    """A cat that sits upright, its tail around its feet; about 1.3 tall, looking to +z."""
    return _solid(_cat, (-0.62, -0.12, -0.62), (0.62, 1.4, 0.62), spacing)


def vase(spacing: float = 0.02) -> Mesh:
    """An open vase with twisted flutes; about 1.2 tall."""
    return _solid(_vase, (-0.56, -0.12, -0.56), (0.56, 1.28, 0.56), spacing)


def totem(spacing: float = 0.02) -> Mesh:
    """A square pillar, twisted and stepped, under a ball; about 1.6 tall."""
    return _solid(_totem, (-0.4, -0.12, -0.4), (0.4, 1.7, 0.4), spacing)


def small_idol(spacing: float = 0.022) -> Mesh:
    """The idol of the embedded shapes, on coarser cells and moved up to stand on y = 0; about 2 tall."""
    mesh = _solid(_idol, (-0.78, -1.02, -0.72), (0.78, 1.04, 0.72), spacing)
    return Mesh(mesh.vertices + [0, 0.985, 0], mesh.faces)


def plinth(spacing: float = 0.022) -> Mesh:
    """A round plinth, fluted at the side, beaded at the foot; 2.1 wide, its top at y = 0."""
    return _solid(_plinth, (-1.1, -0.28, -1.1), (1.1, 0.04, 1.1), spacing)


def _owl(x: Points) -> Values:
    m = mirrored(x)
    body = join(ellipsoid(x, (0, 0.42, 0), (0.40, 0.44, 0.36)), ellipsoid(x, (0, 0.92, 0.02), (0.33, 0.28, 0.29)), 0.14)
    # Feathers: rows of scallops on the breast and back.
    angle, row = np.arctan2(x[:, 0], x[:, 2]), x[:, 1] * 9.0
    shifted = angle * 7 / np.pi + 0.5 * (np.floor(row) % 2)
    scallop = np.abs(shifted - np.round(shifted)) * 2
    fall = row - np.floor(row)
    body = body - 0.014 * np.clip(1 - (scallop**2 + (1 - fall) ** 2), 0, 1) * (x[:, 1] > 0.12) * (x[:, 1] < 0.66)
    wing = ellipsoid(m, (0.36, 0.46, -0.05), (0.10, 0.34, 0.24))
    wing = wing + 0.010 * np.cos(46 * (m[:, 2] + 0.5 * x[:, 1]))
    tuft = capsule(m, (0.19, 1.08, 0.06), (0.30, 1.24, 0.04), 0.085, 0.02)
    body = join(join(body, wing, 0.04), tuft, 0.06)
    body = carve(body, ellipsoid(m, (0.135, 0.97, 0.33), (0.125, 0.125, 0.09)), 0.03)
    body = join(body, ellipsoid(m, (0.135, 0.97, 0.245), (0.082, 0.082, 0.06)), 0.01)
    body = join(body, capsule(x, (0, 0.92, 0.30), (0, 0.80, 0.34), 0.05, 0.015), 0.02)
    foot = ellipsoid(m, (0.15, 0.06, 0.27), (0.09, 0.06, 0.14)) + 0.010 * np.cos(80 * m[:, 0])
    body = join(body, foot, 0.03)
    return join(body, disc(x, 0.0, 0.06, 0.36, 0.02), 0.04)


def _cat(x: Points) -> Values:
    m = mirrored(x)
    body = join(
        ellipsoid(x, (0, 0.30, -0.10), (0.33, 0.32, 0.36)), ellipsoid(x, (0, 0.56, 0.04), (0.23, 0.36, 0.22)), 0.2
    )
    haunch = ellipsoid(m, (0.25, 0.22, 0.0), (0.14, 0.21, 0.25))
    leg = capsule(m, (0.11, 0.52, 0.16), (0.10, 0.08, 0.25), 0.095, 0.07)
    paw = ellipsoid(m, (0.10, 0.055, 0.31), (0.08, 0.06, 0.11)) + 0.006 * np.cos(95 * m[:, 0])
    hind = ellipsoid(m, (0.27, 0.05, 0.22), (0.09, 0.055, 0.14))
    body = join(join(body, haunch, 0.05), join(join(leg, paw, 0.04), hind, 0.02), 0.04)
    head = join(
        ellipsoid(x, (0, 1.0, 0.10), (0.25, 0.215, 0.22)), ellipsoid(m, (0.07, 0.93, 0.28), (0.085, 0.065, 0.07)), 0.06
    )
    ear = capsule(m, (0.155, 1.12, 0.07), (0.205, 1.29, 0.05), 0.085, 0.022)
    ear = carve(ear, ellipsoid(m, (0.185, 1.20, 0.13), (0.045, 0.09, 0.05)), 0.02)
    nose = ellipsoid(x, (0, 0.975, 0.345), (0.035, 0.025, 0.025))
    head = join(join(head, ear, 0.04), nose, 0.015)
    head = carve(head, ellipsoid(m, (0.105, 1.045, 0.295), (0.06, 0.05, 0.04)), 0.02)
    head = join(head, ellipsoid(m, (0.105, 1.045, 0.258), (0.048, 0.042, 0.035)), 0.008)
    body = join(body, head, 0.10)
    collar = np.hypot(np.hypot(x[:, 0], x[:, 2] - 0.07) - 0.195, x[:, 1] - 0.80 + 0.25 * (x[:, 2] - 0.07)) - 0.035
    body = join(body, collar, 0.01)
    # The tail: an arc on the ground, from behind around the right side to the front.
    angle = np.arctan2(x[:, 0], x[:, 2] + 0.02)
    held = np.clip(angle, 0.35, 3.0)
    middle = np.stack([0.43 * np.sin(held), 0.07 + 0 * held, 0.43 * np.cos(held) - 0.02], axis=1)
    tail = np.linalg.norm(x - middle, axis=1) - 0.066
    return join(body, tail, 0.04)


def _vase(x: Points) -> Values:
    y, away = x[:, 1], np.hypot(x[:, 0], x[:, 2])
    radius = _PROFILE(np.clip(y, -0.1, 1.3))
    turn = np.arctan2(x[:, 0], x[:, 2]) + 2.2 * y
    flutes = 0.018 * np.cos(14 * turn) * np.clip((y - 0.12) * 8, 0, 1) * np.clip((0.88 - y) * 8, 0, 1)
    solid = _between(0.8 * (away - radius - flutes), y, 1.20)
    hollow = carve(0.8 * (away - radius + 0.06), y - 0.16, 0.02)
    ring = np.hypot(away - 0.175, y - 0.93) - 0.035
    rim = np.hypot(away - 0.215, y - 1.19) - 0.035
    body = join(carve(join(solid, ring, 0.02), hollow, 0.02), rim, 0.02)
    return join(body, disc(x, 0.01, 0.07, 0.30, 0.02), 0.03)


def _totem(x: Points) -> Values:
    y = x[:, 1]
    turn = 0.9 * y
    u = np.abs(x[:, 0] * np.cos(turn) - x[:, 2] * np.sin(turn))
    v = np.abs(x[:, 0] * np.sin(turn) + x[:, 2] * np.cos(turn))
    half = 0.235 - 0.05 * y + 0.018 * np.tanh(2.5 * np.sin(2 * np.pi * y / STOREY))
    across = -join(-u, -v, 0.08)  # a square with soft corners
    pillar = _between(0.75 * (across - half), y, 1.24)
    # A knob in the middle of each storey's faces.
    storey = (y / STOREY - 0.25 - np.round(y / STOREY - 0.25)) * STOREY
    out = np.maximum(u, v) - half
    knob = np.sqrt(np.minimum(u, v) ** 2 + storey**2 + out**2) - 0.055
    knob = np.where((y > 0.12) & (y < 1.18), knob, 0.2)
    body = join(join(pillar, 0.8 * knob, 0.02), disc(x, 1.25, 0.035, 0.17, 0.02), 0.02)
    body = join(body, ellipsoid(x, (0, 1.42, 0), (0.19,) * 3), 0.03)
    return join(body, disc(x, 0.02, 0.08, 0.36, 0.02), 0.03)


def _between(solid: Values, y: Values, top: float) -> Values:
    """What of a solid lies between the ground and a height."""
    return carve(carve(solid, top - y, 0.02), y + 0.04, 0.02)


def _plinth(x: Points) -> Values:
    angle = np.arctan2(x[:, 2], x[:, 0])
    drum = disc(x, -0.125, 0.08, 0.99 - 0.022 * np.abs(np.cos(24 * angle)), 0.01)
    top = disc(x, -0.03, 0.03, 1.05, 0.02)
    foot = disc(x, -0.215, 0.03, 1.05 + 0.008 * np.cos(64 * angle), 0.02)
    return join(join(drum, top, 0.02), foot, 0.02)


FIGURES: dict[str, Callable[[], Mesh]] = {
    "plinth": plinth,
    "small_idol": small_idol,
    "owl": owl,
    "cat": cat,
    "vase": vase,
    "totem": totem,
}
"""Every figure by its name."""
