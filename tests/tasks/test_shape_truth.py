"""Truth and scores against closed forms of balls and boxes, at reduced sample counts."""

import numpy as np
import pytest
import trimesh

from recon.geometry import Mesh
from recon.shapes.load import PointCloud
from recon.shapes.shape import from_mesh, from_points
from recon.tasks.shape import scores as scoring
from recon.tasks.shape import truth as truths
from recon.tasks.shape.scores import score
from recon.tasks.shape.truth import BANDS, truth_of


def ball(subdivisions=4):
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions)
    return Mesh(np.asarray(mesh.vertices), np.asarray(mesh.faces).astype(np.int64))


@pytest.fixture(autouse=True)
def _fewer(monkeypatch):
    monkeypatch.setattr(truths, "NEAR_SAMPLES", 60_000)
    monkeypatch.setattr(truths, "GRID", 48)
    monkeypatch.setattr(scoring, "SURFACE_SAMPLES", 5000)


@pytest.fixture(scope="module")
def shape():
    return from_mesh("ball", ball())


def shell(low, high):
    """Volume between two radii, over 4 pi / 3."""
    return high**3 - low**3


@pytest.mark.parametrize("depth", [0.0004, 0.004, 0.04])
def test_the_sampled_trimap_iou_of_a_shrunk_ball_is_that_of_the_closed_form(shape, depth):
    truth = truth_of(shape)
    found = score(lambda x: shape.signed_distance(x.astype(np.float64)) < -depth, shape.mesh, shape, truth).values
    for band in BANDS:
        exact = shell(1 - band, 1 - min(depth, band)) / shell(1 - band, 1)
        error = found[f"trimap_iou_sampled_{band:g}_standard_error"]
        assert abs(found[f"trimap_iou_sampled_{band:g}"] - exact) <= 4 * error + 1e-3 * exact
        assert error < 0.06


@pytest.mark.parametrize("height", [0.0004, 0.004, 0.04])
def test_the_sampled_trimap_iou_of_a_grown_ball_is_that_of_the_closed_form(shape, height):
    found = score(lambda x: shape.signed_distance(x.astype(np.float64)) < height, shape.mesh, shape, truth_of(shape))
    for band in BANDS:
        exact = shell(1 - band, 1) / shell(1 - band, 1 + min(height, band))
        error = found.values[f"trimap_iou_sampled_{band:g}_standard_error"]
        assert abs(found.values[f"trimap_iou_sampled_{band:g}"] - exact) < 4 * error + 1e-3 * exact


def test_errors_by_distance_of_a_ball_that_is_too_large_are_those_of_the_closed_form(shape):
    def distance(x):
        return shape.signed_distance(x.astype(np.float64)) - 0.004

    found = score(lambda x: distance(x) < 0, shape.mesh, shape, truth_of(shape), distance=distance).bands
    near, middle, beyond, far, rest = found["rows"]
    assert near["wrong"] == pytest.approx(shell(1, 1.001) / shell(0.999, 1.001), abs=0.01)
    both = shell(1.001, 1.005) + shell(0.995, 0.999)
    assert middle["wrong"] == pytest.approx(shell(1.001, 1.004) / both, abs=0.02)
    assert beyond["wrong"] == far["wrong"] == rest["wrong"] == 0
    for row in (near, middle, beyond, far):
        assert row["error"] == pytest.approx(0.004, abs=1e-5) and row["bias"] == pytest.approx(-0.004, abs=1e-5)
        assert row["points"] > 1000
    assert (rest["from"], rest["to"], rest["error"]) == (0.1, None, None) and "NULL" not in found["definition"]


def test_a_solid_without_distances_has_the_same_wrong_sides_and_says_what_is_missing(shape):
    inside = score(lambda x: shape.signed_distance(x.astype(np.float64)) < 0.004, shape.mesh, shape, truth_of(shape))
    assert inside.bands is not None and "NULL" in inside.bands["definition"]
    assert [row["error"] for row in inside.bands["rows"]] == [None] * 5
    assert inside.bands["rows"][0]["wrong"] > 0.4 and inside.bands["rows"][-1]["wrong"] == 0


def test_near_points_weigh_every_place_of_the_band_alike(shape):
    truth = truth_of(shape)
    weight, inside = truth.near_weight, truth.near_inside
    for reach in (0.0005, 0.003, 0.008, 0.03, 0.07):
        for side, exact in ((inside, shell(1 - reach, 1)), (~inside, shell(1, 1 + reach))):
            volume = weight[side & (truth.near_distance <= reach)].sum()
            assert volume == pytest.approx(4 / 3 * np.pi * exact, rel=0.06)
    thin = truth.near_distance <= 0.001
    assert weight[thin & inside].sum() / weight[thin].sum() == pytest.approx(0.5, abs=0.01)
    assert thin.sum() > 0.65 * truths.NEAR_SAMPLES
    # and evenly over the sphere: each octant has its eighth
    octant = (truth.near_points > 0) @ np.array([1, 2, 4])
    shares = np.bincount(octant, weights=weight, minlength=8) / weight.sum()
    assert shares == pytest.approx(np.full(8, 1 / 8), rel=0.08)


