"""Radiance fields: the paper's counts, the scale law of density, colours and directions."""

import pytest
import torch
from torch.nn.functional import normalize

from recon.fields.hash_grid import HashGridConfig
from recon.fields.loe import LoeConfig
from recon.fields.pe_mlp import PeMlpConfig
from recon.fields.radiance import EVEN, HeadConfig, RadianceField
from recon.geometry import Box, Space
from recon.rendering.volume import Samples, weights

SMALL = PeMlpConfig(width=16, layers=3, frequencies=3)
BOX = Box((-1.0, -2.0, -3.0), (1.0, 2.0, 3.0))
SPACES = {
    "box": Space("box", BOX),
    "contracted": Space("contracted", BOX, near=0.1),
    "ndc": Space("ndc", Box((-0.5, -0.5, -100.0), (0.5, 0.5, -1.0)), near=1.0),
}


def build(head=None, space=SPACES["box"], field=SMALL):
    torch.manual_seed(0)
    return RadianceField(field, head or HeadConfig(features=16, width=8), space)


def points(n=40):
    return torch.rand(n, 3) * torch.tensor([2.0, 4.0, 6.0]) - torch.tensor([1.0, 2.0, 5.0])


PAPER = [
    (PeMlpConfig(width=256, layers=5, frequencies=10), 316_548),
    (LoeConfig(width=256, layers=5, frequencies=10, tiles=(4, 4, 4, 4, 4)), 17_847_684),
]


@pytest.mark.parametrize(("field", "parameters"), PAPER)
def test_the_papers_counts(field, parameters):
    with torch.device("meta"):
        radiance = RadianceField(field, HeadConfig(), SPACES["box"])
    assert sum(p.numel() for p in radiance.parameters()) == parameters
    assert radiance.macs() == 315_136


@pytest.mark.parametrize("kind", ["view", "direct"])
@pytest.mark.parametrize("space", SPACES)
def test_forward_and_density_agree_and_colours_are_colours(kind, space):
    radiance, x = build(HeadConfig(kind=kind, features=16, width=8), SPACES[space]), points()
    rgb, density = radiance(x, normalize(torch.randn(40, 3), dim=1))
    torch.testing.assert_close(density, radiance.density(x))
    assert rgb.shape == (40, 3) and (density >= 0).all()
    assert ((rgb >= 0) & (rgb <= 1)).all()


def test_only_the_head_with_a_view_sees_directions():
    torch.manual_seed(1)
    x, (one, other) = points(), normalize(torch.randn(2, 40, 3), dim=2)
    for kind, same in (("view", False), ("direct", True)):
        radiance = build(HeadConfig(kind=kind, features=16, width=8))
        assert torch.equal(radiance(x, one)[0], radiance(x, other)[0]) == same
        assert torch.equal(radiance(x, one)[1], radiance(x, other)[1])


@pytest.mark.parametrize("kind", ["box", "contracted"])
def test_a_scene_twice_as_large_is_half_as_dense_and_looks_the_same(kind):
    small = build(space=Space(kind, BOX))
    large = build(space=Space(kind, Box((-2.0, -4.0, -6.0), (2.0, 4.0, 6.0))))
    large.load_state_dict(small.state_dict())
    x = points() * 1.5
    torch.testing.assert_close(large.density(2 * x), small.density(x) / 2)
    t = torch.linspace(0, 3, 41)
    direction, ray = normalize(torch.tensor([[1.0, 2.0, 2.0]]), dim=1), torch.zeros(40, dtype=torch.long)
    seen = []
    for radiance, scale in ((small, 1.0), (large, 2.0)):
        samples = Samples(t[:-1] * scale, t[1:] * scale, ray)
        seen.append(weights(radiance.density(samples.middle[:, None] * direction), samples, 1)[0])
    torch.testing.assert_close(*seen)
    assert float(seen[0].detach().sum()) > 0.5


def test_density_is_the_cubes_at_the_point_times_its_rate():
    for space in SPACES.values():
        radiance, x = build(space=space), points()
        expected = radiance.cube_density(space.to_cube(x)) * space.rate(x)
        torch.testing.assert_close(radiance.density(x), expected)


def test_the_bias_and_scale_of_density_say_what_they_do():
    u = torch.rand(30, 3) * 2 - 1
    plain, thin = build(), build(HeadConfig(features=16, width=8, density_bias=-30.0))
    dense = build(HeadConfig(features=16, width=8, density_scale=50.0))
    assert float(thin.cube_density(u).detach().max()) < 1e-10
    torch.testing.assert_close(dense.cube_density(u), 2 * plain.cube_density(u))
    # log(e - 1) is where softplus is 1.
    one = build(HeadConfig(kind="direct", density_bias=0.541324854612918))
    for weight in one.field.parameters():
        weight.data.zero_()
    torch.testing.assert_close(one.cube_density(u), torch.full((30,), 25.0))


@pytest.mark.parametrize("field", [SMALL, LoeConfig(width=8, layers=3, frequencies=2, tiles=(2, 2)), HashGridConfig()])
def test_all_parameters_learn_and_no_points_are_points(field):
    radiance = build(field=field)
    rgb, density = radiance(points(200), normalize(torch.randn(200, 3), dim=1))
    (rgb.sum() + density.sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in radiance.parameters())
    rgb, density = radiance(points(0), points(0))
    assert rgb.shape == (0, 3) and density.shape == (0,)


def test_heads_refuse_no_features():
    for settings in ({"features": 0}, {"width": 0}, {"density_scale": 0.0}):
        with pytest.raises(ValueError, match="positive"):
            HeadConfig(**settings)


@pytest.mark.parametrize("count", [0, 1, EVEN - 1, EVEN, EVEN + 1])
def test_points_that_are_added_for_even_products_change_nothing(count):
    field = build()
    x = torch.rand(count, 3) - 0.5
    d = normalize(torch.randn(count, 3), dim=1)

    def answers():
        rgb, density = field(x, d)
        loss = (rgb.sum() + density.square().sum()) * (1.0 if count else 0.0)
        return [rgb, density, *torch.autograd.grad(loss, list(field.parameters()), allow_unused=True)]

    exact = answers()
    torch.set_float32_matmul_precision("medium")
    try:
        found = answers()
    finally:
        torch.set_float32_matmul_precision("highest")
    assert found[0].shape == (count, 3) and found[1].shape == (count,)
    for a, b in zip(found, exact, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-2, atol=2e-2)
