"""Shapes: a signed distance or occupancy field learned from a mesh or an oriented point cloud."""
