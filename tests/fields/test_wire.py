"""WIRE against complex arithmetic by hand, its start, and what complex weights must survive."""

import copy
import math

import pytest
import torch
from torch import nn

from recon.fields.wire import Wire, WireConfig, complex_width, wavelet
from recon.training import checkpoint

PAPER = WireConfig(width=complex_width(300), layers=5, omega=20.0, sharpness=20.0)


def small() -> Wire:
    return WireConfig(width=6, layers=4, omega=3.0, sharpness=2.0).build(2, 3)


def test_the_paper_s_counts():
    """ASMR's baseline, 212 complex units of 300 real ones."""
    field = PAPER.build(2, 3)
    assert sum(p.numel() for p in field.parameters()) == 136_743
    assert field.macs() == 135_892


@pytest.mark.parametrize(("real", "complex_units"), [(300, 212), (256, 181), (2, 1), (1, 0)])
def test_complex_units_are_fewer(real, complex_units):
    assert complex_width(real) == complex_units == math.floor(real / math.sqrt(2))


def test_wire_is_its_formula():
    field = small().double()
    x = torch.rand(5, 2, dtype=torch.float64) * 2 - 1
    linears = [m for m in field.modules() if isinstance(m, nn.Linear)]
    assert [m.weight.dtype for m in linears] == [torch.float64, *[torch.complex128] * 3]
    h = x.to(torch.complex128)
    for layer in linears[:-1]:
        z = h @ layer.weight.to(torch.complex128).T + layer.bias
        h = torch.exp(1j * 3.0 * z - (2.0 * z).abs() ** 2)
    torch.testing.assert_close(field(x), (h @ linears[-1].weight.T + linears[-1].bias).real)


def test_a_real_argument_makes_a_gabor_wavelet():
    u = torch.linspace(-1, 1, 50, dtype=torch.float64)[:, None]
    wave = wavelet(u, torch.zeros_like(u), omega=7.0, sharpness=3.0)
    torch.testing.assert_close(wave.real, torch.exp(-9 * u**2) * torch.cos(7 * u))
    torch.testing.assert_close(wave.abs(), torch.exp(-9 * u**2))


def test_both_parts_start_as_torch_s_linear_layers():
    torch.manual_seed(0)
    field = WireConfig(width=400, layers=3).build(3, 1)
    assert 0.98 / math.sqrt(3) < float(field.first.weight.detach().abs().max()) <= 1 / math.sqrt(3)
    for part in (field.hidden[0].weight.detach().real, field.hidden[0].weight.detach().imag):
        assert 0.99 / 20 < float(part.abs().max()) <= 1 / 20
        assert float(part.var()) == pytest.approx(1 / 400 / 3, rel=0.05)


def test_conversion_keeps_imaginary_parts():
    field, x = small(), torch.rand(9, 2)
    before = field(x)
    for convert in (lambda f: f.to(torch.float64), lambda f: f.double()):
        converted = convert(copy.deepcopy(field))
        torch.testing.assert_close(converted(x.double()).float(), before)
        assert torch.equal(converted.float()(x), before)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_there_are_no_complex_numbers_of_16_bits(dtype):
    with pytest.raises(ValueError, match="complex weights"):
        small().to(dtype)


def test_it_runs_under_autocast():
    field, x = small(), torch.rand(9, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = field(x)
    torch.testing.assert_close(y.float(), field(x), atol=0.05, rtol=0.1)


def test_complex_weights_survive_a_checkpoint(tmp_path):
    torch.manual_seed(1)
    field, other, x = small(), small(), torch.rand(9, 2)
    checkpoint.save(tmp_path, field.state_dict(), {}, {}, {"step": 1})
    other.load_state_dict(checkpoint.load(tmp_path).model)
    assert torch.equal(other(x), field(x))
    assert any(value.is_complex() and value.imag.any() for value in other.state_dict().values())


def test_normals_of_a_wire_can_be_trained():
    """A loss of the gradient needs second derivatives."""
    field = WireConfig(width=4, layers=3, omega=2.0, sharpness=1.0).build(2, 1).double()
    x = torch.rand(3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(field, (x,))
