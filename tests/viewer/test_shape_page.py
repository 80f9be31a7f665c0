"""The page of a shape's run, in a browser and behind it."""

import threading

import numpy as np
import pytest
import torch

from recon.geometry import DOMAIN
from recon.viewer.shape import ShapeView, extract, slice_picture
from recon.viewer.weights import ShapeRun, machine


@pytest.fixture(scope="module")
def fitted(shape_run):
    return ShapeRun.open(shape_run, machine()).fitted


@pytest.fixture(scope="module")
def view(shape_run, settle):
    made = ShapeView(ShapeRun.open(shape_run, machine()), "127.0.0.1", None)
    made.resolution.value = 48
    settle(made)
    yield made
    made.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "recon-viewer"]


def test_in_a_browser_the_shape_is_seen_and_the_controls_change_it(view, tab):
    tab.page.goto(view.address)
    plain = tab.changes()
    tab.choose("Colour", "signed error")
    error = tab.changes(plain)
    assert "inside" in tab.page.content()
    tab.choose("Colour", "expert")
    tab.changes(error)
    tab.choose("Truth", "beside")
    beside = tab.changes(error)
    tab.page.get_by_label("Show", exact=True).first.click()
    tab.changes(beside)
    assert tab.complaints == [] and view.errors == []
    assert tab.asked_elsewhere(view.address, view.address.replace("http", "ws")) == []


def test_every_control_is_answered_without_an_error(view, settle):
    for control, values in (
        (view.truth, ("beside", "over it", "alone", "hidden")),
        (view.slice, (True,)),
        (view.axis, ("x", "y", "z")),
        (view.place, (-0.3, 0.9)),
        (view.cut, (False, True)),
        (view.up, ("z", "y")),
        (view.colour, ("signed error", "expert", "plain")),
        (view.resolution, (32, 48)),
        (view.slice, (False,)),
    ):
        for value in values:
            control.value = value
            settle(view)
    assert view.errors == []


def test_the_resolution_extracts_anew(view, settle):
    view.resolution.value = 32
    settle(view)
    assert view.surface.resolution == 32
    few = len(view.surface.mesh.faces)
    view.resolution.value = 64
    settle(view)
    assert len(view.surface.mesh.faces) > 2 * few > 0


def test_a_cut_leaves_nothing_before_the_slice(view, settle):
    view.slice.value, view.axis.value, view.place.value = True, "x", 0.25
    settle(view)
    mesh = view._uncut(view.surface.mesh)
    middle = mesh.triangles.mean(axis=1)
    assert middle[:, 0].max() <= 0.25 < view.surface.mesh.vertices[:, 0].max()
    assert "/slice" in view.server.scene._handle_from_node_name
    view.slice.value = False
    settle(view)
    assert "/slice" not in view.server.scene._handle_from_node_name
    assert view._uncut(view.surface.mesh) is view.surface.mesh


@pytest.mark.parametrize("axis", "xyz")
def test_the_slice_shows_the_field_where_its_plane_stands(fitted, axis, monkeypatch):
    right, up, normal = {"x": (2, 1, 0), "y": (0, 2, 1), "z": (0, 1, 2)}[axis]
    sign = {"x": (-1, 1), "y": (1, -1), "z": (1, 1)}[axis]
    # inside is where the point along `right` is below 0.6 and the one along `up` below -0.6
    monkeypatch.setattr(
        fitted, "values",
        lambda x: torch.maximum(sign[0] * x[:, right] - 0.6, sign[1] * x[:, up] + 0.6) + 0 * x[:, normal],
    )  # fmt: skip
    picture = slice_picture(fitted, axis, 0.3, side=48).astype(int)
    blue = picture[..., 2] > picture[..., 0] + 2  # near the surface it is pale
    share = [(DOMAIN + 0.6) / (2 * DOMAIN), (DOMAIN - 0.6) / (2 * DOMAIN)]
    rows, columns = np.nonzero(blue)
    assert columns.max() == pytest.approx(48 * share[0], abs=3) and columns.min() <= 2
    assert rows.min() == pytest.approx(48 * (1 - share[1]), abs=3) and rows.max() >= 45


def test_the_surface_in_a_slice_is_a_black_line(fitted):
    picture = slice_picture(fitted, "z", 0.0, side=96).astype(int)
    rows, columns = np.nonzero(picture.sum(axis=2) == 0)
    at = np.stack([columns, 95 - rows], axis=1) / 95 * 2 * DOMAIN - DOMAIN
    assert len(at) > 100
    assert np.abs(np.linalg.norm(at, axis=1) - 1).max() < 0.2  # the ball was learned in a moment, and fills [-1, 1]


def test_extraction_stops_where_it_is_no_longer_wanted(fitted):
    from recon.viewer.worker import Dropped  # noqa: PLC0415

    with pytest.raises(Dropped):
        extract(fitted, 64, lambda: True)
