"""Initialisation bounds and what counts as a hidden matrix."""

import math

import pytest
import torch
from torch import nn

from recon.fields.layers import Activation, Layer, check_sines, hidden_matrices, linear_macs, relu_stack, sine_bound

SINE = Activation("sine", 30.0)


def fills(tensor: torch.Tensor, bound: float) -> bool:
    """Whether the values look like U(-bound, bound): none outside, extremes and variance near theirs."""
    largest, variance = float(tensor.detach().abs().max()), float(tensor.detach().var())
    return 0.99 * bound < largest <= bound and abs(variance / (bound**2 / 3) - 1) < 0.1


@pytest.mark.parametrize(
    ("fan_in", "omega", "fed_by_coordinates", "bound"),
    [(3, 30.0, True, 1 / 3), (6, 30.0, False, 1 / 30), (600, 5.0, False, 0.02), (2, 1.0, True, 0.5)],
)
def test_siren_s_bound(fan_in, omega, fed_by_coordinates, bound):
    assert sine_bound(fan_in, omega, fed_by_coordinates) == pytest.approx(bound, rel=1e-12)


def test_sine_layers_start_within_their_bounds():
    torch.manual_seed(0)
    slow = Activation("sine", 15.0)
    first, hidden = Layer(3, 2000, SINE, first=True), Layer(100, 300, slow)
    assert fills(first.linear.weight, 1 / 3)
    assert fills(first.linear.bias, 1 / math.sqrt(3))
    assert fills(hidden.linear.weight, math.sqrt(6 / 100) / 15)
    assert fills(slow.start(nn.Linear(100, 300), False, False).weight, math.sqrt(6 / 100) / 15)


def test_zero_biases_are_zero():
    assert not Layer(3, 8, SINE, bias_zero=True).linear.bias.any()
    assert not SINE.start(nn.Linear(8, 2), False, True).bias.any()


def test_activations_keep_their_spread_through_sine_layers():
    """SIREN, section 3.2: before each hidden sine stands about N(0, 1), biases (which its proof leaves out) apart."""
    torch.manual_seed(1)
    h = torch.rand(2000, 3) * 2 - 1
    for layer in range(5):
        sine = Layer(3 if layer == 0 else 256, 256, SINE, first=layer == 0, bias_zero=True)
        z = 30 * sine.linear(h).detach()
        if layer:
            assert 0.85 < float(z.std()) < 1.05
        h = sine(h)


def test_a_sine_layer_is_its_formula():
    sine, x = Layer(4, 5, Activation("sine", 7.0)).double(), torch.randn(6, 4).double()
    torch.testing.assert_close(sine(x), torch.sin(7.0 * (x @ sine.linear.weight.T + sine.linear.bias)))


def test_a_relu_stack_ends_linear_and_starts_at_he_s_bound():
    torch.manual_seed(2)
    stack = relu_stack([50, 400, 400, 2])
    kinds = [type(m) for m in stack]
    assert kinds == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    linears = [m for m in stack if isinstance(m, nn.Linear)]
    assert fills(linears[0].weight, math.sqrt(6 / 50))
    assert not any(m.bias.any() for m in linears)


def test_macs_are_products_of_widths():
    assert linear_macs(relu_stack([3, 10, 20, 2])) == 3 * 10 + 10 * 20 + 20 * 2


def test_layers_fed_by_coordinates_are_no_hidden_matrices():
    stack = relu_stack([3, 16, 16, 1])
    assert [m.shape for m in hidden_matrices(stack)] == [(16, 16)]


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_a_frequency_must_be_a_positive_number(value):
    with pytest.raises(ValueError, match="omega must be positive and finite"):
        check_sines("zero", scale=1.0, omega=value)
