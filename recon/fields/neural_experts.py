"""Neural Experts: a mixture of sine networks behind a shared encoder, chosen point by point by a manager network.

Formulas of "Neural Experts: Mixture of Experts for Implicit Neural Representations", section 3: the manager's
q(x) = softmax(Phi_m(E_m(x) + E_e(x)))  (Eq. 1, + joins the encodings), the signal Phi_j(E_e(x)) of the expert
j = argmax q (Eq. 2), the loss 1/N sum_i q_i |Phi_i - truth|^p (Eq. 4).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recon.fields.base import Field, FieldConfig, chunked
from recon.fields.feature_grid import FeatureGridConfig, GridEncoding
from recon.fields.layers import Sine, check_sines, hidden_matrices, linear_macs, sine_bound, sine_output
from recon.kernels.grouped import grouped_linear, sort_by_group
from recon.kernels.products import linear

LABEL_CELLS = 64
"""Cells per axis of the assignment that the manager is pretrained to (A.3)."""

CHOICES = {
    "encoder": ("sine", "feature-grid"),
    "conditioning": ("concatenate", "max", "mean", "none"),
    "pretraining": ("random", "grid", "none"),
}


@dataclass(frozen=True)
class NeuralExpertsConfig(FieldConfig):
    """Neural Experts: a manager sends each point to one of several sine networks behind a shared encoder."""

    experts: int = 8
    """Experts."""
    expert_width: int = 32
    """Units of each hidden layer of an expert."""
    expert_layers: int = 3
    """Hidden layers of an expert; a linear output follows."""
    encoder: Literal["sine", "feature-grid"] = "sine"
    """The experts' shared encoder: sine layers as in the paper, or multi-resolution grids."""
    encoder_width: int = 256
    """Units of the sine encoder's layers."""
    encoder_layers: int = 4
    """Layers of the sine encoder."""
    grid: FeatureGridConfig = FeatureGridConfig()
    """The grids, where the encoder is `feature-grid` (its network's settings are not used)."""
    manager_width: int = 64
    """Units of the manager's layers and of its own encoder's."""
    manager_layers: int = 3
    """Hidden layers of the manager; a linear output follows."""
    manager_encoder_layers: int = 4
    """Layers of the manager's own sine encoder."""
    conditioning: Literal["concatenate", "max", "mean", "none"] = "concatenate"
    """How the manager sees the experts' encoding: whole, pooled over the batch, or not at all (vanilla mixture)."""
    pretraining: Literal["random", "grid", "none"] = "random"
    """Assignment that the manager learns before the signal: i.i.d. per cell, a repeating tile, or none."""
    label_seed: int = 0
    """Seed of the random assignment."""
    omega: float = 30.0
    """Frequency inside each sine."""
    expert_omega: float = 30.0
    """The same inside the experts."""
    scale: float = 1.2
    """Coordinates are multiplied by this before any sine layer: the paper's surfaces live in [-1.2, 1.2]."""
    biases: Literal["uniform", "zero"] = "uniform"
    """SIREN's own U(±1/sqrt(fan-in)), or 0 as the authors set them."""

    def __post_init__(self) -> None:
        counts = (self.experts, self.expert_width, self.expert_layers, self.manager_width, self.manager_layers)
        if min(*counts, self.encoder_width, self.encoder_layers, self.manager_encoder_layers) < 1:
            raise ValueError(f"neural-experts needs at least one expert, layer and unit everywhere, got {self}")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be {', '.join(known[:-1])} or {known[-1]}, got '{getattr(self, name)}'")
        check_sines(self.biases, omega=self.omega, expert_omega=self.expert_omega, scale=self.scale)

    def build(self, in_dim: int, out_dim: int) -> NeuralExperts:
        return NeuralExperts(self, in_dim, out_dim)


