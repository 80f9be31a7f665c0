"""The positional encoding against NeRF's Eq. 4 term by term, and counts."""

import math

import pytest
import torch

from recon.fields.pe_mlp import PeMlpConfig, positional_encoding


def test_encoding_term_by_term():
    x = torch.tensor([[0.25, -0.7]], dtype=torch.float64)
    code = positional_encoding(x, 3)[0].tolist()
    waves = [(2**k * math.pi * v) for k in range(3) for v in (0.25, -0.7)]
    assert code == pytest.approx([0.25, -0.7, *map(math.sin, waves), *map(math.cos, waves)], abs=1e-12)


def test_no_frequencies_leave_the_coordinates():
    x = torch.rand(4, 3)
    assert torch.equal(positional_encoding(x, 0), x)


def test_each_octave_has_half_the_period_of_the_one_before():
    x = torch.rand(50, 1, dtype=torch.float64)
    for k in range(6):
        here, there = (positional_encoding(p, 6)[:, [1 + k, 7 + k]] for p in (x, x + 2 / 2**k))
        torch.testing.assert_close(here, there, atol=1e-12, rtol=0)


COUNTS = [  # out, settings, parameters, products
    # pe-mlp-video of CONFIGURATIONS.md: 57 -> 256, 4 x 256 -> 256, 256 -> 3
    (3, PeMlpConfig(width=256, layers=6, frequencies=9), 278_787, 277_504),
    (1, PeMlpConfig(), 39 * 256 + 4 * 256**2 + 256 + 5 * 256 + 1, 39 * 256 + 4 * 256**2 + 256),
]


@pytest.mark.parametrize(("out_dim", "config", "params", "macs"), COUNTS)
def test_counts(out_dim, config, params, macs):
    field = config.build(3, out_dim)
    assert sum(p.numel() for p in field.parameters()) == params
    assert field.macs() == macs


def test_pe_mlp_is_its_formula():
    field = PeMlpConfig(width=7, layers=3, frequencies=2).build(2, 2).double()
    x = torch.rand(5, 2, dtype=torch.float64) * 2 - 1
    (a, b), (c, d), (e, f) = ((m.weight, m.bias) for m in field.modules() if isinstance(m, torch.nn.Linear))
    h = torch.cat([x, *[wave(2**k * math.pi * x) for wave in (torch.sin, torch.cos) for k in range(2)]], dim=1)
    expected = ((h @ a.T + b).clamp(min=0) @ c.T + d).clamp(min=0) @ e.T + f
    torch.testing.assert_close(field(x), expected)
