"""SIREN against its formula by hand, and the papers' counts."""

import pytest
import torch

from recon.fields.siren import SirenConfig

COUNTS = [  # in, out, settings, parameters, products (CONFIGURATIONS.md)
    (3, 1, SirenConfig(width=256, layers=8), 396_033, 394_240),  # siren-sdf-small
    (3, 1, SirenConfig(width=512, layers=8), 1_578_497, 1_574_912),  # siren-sdf-large
    (2, 3, SirenConfig(width=128, layers=8), 99_843, 98_944),  # siren-image
    (3, 3, SirenConfig(width=256, layers=6), 264_963, 263_680),  # siren-video
    (3, 3, SirenConfig(width=1024, layers=6), 4_205_571, 4_200_448),  # siren-video-large
    (2, 1, SirenConfig(width=256, layers=3), 66_817, 66_304),  # ASMR's baselines: cameraman, 3 layers
    (2, 1, SirenConfig(width=256, layers=4), 132_609, 131_840),  # cameraman, 4 layers
    (2, 3, SirenConfig(width=256, layers=4), 133_123, 132_352),  # Kodak
    (1, 1, SirenConfig(width=128, layers=4), 33_409, 33_024),  # LibriSpeech
]


@pytest.mark.parametrize(("in_dim", "out_dim", "config", "params", "macs"), COUNTS)
def test_the_papers_counts(in_dim, out_dim, config, params, macs):
    field = config.build(in_dim, out_dim)
    assert sum(p.numel() for p in field.parameters()) == params
    assert field.macs() == macs


def test_siren_is_its_formula():
    field = SirenConfig(width=6, layers=4, omega=20.0, scale=1.3).build(2, 3).double()
    x = torch.rand(5, 2, dtype=torch.float64) * 2 - 1
    weights = [(m.weight, m.bias) for m in field.modules() if isinstance(m, torch.nn.Linear)]
    assert [tuple(w.shape) for w, _ in weights] == [(6, 2), (6, 6), (6, 6), (3, 6)]
    h = 1.3 * x
    for weight, bias in weights[:-1]:
        h = torch.sin(20.0 * (h @ weight.T + bias))
    torch.testing.assert_close(field(x), h @ weights[-1][0].T + weights[-1][1])


def test_the_authors_of_neural_experts_start_all_biases_at_zero():
    field = SirenConfig(width=8, layers=4, biases="zero").build(3, 1)
    assert not any(m.bias.any() for m in field.modules() if isinstance(m, torch.nn.Linear))
    assert float(field(torch.zeros(1, 3)).detach()) == 0


def test_only_the_square_layers_are_hidden_matrices():
    assert [tuple(m.shape) for m in SirenConfig(width=16, layers=5).build(3, 12).matrices()] == [(16, 16)] * 3
