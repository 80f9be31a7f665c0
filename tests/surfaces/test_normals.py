"""Normals from gradients, and where there are none."""

import numpy as np
import torch

from recon.surfaces.extract import extract_dense
from recon.surfaces.normals import field_normals, gradient, mesh_normals


def sphere(p):
    return p.norm(dim=1) - 0.8


MESH = extract_dense(sphere, 24).mesh
RADIAL = MESH.vertices / np.linalg.norm(MESH.vertices, axis=1, keepdims=True)


def test_a_spheres_normals_are_radial_whatever_the_chunk():
    assert np.abs(field_normals(sphere, MESH) - RADIAL).max() < 1e-6
    assert np.abs(field_normals(sphere, MESH, chunk=7) - RADIAL).max() < 1e-6


def test_mesh_normals_point_outside_too():
    assert ((mesh_normals(MESH) * RADIAL).sum(axis=1) > 0.95).all()


def test_piecewise_constant_fields_get_the_meshs_normals():
    def steps(p):
        return torch.floor(8 * sphere(p))

    def without_gradient(p):
        return (sphere(p) > 0).float() - 0.5

    for f in (steps, without_gradient):
        np.testing.assert_array_equal(field_normals(f, MESH), mesh_normals(MESH))


def test_only_vertices_without_a_usable_gradient_fall_back():
    def half_flat(p):
        return torch.where(p[:, 0] > 0, sphere(p), sphere(p).detach())

    found = field_normals(half_flat, MESH)
    right = MESH.vertices[:, 0] > 1e-3
    assert np.abs(found[right] - RADIAL[right]).max() < 1e-6
    left = MESH.vertices[:, 0] < -1e-3
    np.testing.assert_array_equal(found[left], mesh_normals(MESH)[left])


def test_gradients_that_are_not_finite_fall_back():
    def kinked(p):
        return sphere(p) + torch.sqrt(0 * p[:, 0])

    assert np.isnan(gradient(kinked, MESH.vertices.astype(np.float32))).any()
    np.testing.assert_array_equal(field_normals(kinked, MESH), mesh_normals(MESH))


def test_no_vertices_no_normals():
    empty = extract_dense(lambda p: sphere(p) + 9, 4).mesh
    assert field_normals(sphere, empty).shape == (0, 3)


def test_gradient_works_inside_no_grad():
    with torch.no_grad():
        found = gradient(sphere, np.array([[0.0, 2.0, 0.0]], np.float32))
    np.testing.assert_allclose(found, [[0, 1, 0]], atol=1e-6)
