"""Our own shapes: closed, manifold, one piece, outward, of the stated genus, on the level set, always the same."""

import functools

import numpy as np
import pytest

from recon.shapes import procedural
from recon.shapes.distance import MeshDistance
from recon.shapes.inspect import inspect
from recon.shapes.procedural import PROCEDURAL

GENUS = {"idol": 0, "filigree": 33, "rings": 7}
IMPLICIT = {"idol": procedural._idol, "filigree": procedural._filigree, "rings": procedural._rings}


@functools.cache
def made(name):
    return PROCEDURAL[name]()


@pytest.mark.parametrize("name", PROCEDURAL)
def test_it_is_a_sound_solid_of_its_genus(name):
    mesh = made(name)
    report = inspect(mesh, np.random.default_rng(0), samples=4000)
    assert report.watertight and report.components == 1
    assert report.euler == 2 - 2 * GENUS[name]
    assert (report.flipped_faces, report.duplicate_faces, report.degenerate_faces) == (0, 0, 0)
    assert report.volume > 0 and report.warnings() == []
    assert 60_000 <= report.faces <= 160_000


@pytest.mark.parametrize("name", PROCEDURAL)
def test_its_vertices_lie_on_the_level_set(name):
    vertices = made(name).vertices[::7]
    off = np.abs(IMPLICIT[name](vertices))
    assert np.quantile(off, 0.99) < 1e-5 and off.max() < 5e-3  # creases, where Newton's steps jump, stay within a cell
    assert np.abs(vertices).max() <= 1.05


@pytest.mark.parametrize("name", PROCEDURAL)
def test_inside_is_where_the_function_is_negative(name):
    x = np.random.default_rng(0).uniform(-1, 1, (4000, 3))
    value = IMPLICIT[name](x)
    clear = np.abs(value) > 0.02
    np.testing.assert_array_equal(MeshDistance(made(name)).inside(x)[clear], value[clear] < 0)


def test_it_is_the_same_every_time():
    again = PROCEDURAL["rings"]()
    np.testing.assert_array_equal(again.vertices, made("rings").vertices)
    np.testing.assert_array_equal(again.faces, made("rings").faces)
