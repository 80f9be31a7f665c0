"""Pictures of meshes and fields: silhouettes by closed form, and one against the other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from recon.geometry import Mesh
from recon.rendering.camera import View
from recon.rendering.shading import shade_mesh, trace_field, trace_rays

BALL = trimesh.creation.icosphere(4)
SPHERE = Mesh(np.array(BALL.vertices), np.array(BALL.faces, np.int64))
FLAT = View(field_of_view=0.0, radius=1.5)
EMPTY = Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))


def sphere(p):
    return p.norm(dim=1) - 1.0


def covered(picture):
    """Share of the picture that is not background."""
    return np.mean((picture < 250).any(axis=-1))


@pytest.mark.parametrize("draw", [lambda: shade_mesh(SPHERE, FLAT, 128), lambda: trace_field(sphere, FLAT, 128)])
def test_a_spheres_silhouette_has_its_area_on_a_white_background(draw):
    picture = draw()
    assert picture.shape == (128, 128, 3) and picture.dtype == np.uint8
    assert covered(picture) == pytest.approx(np.pi / 9, rel=0.03)
    assert (picture[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()


def test_mesh_and_field_of_the_same_sphere_look_the_same():
    view = View(radius=1.4)
    a, b = shade_mesh(SPHERE, view, 96).astype(int), trace_field(sphere, view, 96).astype(int)
    assert np.abs(a - b).mean() < 1.0 and np.quantile(np.abs(a - b), 0.98) < 12


def test_light_comes_from_above():
    picture = shade_mesh(SPHERE, FLAT, 128).astype(int)
    assert picture[34, 64].sum() > picture[94, 64].sum() + 60


def test_supersampling_smooths_the_silhouette():
    black = np.zeros_like(SPHERE.vertices, np.uint8)
    hard, soft = (shade_mesh(SPHERE, FLAT, 64, black, supersample=s) for s in (1, 3))
    assert set(np.unique(hard)) == {0, 255} and len(np.unique(soft)) > 5


def test_vertex_colours_show_and_labels_do_not_mix():
    left = (SPHERE.vertices @ FLAT.axes[0] < 0)[:, None]
    colors = np.where(left, [255, 0, 0], [0, 0, 255]).astype(np.uint8)
    picture = shade_mesh(SPHERE, FLAT, 64, colors, supersample=1, blend=False)
    assert (picture[32, 20, 0] > 100) and picture[32, 20, 2] == 0
    assert (picture[32, 44, 2] > 100) and picture[32, 44, 0] == 0
    hit = (picture < 250).any(axis=-1)
    assert (picture[hit][:, [0, 2]].min(axis=1) == 0).all()


def test_the_inside_of_a_shell_is_dark():
    turned = Mesh(SPHERE.vertices, SPHERE.faces[:, ::-1])
    outside, inside = (shade_mesh(m, FLAT, 32)[16, 16].sum(dtype=int) for m in (SPHERE, turned))
    assert inside < 0.8 * outside


def test_default_view_frames_the_mesh_wherever_it_is():
    far = Mesh(SPHERE.vertices * 50 + 1000, SPHERE.faces)
    picture = shade_mesh(far, size=64)
    assert 0.5 < covered(picture) < 0.8


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e6])
def test_a_mesh_of_any_size_looks_the_same(factor):
    """libigl's ray test drops triangles by their area in absolute units."""
    view = View(radius=1.4)
    scaled = Mesh(factor * SPHERE.vertices + factor, SPHERE.faces)
    same = replace(view, radius=factor * view.radius, centre=(factor, factor, factor))
    a, b = shade_mesh(SPHERE, view, 64).astype(int), shade_mesh(scaled, same, 64).astype(int)
    assert np.abs(a - b).max() <= 2


def test_nothing_is_a_white_picture():
    assert (shade_mesh(EMPTY, size=16) == 255).all()
    assert (trace_field(lambda p: p.norm(dim=1) + 1, size=16) == 255).all()


def test_rays_end_on_the_surface():
    origins, directions = View().rays(24)
    ray, t = trace_rays(sphere, origins, directions, half=1.2)
    radii = np.linalg.norm(origins[ray] + t[:, None] * directions[ray], axis=1)
    assert len(ray) > 50 and np.abs(radii - 1).max() < 1e-5
    assert (np.diff(ray) > 0).all()


def test_functions_steeper_than_a_distance_need_their_bound():
    origins, directions = View().rays(24)
    expected, _ = trace_rays(sphere, origins, directions, half=1.2)
    found, t = trace_rays(lambda p: 5 * sphere(p), origins, directions, half=1.2, lipschitz=5.0)
    np.testing.assert_array_equal(found, expected)
    assert np.abs(np.linalg.norm(origins[found] + t[:, None] * directions[found], axis=1) - 1).max() < 1e-5


def test_a_solid_cut_by_the_box_is_hit_at_the_cut():
    origins, directions = View(yaw=0.0, pitch=0.0, field_of_view=0.0).rays(1)
    _, t = trace_rays(lambda p: p[:, 1] - 9, origins, directions, half=1.2)
    np.testing.assert_allclose((origins + t[:, None] * directions)[:, 2], 1.2, atol=1e-6)


def test_piecewise_constant_fields_can_be_drawn():
    picture = trace_field(lambda p: torch.floor(10 * sphere(p)) / 10, FLAT, 48, supersample=1, normal_step=0.1)
    assert 0.2 < covered(picture) < 0.5