def test_near_points_of_a_box_are_counted_once_and_know_their_distance_and_side():
    mesh = trimesh.creation.box((2, 2, 2))
    shape = from_mesh("box", Mesh(np.asarray(mesh.vertices), np.asarray(mesh.faces).astype(np.int64)))
    truth = truth_of(shape)
    depth = 1 - np.abs(truth.near_points).max(axis=1)
    differs = truth.near_inside != (depth > 0)
    assert np.abs(depth[differs]).max(initial=0) < 1e-6
    np.testing.assert_allclose(truth.near_distance[truth.near_inside], depth[truth.near_inside], atol=1e-6)
    weight, inside = truth.near_weight, truth.near_inside
    # the corner region is deep for no face: 1 - 0.9^3 of the cube is within 0.1
    share = weight[inside & (truth.near_distance <= 0.05)].sum() / weight[inside].sum()
    assert share == pytest.approx((1 - 0.95**3) / (1 - 0.9**3), rel=0.05)


def test_the_grid_holds_every_sign_and_exactly_the_points_of_the_band(shape):
    truth = truth_of(shape)
    signed = shape.signed_distance(truth.grid_points.astype(np.float64))
    differs = truth.inside.reshape(-1) != (signed < 0)
    assert np.abs(signed[differs]).max(initial=0) < 1e-6
    clear = np.abs(np.abs(signed) - max(BANDS)) > 1e-5
    member = np.isin(np.arange(len(signed)), truth.band_index)
    assert np.array_equal(member[clear], (np.abs(signed) <= max(BANDS))[clear])
    np.testing.assert_allclose(truth.band_distance, np.abs(signed[truth.band_index]), atol=1e-5)


def test_a_shape_scored_against_itself_is_perfect(shape):
    found = score(shape.inside, shape.mesh, shape, truth_of(shape))
    for name, value in found.values.items():
        if name.endswith("_standard_error"):
            assert value is None or abs(value) < 1e-4
        elif "iou" in name:
            assert value is None or value > 0.9999, name
    assert found.values["iou"] == pytest.approx(1, abs=1e-4)
    assert found.values["f_score_0.005"] == 1
    assert found.values["chamfer_l1"] < 1e-6 and found.values["hausdorff"] < 1e-6
    # normals of nearest samples, which lie on neighbouring faces now and then
    assert found.values["normal_consistency"] > 0.99
    assert found.values.keys() == found.definitions.keys()


def test_a_larger_concentric_ball_has_the_scores_of_the_closed_form(shape):
    grown = Mesh(shape.mesh.vertices * 1.05, shape.mesh.faces)
    found = score(lambda x: np.linalg.norm(x, axis=1) < 1.05, grown, shape, truth_of(shape)).values
    assert found["iou"] == pytest.approx(1 / 1.05**3, rel=0.02)
    assert found["chamfer_l1"] == pytest.approx(0.05, rel=0.03)
    assert found["chamfer_l2"] == pytest.approx(2 * 0.05**2, rel=0.05)
    assert found["hausdorff"] == pytest.approx(0.05, rel=0.06)
    assert found["f_score_0.01"] == 0


def test_an_empty_surface_has_null_scores_with_the_reason(shape):
    nothing = Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    found = score(lambda x: np.zeros(len(x), bool), nothing, shape, truth_of(shape))
    assert found.values["iou"] == 0
    for name in scoring.BETWEEN:
        assert found.values[name] is None and "the predicted surface is empty" in found.definitions[name]


def test_a_cloud_has_scores_of_its_surface_only():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(4000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    shape = from_points("cloud", PointCloud(points, points))
    found = score(None, ball(), shape, truth_of(shape))
    assert found.values["iou"] is None and "point cloud" in found.definitions["iou"]
    # distances to the nearest point of a cloud, not to the sphere it was drawn from
    assert 0 < found.values["chamfer_l1"] < 0.05


def test_a_cached_truth_is_the_same_and_a_broken_one_is_made_again(shape, tmp_path):
    first = truth_of(shape, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    again = truth_of(shape, cache=tmp_path)
    assert np.array_equal(first.near_points, again.near_points) and np.array_equal(first.inside, again.inside)
    path.write_bytes(path.read_bytes()[:1000])
    assert np.array_equal(truth_of(shape, cache=tmp_path).near_points, first.near_points)
    truth_of(shape, 1, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
