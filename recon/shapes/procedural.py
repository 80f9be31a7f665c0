"""Shapes the project makes itself: closed, manifold, one piece, outward, of known genus; the embedded default data.

Each is the zero level of an analytic function (negative inside), meshed by marching cubes and then moved onto the level
set by Newton steps. Nothing is random. Frame: about [-1, 1]^3, y up.
"""

from __future__ import annotations

from collections.abc import Callable

import mcubes
import numpy as np
from jaxtyping import Float

from recon.geometry import Mesh

Points = Float[np.ndarray, "n 3"]
Values = Float[np.ndarray, " n"]
Place = tuple | np.ndarray  # three numbers
Implicit = Callable[[Points], Values]

GOLDEN = (1 + 5**0.5) / 2


def _length(x: Float[np.ndarray, "n d"]) -> Values:
    return np.sqrt(np.einsum("nd,nd->n", x, x))


# -- distance-like building blocks (after Quilez, "Distance functions") ------------------------------------------------


def ellipsoid(x: Points, centre: Place, radii: Place) -> Values:
    """An ellipsoid; the value is near its distance close to the surface."""
    q = x - np.array(centre)
    near, steep = _length(q / np.array(radii)), _length(q / np.square(radii))
    return near * (near - 1) / np.maximum(steep, 1e-9)


def capsule(x: Points, start: Place, end: Place, radius: float, end_radius: float | None = None) -> Values:
    """A rod with round ends, whose radius may change evenly from start to end."""
    a, way = np.array(start), np.subtract(end, start)
    t = np.clip((x - a) @ way / (way @ way), 0, 1)
    return _length(x - a - t[:, None] * way) - (radius + t * ((end_radius or radius) - radius))


def disc(x: Points, height: float, half: float, radius: Values | float, rounding: float) -> Values:
    """An upright cylinder around the y axis, at a height, with rounded rims; the radius may vary with the angle."""
    out = np.stack([np.hypot(x[:, 0], x[:, 2]) - radius, np.abs(x[:, 1] - height) - half], axis=1) + rounding
    return np.minimum(np.maximum(out[:, 0], out[:, 1]), 0) + _length(np.maximum(out, 0)) - rounding


def join(a: Values, b: Values, width: float) -> Values:
    """Union of two solids with a smooth seam of the given width."""
    h = np.maximum(width - np.abs(a - b), 0) / width
    return np.minimum(a, b) - h * h * width / 4


def carve(a: Values, b: Values, width: float) -> Values:
    """Solid a without solid b, with a smooth rim of the given width."""
    return -join(-a, b, width)


def mirrored(x: Points) -> Points:
    """Points folded onto x >= 0: whatever is made there stands on both sides."""
    return np.abs(x * [1, 0, 0]) + x * [0, 1, 1]


# -- the shapes --------------------------------------------------------------------------------------------------------


def idol() -> Mesh:
    """A squat horned figure on a fluted pedestal, engraved all over: fine relief on a solid of genus 0."""
    return _solid(_idol, (-0.78, -1.02, -0.72), (0.78, 1.04, 0.72), 0.013)


