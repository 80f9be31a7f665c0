"""FINER against its formula by hand, with and without its scale in the gradient, and its start."""

import math

import pytest
import torch
from torch import nn
from torch.func import functional_call

from recon.fields.finer import FinerConfig
from recon.fields.layers import finer_sine
from recon.fields.siren import SirenConfig

SMALL = FinerConfig(width=6, layers=4, omega=4.0, scale=1.3)


def reference(field, x, scales=None):
    """The formula, layer by layer; `scales` replaces the layers' |z| + 1, which are returned as well."""
    linears = [m for m in field.modules() if isinstance(m, nn.Linear)]
    h, used = 1.3 * x, []
    for i, layer in enumerate(linears[:-1]):
        z = h @ layer.weight.T + layer.bias
        used.append(z.abs() + 1 if scales is None else scales[i])
        h = torch.sin(4.0 * used[-1] * z)
    return h @ linears[-1].weight.T + linears[-1].bias, used


def points(n=5):
    return torch.rand(n, 2, dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize("training", [True, False])
def test_finer_is_its_formula(training):
    field, x = SMALL.build(2, 3).double().train(training), points()
    torch.testing.assert_close(field(x), reference(field, x)[0])


def test_the_same_weights_start_it_as_siren():
    torch.manual_seed(3)
    finer = FinerConfig(width=10, layers=4).build(3, 1)
    torch.manual_seed(3)
    siren = SirenConfig(width=10, layers=4).build(3, 1)
    for ours, theirs in zip(finer.parameters(), siren.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_training_gradients_take_the_scale_for_a_constant():
    """Finite differences of the network whose scales are held where they are, by points and by every weight."""
    torch.manual_seed(0)
    field = SMALL.build(2, 1).double()
    x = points().requires_grad_()
    names, values = zip(*field.named_parameters(), strict=True)
    scales = [scale.detach() for scale in reference(field, x)[1]]

    def held(x, *values):
        given = dict(zip(names, values, strict=True))
        h = 1.3 * x
        for i, scale in enumerate(scales):
            z = h @ given[f"hidden.{i}.linear.weight"].T + given[f"hidden.{i}.linear.bias"]
            h = torch.sin(4.0 * scale * z)
        return h @ given["out.weight"].T + given["out.bias"]

    inputs = (x, *(value.detach().requires_grad_() for value in values))
    assert torch.autograd.gradcheck(held, inputs)
    expected = torch.autograd.grad(held(*inputs).sum(), inputs)
    ours = torch.autograd.grad(functional_call(field, dict(zip(names, inputs[1:], strict=True)), x).sum(), inputs)
    torch.testing.assert_close(ours, expected)


def test_an_evaluated_field_has_true_gradients():
    z = torch.linspace(-2, 2, 41, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(finer_sine(z, 5.0, frozen=False).sum(), z)
    torch.testing.assert_close(slope, 5 * (2 * z.abs() + 1) * torch.cos(5 * (z.abs() + 1) * z))
    (slope,) = torch.autograd.grad(finer_sine(z, 5.0, frozen=True).sum(), z)
    torch.testing.assert_close(slope, 5 * (z.abs() + 1) * torch.cos(5 * (z.abs() + 1) * z))


def test_the_first_bias_is_as_wide_as_asked():
    torch.manual_seed(2)
    field = FinerConfig(width=2000, layers=3, first_bias=5.0).build(3, 1)
    first, second, _ = (m.bias.detach() for m in field.modules() if isinstance(m, nn.Linear))
    assert 4.95 < float(first.abs().max()) <= 5
    assert float(first.var()) == pytest.approx(25 / 3, rel=0.1)
    assert float(second.abs().max()) <= 1 / math.sqrt(2000)


def test_zero_biases_leave_the_first_bias():
    field = FinerConfig(width=8, layers=3, biases="zero", first_bias=1.0).build(3, 1)
    first, *others = (m.bias for m in field.modules() if isinstance(m, nn.Linear))
    assert first.any()
    assert not any(bias.any() for bias in others)


def test_it_counts_as_siren():
    field = FinerConfig(width=128, layers=8).build(2, 3)
    assert sum(p.numel() for p in field.parameters()) == 99_843
    assert field.macs() == 98_944
