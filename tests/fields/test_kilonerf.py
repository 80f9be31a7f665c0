"""KiloNeRF against one small network after the other, in the order in which points came."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recon.fields.kilonerf import KiloNerf, KiloNerfConfig
from recon.fields.pe_mlp import positional_encoding

RNG = torch.Generator().manual_seed(0)


def build(in_dim: int = 2, out_dim: int = 3, **settings) -> KiloNerf:
    torch.manual_seed(0)
    defaults: dict = {"nets": 3, "width": 5, "layers": 3, "frequencies": 2}
    field = KiloNerfConfig(**defaults | settings).build(in_dim, out_dim).double()
    with torch.no_grad():
        for bias in field.biases:
            bias.uniform_(-1, 1)
    return field


def points(n: int, in_dim: int = 2) -> torch.Tensor:
    return torch.rand(n, in_dim, generator=RNG, dtype=torch.float64) * 2 - 1


def slow(field: KiloNerf, x: torch.Tensor) -> torch.Tensor:
    """Cell after cell: which points lie in it, where in it, and its own network written down."""
    y = torch.zeros(len(x), field.out_dim, dtype=x.dtype)
    for number, cell in enumerate(itertools.product(*(range(n) for n in field.nets))):
        low = torch.tensor([2 * c / n - 1 for c, n in zip(cell, field.nets, strict=True)], dtype=x.dtype)
        side = torch.tensor([2 / n for n in field.nets], dtype=x.dtype)
        inside = ((x >= low) & (x < low + side)).all(dim=1)
        h = positional_encoding((x[inside] - low) / side * 2 - 1, field.frequencies)
        for layer, (weight, bias) in enumerate(zip(field.weights, field.biases, strict=True)):
            h = (h.clamp(min=0) if layer else h) @ weight[number].T + bias[number]
        y = y.index_put((inside,), h)
    return y


@pytest.mark.parametrize(
    ("in_dim", "settings"),
    [(1, {"nets": 7}), (2, {}), (2, {"axis_nets": (1, 4)}), (3, {"axis_nets": (2, 1, 3), "layers": 2})],
)
def test_values_and_gradients_are_those_of_one_network_after_the_other(in_dim, settings):
    field, x = build(in_dim, **settings), points(40, in_dim)
    found, expected = field(x), slow(field, x)
    torch.testing.assert_close(found, expected)
    out = torch.randn(found.shape, generator=RNG, dtype=torch.float64)
    pair = (torch.autograd.grad(y, [*field.parameters()], out) for y in (found, expected))
    for a, b in zip(*pair, strict=True):
        torch.testing.assert_close(a, b)


def test_each_network_sees_its_own_cell_as_the_cube():
    """Equal weights in all cells make a function that repeats with the cells."""
    field = build(1, nets=4)
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.copy_(parameter[:1].expand_as(parameter))
    x = points(9, 1) / 4 - 0.75
    for shift in (0.5, 1.0, 1.5):
        torch.testing.assert_close(field(x + shift), field(x))


def test_a_network_is_known_to_its_own_cell_alone():
    field, x = build(2), points(200)
    before = field(x).detach()
    with torch.no_grad():
        field.weights[1][5] += 1.0
    number, _ = field.locate(x)
    changed = (field(x) - before).abs().amax(dim=1) > 0
    assert changed.any() and not changed[number != 5].any()


@given(n=st.integers(1, 9), beyond=st.floats(0, 10))
def test_far_faces_and_points_beyond_belong_to_the_border_s_networks(n, beyond):
    field = build(1, nets=n)
    number, local = field.locate(torch.tensor([[-1.0 - beyond], [1.0 + beyond]], dtype=torch.float64))
    assert number.tolist() == [0, n - 1]
    torch.testing.assert_close(local[:, 0].abs(), torch.full((2,), 1 + beyond * n, dtype=torch.float64))


def test_weights_start_at_he_s_bound_of_one_network_whatever_their_number():
    field = KiloNerfConfig(nets=8, width=40, layers=3, frequencies=3).build(2, 1)
    for weight, fan_in in zip(field.weights, (14, 40, 40), strict=True):
        bound = math.sqrt(6 / fan_in)
        assert 0.97 * bound < float(weight.detach().abs().max()) <= bound
    assert not any(bias.any() for bias in field.biases)


def test_costs_are_those_of_one_network():
    field = build(2, 1, nets=16, width=16, layers=3, frequencies=10)
    assert (field.macs(), field.profiler_macs()) == (42 * 16 + 16 * 16 + 16, 977)
    assert sum(p.numel() for p in field.parameters()) == 250_112


def test_networks_that_fit_no_points_or_no_memory_are_refused():
    with pytest.raises(ValueError, match="axis_nets names 2 axes, but points have 3"):
        KiloNerfConfig(axis_nets=(2, 2)).build(3, 1)
    with pytest.raises(ValueError, match="nets .* at most 65,536"):
        KiloNerfConfig(nets=50).build(3, 1)
