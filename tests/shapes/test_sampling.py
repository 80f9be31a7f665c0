"""Samplers: shares, noise and domain rules are what the settings say."""

from dataclasses import astuple, replace

import numpy as np
import pytest
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from recon.geometry import DOMAIN, Mesh
from recon.shapes.sampling import SAMPLERS, PerGroup, SamplerConfig, draw
from recon.shapes.shape import from_mesh

SOURCE = trimesh.creation.icosphere(subdivisions=3)
SHAPE = from_mesh("ball", Mesh(np.asarray(SOURCE.vertices, np.float64), np.asarray(SOURCE.faces, np.int64)))
FLOAT = 1e-6


@pytest.mark.parametrize("name", SAMPLERS)
def test_named_settings_draw_their_shares_within_the_domain(name):
    config = SAMPLERS[name]
    points, group = draw(SHAPE, config, 3000, np.random.default_rng(0))
    assert points.dtype == np.float32 and group.dtype == np.uint8
    assert np.bincount(group, minlength=4).tolist() == config.counts(3000)
    assert np.abs(points).max() <= DOMAIN + FLOAT
    np.testing.assert_allclose(SHAPE.unsigned_distance(points[group == 0].astype(float)), 0, atol=1e-6)


@given(st.integers(0, 5000), st.lists(st.integers(0, 10), min_size=4, max_size=4).filter(any))
def test_counts_are_whole_sum_to_n_and_stay_within_one_of_the_share(n, parts):
    shares = np.array(parts) / sum(parts)
    counts = SamplerConfig(shares=PerGroup(*shares.tolist())).counts(n)
    assert sum(counts) == n
    assert all(abs(count - share * n) < 1 and (share or not count) for count, share in zip(counts, shares, strict=True))


@pytest.mark.parametrize("scale", [1e-3, 0.05])
def test_noise_is_laplace_of_the_given_scale(scale):
    # Around a far corner the noise of a single point is seen directly.
    tiny = Mesh(np.array([[0.0, 0, 0], [1e-9, 0, 0], [0, 1e-9, 0]]), np.array([[0, 1, 2]]))
    shape = replace(from_mesh("point", Mesh(tiny.vertices * 1e9, tiny.faces)), mesh=tiny)
    config = SamplerConfig(shares=PerGroup(fine=1.0), fine_scale=scale)
    noise = draw(shape, config, 40_000, np.random.default_rng(0))[0].ravel() / scale
    assert np.abs(noise).mean() == pytest.approx(1, abs=0.02)  # of Laplace noise: b; of Gaussian noise: 0.8 deviations
    assert noise.std() == pytest.approx(np.sqrt(2), abs=0.03)
    assert (np.abs(noise) > 3).mean() == pytest.approx(np.exp(-3), abs=0.003)


def far_out(outside: str) -> np.ndarray:
    config = SamplerConfig(shares=PerGroup(coarse=1.0), coarse_scale=0.5, outside=outside)  # type: ignore[arg-type]
    return draw(SHAPE, config, 4000, np.random.default_rng(0))[0]


def test_points_outside_are_redrawn_clipped_or_wrapped():
    drawn, clipped, wrapped = far_out("redraw"), far_out("clip"), far_out("wrap")
    on_the_face = [(np.abs(np.abs(points) - DOMAIN) < FLOAT).any(axis=1).mean() for points in (drawn, clipped, wrapped)]
    assert on_the_face[1] > 0.3 and on_the_face[0] < 0.01 and on_the_face[2] < 0.01
    inner = np.abs(clipped).max(axis=1) < DOMAIN - FLOAT
    np.testing.assert_allclose(wrapped[inner], clipped[inner], atol=1e-6)  # points within stay where they are
    gap = (wrapped[~inner] - clipped[~inner])[np.abs(clipped[~inner]) > DOMAIN - FLOAT]
    assert np.abs(gap).max() > DOMAIN  # what leaves on one side enters on the other


def test_neural_experts_settings_are_the_papers_variances_and_the_codes_scales():
    paper, code = SAMPLERS["neural-experts"], SAMPLERS["neural-experts-code"]
    assert 2 * paper.fine_scale**2 == pytest.approx(4e-6) and 2 * paper.coarse_scale**2 == pytest.approx(4e-2)
    assert (code.fine_scale, code.coarse_scale) == (2e-3, 0.2)
    assert astuple(code.weights)[:3] == (2, 1, 1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shares": PerGroup(0.5, 0.4)}, "sum to 1"),
        ({"fine_scale": 0.0}, "positive"),
        ({"coarse_scale": float("nan")}, "positive"),
        ({"weights": PerGroup()}, "nothing would be learned"),
    ],
)
def test_senseless_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        SamplerConfig(**wrong)
    with pytest.raises(ValueError, match="not negative"):
        PerGroup(-1.0, 2.0)


@pytest.mark.parametrize(
    ("name", "value", "message"), [("outside", "drop", "redraw, clip"), ("target", "colour", "distance or")]
)
def test_words_of_a_file_that_mean_nothing_are_refused(name, value, message):
    config = SamplerConfig()
    object.__setattr__(config, name, value)  # as where no type checker runs
    with pytest.raises(ValueError, match=message):
        config.__post_init__()
