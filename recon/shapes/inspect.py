"""The mesh doctor: what is wrong with a mesh, and how sure the sign of its distance is."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float, Int

from recon.geometry import Mesh
from recon.shapes.distance import MeshDistance, import_open3d
from recon.shapes.topology import boundary_loops, components, edges_of, neighbours, odd_ones_out

SAMPLES = 20_000
"""Points at which the sign is doubted: half uniform in the mesh's box, half within 1 % of its size from the surface."""


@dataclass(frozen=True)
class MeshReport:
    """Findings about a mesh; lengths, areas and volumes in its own units."""

    vertices: int
    faces: int
    components: int
    """Sets of faces joined by edges."""
    holes: int
    """Closed loops of boundary edges."""
    boundary_edges: int
    flipped_faces: int
    """Faces wound against most of their component."""
    duplicate_faces: int
    degenerate_faces: int
    """Faces without area."""
    non_manifold_edges: int
    """Edges of three or more faces."""
    watertight: bool
    """Every edge has exactly two faces."""
    euler: int
    volume: float
    """Signed: negative when the mesh is inside out. Meaningless where holes are large."""
    area: float
    winding_parity_disagreement: float
    """Share of the sample points where the winding number and the parity of ray crossings disagree about inside."""
    sign_uncertain: float
    """Share of the sample points whose winding number lies between 0.1 and 0.9 (in size)."""
    overlapping: float
    """Share of the sample points that are wound about more than once: the surface passes through itself there."""
    inverted: float
    """Share of the sample points with a winding number below -0.5: the surface is inside out around them."""
    samples: int
    parity_by: str
    self_intersecting: bool | None
    """True where overlaps were found, else None: intersections that wind nothing twice are not searched for."""

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The report as a person reads it."""
        crossing = "yes" if self.self_intersecting else "none seen (no exact search)"
        return [
            f"vertices {self.vertices:,}, faces {self.faces:,}, components {self.components:,}, Euler {self.euler}",
            f"watertight {'yes' if self.watertight else 'no'}: holes {self.holes:,}, "
            f"boundary edges {self.boundary_edges:,}, edges of more than two faces {self.non_manifold_edges:,}",
            f"faces: flipped {self.flipped_faces:,}, duplicate {self.duplicate_faces:,}, "
            f"without area {self.degenerate_faces:,}; self-intersections {crossing}",
            f"volume {self.volume:.6g}, area {self.area:.6g}",
            f"sign, at {self.samples:,} points: unsure at {self.sign_uncertain:.2%}, winding number and ray parity "
            f"({self.parity_by}) disagree at {self.winding_parity_disagreement:.2%}, "
            f"wound twice {self.overlapping:.2%}, inside out {self.inverted:.2%}",
        ]

    def warnings(self) -> list[str]:
        """What may harm a signed distance, and how sure its sign is; empty for a sound mesh."""
        found = []
        if not self.watertight:
            found.append(
                f"the mesh is open or tangled ({self.holes:,} holes, {self.boundary_edges:,} boundary edges, "
                f"{self.non_manifold_edges:,} edges of more than two faces)"
            )
        if self.flipped_faces:
            found.append(f"{self.flipped_faces:,} faces are wound against their neighbours")
        if self.inverted > 0.001:
            found.append(f"the surface is inside out around {self.inverted:.1%} of the sample points")
        if self.overlapping > 0.001:
            found.append(
                f"the surface passes through itself ({self.overlapping:.1%} of the sample points are wound twice)"
            )
        doubt = max(self.sign_uncertain, self.winding_parity_disagreement)
        if found or doubt > 0.001:
            advice = "; --repair may help" if not self.watertight or self.flipped_faces or self.inverted > 0.001 else ""
            found.append(
                f"inside and outside are sure at {1 - self.sign_uncertain:.2%} of {self.samples:,} sample points, "
                f"and winding number and ray parity agree at {1 - self.winding_parity_disagreement:.2%}{advice}"
            )
        return found


def inspect(mesh: Mesh, rng: np.random.Generator, samples: int = SAMPLES) -> MeshReport:
    """Examine a mesh; `rng` places the sample points at which the sign is doubted."""
    edges = edges_of(mesh.faces)
    distance = MeshDistance(mesh)
    points = _sample_points(mesh, samples, rng)
    winding = distance.winding(points)
    overlapping = float((np.abs(winding) > 1.5).mean())
    return MeshReport(
        vertices=len(mesh.vertices),
        faces=len(mesh.faces),
        components=int(components(neighbours(edges), len(mesh.faces)).max()) + 1,
        holes=len(boundary_loops(edges)),
        boundary_edges=int((edges.count == 1).sum()),
        flipped_faces=int(odd_ones_out(mesh.faces).sum()),
        duplicate_faces=len(mesh.faces) - len(_first_of_each(mesh.faces)),
        degenerate_faces=int((mesh.face_areas() == 0).sum()),
        non_manifold_edges=int((edges.count > 2).sum()),
        watertight=bool((edges.count == 2).all()),
        euler=len(np.unique(mesh.faces)) - len(edges.count) + len(mesh.faces),
        volume=float(face_volumes(mesh).sum()),
        area=float(mesh.face_areas().sum()),
        winding_parity_disagreement=float((distance.parity(points) != (winding > 0.5)).mean()),
        sign_uncertain=float(((np.abs(winding) > 0.1) & (np.abs(winding) < 0.9)).mean()),
        overlapping=overlapping,
        inverted=float((winding < -0.5).mean()),
        samples=samples,
        parity_by="libigl" if isinstance(import_open3d(), str) else "Open3D",
        self_intersecting=True if overlapping > 0 else None,
    )


def face_volumes(mesh: Mesh) -> Float[np.ndarray, " f"]:
    """Signed volume between each face and the middle of the mesh's box; the sum is the volume of a closed mesh."""
    middle = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2
    a, b, c = np.moveaxis(mesh.triangles - middle, 1, 0)
    return np.einsum("fd,fd->f", a, np.cross(b, c)) / 6


def _sample_points(mesh: Mesh, n: int, rng: np.random.Generator) -> Float[np.ndarray, "n 3"]:
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    uniform = rng.uniform(low, high, (n - n // 2, 3))
    areas = mesh.face_areas()
    corners = mesh.triangles[rng.choice(len(areas), n // 2, p=areas / areas.sum())]
    on = np.einsum("nk,nkd->nd", rng.dirichlet(np.ones(3), n // 2), corners)
    return np.concatenate([uniform, on + rng.uniform(-0.01, 0.01, on.shape) * (high - low).max()])


def _first_of_each(faces: Int[np.ndarray, "f 3"]) -> Int[np.ndarray, " k"]:
    """First face of each set of three vertices, in order."""
    return np.sort(np.unique(np.sort(faces, axis=1), axis=0, return_index=True)[1])
