"""Neural Experts: a mixture of networks behind a shared encoder, chosen point by point by a manager network.

Formulas of "Neural Experts: Mixture of Experts for Implicit Neural Representations", section 3: the manager's
q(x) = softmax(Phi_m(E_m(x) + E_e(x)))  (Eq. 1, + joins the encodings), the signal Phi_j(E_e(x)) of the expert
j = argmax q (Eq. 2), the loss 1/N sum_i q_i |Phi_i - truth|^p (Eq. 4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recon.fields.base import Field, FieldConfig, chunked
from recon.fields.expert_layers import ExpertStack, encoder_stack
from recon.fields.feature_grid import FeatureGridConfig, GridEncoding
from recon.fields.layers import Activation, ActivationName, Layer, check_sines, hidden_matrices, linear_macs
from recon.kernels.grouped import sort_by_group

COUNTS = (
    *("experts", "expert_width", "expert_layers", "encoder_width", "encoder_layers"),
    *("manager_width", "manager_layers", "manager_encoder_width", "manager_encoder_layers"),
)
"""Settings that count experts, units or layers."""

LABEL_CELLS = 64
"""Cells per axis of the assignment that the manager is pretrained to (A.3)."""

CHOICES = {
    "activation": ("sine", "finer", "softplus", "softplus-fourier"),
    "encoder": ("sine", "feature-grid"),
    "conditioning": ("concatenate", "max", "mean", "none"),
    "pretraining": ("random", "grid", "none"),
}


@dataclass(frozen=True)
class NeuralExpertsConfig(FieldConfig):
    """Neural Experts: a manager sends each point to one of several networks behind a shared encoder."""

    paper: ClassVar[str] = "Ben-Shabat et al. 2024"
    purpose: ClassVar[str] = "surfaces, pictures and sound in pieces, with one small network per point"

    experts: int = 8
    """Experts."""
    expert_width: int = 32
    """Units of each hidden layer of an expert."""
    expert_layers: int = 3
    """Hidden layers of an expert; a linear output follows."""
    activation: ActivationName = "sine"
    """After each layer but the last of every part: sine, FINER's sine, SoftPlus (beta 100), or SoftPlus with 64 random
    Fourier features in front of both encoders."""
    encoder: Literal["sine", "feature-grid"] = "sine"
    """The experts' shared encoder: a network (of sines, or of the chosen activation) as in the paper, or
    multi-resolution grids."""
    encoder_width: int = 256
    """Units of the encoder network's layers."""
    encoder_layers: int = 4
    """Layers of the encoder network."""
    grid: FeatureGridConfig = FeatureGridConfig()
    """The grids, where the encoder is `feature-grid` (its network's settings are not used)."""
    manager_width: int = 64
    """Units of the manager's layers."""
    manager_layers: int = 3
    """Hidden layers of the manager; a linear output follows."""
    manager_encoder_width: int = 0
    """Units of the layers of the manager's own encoder; 0 for as many as the manager's."""
    manager_encoder_layers: int = 4
    """Layers of the manager's own encoder."""
    conditioning: Literal["concatenate", "max", "mean", "none"] = "concatenate"
    """How the manager sees the experts' encoding: whole, pooled over the batch, or not at all (vanilla mixture)."""
    pretraining: Literal["random", "grid", "none"] = "random"
    """Assignment that the manager learns before the signal: i.i.d. per cell, a repeating tile, or none."""
    label_seed: int = 0
    """Seed of the random assignment."""
    omega: float = 30.0
    """Frequency inside each sine (SoftPlus has none)."""
    expert_omega: float = 30.0
    """The same inside the experts."""
    scale: float = 1.2
    """Coordinates are multiplied by this before any network: the paper's surfaces live in [-1.2, 1.2]."""
    biases: Literal["uniform", "zero"] = "uniform"
    """SIREN's own U(±1/sqrt(fan-in)), or 0 as the authors set them."""

    def __post_init__(self) -> None:
        for name in COUNTS:
            least = 0 if name == "manager_encoder_width" else 1
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be {', '.join(known[:-1])} or {known[-1]}, got '{getattr(self, name)}'")
        check_sines(self.biases, omega=self.omega, expert_omega=self.expert_omega, scale=self.scale)

    def build(self, in_dim: int, out_dim: int) -> NeuralExperts:
        return NeuralExperts(self, in_dim, out_dim)

    def scaled(self, factor: float) -> FieldConfig:
        own = max(1, round(self.manager_encoder_width * factor)) if self.manager_encoder_width else 0
        return replace(super().scaled(factor), grid=self.grid.scaled(factor), manager_encoder_width=own)


class NeuralExperts(Field):
    """The mixture. In training `forward` is the gate's weighted sum; in evaluation each point runs its own expert."""

    def __init__(self, config: NeuralExpertsConfig, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        self.config = config
        self._labels: Tensor | None = None
        zero, m = config.biases == "zero", config.manager_width
        act = Activation(config.activation, config.omega)
        if config.encoder == "sine":
            widths = [in_dim, *[config.encoder_width] * config.encoder_layers]
            self.encoder: nn.Module = encoder_stack(widths, act, zero)
            encoded = config.encoder_width
        else:
            self.encoder = GridEncoding(in_dim, config.grid.resolutions, config.grid.channels, config.grid.init)
            encoded = self.encoder.out_dim
        widths = [encoded, *[config.expert_width] * config.expert_layers, out_dim]
        expert_act = Activation(config.activation, config.expert_omega)
        self.expert_stack = ExpertStack(config.experts, widths, expert_act, zero)
        own = config.manager_encoder_width or m
        self.manager_encoder = encoder_stack([in_dim, *[own] * config.manager_encoder_layers], act, zero)
        joined = own if config.conditioning == "none" else own + encoded
        fans = (joined, *[m] * (config.manager_layers - 1))
        hidden = [Layer(fan_in, m, act, bias_zero=zero) for fan_in in fans]
        last = act.start(nn.Linear(m, config.experts), False, zero)
        self.manager = nn.Sequential(*hidden, last)

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

    def profiler_macs(self) -> float:
        return super().profiler_macs() + sum(bias.numel() for bias in self.expert_stack.biases)

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


def _tile_sides(experts: int, dims: int) -> list[int]:
    """Sides of a box-shaped tile that holds each expert once, as even as the factors allow: 8 in 3-D is 2 x 2 x 2."""
    sides, rest = [], experts
    for left in range(dims, 0, -1):
        target = rest ** (1 / left)
        side = min((s for s in range(1, rest + 1) if rest % s == 0), key=lambda s: abs(s - target))
        sides.append(side)
        rest //= side
    return sides
