"""Frames and simple geometry: meshes, cameras and rays, and the cube [-1, 1]^d that every field sees."""

from recon.geometry.cameras import Cameras, Rays
from recon.geometry.mesh import DOMAIN, Mesh, Similarity
from recon.geometry.space import Box, Space

__all__ = ["DOMAIN", "Box", "Cameras", "Mesh", "Rays", "Similarity", "Space"]
