"""How the statuettes of the default scene are painted: albedo, linear, from points in each figure's own frame."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recon.scenes.albedo import Colours, Points, Values, colour, marbled, mix, noise, ramp, rough, step

_WHITE, _INK, _GOLD = colour("#f1ece0"), colour("#231f20"), colour("#d9a441")


def painted(name: str, x: Points) -> Colours:
    """Albedo of points of one of the figures; whatever the pattern, it has some grain, and nothing is quite black."""
    grain = 1 + 0.05 * noise(x, 17.0, 5) + 0.04 * noise(x, 31.0, 6)
    return np.clip(_PAINTS[name](x) * grain[:, None], 0.02, 0.88)


def _spot(x: Points, centre: tuple, radius: float) -> Values:
    """1 within a ball, its mirror image in x included."""
    away = np.linalg.norm(np.abs(x * [1, 0, 0]) + x * [0, 1, 1] - np.array(centre), axis=1)
    return 1 - step(away, radius, 0.25 * radius)


def _band(value: Values, low: float, high: float, width: float = 0.012) -> Values:
    return step(value, low, width) * (1 - step(value, high, width))


def _owl(x: Points) -> Colours:
    back = mix(colour("#96683f"), colour("#5c3d27"), step(np.sin(26 * x[:, 1] + 3 * noise(x, 3.0, 1)), 0.1, 0.6))
    breast = mix(colour("#ecdcb8"), colour("#8d6236"), step(rough(x * [1, 0.6, 1], 9.0, 2), 0.55, 0.4))
    front = step(x[:, 2] - 0.75 * np.abs(x[:, 0]), -0.02, 0.10) * (1 - step(x[:, 1], 0.74, 0.08))
    paint = mix(back, breast, front)
    paint = mix(paint, colour("#e8cf9d"), _spot(x, (0.135, 0.97, 0.27), 0.145))
    paint = mix(paint, colour("#e2952a"), _spot(x, (0.135, 0.97, 0.30), 0.079))
    paint = mix(paint, _INK, _spot(x, (0.128, 0.975, 0.315), 0.043))
    beak = _spot(x, (0, 0.86, 0.35), 0.09) * (1 - step(np.abs(x[:, 0]), 0.055, 0.02)) * step(x[:, 2], 0.285, 0.02)
    paint = mix(paint, colour("#d8872b"), beak)
    paint = mix(paint, colour("#c98a35"), (1 - step(x[:, 1], 0.13, 0.03)) * step(x[:, 2], 0.20, 0.04))
    return mix(paint, colour("#5d6d52"), 1 - step(x[:, 1], 0.062, 0.01))


def _cat(x: Points) -> Colours:
    stripes = np.sin(30 * (x[:, 1] + 0.35 * np.abs(x[:, 0]) - 0.3 * x[:, 2]) + 2.5 * noise(x, 2.5, 3))
    paint = mix(colour("#d98a3d"), colour("#a4541f"), step(stripes, 0.25, 0.5))
    chest = _spot(x, (0, 0.58, 0.26), 0.20) + _spot(x, (0.07, 0.92, 0.30), 0.105)
    paws = (1 - step(x[:, 1], 0.11, 0.03)) * step(x[:, 2], 0.14, 0.03) * (1 - step(np.abs(x[:, 0]), 0.33, 0.03))
    paint = mix(paint, _WHITE, np.clip(chest + paws, 0, 1))
    paint = mix(paint, _WHITE, _band(np.arctan2(x[:, 0], x[:, 2] + 0.02), -0.1, 0.75, 0.1) * _tail(x))
    paint = mix(paint, colour("#b9c94a"), _spot(x, (0.105, 1.045, 0.285), 0.05))
    pupil = _spot(x * [1.9, 1, 1], (0.105 * 1.9, 1.045, 0.295), 0.040)
    paint = mix(paint, _INK, pupil)
    paint = mix(paint, colour("#c2606a"), _spot(x, (0, 0.975, 0.355), 0.036))
    paint = mix(paint, colour("#d99a90"), _spot(x, (0.185, 1.19, 0.115), 0.055))
    height = x[:, 1] - 0.80 + 0.25 * (x[:, 2] - 0.07)
    out = np.hypot(x[:, 0], x[:, 2] - 0.07)
    return mix(paint, colour("#23639b"), _band(height, -0.04, 0.04) * step(out, 0.185, 0.02))


def _tail(x: Points) -> Values:
    return (
        step(np.hypot(x[:, 0], x[:, 2] + 0.02), 0.36, 0.02)
        * (1 - step(x[:, 1], 0.15, 0.02))
        * step(x[:, 2], 0.22, 0.05)
    )


def _vase(x: Points) -> Colours:
    angle, y = np.arctan2(x[:, 0], x[:, 2]), x[:, 1]
    blue = ramp(0.5 + 0.5 * noise(x, 5.0, 7), ("#16306b", "#2f5fae"))
    flutes = step(np.cos(14 * (angle + 2.2 * y)), -0.1, 0.5) * _band(y, 0.14, 0.82, 0.03)
    flowers = step(noise(np.stack([3 * angle / np.pi, y, 0 * y], axis=1), 6.0, 8), 0.35, 0.2) * _band(y, 0.40, 0.56)
    lines = _band(y, 0.375, 0.395) + _band(y, 0.565, 0.585) + _band(y, 0.99, 1.03) + _band(y, 1.08, 1.12)
    inner = _band(y, 0.39, 0.57)
    paint = mix(_WHITE, blue, np.clip(flutes * (1 - inner) + lines + flowers, 0, 1))
    return mix(paint, _GOLD, np.clip(_band(y, 0.895, 0.965) + step(y, 1.155, 0.012) + 1 - step(y, 0.085, 0.012), 0, 1))


def _totem(x: Points) -> Colours:
    y = x[:, 1]
    storey = np.floor(y / 0.235).astype(int) % 4
    table = np.stack([colour(name) for name in ("#b5452f", "#d9a94f", "#2f7f79", "#e6d8bb")])
    paint = table[storey] * (1 + 0.12 * rough(x, 7.0, 9))[:, None]
    turn = 0.9 * y
    u = np.abs(x[:, 0] * np.cos(turn) - x[:, 2] * np.sin(turn))
    v = np.abs(x[:, 0] * np.sin(turn) + x[:, 2] * np.cos(turn))
    height = (y / 0.235 - 0.25 - np.round(y / 0.235 - 0.25)) * 0.235
    knob = 1 - step(np.hypot(np.minimum(u, v), height), 0.057, 0.012)
    paint = mix(paint, table[(storey + 2) % 4], knob * _band(y, 0.12, 1.18))
    swirl = step(np.sin(6 * np.arctan2(x[:, 0], x[:, 2]) + 16 * (y - 1.42)), 0.0, 0.5)
    paint = mix(paint, mix(colour("#7a2f4d"), _GOLD, swirl), step(y, 1.215, 0.01))
    return mix(paint, colour("#4b4f58"), 1 - step(y, 0.10, 0.01))


def _idol(x: Points) -> Colours:
    y = x[:, 1] - 0.985  # the idol's own frame has its middle at 0
    p = np.stack([x[:, 0], y, x[:, 2]], axis=1)
    bronze = ramp(0.5 + 0.4 * rough(p, 4.0, 11), ("#2c5d50", "#4f8f78", "#8fb592"))
    weave = np.sin(34 * p) * np.cos(34 * np.roll(p, -1, axis=1))
    inlay = step(weave.sum(axis=1), 0.25, 0.4) * _band(y, -0.62, 0.14, 0.1)
    paint = mix(bronze, colour("#c9b774"), 0.65 * inlay)
    paint = mix(paint, _GOLD, 0.8 * step(np.cos(86 * y), 0.2, 0.5) * _band(y, 0.65, 0.80, 0.03))
    horn = step(np.abs(p[:, 0]), 0.155, 0.02) * step(y, 0.70, 0.04)
    paint = mix(paint, colour("#e9ddc0"), horn)
    paint = mix(paint, _WHITE, _spot(p, (0.115, 0.50, 0.225), 0.066))
    paint = mix(paint, _INK, _spot(p, (0.112, 0.50, 0.268), 0.030))
    paint = mix(paint, colour("#8e3b2e"), _spot(p * [0.45, 1.2, 1], (0, 0.34 * 1.2, 0.27), 0.045))
    stone = marbled(1.3 * p + 4, 12) * 0.35 + 0.65 * colour("#7d3a2c")
    paint = mix(paint, stone, 1 - step(y, -0.69, 0.012))
    return mix(paint, _GOLD, 1 - step(y, -0.87, 0.012))


def _plinth(x: Points) -> Colours:
    away, angle = np.hypot(x[:, 0], x[:, 2]), np.arctan2(x[:, 2], x[:, 0])
    ring = np.floor(away / 0.14)
    count = np.maximum(6 * ring, 6)
    cell = angle / (2 * np.pi) * count + 0.5 * (ring % 2)
    shade = np.random.default_rng(4).random(4096)[(np.floor(cell) + 64 * ring).astype(int) % 4096]
    stone = ramp(shade, ("#8f9a94", "#c9bfa5", "#dfd2b8", "#b9a07c")) * (1 + 0.10 * rough(x, 8.0, 13))[:, None]
    gap = np.minimum(np.abs(away / 0.14 - np.round(away / 0.14)) * 0.14, _to_seam(cell) * 2 * np.pi * away / count)
    top = mix(colour("#5d564c"), stone, step(gap, 0.011, 0.022))
    top = mix(top, colour("#2f4858"), _band(away, 0.975, 1.02))
    veins = 1 - step(np.abs(rough(x, 2.5, 14)), 0.10, 0.15)
    side = mix(colour("#55707c"), colour("#e6dcc6"), 0.8 * veins)
    return mix(side, top, step(x[:, 1], -0.022, 0.01))


def _to_seam(cell: Values) -> Values:
    return np.abs(cell - np.round(cell))


_PAINTS: dict[str, Callable[[Points], Colours]] = {
    "owl": _owl,
    "cat": _cat,
    "vase": _vase,
    "totem": _totem,
    "small_idol": _idol,
    "plinth": _plinth,
}
