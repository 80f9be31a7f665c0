"""Scores: laws, closed forms and the bootstrap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recon.metrics.surface import (
    DEFINITIONS,
    Sampled,
    chamfer,
    directed_distances,
    f_score,
    hausdorff,
    iou,
    nearest,
    normal_consistency,
    surface_scores,
    trimap_iou,
    weighted_iou,
)

masks = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60).map(lambda x: np.array(x).T)


@given(masks)
def test_iou_is_symmetric_within_bounds_and_one_only_for_equal_solids(pair):
    a, b = pair
    if not (a | b).any():
        assert np.isnan(iou(a, b))
        return
    assert iou(a, b) == iou(b, a) and 0 <= iou(a, b) <= 1
    assert (iou(a, b) == 1) == bool((a == b).all())
    assert iou(a & ~b, b) == 0.0 or not ((a & ~b) | b).any()


def test_iou_counts():
    a, b = np.array([1, 1, 1, 0, 0], bool), np.array([0, 1, 1, 1, 0], bool)
    assert iou(a, b) == 2 / 4


def test_trimap_of_concentric_spheres_has_its_closed_form():
    axis = np.linspace(-1.2, 1.2, 97)
    radius = np.linalg.norm(np.stack(np.meshgrid(axis, axis, axis)), axis=0)
    true, pred, within = 0.8, 0.76, 0.1
    found = trimap_iou(radius < pred, radius < true, np.abs(radius - true), within)
    inner = (true - within) ** 3
    assert found == pytest.approx((pred**3 - inner) / (true**3 - inner), abs=5e-3)
    assert trimap_iou(radius < pred, radius < true, np.abs(radius - true), 9.0) == iou(radius < pred, radius < true)


def test_trimap_takes_points_at_exactly_the_distance():
    inside = np.array([True, False, True])
    assert trimap_iou(inside, ~inside, np.array([0.1, 0.2, 0.3]), 0.1) == 0.0
    assert np.isnan(trimap_iou(inside, ~inside, np.array([0.2, 0.2, 0.3]), 0.1))


def test_equal_weights_are_no_weights():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 500)) < 0.6
    assert weighted_iou(a, b, np.full(500, 3.0)).iou == pytest.approx(iou(a, b))


def test_weights_undo_uneven_sampling():
    rng = np.random.default_rng(1)
    x = rng.random(200_000) ** 2  # density 1 / (2 sqrt(x)) on [0, 1]
    found = weighted_iou(x < 0.5, x > 0.2, 2 * np.sqrt(x))
    assert abs(found.iou - 0.3) < 4 * found.standard_error < 0.01


def test_standard_error_agrees_with_the_bootstrap():
    rng = np.random.default_rng(2)
    n = 1500
    a = rng.random(n) < 0.6
    b = a ^ (rng.random(n) < 0.15)
    w = rng.exponential(size=n)
    draws = (rng.integers(0, n, n) for _ in range(600))
    spread = np.std([weighted_iou(a[i], b[i], w[i]).iou for i in draws])
    assert weighted_iou(a, b, w).standard_error == pytest.approx(spread, rel=0.12)


def test_agreeing_samples_have_no_error_and_empty_ones_no_score():
    inside, w = np.array([True, False, True]), np.ones(3)
    assert weighted_iou(inside, inside, w).standard_error == 0
    assert np.isnan(weighted_iou(~inside & inside, ~inside & inside, w).iou)


def plane(z, n=40):
    x, y = np.meshgrid(np.arange(n) / n, np.arange(n) / n)
    points = np.stack([x.ravel(), y.ravel(), np.full(n * n, z)], axis=1)
    return Sampled(points, np.broadcast_to([0.0, 0.0, 1.0], points.shape).copy())


def test_shifted_planes_have_closed_forms():
    a, b = plane(0.0), plane(0.008)
    forth, back = directed_distances(a.points, b.points)
    scores = surface_scores(a, b, forth, back)
    assert scores["chamfer_l1"] == pytest.approx(0.008)
    assert scores["chamfer_l2"] == pytest.approx(2 * 0.008**2)
    assert scores["chamfer_l1_standard_error"] == pytest.approx(0, abs=1e-9)
    assert scores["hausdorff"] == pytest.approx(0.008)
    assert scores["f_score_0.005"] == 0 and scores["f_score_0.01"] == 1
    assert scores["normal_consistency"] == pytest.approx(1)


def test_f_score_is_the_harmonic_mean_of_precision_and_recall():
    forth, back = np.array([0.0, 0.0, 0.0, 1.0]), np.array([0.0, 1.0])
    assert f_score(forth, back, 0.5) == pytest.approx(2 * 0.75 * 0.5 / 1.25)
    assert f_score(back, forth, 0.5) == f_score(forth, back, 0.5)


def test_hausdorff_sees_the_one_far_point_of_either_surface():
    a = plane(0.0).points
    far = np.concatenate([a, [[0.0, 0.0, 3.0]]])
    assert hausdorff(*directed_distances(a, far)) == hausdorff(*directed_distances(far, a)) == pytest.approx(3.0)


def test_normal_consistency_ignores_the_side_and_measures_the_angle():
    a, b = plane(0.0), plane(0.001)
    turned = Sampled(b.points, -b.normals)
    tilted = Sampled(b.points, np.broadcast_to([0.0, 0.6, 0.8], b.points.shape).copy())
    assert normal_consistency(a, turned) == pytest.approx(1)
    assert normal_consistency(a, tilted) == normal_consistency(tilted, a) == pytest.approx(0.8)


def test_concentric_spheres():
    direction = np.random.default_rng(3).normal(size=(20_000, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    forth, back = np.full(20_000, 0.1), np.full(20_000, 0.1)  # exact distances, as a mesh would give
    assert chamfer(forth, back).l1 == pytest.approx(0.1)
    sampled = chamfer(*directed_distances(direction * 0.9, np.ascontiguousarray(direction[::-1])))
    assert sampled.l1 == pytest.approx(0.1, rel=1e-3)


def test_nearest_finds_what_brute_force_finds():
    rng = np.random.default_rng(4)
    a, b = rng.random((50, 3)), rng.random((70, 3))
    distance, index = nearest(a, b)
    brute = np.linalg.norm(a[:, None] - b, axis=-1)
    np.testing.assert_array_equal(index, brute.argmin(axis=1))
    np.testing.assert_allclose(distance, brute.min(axis=1))


def test_empty_surfaces_are_refused_in_words():
    some, none = np.ones(3), np.ones(0)
    for score in (chamfer, hausdorff):
        with pytest.raises(ValueError, match="empty"):
            score(some, none)
    with pytest.raises(ValueError, match="empty"):
        f_score(none, some, 0.1)
    with pytest.raises(ValueError, match="empty"):
        nearest(np.ones((2, 3)), np.ones((0, 3)))


def test_every_score_has_a_definition():
    scores = surface_scores(plane(0.0), plane(0.1), np.ones(3), np.ones(3), thresholds=(0.01,))
    assert {name.removesuffix("_0.01").removesuffix("_standard_error") for name in scores} <= set(DEFINITIONS)
