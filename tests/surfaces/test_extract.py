"""Extraction: closed forms, PyMCubes as an independent reference, and dense against adaptive."""

import mcubes
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recon.geometry import Mesh
from recon.surfaces.extract import Extraction, extract_adaptive, extract_dense
from recon.surfaces.marching import Cells, polygonise
from recon.surfaces.topology import describe


def sphere(radius, centre=(0.0, 0.0, 0.0)):
    return lambda p: (p - torch.tensor(centre)).norm(dim=1) - radius


def torus(p):
    return torch.stack([p[:, :2].norm(dim=1) - 0.7, p[:, 2]], dim=1).norm(dim=1) - 0.25


def box(half):
    def f(p):
        q = p.abs() - torch.tensor(half)
        return q.clamp(min=0).norm(dim=1) + q.amax(dim=1).clamp(max=0)

    return f


def union(*parts):
    return lambda p: torch.stack([part(p) for part in parts]).amin(dim=0)


SHAPES = {
    "sphere": sphere(0.8),
    "torus": torus,
    "two spheres": union(sphere(0.4, (-0.6, 0.1, 0.0)), sphere(0.15, (0.7, 0.5, -0.8))),
    "thin plate": box((0.9, 0.8, 0.03)),
    "speck": sphere(0.06, (0.91, -0.83, 0.77)),
    "cut by the box": sphere(0.7, (1.0, 0.0, 0.0)),
}


def assert_same(a: Extraction, b: Extraction):
    """Same vertices, same faces; polygonise makes the order the same as well."""
    assert np.array_equal(a.mesh.faces, b.mesh.faces)
    assert np.abs(a.mesh.vertices - b.mesh.vertices).max(initial=0.0) < 1e-9


def test_sphere_has_its_area_volume_and_topology():
    found = describe(extract_dense(sphere(0.8), 48).mesh)
    assert found["watertight"] and found["components"] == 1 and found["euler"] == 2
    assert found["area"] == pytest.approx(4 * np.pi * 0.8**2, rel=5e-3)
    assert found["volume"] == pytest.approx(4 / 3 * np.pi * 0.8**3, rel=5e-3)


def test_vertex_error_falls_with_the_square_of_the_spacing():
    errors = [np.abs(np.linalg.norm(extract_dense(sphere(0.8), n).mesh.vertices, axis=1) - 0.8).max() for n in (17, 65)]
    assert errors[1] < errors[0] / 12  # 16 in the limit


def test_torus_has_one_hole():
    assert describe(extract_dense(torus, 40).mesh)["euler"] == 0


@pytest.mark.parametrize("resolution", [33, 48, 50])
@pytest.mark.parametrize("name", SHAPES)
def test_adaptive_equals_dense_and_proves_it(name, resolution):
    dense = extract_dense(SHAPES[name], resolution)
    adaptive = extract_adaptive(SHAPES[name], resolution, lipschitz=1.0, coarse=8)
    assert len(dense.mesh.faces) and dense.complete and adaptive.complete
    assert_same(dense, adaptive)
    assert adaptive.evaluations < 0.5 * dense.evaluations


@pytest.mark.parametrize("name", sorted(set(SHAPES) - {"speck"}))
def test_without_a_bound_signs_find_the_surface_but_nothing_is_claimed(name):
    adaptive = extract_adaptive(SHAPES[name], 48, lipschitz=None)
    assert not adaptive.complete and "unproven" in adaptive.note
    assert_same(extract_dense(SHAPES[name], 48), adaptive)


def test_steep_functions_such_as_occupancy_logits_are_followed_by_sign():
    def logit(p):
        return 200 * torch.tanh(30 * torus(p)) + 50 * torch.sin(9 * p[:, 0])

    assert_same(extract_dense(logit, 64), extract_adaptive(logit, 64, lipschitz=None))


def test_a_bound_that_is_too_small_is_noticed_and_the_surface_still_whole():
    def steep(p):
        return 4 * torus(p)

    adaptive = extract_adaptive(steep, 64, lipschitz=0.9)
    assert not adaptive.complete and "does not hold" in adaptive.note
    assert_same(extract_dense(steep, 64), adaptive)


def test_level_shifts_the_surface():
    at_level = extract_adaptive(sphere(0.5), 40, lipschitz=1.0, level=0.25)
    radii = np.linalg.norm(at_level.mesh.vertices, axis=1)
    assert np.abs(radii - 0.75).max() < 2e-3
    assert_same(extract_dense(sphere(0.5), 40, level=0.25), at_level)