class NeuralExperts(Field):
    """The mixture. In training `forward` is the gate's weighted sum; in evaluation each point runs its own expert."""

    def __init__(self, config: NeuralExpertsConfig, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        self.config = config
        self._labels: Tensor | None = None
        zero = config.biases == "zero"
        if config.encoder == "sine":
            widths = [in_dim, *[config.encoder_width] * config.encoder_layers]
            self.encoder: nn.Module = _sine_stack(widths, config.omega, zero)
            encoded = config.encoder_width
        else:
            self.encoder = GridEncoding(in_dim, config.grid.resolutions, config.grid.channels, config.grid.init)
            encoded = self.encoder.out_dim
        self.expert_stack = ExpertStack(config, encoded, out_dim)
        m = config.manager_width
        self.manager_encoder = _sine_stack([in_dim, *[m] * config.manager_encoder_layers], config.omega, zero)
        joined = m if config.conditioning == "none" else m + encoded
        hidden = [
            Sine(fan_in, m, config.omega, bias_zero=zero) for fan_in in (joined, *[m] * (config.manager_layers - 1))
        ]
        self.manager = nn.Sequential(*hidden, sine_output(m, config.experts, config.omega, zero))

    def encode(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n e"]:
        """What every expert sees: E_e(x)."""
        return self.encoder(x * self.config.scale if self.config.encoder == "sine" else x)

    def gate_logits(self, x: Float[Tensor, "n d"], encoded: Float[Tensor, "n e"]) -> Float[Tensor, "n k"]:
        """The manager's logits from its own encoding and the experts' (Eq. 1)."""
        own = self.manager_encoder(x * self.config.scale)
        if self.config.conditioning == "none":
            return self.manager(own)
        if self.config.conditioning == "concatenate":
            return self.manager(torch.cat([own, encoded], dim=1))
        # Pooling lets the points of a batch talk to each other, so values depend on the batch: the paper's ablation.
        # The paper adds the pooled code, its code broadcasts and concatenates: as the code.
        if len(encoded) == 0:
            pooled = encoded.new_zeros(encoded.shape[1])
        else:
            pooled = encoded.amax(dim=0) if self.config.conditioning == "max" else encoded.mean(dim=0)
        return self.manager(torch.cat([own, pooled.expand(len(x), -1)], dim=1))

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        if not self.training:
            return self.routed(x)
        outputs, gate = self.experts(x)
        return (outputs * gate[..., None]).sum(dim=1)

    def experts(self, x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n k c"], Float[Tensor, "n k"]]:
        """All experts' outputs and the gate's probabilities; the encoder runs once for both."""
        encoded = self.encode(x)
        return self.expert_stack(encoded), self.gate_logits(x, encoded).softmax(dim=1)

    def assign(self, x: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
        """The expert that serves each point: argmax of the gate."""
        return self.gate_logits(x, self.encode(x)).argmax(dim=1)

    def routed(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """Each point by its own expert only (Eq. 2): gate first, then one grouped product a layer."""
        encoded = self.encode(x)
        choice = self.gate_logits(x, encoded).argmax(dim=1)
        order, sizes = sort_by_group(choice, self.config.experts)
        sorted_out = self.expert_stack.grouped(encoded[order], sizes)
        return torch.zeros_like(sorted_out).index_copy(0, order, sorted_out)

    def evaluator(self) -> Callable[[Tensor], Tensor]:
        return lambda x: chunked(self.routed, x)

    def macs(self) -> int:
        """All experts, as in training."""
        return self._shared_macs() + self.expert_stack.macs() * self.config.experts

    def routed_macs(self) -> int:
        """One expert, as in inference."""
        return self._shared_macs() + self.expert_stack.macs()

    def _shared_macs(self) -> int:
        grid = self.encoder.macs() if isinstance(self.encoder, GridEncoding) else 0
        return grid + sum(linear_macs(m) for m in (self.encoder, self.manager_encoder, self.manager))

    def matrices(self) -> Iterator[nn.Parameter]:
        for part in (self.encoder, self.manager_encoder, self.manager[:-1]):
            yield from hidden_matrices(part)
        yield from self.expert_stack.weights[:-1]

    def labels(self, x: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
        """The expert that pretraining assigns to each point's cell of a 64^d grid (A.3)."""
        cell = ((x + 1) * (LABEL_CELLS / 2)).floor().clamp_(0, LABEL_CELLS - 1).long()
        if self.config.pretraining == "grid":
            sides = _tile_sides(self.config.experts, self.in_dim)
            label = torch.zeros(len(x), dtype=torch.long, device=x.device)
            for axis, side in enumerate(sides):
                label = label * side + cell[:, axis] % side
            return label
        if self._labels is None or self._labels.device != x.device:
            rng = torch.Generator().manual_seed(self.config.label_seed)
            table = torch.randint(self.config.experts, (LABEL_CELLS**self.in_dim,), generator=rng)
            self._labels = table.to(x.device)
        strides = torch.tensor([LABEL_CELLS ** (self.in_dim - 1 - a) for a in range(self.in_dim)], device=x.device)
        return self._labels[(cell * strides).sum(dim=1)]

    def pretrain_loss(self, x: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
        """1000 (cross entropy, smoothed by 0.01, + 0.1 binary cross entropy of the logits against 1/N) (Eq. 3).

        The second term and the factor are the authors' code's; the paper has the first alone."""
        logits = self.gate_logits(x, self.encode(x))
        entropy = nn.functional.cross_entropy(logits, self.labels(x), label_smoothing=0.01)
        even = torch.full_like(logits, 1 / self.config.experts)
        return 1000 * (entropy + 0.1 * nn.functional.binary_cross_entropy_with_logits(logits, even))


class ExpertStack(nn.Module):
    """All experts' layers as stacks of matrices [experts, out, in]."""

    def __init__(self, config: NeuralExpertsConfig, fan_in: int, out_dim: int) -> None:
        super().__init__()
        self.omega = config.expert_omega
        widths = [fan_in, *[config.expert_width] * config.expert_layers, out_dim]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for i, o in zip(widths[:-1], widths[1:], strict=True):
            bound = sine_bound(i, self.omega, fed_by_coordinates=False)
            self.weights.append(nn.Parameter(torch.empty(config.experts, o, i).uniform_(-bound, bound)))
            bias = torch.empty(config.experts, o).uniform_(-1 / math.sqrt(i), 1 / math.sqrt(i))
            self.biases.append(nn.Parameter(torch.zeros_like(bias) if config.biases == "zero" else bias))

    def forward(self, encoded: Float[Tensor, "n e"]) -> Float[Tensor, "n k c"]:
        """All experts. They share their input, so the first layer is one product; the rest are batched products."""
        (first, first_bias), *hidden, (last, last_bias) = self._layers()
        k, width = first.shape[:2]
        h = linear(encoded, self.omega * first.flatten(0, 1), self.omega * first_bias.flatten())
        h = torch.sin(h).reshape(-1, k, width).transpose(0, 1)
        for weight, bias in hidden:
            h = torch.sin(torch.baddbmm(self.omega * bias[:, None], h, self.omega * weight.transpose(1, 2)))
        return torch.baddbmm(last_bias[:, None], h, last.transpose(1, 2)).transpose(0, 1)

    def grouped(self, encoded: Float[Tensor, "n e"], sizes: list[int]) -> Float[Tensor, "n c"]:
        """Rows sorted by expert, each through its own expert's layers."""
        *hidden, (last, last_bias) = self._layers()
        h = encoded
        for weight, bias in hidden:
            h = torch.sin(grouped_linear(h, sizes, self.omega * weight, self.omega * bias))
        return grouped_linear(h, sizes, last, last_bias)

    def _layers(self) -> list[tuple[Float[Tensor, "k o i"], Float[Tensor, "k o"]]]:
        # A slice of a ParameterList would make new parameters of what functional_call puts in their place.
        return list(zip(self.weights, self.biases, strict=True))

    def macs(self) -> int:
        """Of one expert."""
        return sum(w.shape[1] * w.shape[2] for w in self.weights)


def _sine_stack(widths: list[int], omega: float, zero: bool) -> nn.Sequential:
    pairs = zip(widths[:-1], widths[1:], strict=True)
    return nn.Sequential(*[Sine(i, o, omega, first=n == 0, bias_zero=zero) for n, (i, o) in enumerate(pairs)])


def _tile_sides(experts: int, dims: int) -> list[int]:
    """Sides of a box-shaped tile that holds each expert once, as even as the factors allow: 8 in 3-D is 2 x 2 x 2."""
    sides, rest = [], experts
    for left in range(dims, 0, -1):
        target = rest ** (1 / left)
        side = min((s for s in range(1, rest + 1) if rest % s == 0), key=lambda s: abs(s - target))
        sides.append(side)
        rest //= side
    return sides
