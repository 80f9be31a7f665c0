"""Repair of a mesh, never silent: what was found before and after, what was done, and volume and area either way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from recon.geometry import Mesh
from recon.shapes.distance import MeshDistance, edges_cancel
from recon.shapes.inspect import MeshReport, face_volumes, inspect
from recon.shapes.topology import boundary_loops, components, edges_of, neighbours, odd_ones_out


@dataclass(frozen=True)
class Repair:
    """A repaired mesh, with what was found before and after and what was done."""

    mesh: Mesh
    before: MeshReport
    after: MeshReport
    notes: list[str]

    def lines(self) -> list[str]:
        """What was done, and volume and area before and after."""
        b, a = self.before, self.after
        agree = [1 - report.winding_parity_disagreement for report in (b, a)]
        return [
            *self.notes,
            f"volume {b.volume:.6g} -> {a.volume:.6g}, area {b.area:.6g} -> {a.area:.6g}, "
            f"faces {b.faces:,} -> {a.faces:,}, holes {b.holes:,} -> {a.holes:,}",
            f"sign sure at {1 - b.sign_uncertain:.2%} -> {1 - a.sign_uncertain:.2%} of {a.samples:,} points, "
            f"winding number and parity agree at {agree[0]:.2%} -> {agree[1]:.2%}",
        ]


def repair(mesh: Mesh, rng: np.random.Generator) -> Repair:
    """Remove duplicate and collapsed faces, make the winding consistent and outward, fill holes; all of it noted."""
    before = inspect(mesh, rng)
    notes: list[str] = []
    fixed = mesh
    for step in (_without_useless_faces, _with_one_winding, _with_holes_filled, _facing_outwards):
        fixed, note = step(fixed)
        notes += note
    return Repair(fixed, before, inspect(fixed, rng), notes or ["nothing to repair"])


def _without_useless_faces(mesh: Mesh) -> tuple[Mesh, list[str]]:
    """Drop faces two of whose corners coincide, and all but one of the faces on the same three vertices."""
    # Thin faces on one line stay although they have no area: without them the surface would tear.
    faces = mesh.faces[(mesh.faces != np.roll(mesh.faces, 1, axis=1)).all(axis=1)]
    notes = []
    if len(faces) < len(mesh.faces):
        notes.append(f"removed {len(mesh.faces) - len(faces):,} collapsed faces")
    _, group = np.unique(np.sort(faces, axis=1), axis=0, return_inverse=True)
    group = group.reshape(-1)
    hand = _handedness(faces)
    net = np.bincount(group, weights=hand)
    cancelled = net[group] == 0
    # A face and its reverse cancel. Where such folds are rare, taking one would tear the surface, so both go;
    # where they are common, the mesh was made of two-sided faces, and keeps one of each.
    folded = 0 < cancelled.mean() < 0.1
    eligible = np.flatnonzero(hand * net[group] > 0 if folded else hand != 0)
    kept = np.sort(eligible[np.unique(group[eligible], return_index=True)[1]])
    if folded:
        notes.append(f"removed {int(cancelled.sum()):,} faces that cancel in pairs, one the reverse of the other")
    duplicates = len(faces) - len(kept) - (int(cancelled.sum()) if folded else 0)
    if duplicates:
        notes.append(f"removed {duplicates:,} duplicate faces")
    return Mesh(mesh.vertices, faces[kept]), notes


def _handedness(faces: Int[np.ndarray, "f 3"]) -> Int[np.ndarray, " f"]:
    """+1 where the vertex indices of a face rise cyclically, -1 where they fall."""
    a, b, c = faces.T
    return np.sign(b - a) * np.sign(c - b) * np.sign(c - a)


def _with_one_winding(mesh: Mesh) -> tuple[Mesh, list[str]]:
    """Turn the faces that are wound against most of their component."""
    odd = odd_ones_out(mesh.faces)
    faces = np.where(odd[:, None], mesh.faces[:, ::-1], mesh.faces)
    return Mesh(mesh.vertices, faces), [f"turned {int(odd.sum()):,} faces to agree with their neighbours"] * bool(
        odd.any()
    )


def _with_holes_filled(mesh: Mesh) -> tuple[Mesh, list[str]]:
    """Close each boundary loop by triangles to its centre, unless the cap would be most of its component."""
    edges = edges_of(mesh.faces)
    component = components(neighbours(edges), len(mesh.faces))
    area = np.bincount(component, weights=mesh.face_areas())
    owner = np.zeros(len(mesh.vertices), np.int64)
    owner[mesh.faces] = component[:, None]
    vertices, faces, left = [mesh.vertices], [mesh.faces], 0
    count = len(mesh.vertices)
    for loop in boundary_loops(edges):
        cap = _cap(mesh.vertices[loop])
        # A lone sheet would only be doubled by a cap, which takes away what its winding says about inside.
        if cap.face_areas().sum() > 0.6 * area[owner[loop[0]]]:
            left += 1
            continue
        faces.append(np.append(loop, count)[cap.faces])
        if len(loop) > 3:
            vertices.append(cap.vertices[-1:])
            count += 1
    notes = []
    if len(faces) > 1:
        notes.append(f"filled {len(faces) - 1:,} holes with {sum(map(len, faces[1:])):,} faces")
    if left:
        notes.append(f"left {left:,} boundaries open: a cap would be most of the piece it closes")
    return Mesh(np.concatenate(vertices), np.concatenate(faces)), notes


def _cap(points: Float[np.ndarray, "k 3"]) -> Mesh:
    """A lid for the loop: its points and their mean, and faces that walk the loop the other way."""
    here = np.arange(len(points))
    faces = (
        np.array([[2, 1, 0]]) if len(points) == 3 else np.stack([np.roll(here, -1), here, 0 * here + len(points)], 1)
    )
    return Mesh(np.concatenate([points, points.mean(axis=0, keepdims=True)]), faces)


def _facing_outwards(mesh: Mesh) -> tuple[Mesh, list[str]]:
    """Turn pieces outwards; closed pieces inside another, wound the other way, are its cavities and stay."""
    component = components(neighbours(edges_of(mesh.faces)), len(mesh.faces))
    pieces = [np.flatnonzero(component == c) for c in range(component.max() + 1)]
    volume = np.array([_enclosed(Mesh(mesh.vertices, mesh.faces[piece])) for piece in pieces])
    faces, notes = mesh.faces.copy(), []
    if volume.sum() < 0:  # inside out as a whole, cavities included
        faces, volume = faces[:, ::-1], -volume
        notes.append("turned the whole mesh outwards")
    wrong = np.flatnonzero(volume < 0)
    if len(wrong):
        solid = Mesh(mesh.vertices, faces[np.isin(component, np.flatnonzero(volume > 0))])
        wrong = wrong[~MeshDistance(solid).inside(mesh.vertices[[faces[pieces[c][0], 0] for c in wrong]])]
    if len(wrong):
        faces = np.where(np.isin(component, wrong)[:, None], faces[:, ::-1], faces)
        notes.append(f"turned {len(wrong):,} pieces outwards")
    return Mesh(mesh.vertices, np.ascontiguousarray(faces)), notes


def _enclosed(piece: Mesh) -> float:
    """Signed volume of a piece: exact where it is closed, else the integral of its winding number over its box."""
    if edges_cancel(piece.faces):
        return float(face_volumes(piece).sum())
    corners = piece.vertices[piece.faces].reshape(-1, 3)
    low, high = corners.min(axis=0), corners.max(axis=0)
    ticks = (np.arange(12) + 0.5) / 12
    lattice = low + (high - low) * np.stack(np.meshgrid(ticks, ticks, ticks), axis=-1).reshape(-1, 3)
    volume = float(MeshDistance(piece).winding(lattice).mean() * np.prod(high - low))
    # A flat sheet has no side that is its inside.
    return volume if abs(volume) > 1e-3 * piece.face_areas().sum() ** 1.5 else 0.0