def test_every_point_is_evaluated_at_most_once():
    seen = []

    def spy(p):
        seen.append(p.clone())
        return torus(p)

    found = extract_adaptive(spy, 65, lipschitz=1.0)
    points = torch.cat(seen)
    assert len(points) == found.evaluations == len(torch.unique(points, dim=0))
    assert points.abs().max() <= torch.tensor(1.2)


def test_512_needs_forty_times_fewer_evaluations_and_the_same_surface_nearby():
    found = extract_adaptive(sphere(0.63), 512, lipschitz=1.0)  # area 5
    assert 512**3 / found.evaluations > 40 and found.complete
    assert np.abs(np.linalg.norm(found.mesh.vertices, axis=1) - 0.63).max() < 1e-5
    assert describe(found.mesh)["watertight"]


def test_chunks_and_slabs_do_not_change_the_mesh():
    assert_same(extract_dense(torus, 31), extract_dense(torus, 31, chunk=100))
    assert_same(extract_dense(torus, 31), extract_adaptive(torus, 31, lipschitz=1.0, chunk=77))


def test_progress_reaches_the_number_of_evaluations():
    dense, adaptive = [], []
    extract_dense(torus, 20, chunk=1000, progress=lambda done, total: dense.append((done, total)))
    found = extract_adaptive(torus, 20, 1.0, progress=lambda done, total: adaptive.append((done, total)))
    assert dense[-1] == (8000, 8000) and adaptive[-1] == (found.evaluations, None)


def test_a_surface_cut_by_the_box_is_reported_open():
    assert "open" in extract_dense(SHAPES["cut by the box"], 20).note
    assert "open" not in extract_dense(SHAPES["sphere"], 20).note


@pytest.mark.parametrize("lipschitz", [1.0, None])
@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_a_function_without_a_surface_gives_an_empty_mesh(value, lipschitz):
    def constant(p):
        return torch.full((len(p),), value)

    for found in (extract_dense(constant, 9), extract_adaptive(constant, 9, lipschitz)):
        assert found.mesh.vertices.shape == (0, 3) and found.mesh.faces.shape == (0, 3)


def test_smallest_grids():
    corner = sphere(0.5, (1.2, 1.2, 1.2))
    assert len(extract_dense(corner, 2).mesh.faces) == 1
    assert_same(extract_dense(corner, 2), extract_adaptive(corner, 2, 1.0))
    assert_same(extract_dense(corner, 3), extract_adaptive(corner, 3, 1.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resolution": 1}, "resolution"),
        ({"half": -1.0}, "half"),
        ({"lipschitz": 0.0}, "lipschitz"),
        ({"f": lambda p: p[:, 0] * torch.nan}, "not at"),
    ],
)
def test_nonsense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        extract_adaptive(**{"f": torus, "resolution": 16, "lipschitz": 1.0, **change})


def corner_cells(volume):
    """All cells of a small volume."""
    index = np.argwhere(np.ones(np.array(volume.shape) - 1, bool))
    offsets = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    return Cells(index, volume[tuple(np.moveaxis(index[:, None] + offsets, -1, 0))])


def unordered(mesh: Mesh):
    """Triangles as a sorted list of rounded corners, each begun at its smallest one."""
    triangles = np.round(mesh.triangles, 6)
    rows = [tuple(map(tuple, np.roll(t, -min(range(3), key=lambda i: tuple(t[i])), axis=0))) for t in triangles]
    return sorted(rows)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_volumes_match_pymcubes_turned_outside(seed):
    rng = np.random.default_rng(seed)
    volume = rng.uniform(0.1, 0.9, (4, 4, 4)) * rng.choice([-1, 1], (4, 4, 4))  # t stays off the margin
    mine = polygonise(corner_cells(volume), np.arange(4.0))
    vertices, faces = mcubes.marching_cubes(volume, 0.0)
    assert unordered(mine) == unordered(Mesh(vertices, faces.astype(np.int64)[:, ::-1]))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_any_signs_give_a_closed_surface_with_the_solid_within(seed):
    rng = np.random.default_rng(seed)
    volume = np.ones((6, 6, 6), np.float32)
    volume[1:-1, 1:-1, 1:-1] = rng.choice([-1.0, 0.0, 1.0], (4, 4, 4))  # zeros lie on grid points
    mesh = polygonise(corner_cells(volume), np.arange(6.0))
    found = describe(mesh)
    if len(mesh.faces):
        forward = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2) @ (10_000, 1))
        backward = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2) @ (1, 10_000))
        assert np.array_equal(forward, backward)
        assert mesh.face_areas().min() > 0
        assert found["volume"] is None or found["volume"] > 0
