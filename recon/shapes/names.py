"""What can be named without loading a shape: the kinds of file that are read, and the shapes that are made."""

SUFFIXES = (".ply", ".obj", ".off", ".stl", ".glb", ".gltf", ".xyz", ".txt")
"""File types that can be read."""

PROCEDURAL_NAMES = {
    "idol": "fine relief, genus 0",
    "filigree": "thin parts, genus 33",
    "rings": "three ropes melted together, genus 7",
}
"""Every shape that the project makes itself, and what it is for."""
