"""BACON against its formula by hand, its two laws (band limits and a period), its start, and the paper's counts."""

import math

import pytest
import torch
from torch import nn

from recon.fields import FIELDS, MultiScale
from recon.fields.bacon import BaconConfig, Waves

SMALL = BaconConfig(width=24, band=12, divisors=(6, 4, 2))


def test_the_paper_s_counts():
    """Its code counts 530,953: five filters' phases and five outputs of nine that nothing reads are among them."""
    field = BaconConfig().build(3, 1)
    trained = sum(p.numel() for p in field.parameters())
    assert trained == 528_388
    assert trained + 5 * 256 + 5 * 257 == 530_953
    assert field.macs() == 4 * 3 * 256 + 8 * 256**2 + 4 * 256
    assert field.routed_macs() == field.macs() - 3 * 256
    assert field.profiler_macs() == field.macs() + trained - 8 * 256**2 - 4 * 256


def test_the_paper_s_bands():
    assert BaconConfig().steps() == (8, 12, 24, 48)
    assert BaconConfig().bands() == (24, 48, 96, 192)


def test_bacon_is_its_formula():
    torch.manual_seed(0)
    config = BaconConfig(width=5, band=12, divisors=(6, 3))
    field = config.build(2, 3).double()
    x = torch.rand(7, 2, dtype=torch.float64) * 2 - 1
    filters = [torch.sin(2 * math.pi * (x / 2) @ f.frequencies.T + f.phases) for f in field.waves]
    z, expected = filters[0], []
    for i, g in enumerate((0, 0, 1, 1)):
        z = (z @ field.hidden[i].weight.T + field.hidden[i].bias) * filters[g]
        if i % 2:
            out = field.outs[i // 2]
            expected.append(z @ out.weight.T + out.bias)
    torch.testing.assert_close(field.outputs(x), torch.stack(expected, dim=1))
    torch.testing.assert_close(field(x), expected[-1])


@pytest.mark.parametrize("in_dim", [1, 2])
def test_each_output_is_band_limited_along_every_axis(in_dim):
    """Its spectrum over one period is zero above its band, whatever the weights, and reaches above the band before."""
    torch.manual_seed(0)
    field, n = SMALL.build(in_dim, 1).double(), 64
    with torch.no_grad():
        for p in field.parameters():
            p.mul_(3)
    axis = torch.arange(n, dtype=torch.float64) * (2 / n) - 1
    grid = torch.stack(torch.meshgrid(*[axis] * in_dim, indexing="ij"), dim=-1)
    values = field.outputs(grid.reshape(-1, in_dim)).detach().reshape(*grid.shape[:-1], -1)
    frequency = torch.fft.fftfreq(n, 1 / n).abs()
    assert SMALL.bands() == (6, 12, 24)
    before = 0
    for s, band in enumerate(SMALL.bands()):
        spectrum = torch.fft.fftn(values[..., s]).abs()
        for dim in range(in_dim):
            along = spectrum.movedim(dim, 0).reshape(n, -1).amax(dim=1)
            assert float(along[frequency > band].max()) < 1e-11 * float(along.max())
            assert float(along[frequency > before].max()) > 1e-3 * float(along.max())
        before = band


def test_the_cube_is_one_period():
    torch.manual_seed(0)
    field = SMALL.build(3, 2).double()
    x = torch.rand(20, 3, dtype=torch.float64) * 2 - 1
    for axis in range(3):
        shift = torch.zeros(3, dtype=torch.float64)
        shift[axis] = 2
        torch.testing.assert_close(field.outputs(x + shift), field.outputs(x))


def test_frequencies_are_whole_numbers_of_the_whole_band_and_never_train():
    torch.manual_seed(1)
    waves = Waves(3, width=4000, band=8)
    found, counts = waves.frequencies.unique(return_counts=True)
    assert found.tolist() == list(range(-8, 9))
    assert float(counts.min()) > 0.8 * 12_000 / 17
    assert [name for name, _ in waves.named_parameters()] == ["phases"]


def test_it_starts_as_its_authors_do():
    torch.manual_seed(2)
    field = BaconConfig(width=1000, divisors=(4,), layers=1).build(2, 1)
    tensors = [(field.waves[0].phases, math.pi), (field.hidden[0].weight, math.sqrt(6 / 1000))]
    for tensor, bound in (*tensors, (field.outs[0].weight, math.sqrt(6 / 1000))):
        values = tensor.detach()
        assert 0.99 * bound < float(values.abs().max()) <= bound
        assert float(values.var()) == pytest.approx(bound**2 / 3, rel=0.1)
    assert float(field.hidden[0].bias.detach().abs().max()) <= 1 / math.sqrt(1000)


def test_layers_keep_the_spread():
    """sqrt(6/n) makes up for the half that a sine takes away: the last features are no smaller than the first."""
    torch.manual_seed(3)
    field = BaconConfig().build(3, 1)
    values = field.outputs(torch.rand(500, 3) * 2 - 1).detach()
    spread = values.std(dim=0).squeeze(1)
    assert 0.5 < float(spread.min())
    assert float(spread.max()) < 3


def test_only_bacon_has_levels_of_detail():
    assert [name for name, config in FIELDS.items() if isinstance(config.build(2, 1), MultiScale)] == ["bacon"]


def test_the_coarse_outputs_train_the_shared_layers():
    field = SMALL.build(2, 1)
    field.outputs(torch.rand(30, 2))[:, 0].sum().backward()
    linears = [m for m in field.modules() if isinstance(m, nn.Linear)]
    trained = [m.weight.grad is not None and bool(m.weight.grad.any()) for m in linears]
    assert trained == [True] * 2 + [False] * 4 + [True] + [False] * 2
