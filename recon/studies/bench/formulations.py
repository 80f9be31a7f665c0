"""The same values as others compute them: the papers' own code for Neural Experts and ASMR, and loops with masks."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

from recon.fields.asmr import Asmr
from recon.fields.neural_experts import NeuralExperts


def experts_expanded(
    field: NeuralExperts, x: Float[Tensor, "n d"]
) -> tuple[Float[Tensor, "n k c"], Float[Tensor, "n k"]]:
    """As Neural Experts' authors: the encoder runs for the experts and again for the manager, each expert gets its
    output expanded, every layer is a batched product, and omega scales activations, not weights."""
    x, omega, stack = field.config.scale * x, field.config.omega, field.expert_stack
    joined = torch.cat([_sines(field.manager_encoder, x, omega), _sines(field.encoder, x, omega)], dim=1)
    hidden, last = field.manager[:-1], field.manager[-1]
    gate = last(_sines(hidden, joined, omega)).softmax(dim=1)
    h = _sines(field.encoder, x, omega).unsqueeze(0).expand(field.config.experts, -1, -1)
    *layers, (weight, bias) = zip(stack.weights, stack.biases, strict=True)
    for w, b in layers:
        h = torch.sin(field.config.expert_omega * (torch.bmm(h, w.transpose(1, 2)) + b[:, None]))
    return (torch.bmm(h, weight.transpose(1, 2)) + bias[:, None]).transpose(0, 1), gate


def expanded_macs(field: NeuralExperts) -> int:
    """Products per point of `experts_expanded`: the encoder counts twice."""
    encoder = (m for m in field.encoder.modules() if isinstance(m, nn.Linear))
    return field.macs() + sum(m.in_features * m.out_features for m in encoder)


def _sines(layers: nn.Module, h: Tensor, omega: float) -> Tensor:
    for m in layers.modules():
        if isinstance(m, nn.Linear):
            h = torch.sin(omega * linear(h, m.weight, m.bias))
    return h


def masked_linear(
    x: Float[Tensor, "n i"], tile: Int[Tensor, " n"], weight: Float[Tensor, "k o i"], bias: Float[Tensor, " o"]
) -> Float[Tensor, "n o"]:
    """One tile after the other, its rows picked by a mask and put back by it."""
    y = x.new_empty(len(x), weight.shape[1])
    for k, matrix in enumerate(weight):
        chosen = tile == k
        y[chosen] = linear(x[chosen], matrix, bias)
    return y


def asmr_shared(field: Asmr) -> Float[Tensor, "p k c"]:
    """As ASMR's authors: shared activations, but a sine for each cell of the last level too. In nested order."""
    omega, z = field.config.omega, _digits(field, 0)
    for level in range(1, field.levels):
        q = omega * field.linears[level - 1](z)
        m = omega**2 * field.modulators[level - 1](_digits(field, level))
        z = torch.sin(q[:, None] + m).flatten(0, 1)
    return field.linears[-1](z).reshape(field.prefixes(1), -1, field.out_dim)


def asmr_unshared(field: Asmr, cell: Int[Tensor, "n d"]) -> Float[Tensor, "n c"]:
    """Each cell on its own, through all levels."""
    omega, z = field.config.omega, torch.empty(0)
    for level, bases in enumerate(field.bases):
        below = cell.new_ones(field.in_dim)
        for finer in field.bases[level + 1 :]:
            below = below * cell.new_tensor(finer)
        base = cell.new_tensor(bases)
        digits = torch.div(cell, below, rounding_mode="floor") % base
        scaled = digits.to(field.linears[0].weight.dtype) / (base - 1).clamp(min=1)
        if level == 0:
            z = scaled
        else:
            z = torch.sin(omega * (field.linears[level - 1](z) + omega * field.modulators[level - 1](scaled)))
    return field.linears[-1](z)


def unshared_macs(field: Asmr) -> int:
    """Products per point of `asmr_unshared`."""
    modules = [*field.linears, *field.modulators]
    return sum(m.in_features * m.out_features for m in modules)


def _digits(field: Asmr, level: int) -> Float[Tensor, "k d"]:
    """Scaled digits of all children of a cell, axis 0 slowest."""
    weight = field.linears[0].weight
    axes = [torch.arange(b, device=weight.device, dtype=weight.dtype) / max(1, b - 1) for b in field.bases[level]]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, field.in_dim)