def _idol(x: Points) -> Values:
    m = mirrored(x)
    angle = np.arctan2(x[:, 2], x[:, 0])
    belly = ellipsoid(x, (0, -0.32, 0), (0.43, 0.42, 0.37))
    chest = ellipsoid(x, (0, 0.02, -0.01), (0.33, 0.30, 0.26))
    torso = join(belly, chest, 0.16)
    head = ellipsoid(x, (0, 0.46, 0.02), (0.30, 0.29, 0.27))
    crown = ellipsoid(x, (0, 0.66, -0.02), (0.22, 0.14, 0.21))
    body = join(torso, join(head, crown, 0.06), 0.07)
    # Relief: a gyroid weave on the belly, rings on the crown. Shallow, so that the surface stays in one piece.
    weave = np.sin(34 * x[:, 0]) * np.cos(34 * x[:, 1]) + np.sin(34 * x[:, 1]) * np.cos(34 * x[:, 2])
    weave += np.sin(34 * x[:, 2]) * np.cos(34 * x[:, 0])
    band = _window(x[:, 1], -0.62, 0.14, 0.05)
    body = body + 0.010 * band * np.tanh(1.5 * weave)
    body = body + 0.011 * _window(x[:, 1], 0.62, 0.84, 0.02) * np.cos(86 * x[:, 1])
    # Limbs, ears, horns.
    arm = join(
        capsule(m, (0.30, 0.14, 0.02), (0.46, -0.18, 0.12), 0.105, 0.085),
        ellipsoid(m, (0.33, 0.15, 0), (0.13,) * 3),
        0.08,
    )
    arm = join(arm, capsule(m, (0.46, -0.18, 0.12), (0.17, -0.26, 0.37), 0.085, 0.07), 0.03)
    hand = join(ellipsoid(m, (0.13, -0.26, 0.38), (0.085, 0.07, 0.06)), arm, 0.04)
    fingers = 0.008 * _window(m[:, 0], -0.1, 0.16, 0.02) * np.cos(105 * (x[:, 1] + 0.26))
    leg = join(
        capsule(m, (0.25, -0.56, 0.12), (0.30, -0.60, 0.40), 0.15, 0.12),
        ellipsoid(m, (0.27, -0.70, 0.46), (0.13, 0.08, 0.14)),
        0.05,
    )
    horn = capsule(m, (0.19, 0.66, 0), (0.36, 0.83, -0.02), 0.085, 0.06)
    horn = join(horn, capsule(m, (0.36, 0.83, -0.02), (0.33, 0.98, 0.02), 0.06, 0.028), 0.05)
    horn = horn + 0.006 * np.cos(95 * (m[:, 0] * 0.5 + m[:, 1]))
    ear = carve(
        ellipsoid(m, (0.32, 0.44, 0), (0.11, 0.12, 0.05)),
        ellipsoid(m, (0.345, 0.44, 0.06), (0.065, 0.075, 0.045)),
        0.02,
    )
    body = join(join(body, hand + fingers, 0.035), join(leg, join(horn, ear, 0.02), 0.02), 0.05)
    # Face: sockets, eyes with pupils, brow, nose, mouth.
    body = carve(body, ellipsoid(m, (0.115, 0.50, 0.27), (0.085, 0.075, 0.06)), 0.03)
    eye = carve(
        ellipsoid(m, (0.115, 0.50, 0.215), (0.062, 0.058, 0.055)),
        ellipsoid(m, (0.112, 0.50, 0.272), (0.02, 0.02, 0.02)),
        0.01,
    )
    brow = capsule(m, (0.02, 0.575, 0.275), (0.20, 0.615, 0.20), 0.026, 0.018)
    nose = capsule(x, (0, 0.56, 0.27), (0, 0.43, 0.31), 0.028, 0.047)
    body = join(join(body, eye, 0.012), join(brow, nose, 0.03), 0.025)
    body = carve(body, capsule(m, (0, 0.33, 0.27), (0.12, 0.355, 0.22), 0.022, 0.012), 0.02)
    # Pedestal: a fluted drum between two plates, the lower one beaded.
    flutes = 0.50 - 0.018 * np.abs(np.cos(14 * angle))
    base = join(disc(x, -0.80, 0.10, flutes, 0.01), disc(x, -0.715, 0.028, 0.56, 0.02), 0.02)
    base = join(base, disc(x, -0.93, 0.055, 0.62 + 0.008 * np.cos(48 * angle), 0.03), 0.02)
    return join(body, base, 0.03)


def filigree() -> Mesh:
    """A football of thin tubes on a fluted foot, a trefoil knot on a three-armed stem within: thin parts, genus 33.

    The 90 edges between 60 corners have 31 loops; the foot fills the lowest pentagon, which takes one. The knot is a
    loop, and three arms to one stem make two more.
    """
    return _solid(_filigree, (-0.84, -1.02, -0.84), (0.84, 0.84, 0.84), 0.0125)


def _filigree(x: Points) -> Values:
    cage = _football(x, 0.80, 0.026, 0.04)
    knot = _trefoil(x - [0, 0.02, 0], 0.30, 0.135, 0.062)
    stem = capsule(x, (0, -0.75, 0), (0, -0.42, 0), 0.09, 0.045)
    for turn in (1, 3, 5):
        angle = turn * np.pi / 3
        foot = (0.30 * np.cos(angle), -0.115, 0.30 * np.sin(angle))
        stem = join(stem, capsule(x, (0, -0.42, 0), foot, 0.045, 0.03), 0.05)
    angle = np.arctan2(x[:, 2], x[:, 0])
    base = disc(x, -0.76, 0.045, 0.33, 0.03)
    base = join(base, disc(x, -0.87, 0.09, 0.36 - 0.016 * np.abs(np.cos(10 * angle)), 0.01), 0.02)
    base = join(base, disc(x, -0.95, 0.05, 0.47 + 0.007 * np.cos(40 * angle), 0.025), 0.02)
    return join(join(cage, base, 0.03), join(knot, stem, 0.03), 0.02)


def _football(x: Points, radius: float, tube: float, bead: float) -> Values:
    """Edges of a truncated icosahedron of the given circumradius, a pentagon below: tubes, and beads at the corners."""
    # The icosahedral group folds space into a wedge between three mirrors (Knighty's folding); two edges are left.
    side = np.sqrt(0.75 - (GOLDEN / 2) ** 2)
    mirror = np.array([-0.5, -GOLDEN / 2, side])
    five, two = np.array([side, 0, 0.5]) / np.hypot(side, 0.5), np.array([0.0, 0, 1])
    across = np.array([0.0, 1, 0])
    p = x @ np.stack([across, five, np.cross(across, five)])  # the y axis of the shape is a fivefold axis of the group
    for _ in range(5):
        p = np.abs(p * [1, 1, 0]) + p * [0, 0, 1]
        p = p - 2 * np.minimum(p @ mirror, 0)[:, None] * mirror
    p = np.abs(p * [1, 1, 0]) + p * [0, 0, 1]
    middle = two * (five @ two)  # of the icosahedron's edge that starts at `five`
    corner = five + (middle - five) * 2 / 3
    scale = radius / np.linalg.norm(corner)
    corner, middle = corner * scale, middle * scale
    onto = corner - (corner @ mirror) * mirror
    edges = np.minimum(capsule(p, corner, middle, tube), capsule(p, corner, onto, tube))
    return join(edges, _length(p - corner) - bead, 0.02)


