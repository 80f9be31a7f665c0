"""Meshes and point clouds on disk to shapes: loading, doctor, repair, exact distance, samplers, and our own shapes."""
