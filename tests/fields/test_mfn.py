"""FourierNet against its formula by hand, the sum of sines that it is, its start, and the paper's counts."""

import math

import pytest
import torch

from recon.fields.mfn import MfnConfig
from recon.kernels.products import linear


def test_the_paper_s_counts():
    field = MfnConfig(width=256, layers=3).build(2, 3)
    assert sum(p.numel() for p in field.parameters()) == 134_659
    assert field.macs() == 133_376


def test_mfn_is_its_formula():
    field = MfnConfig(width=6, layers=4, frequency=5.0).build(2, 3).double()
    x = torch.rand(5, 2, dtype=torch.float64) * 2 - 1
    z = torch.sin(x @ field.filters[0].weight.T + field.filters[0].bias)
    for i in range(3):
        g = torch.sin(x @ field.filters[i + 1].weight.T + field.filters[i + 1].bias)
        z = (z @ field.hidden[i].weight.T + field.hidden[i].bias) * g
    torch.testing.assert_close(field(x), z @ field.out.weight.T + field.out.bias)


def test_a_product_of_sines_is_a_sum_of_sines():
    """Theorem 1 of its paper, for two layers of one unit: frequencies add and subtract, phases as well."""
    field = MfnConfig(width=1, layers=2, frequency=20.0).build(1, 1).double()
    x = torch.rand(50, 1, dtype=torch.float64) * 2 - 1
    (a, p), (b, q) = ((float(f.weight.detach()), float(f.bias.detach())) for f in field.filters)
    weight, bias = float(field.hidden[0].weight.detach()), float(field.hidden[0].bias.detach())
    product = (torch.cos((a - b) * x + p - q) - torch.cos((a + b) * x + p + q)) / 2
    expected = field.out.weight * (weight * product + bias * torch.sin(b * x + q)) + field.out.bias
    torch.testing.assert_close(field(x), expected)


@pytest.mark.parametrize("precision", ["highest", "medium"])
def test_fast_sines_have_exact_arguments_in_every_precision(precision, monkeypatch):
    """2^-11 of 2,000 radians would be one radian: this is where bfloat16 and TF32 may not go."""
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: precision)
    x, weight, bias = torch.rand(50, 2), 1000 * torch.rand(30, 2), torch.rand(30)
    for b in (bias, None):
        exact = x.double() @ weight.double().T + (0 if b is None else b.double())
        torch.testing.assert_close(linear(x, weight, b).double(), exact, atol=5e-4, rtol=0)


def test_it_starts_as_its_authors_do():
    torch.manual_seed(0)
    field = MfnConfig(width=1500, layers=4, frequency=256.0).build(2, 1)
    tensors = [
        (field.filters[2].weight, 256 / 2 / math.sqrt(2)),  # torch's 1/sqrt(d), times 256/sqrt(4)
        (field.filters[2].bias, math.pi),
        (field.hidden[1].weight, 1 / math.sqrt(1500)),
        (field.hidden[1].bias, 1 / math.sqrt(1500)),
        (field.out.weight, 1 / math.sqrt(1500)),
    ]
    for tensor, bound in tensors:
        values = tensor.detach()
        assert 0.99 * bound < float(values.abs().max()) <= bound * (1 + 1e-6)
        assert float(values.var()) == pytest.approx(bound**2 / 3, rel=0.1)
