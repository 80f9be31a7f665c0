"""The vanilla mixture is Neural Experts with a manager that is blind to the experts' encoding."""

import torch

from recon.fields.neural_experts import NeuralExperts, NeuralExpertsConfig
from recon.fields.vanilla_moe import VanillaMoeConfig

SIZES: dict = {"experts": 3, "encoder_width": 12, "expert_width": 9, "manager_width": 10}


def build() -> NeuralExperts:
    torch.manual_seed(0)
    return VanillaMoeConfig(**SIZES).build(2, 1).double()


def test_the_gate_does_not_depend_on_the_experts_encoder_and_their_values_do():
    field, x = build(), torch.rand(30, 2, dtype=torch.float64)
    values, gate = field.experts(x)
    with torch.no_grad():
        for parameter in field.encoder.parameters():
            parameter.mul_(1.5)
    others, same = field.experts(x)
    assert torch.equal(gate, same)
    assert not torch.allclose(values, others)


def test_it_is_neural_experts_without_conditioning():
    torch.manual_seed(0)
    other = NeuralExpertsConfig(**SIZES, conditioning="none").build(2, 1).double()
    x = torch.rand(30, 2, dtype=torch.float64)
    assert torch.equal(build()(x), other(x))


def test_its_manager_is_smaller_by_what_it_does_not_see():
    plain = NeuralExpertsConfig(**SIZES).build(2, 1)
    assert plain.macs() - build().macs() == 12 * 10
