"""The statuettes: closed, outward, in one piece, standing at y = 0."""

import numpy as np
import pytest
import trimesh

from recon.shapes.figurines import FIGURES


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_a_closed_solid_in_one_piece(name):
    made = FIGURES[name]()
    mesh = trimesh.Trimesh(made.vertices, made.faces, process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0
    assert mesh.body_count == 1
    low, high = made.vertices.min(axis=0), made.vertices.max(axis=0)
    assert -0.3 < low[1] < 0 and (high[1] > 1 or name == "plinth")
    assert np.abs(made.vertices[:, [0, 2]]).max() < 1.1
