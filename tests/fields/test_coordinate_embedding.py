"""Coordinate embedding against its parts written down: scipy reads the grid, numpy the encoding."""

import numpy as np
import pytest
import torch
from scipy.interpolate import RegularGridInterpolator

from recon.fields.coordinate_embedding import CoordinateEmbedding, CoordinateEmbeddingConfig

TINY = CoordinateEmbeddingConfig(resolution=4, channels=3, frequencies=2, width=7, layers=3, init=1.0)


def build(in_dim: int) -> CoordinateEmbedding:
    torch.manual_seed(0)
    return TINY.build(in_dim, 2).double()


@pytest.mark.parametrize("in_dim", [1, 2, 3])
def test_the_network_sees_the_grid_s_features_beside_the_encoding(in_dim):
    field = build(in_dim)
    x = np.random.default_rng(0).uniform(-1, 1, (20, in_dim))
    table = field.embedding.table.detach().numpy().reshape(*[4] * in_dim, 3)
    features = RegularGridInterpolator([np.linspace(-1, 1, 4)] * in_dim, table)(x)
    waves = [f(2.0**k * np.pi * x) for f in (np.sin, np.cos) for k in range(2)]
    h = np.concatenate([features, x, *waves], axis=1)
    *hidden, last = (m for m in field.mlp if isinstance(m, torch.nn.Linear))
    for layer in hidden:
        h = np.maximum(h @ layer.weight.detach().numpy().T + layer.bias.detach().numpy(), 0)
    expected = h @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    torch.testing.assert_close(field(torch.from_numpy(x)).detach(), torch.from_numpy(expected))


def test_the_table_is_the_one_table_and_its_reading_is_not_counted():
    field = build(3)
    assert [id(t) for t in field.tables()] == [id(field.embedding.table)]
    assert field.macs() == (3 + 3 * 5) * 7 + 7 * 7 + 7 * 2


def test_features_start_as_small_as_asked():
    torch.manual_seed(0)
    field = CoordinateEmbeddingConfig(resolution=16, channels=8, init=0.25).build(3, 1)
    assert float(field.embedding.table.detach().std()) == pytest.approx(0.25, rel=0.02)


def test_a_larger_one_has_more_features_and_units():
    config = TINY.scaled(2.0)
    assert isinstance(config, CoordinateEmbeddingConfig)
    assert (config.channels, config.width, config.resolution) == (6, 14, 4)


def test_a_grid_that_fits_no_memory_is_refused():
    with pytest.raises(ValueError, match="at most"):
        CoordinateEmbeddingConfig(resolution=1000).build(3, 1)