def _trefoil(x: Points, ring: float, coil: float, tube: float) -> Values:
    """Two strands wound one and a half times around a ring about the y axis: one closed curve, the trefoil knot."""
    turn = 1.5 * np.arctan2(x[:, 2], x[:, 0])
    u, v = np.hypot(x[:, 0], x[:, 2]) - ring, x[:, 1]
    across, along = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
    return np.hypot(np.abs(across) - coil, along) - tube


def rings() -> Mesh:
    """Three twisted ropes, each a ring around one axis, melted together where they cross: smooth, genus 7.

    Six crossings and twelve arcs between them have seven loops.
    """
    return _solid(_rings, (-1.02,) * 3, (1.02,) * 3, 0.016)


def _rings(x: Points) -> Values:
    parts = [_rope(np.roll(x, axis, axis=1), 0.80, 0.15) for axis in range(3)]
    return join(join(parts[0], parts[1], 0.10), parts[2], 0.10)


def _rope(x: Points, ring: float, radius: float) -> Values:
    """A ring around the y axis whose cross-section, three round lobes, turns eight times on the way around."""
    way = np.arctan2(x[:, 2], x[:, 0])
    u, v = np.hypot(x[:, 0], x[:, 2]) - ring, x[:, 1]
    turn = 8 * way / 3
    across, along = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
    lobes = [
        np.hypot(across - radius / 2 * np.cos(a), along - radius / 2 * np.sin(a)) for a in np.arange(3) * 2 * np.pi / 3
    ]
    return join(join(lobes[0], lobes[1], 0.03), lobes[2], 0.03) - radius / 2


def _window(value: Values, low: float, high: float, soft: float) -> Values:
    """1 between low and high, 0 outside, with soft steps."""
    return 0.25 * (1 + np.tanh((value - low) / soft)) * (1 + np.tanh((high - value) / soft))


# -- meshing -----------------------------------------------------------------------------------------------------------


def _solid(function: Implicit, low: tuple, high: tuple, spacing: float) -> Mesh:
    """Mesh of the zero level within the box, outward, its vertices on the level set."""
    origin = np.array(low)
    shape = np.ceil((np.array(high) - origin) / spacing / 4).astype(int) * 4 + 1
    vertices, faces = mcubes.marching_cubes(_sampled(function, origin, shape, spacing), 0.0)
    vertices = _onto_level(function, origin + vertices * spacing, spacing)
    mesh = Mesh(vertices, faces.astype(np.int64))
    a, b, c = np.moveaxis(mesh.triangles, 1, 0)
    inverted = np.einsum("fd,fd->", a, np.cross(b, c)) < 0
    return Mesh(vertices, np.ascontiguousarray(mesh.faces[:, ::-1])) if inverted else mesh


def _sampled(function: Implicit, origin: np.ndarray, shape: np.ndarray, spacing: float) -> Float[np.ndarray, "a b c"]:
    """Values on the grid: exact wherever the surface can pass, of the right sign elsewhere."""
    coarse = np.indices(tuple((shape // 4).tolist())).reshape(3, -1).T
    values = function(origin + (coarse * 4 + 2) * spacing)
    # The functions rise by less than 2 a unit length: a block of 4^3 cells with a large value amid it has one sign.
    near = np.abs(values) < 2 * np.sqrt(3) * 2 * spacing
    grid = np.full(shape, 1.0)
    for sign in (1.0, -1.0):
        for i, j, k in coarse[~near & (np.sign(values) == sign)] * 4:
            grid[i : i + 5, j : j + 5, k : k + 5] = sign
    mask = np.zeros(shape, bool)
    for i, j, k in coarse[near] * 4:
        mask[i : i + 5, j : j + 5, k : k + 5] = True
    index = np.argwhere(mask)
    grid[mask] = function(origin + index * spacing)
    return grid


def _onto_level(function: Implicit, x: Points, spacing: float) -> Points:
    """Three Newton steps along the numerical gradient, none longer than half a cell."""
    step = 1e-4
    for _ in range(3):
        value = function(x)
        slope = np.stack([function(x + step * axis) - value for axis in np.eye(3)], axis=1) / step
        move = (value / np.maximum(np.square(slope).sum(axis=1), 0.05))[:, None] * slope
        length = np.linalg.norm(move, axis=1, keepdims=True)
        x = x - move * np.minimum(1, 0.5 * spacing / np.maximum(length, 1e-30))
    return x


PROCEDURAL: dict[str, Callable[[], Mesh]] = {"idol": idol, "filigree": filigree, "rings": rings}
"""Every shape that can be made, by the name that `--shape` takes."""
