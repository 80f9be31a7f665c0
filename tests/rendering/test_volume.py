"""Volume rendering against closed forms, laws, a slow loop in float64, and finite differences."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from recon.rendering.volume import Samples, composite, distortion, median_depth, opacity, ray_entropy, weights

WHITE = torch.ones(3, dtype=torch.float64)


def slab(near, far, count, dtype=torch.float64):
    """One ray cut evenly from near to far."""
    edges = torch.linspace(near, far, count + 1, dtype=dtype)
    return Samples(edges[:-1], edges[1:], torch.zeros(count, dtype=torch.long))


def packed(counts, seed=0, dtype=torch.float64):
    """Samples with gaps on rays with the given numbers of them."""
    rng = torch.Generator().manual_seed(seed)
    parts = [torch.rand(2 * n, generator=rng, dtype=dtype).cumsum(0).reshape(n, 2) for n in counts]
    t = torch.cat([*parts, torch.zeros(0, 2, dtype=dtype)])
    return Samples(
        t[:, 0], t[:, 1], torch.arange(len(counts)).repeat_interleave(torch.tensor(counts, dtype=torch.long))
    )


def densities(samples, seed=1, scale=2.0):
    return torch.rand(len(samples), generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale


def by_hand(rgb, density, samples, n_rays, background):
    """Colour, opacity, depth of each ray, and weights, one number at a time."""
    transparent, colour, depth, weight = [1.0] * n_rays, [[0.0] * 3 for _ in range(n_rays)], [0.0] * n_rays, []
    for m in range(len(samples)):
        ray, t0, t1 = int(samples.ray[m]), float(samples.t0[m]), float(samples.t1[m])
        passes = math.exp(-float(density[m]) * (t1 - t0))
        weight.append(transparent[ray] * (1 - passes))
        transparent[ray] *= passes
        depth[ray] += weight[-1] * (t0 + t1) / 2
        colour[ray] = [c + weight[-1] * float(v) for c, v in zip(colour[ray], rgb[m], strict=True)]
    clear = torch.tensor(transparent, dtype=torch.float64)[:, None]
    shown = torch.tensor(colour, dtype=torch.float64) + clear * background
    seen = [1 - t for t in transparent]
    depth = [d / o if o else 0.0 for d, o in zip(depth, seen, strict=True)]
    return [shown, *(torch.tensor(x, dtype=torch.float64) for x in (seen, depth, weight))]


# -- closed forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [1e-6, 0.3, 4.0])
def test_a_constant_slab_is_beers_law(sigma):
    samples, near, length = slab(2.0, 3.5, 2000), 2.0, 1.5
    density = torch.full((2000,), sigma, dtype=torch.float64)
    seen = composite(torch.full((2000, 3), 0.25, dtype=torch.float64), density, samples, 1, WHITE)
    covered = -math.expm1(-sigma * length)
    assert float(seen.opacity) == pytest.approx(covered, rel=1e-12)
    assert seen.rgb[0].tolist() == pytest.approx([1 - 0.75 * covered] * 3, rel=1e-12)
    # The mean of an exponential distribution cut off at the slab's end.
    expected = near + 1 / sigma - length * math.exp(-sigma * length) / covered
    assert float(seen.depth) == pytest.approx(expected, rel=1e-6)


def test_two_slabs_the_front_one_hides_its_part():
    samples = Samples(torch.tensor([1.0, 5.0]), torch.tensor([2.0, 7.0]), torch.tensor([0, 0]))
    a, b = 1 - math.exp(-0.5), 1 - math.exp(-0.6)
    seen = composite(torch.eye(3)[:2], torch.tensor([0.5, 0.3]), samples, 1, torch.tensor([0.0, 0.0, 1.0]))
    assert seen.rgb[0].tolist() == pytest.approx([a, (1 - a) * b, (1 - a) * (1 - b)], rel=1e-6)
    assert float(seen.depth) == pytest.approx((a * 1.5 + (1 - a) * b * 6) / (1 - (1 - a) * (1 - b)), rel=1e-6)


@pytest.mark.parametrize("sigma", [1e4, 1e20, 3e38])
def test_an_opaque_wall_hides_all_behind_it(sigma):
    samples = Samples(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.5, 2.5, 3.5]), torch.zeros(3, dtype=torch.long))
    seen = composite(torch.eye(3), torch.tensor([0.0, sigma, 1.0]), samples, 1, torch.ones(3))
    assert seen.rgb[0].tolist() == [0, 1, 0]
    assert float(seen.opacity) == 1
    assert float(seen.depth) == 2.25


def test_an_empty_ray_shows_the_background_and_no_depth():
    samples = slab(0.0, 1.0, 5, torch.float32)
    seen = composite(torch.zeros(5, 3), torch.zeros(5), samples, 1, torch.tensor([0.1, 0.2, 0.3]))
    torch.testing.assert_close(seen.rgb, torch.tensor([[0.1, 0.2, 0.3]]))
    assert seen.opacity.tolist() == seen.depth.tolist() == [0]


def test_thin_intervals_keep_their_digits():
    assert float(opacity(torch.tensor([1e-9]), torch.tensor([1.0]))) == pytest.approx(1e-9, rel=1e-6)


@pytest.mark.parametrize("counts", [[0, 3, 2], [2, 0, 0, 3], [3, 1, 0], [0, 0], []])
def test_rays_without_samples_show_their_own_background(counts):
    samples, n = packed(counts), len(counts)
    background = torch.rand(n, 3, dtype=torch.float64)
    rgb, density = torch.rand(len(samples), 3, dtype=torch.float64), densities(samples)
    seen = composite(rgb, density, samples, n, background)
    bare = torch.tensor([count == 0 for count in counts], dtype=torch.bool)
    assert seen.rgb.shape == (n, 3) and seen.weight.shape == (len(samples),)
    assert torch.equal(seen.rgb[bare], background[bare])
    assert not seen.opacity[bare].any() and (seen.opacity[~bare] > 0).all()
    assert median_depth(density, samples, n)[bare].isinf().all()
    assert not distortion(seen.weight, samples, n)[bare].any()
    assert not ray_entropy(seen.weight, samples.ray, n)[bare].any()


# -- laws -------------------------------------------------------------------------------------------------------------


def test_weights_and_what_passes_make_one():
    samples = packed([7, 0, 1, 30])
    density = densities(samples)
    weight, before = weights(density, samples, 4)
    after = before * torch.exp(-density * samples.length)
    for ray in (0, 2, 3):
        own = samples.ray == ray
        assert float(before[own][0]) == 1
        assert float(weight[own].sum() + after[own][-1]) == pytest.approx(1, abs=1e-14)
        assert (before[own].diff() <= 0).all()


@settings(deadline=None, max_examples=50)
@given(
    cuts=st.lists(st.floats(0.01, 0.99), min_size=1, max_size=6, unique=True),
    which=st.integers(0, 4),
    seed=st.integers(0, 1000),
)
def test_splitting_an_interval_changes_nothing(cuts, which, seed):
    samples = packed([2, 3], seed)
    rgb, density = torch.rand(5, 3, dtype=torch.float64), densities(samples, seed)
    whole = composite(rgb, density, samples, 2, WHITE)
    t0, length = samples.t0[which], samples.length[which]
    edges = t0 + length * torch.tensor([0.0, *sorted(cuts), 1.0], dtype=torch.float64)
    index = torch.tensor([*range(which), *[which] * (len(cuts) + 1), *range(which + 1, 5)])
    part = torch.zeros(len(index), dtype=torch.bool)
    part[which : which + len(cuts) + 1] = True
    split = samples[index]
    split = Samples(split.t0.masked_scatter(part, edges[:-1]), split.t1.masked_scatter(part, edges[1:]), split.ray)
    found = composite(rgb[index], density[index], split, 2, WHITE)
    torch.testing.assert_close(found.rgb, whole.rgb)
    torch.testing.assert_close(found.opacity, whole.opacity)
    medians = [median_depth(density, samples, 2), median_depth(density[index], split, 2)]
    torch.testing.assert_close(*medians)


def test_rays_do_not_see_one_another():
    samples = packed([4, 6, 5])
    density, rgb = densities(samples), torch.rand(15, 3, dtype=torch.float64)
    together = composite(rgb, density, samples, 3, WHITE)
    own = samples.ray == 1
    alone = composite(rgb[own], density[own], Samples(samples.t0[own], samples.t1[own], samples.ray[own] - 1), 1, WHITE)
    torch.testing.assert_close(together.rgb[1:2], alone.rgb)
    torch.testing.assert_close(together.weight[own], alone.weight)


def test_order_matters_along_a_ray_and_nowhere_else():
    samples = slab(0.0, 1.0, 3)
    density = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    forth, back = (
        composite(torch.eye(3, dtype=torch.float64), d, samples, 1, WHITE) for d in (density, density.flip(0))
    )
    torch.testing.assert_close(forth.opacity, back.opacity)
    assert not torch.allclose(forth.rgb, back.rgb)


# -- an independent reference, and extremes ---------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [[1], [5, 1, 9], [0, 20, 0, 3, 0]])
def test_rendering_is_a_slow_loop_over_samples(counts):
    samples, n = packed(counts, seed=3), len(counts)
    rgb, density = torch.rand(len(samples), 3, dtype=torch.float64), densities(samples, scale=5)
    background = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    found = composite(rgb, density, samples, n, background)
    expected = by_hand(rgb, density, samples, n, background)
    for one, other in zip((found.rgb, found.opacity, found.depth, found.weight), expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-10)


def test_a_hundred_thousand_samples_keep_float32s_digits_beside_opaque_walls():
    rng = torch.Generator().manual_seed(0)
    n, each = 1000, 100
    edges = torch.rand(n, each + 1, generator=rng).cumsum(1)
    samples = Samples(edges[:, :-1].flatten(), edges[:, 1:].flatten(), torch.arange(n).repeat_interleave(each))
    density = torch.rand(n * each, generator=rng) * 0.05
    density[torch.randint(n * each, (n // 2,), generator=rng)] = 1e30
    rgb = torch.rand(n * each, 3, generator=rng)
    doubles = Samples(samples.t0.double(), samples.t1.double(), samples.ray)
    # The reference keeps walls finite: what follows one is dark either way.
    wanted = composite(rgb.double(), density.double().clamp(max=1e4), doubles, n, WHITE)
    found = composite(rgb, density, samples, n, torch.ones(3))
    torch.testing.assert_close(found.rgb.double(), wanted.rgb, atol=2e-6, rtol=0)
    torch.testing.assert_close(found.weight.double(), wanted.weight, atol=1e-6, rtol=0)


def test_gradients_beside_an_infinitely_dense_wall_are_numbers():
    samples = packed([3, 3], dtype=torch.float32)
    density = torch.tensor([1.0, 3e38, 1.0, 0.5, 0.5, 0.5], requires_grad=True)
    seen = composite(torch.rand(6, 3), density, samples, 2, torch.ones(3))
    (seen.rgb.sum() + seen.depth.sum()).backward()
    assert density.grad is not None and density.grad.isfinite().all()
    assert (density.grad[3:] != 0).all()


# -- medians ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sigma", "level"), [(1.0, 0.5), (0.8, 0.9), (300.0, 0.5), (1e30, 0.5)])
@pytest.mark.parametrize("count", [1, 7, 400])
def test_the_median_of_a_slab_is_its_half_life(sigma, level, count):
    samples = slab(2.0, 4.0, count)
    found = median_depth(torch.full((count,), sigma, dtype=torch.float64), samples, 1, level)
    assert float(found) == pytest.approx(2 - math.log(level) / sigma, rel=1e-12)


def test_a_ray_that_stays_half_clear_has_no_median():
    samples = slab(0.0, 1.0, 10)
    assert median_depth(torch.full((10,), 0.6, dtype=torch.float64), samples, 1).tolist() == [math.inf]


def test_the_median_skips_gaps_and_empty_samples():
    samples = Samples(
        torch.tensor([0.0, 5.0, 6.0, 9.0]), torch.tensor([1.0, 6.0, 8.0, 10.0]), torch.tensor([0, 0, 0, 0])
    )
    density = torch.tensor([0.5 * math.log(2), 0.0, 0.5 * math.log(2), 1.0])
    assert float(median_depth(density, samples, 1)) == pytest.approx(7, abs=1e-5)


def test_a_median_on_the_border_of_two_samples_is_found():
    # Sums rounded one way or the other must not let it slip between both.
    for count in range(1, 200):
        found = median_depth(
            torch.full((count + 3,), math.log(2) / count), slab(0.0, count + 3.0, count + 3, torch.float32), 1
        )
        assert float(found) == pytest.approx(count, rel=1e-4)


# -- losses -----------------------------------------------------------------------------------------------------------


def test_distortion_is_its_sum_over_all_pairs():
    samples = packed([6, 0, 9], seed=5)
    weight = densities(samples, seed=6, scale=0.2)
    expected = []
    for ray in range(3):
        own = samples.ray == ray
        w, s, length = weight[own], samples.middle[own], samples.length[own]
        pairs = (w[:, None] * w * (s[:, None] - s).abs()).sum()
        expected.append(pairs + (w * w * length).sum() / 3)
    torch.testing.assert_close(distortion(weight, samples, 3), torch.stack(expected))


def test_distortion_of_a_filled_interval_is_the_mean_distance_in_it():
    # Two random points of an interval of length 2 lie 2/3 apart on average.
    weight = torch.full((50,), 1 / 50, dtype=torch.float64)
    assert float(distortion(weight, slab(1.0, 3.0, 50), 1)) == pytest.approx(2 / 3, rel=1e-12)


def test_entropy_counts_the_equal_parts_that_light_comes_from():
    samples = packed([1, 8], seed=2)
    weight = torch.tensor([0.7, *[0.5 / 8] * 8], dtype=torch.float64)
    assert ray_entropy(weight, samples.ray, 2).tolist() == pytest.approx([0, 0.5 * math.log(8)], abs=1e-12)


@pytest.mark.parametrize("counts", [[4], [3, 0, 5], [0, 1, 2, 0]])
def test_gradients_are_those_of_finite_differences(counts):
    samples, n = packed(counts, seed=7), len(counts)
    density = (densities(samples, scale=3) + 0.05).requires_grad_()
    assert gradcheck(lambda d: weights(d, samples, n), density)
    assert gradcheck(lambda w: distortion(w, samples, n), density)
    assert gradcheck(lambda w: ray_entropy(w, samples.ray, n), density)
    rgb = torch.rand(len(samples), 3, dtype=torch.float64, requires_grad=True)

    def rendering(rgb, density):
        seen = composite(rgb, density, samples, n, WHITE)
        return seen.rgb, seen.opacity, seen.depth, seen.weight

    assert gradcheck(rendering, (rgb, density))
