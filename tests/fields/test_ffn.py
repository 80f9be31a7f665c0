"""FFN against its formula by hand, its random start, and the papers' counts."""

import math

import pytest
import torch
from torch import nn

from recon.fields.ffn import FfnConfig, FourierFeatures

NEURAL_EXPERTS = FfnConfig(rows=0, width=128, layers=8, activation="softplus")
WITH_FEATURES = FfnConfig(
    rows=64, sigma=1.0, width=128, layers=8, activation="softplus", coordinates=True, normalise=True
)
COUNTS = [  # settings, parameters, products for 2 -> 3 (CONFIGURATIONS.md)
    (FfnConfig(rows=128, sigma=10.0, width=256, layers=3), 132_355, 131_840),  # ASMR's baseline
    (NEURAL_EXPERTS, 99_843, 98_944),
    (WITH_FEATURES, 116_227, 115_328),
]


@pytest.mark.parametrize(("config", "params", "macs"), COUNTS)
def test_the_papers_counts(config, params, macs):
    field = config.build(2, 3)
    assert sum(p.numel() for p in field.parameters()) == params
    assert field.macs() == macs


@pytest.mark.parametrize(("coordinates", "normalise"), [(False, False), (True, True)])
def test_ffn_is_its_formula(coordinates, normalise):
    config = FfnConfig(rows=5, sigma=2.0, width=6, layers=3, coordinates=coordinates, normalise=normalise)
    field = config.build(2, 3).double()
    x = torch.rand(7, 2, dtype=torch.float64) * 2 - 1
    directions = dict(field.named_buffers())["encoding.directions"]
    waves = [f(2 * math.pi * (x @ row)) for f in (torch.sin, torch.cos) for row in directions]
    h = torch.stack([wave / math.sqrt(5) if normalise else wave for wave in waves], dim=1)
    if coordinates:
        h = torch.cat([x, h], dim=1)
    linears = [m for m in field.modules() if isinstance(m, nn.Linear)]
    for layer in linears[:-1]:
        h = (h @ layer.weight.T + layer.bias).clamp(min=0)
    torch.testing.assert_close(field(x), h @ linears[-1].weight.T + linears[-1].bias)


def test_without_rows_it_is_a_softplus_network_of_the_coordinates():
    field = FfnConfig(rows=0, width=6, layers=3, activation="softplus").build(3, 2).double()
    h = x = torch.rand(7, 3, dtype=torch.float64) * 2 - 1
    linears = [m for m in field.modules() if isinstance(m, nn.Linear)]
    for layer in linears[:-1]:
        h = torch.log1p(torch.exp(100 * (h @ layer.weight.T + layer.bias))) / 100
    torch.testing.assert_close(field(x), h @ linears[-1].weight.T + linears[-1].bias)


def test_normalised_features_have_length_1():
    features = FourierFeatures(3, rows=9, sigma=4.0, coordinates=False, normalise=True)(torch.rand(20, 3))
    torch.testing.assert_close(features.norm(dim=1), torch.ones(20))


def test_the_features_kernel_is_gaussian():
    """The mean of cos(2 pi b t) over b ~ N(0, sigma^2) is exp(-2 (pi sigma t)^2): what sigma means."""
    torch.manual_seed(0)
    encoding = FourierFeatures(1, rows=200_000, sigma=1.5, coordinates=False, normalise=True)
    t = torch.linspace(0, 0.4, 5)[:, None]
    kernel = encoding(t) @ encoding(torch.zeros(1, 1)).T
    torch.testing.assert_close(kernel, torch.exp(-2 * (math.pi * 1.5 * t) ** 2), atol=0.01, rtol=0)


def test_the_directions_are_kept_but_never_trained():
    torch.manual_seed(1)
    field = FfnConfig(rows=4000, sigma=3.0, width=8, layers=2).build(2, 1)
    directions = field.state_dict()["encoding.directions"]
    assert float(directions.std()) == pytest.approx(3.0, rel=0.03)
    assert float(directions.mean()) == pytest.approx(0.0, abs=0.15)
    assert not any(p.shape == directions.shape for p in field.parameters())
