"""Rounded products against exact ones: close in values and gradients, and only where they were asked for and pay."""

import pytest
import torch

from recon.kernels import products

RNG = torch.Generator().manual_seed(0)


@pytest.fixture(autouse=True)
def untouched():
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


@pytest.fixture
def needed(monkeypatch):
    """A processor on which torch would stay in float32."""
    monkeypatch.setattr(products, "torch_ignores_medium", lambda: True)


def layer(n=50, fan_in=96, fan_out=80, dtype=torch.float32):
    return [torch.randn(s, generator=RNG).to(dtype).requires_grad_() for s in ((n, fan_in), (fan_out, fan_in), fan_out)]


def relative(found, exact):
    return float((found - exact).detach().norm() / exact.detach().norm())


@pytest.mark.usefixtures("needed")
def test_rounded_values_and_gradients_are_near_the_exact_ones():
    inputs, out = layer(), torch.randn(50, 80, generator=RNG)
    torch.set_float32_matmul_precision("medium")
    found = products.linear(*inputs)
    assert found.dtype == torch.float32
    exact = torch.nn.functional.linear(*(t.double() for t in inputs))
    assert 1e-4 < relative(found.double(), exact) < 5e-3  # bfloat16 keeps 8 bits: 2^-9 at most, each
    gradients = (torch.autograd.grad(y, inputs, out.to(y.dtype)) for y in (found, exact))
    for a, b in zip(*gradients, strict=True):
        assert a.dtype == torch.float32
        assert relative(a, b) < 5e-3


@pytest.mark.usefixtures("needed")
def test_a_bias_is_not_rounded():
    torch.set_float32_matmul_precision("medium")
    _, weight, bias = layer()
    assert torch.equal(products.linear(torch.zeros(3, 96), weight, bias), bias.expand(3, -1))


@pytest.mark.usefixtures("needed")
@pytest.mark.parametrize("precision", ["highest", "high"])
def test_full_precision_is_left_to_torch(precision):
    inputs = layer()
    torch.set_float32_matmul_precision(precision)
    assert torch.equal(products.linear(*inputs), torch.nn.functional.linear(*inputs))


@pytest.mark.usefixtures("needed")
@pytest.mark.parametrize(
    "settings", [{"dtype": torch.float64}, {"fan_in": 3}, {"fan_out": 1}], ids=["double", "coordinates", "output"]
)
def test_doubles_and_narrow_layers_are_left_to_torch(settings):
    inputs = layer(**settings)
    torch.set_float32_matmul_precision("medium")
    assert not products.rounds(*inputs[:2])
    assert torch.equal(products.linear(*inputs), torch.nn.functional.linear(*inputs))


def test_a_processor_on_which_torch_rounds_itself_is_left_to_torch(monkeypatch):
    monkeypatch.setattr(products, "torch_ignores_medium", lambda: False)
    torch.set_float32_matmul_precision("medium")
    assert not products.rounds(*layer()[:2])


@pytest.mark.parametrize(("bf16", "amx", "expected"), [(True, False, True), (True, True, False), (False, False, False)])
def test_only_bf16_without_tiles_needs_help(monkeypatch, bf16, amx, expected):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert products.torch_ignores_medium.__wrapped__() == expected


@pytest.mark.usefixtures("needed")
def test_no_rows_give_no_rows():
    torch.set_float32_matmul_precision("medium")
    x, weight, bias = layer()
    assert products.linear(x[:0], weight, bias).shape == (0, 80)
