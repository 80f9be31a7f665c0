"""A shape ready to be learned: fitted to [-1, 1]^3, with exact distances, surface samples and the way back."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from recon.geometry import Mesh, Similarity
from recon.shapes.distance import CloudDistance, MeshDistance
from recon.shapes.inspect import MeshReport, inspect
from recon.shapes.load import MAX_FACES, PointCloud, read
from recon.shapes.repair import Repair
from recon.shapes.repair import repair as mend

Centre = Literal["box", "mean"]


@dataclass
class Shape:
    """A mesh or an oriented point cloud in the normalised frame; exactly one of the two is there."""

    name: str
    source: str
    """Path of the file, or "procedural"."""
    mesh: Mesh | None = None
    cloud: PointCloud | None = None
    transform: Similarity = field(default_factory=Similarity)
    """Input frame to normalised frame."""
    report: MeshReport | None = None
    """Findings about the mesh in the normalised frame, after the repair if there was one; none for a cloud."""
    repair: Repair | None = None
    """What a repair found and did, in the input frame; none if it was not asked for."""

    def __post_init__(self) -> None:
        if (self.mesh is None) == (self.cloud is None):
            raise ValueError(f"shape '{self.name}' needs a mesh or a point cloud, and not both")

    @cached_property
    def distance(self) -> MeshDistance | CloudDistance:
        """The search structure that answers distances, built at first use."""
        if self.mesh is not None:
            return MeshDistance(self.mesh)
        assert self.cloud is not None
        return CloudDistance(self.cloud.points, self.cloud.normals)

    def surface(self, n: int, rng: np.random.Generator) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
        """Random points of the surface, even by area (of a cloud: its points, evenly), and their normals."""
        if self.mesh is None:
            assert self.cloud is not None
            pick = rng.integers(len(self.cloud.points), size=n)
            return self.cloud.points[pick], self.cloud.normals[pick]
        reach = self._cumulative_area
        face = np.minimum(np.searchsorted(reach, rng.random(n) * reach[-1], side="right"), len(reach) - 1)
        a, b, c = np.moveaxis(self.mesh.triangles[face], 1, 0)
        # The square root spreads points evenly over a triangle (Osada et al. 2002, "Shape distributions", Eq. 1).
        u, v = np.sqrt(rng.random((n, 1))), rng.random((n, 1))
        return (1 - u) * a + u * (1 - v) * b + u * v * c, self._normals[face]

    def signed_distance(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Exact distance in normalised units, negative inside."""
        return self.distance.signed(x)

    def unsigned_distance(self, x: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Exact distance in normalised units."""
        return self.distance.unsigned(x)

    def inside(self, x: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        """Whether each point is inside."""
        return self.distance.inside(x)

    def content_hash(self) -> str:
        """Sixty-four hex digits that name the normalised geometry, wherever it came from."""
        if self.mesh is not None:
            parts = (b"mesh", self.mesh.vertices.astype("<f8"), self.mesh.faces.astype("<i8"))
        else:
            assert self.cloud is not None
            parts = (b"cloud", self.cloud.points.astype("<f8"), self.cloud.normals.astype("<f8"))
        digest = hashlib.sha256(parts[0])
        for array in parts[1:]:
            digest.update(f"{array.shape}".encode() + array.tobytes())
        return digest.hexdigest()

    @cached_property
    def _cumulative_area(self) -> Float[np.ndarray, " f"]:
        assert self.mesh is not None
        return np.cumsum(self.mesh.face_areas())

    @cached_property
    def _normals(self) -> Float[np.ndarray, "f 3"]:
        assert self.mesh is not None
        return self.mesh.face_normals()


def normalise(points: Float[np.ndarray, "n 3"], centre: Centre = "box") -> Similarity:
    """The transform that puts the box's centre or the mean point at the origin and the largest |coordinate| at 1."""
    # Halves first and small numbers throughout: no overflow, and no loss far from the origin.
    low, high = points.min(axis=0), points.max(axis=0)
    middle = low + (high - low) / 2 if centre == "box" else low + (points - low).mean(axis=0)
    return Similarity((float(middle[0]), float(middle[1]), float(middle[2])), float(1 / np.abs(points - middle).max()))


def from_mesh(
    name: str, mesh: Mesh, source: str = "procedural", *, centre: Centre = "box", seed: int = 0, repair: bool = False
) -> Shape:
    """Shape of a mesh in any frame; `seed` places the points at which the doctor doubts the sign."""
    repaired = mend(mesh, np.random.default_rng(seed)) if repair else None
    if repaired:
        mesh = repaired.mesh
    transform = normalise(mesh.vertices, centre)
    fitted = Mesh(transform.apply(mesh.vertices), mesh.faces)
    report = inspect(fitted, np.random.default_rng(seed))
    return Shape(name, source, mesh=fitted, transform=transform, report=report, repair=repaired)


def from_points(name: str, cloud: PointCloud, source: str = "procedural", centre: Centre = "box") -> Shape:
    """Shape of an oriented point cloud in any frame."""
    transform = normalise(cloud.points, centre)
    return Shape(name, source, cloud=replace(cloud, points=transform.apply(cloud.points)), transform=transform)


def load_shape(
    path: str | Path, centre: Centre = "box", repair: bool = False, max_faces: int = MAX_FACES, seed: int = 0
) -> Shape:
    """Shape of a file, mesh or oriented point cloud; a cloud can't be repaired."""
    loaded = read(path, max_faces)
    name = Path(path).stem.lower()
    if isinstance(loaded, Mesh):
        return from_mesh(name, loaded, str(path), centre=centre, seed=seed, repair=repair)
    if repair:
        raise ValueError(f"{path}: it is a point cloud; --repair works on meshes")
    return from_points(name, loaded, str(path), centre)
