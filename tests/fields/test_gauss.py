"""Gauss against its formula by hand, and its start."""

import math

import pytest
import torch

from recon.fields.gauss import GaussConfig


def test_gauss_is_its_formula():
    field = GaussConfig(width=6, layers=4, sharpness=3.0).build(2, 3).double()
    x = torch.rand(5, 2, dtype=torch.float64) * 2 - 1
    weights = [(m.weight, m.bias) for m in field.modules() if isinstance(m, torch.nn.Linear)]
    assert [tuple(w.shape) for w, _ in weights] == [(6, 2), (6, 6), (6, 6), (3, 6)]
    h = x
    for weight, bias in weights[:-1]:
        h = torch.exp(-((3.0 * (h @ weight.T + bias)) ** 2))
    torch.testing.assert_close(field(x), h @ weights[-1][0].T + weights[-1][1])


def test_weights_start_as_torch_s():
    torch.manual_seed(0)
    field = GaussConfig(width=1000, layers=3).build(3, 1)
    for fan_in, layer in zip((3, 1000, 1000), (*field.hidden, field.out), strict=True):
        bound = 1 / math.sqrt(fan_in)
        assert 0.98 * bound < float(layer.weight.detach().abs().max()) <= bound
        assert float(layer.weight.detach().var()) == pytest.approx(bound**2 / 3, rel=0.1)
        assert float(layer.bias.detach().abs().max()) <= bound


def test_far_away_only_the_last_bias_is_left():
    field = GaussConfig(width=50, layers=2).build(1, 2)
    torch.testing.assert_close(field(torch.full((1, 1), 1e6)), field.out.bias[None])


def test_it_counts_as_a_plain_network():
    field = GaussConfig(width=256, layers=4).build(2, 3)
    assert sum(p.numel() for p in field.parameters()) == 133_123
    assert field.macs() == 132_352
