"""Neural Experts: a mixture of networks behind a shared encoder, chosen point by point by a manager network.

Formulas of "Neural Experts: Mixture of Experts for Implicit Neural Representations", section 3: the manager's
q(x) = softmax(Phi_m(E_m(x) + E_e(x)))  (Eq. 1, + joins the encodings), the signal Phi_j(E_e(x)) of the expert
j = argmax q (Eq. 2), the loss 1/N sum_i q_i |Phi_i - truth|^p (Eq. 4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
    *("manager_width", "manager_layers", "manager_encoder_width", "manager_encoder_layers", "label_cells"),
)
"""Settings that count experts, units or layers."""

GIVEN = ("kmeans", "segments")
"""Assignments that come with a signal (`set_labels`); the others need nothing but the cube."""
MOST_LABELS = 1 << 24
"""Cells of a random assignment."""
NO_LABEL = -1
"""Of a place that belongs to no expert in particular."""

CHOICES = {
    "activation": ("sine", "finer", "softplus", "softplus-fourier"),
    "encoder": ("sine", "feature-grid"),
    "conditioning": ("concatenate", "max", "mean", "none"),
    "pretraining": ("random", "grid", "subdivision", *GIVEN, "none"),
    "manager": ("network", "fixed"),
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
    manager: Literal["network", "fixed"] = "network"
    """Who chooses the expert of a point: the manager, or the assignment itself, which then never changes (Table 6)."""
    pretraining: Literal["random", "grid", "subdivision", "kmeans", "segments", "none"] = "random"
    """Assignment that the manager learns before the signal: i.i.d. per cell, a repeating tile, one block an expert;
    clusters of a signal's values, or segments of a file (both for recon fit alone); or none."""
    label_cells: int = 64
    """Cells per axis of the random assignment, and of the grid whose cells a tile repeats on (A.3)."""
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
        if self.manager == "fixed" and self.pretraining in (*GIVEN, "none"):
            known = ", ".join(name for name in CHOICES["pretraining"] if name not in (*GIVEN, "none"))
            raise ValueError(f"a fixed manager needs pretraining {known}, got '{self.pretraining}'")
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
        self._labels: tuple[Int[Tensor, " m"], tuple[int, ...]] | None = None
        if config.label_cells**in_dim > MOST_LABELS:
            raise ValueError(
                f"label_cells {config.label_cells} make {config.label_cells**in_dim:,} cells; at most {MOST_LABELS:,}"
            )
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
        self.manager_encoder, self.manager = nn.Sequential(), nn.Sequential()
        if config.manager == "fixed":
            return
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
        if self.config.manager == "fixed":
            chosen = nn.functional.one_hot(self.labels(x), self.config.experts)
            return torch.where(chosen.bool(), 0.0, -torch.inf).to(encoded)
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
        outputs, logits = self.experts_and_logits(x)
        return outputs, logits.softmax(dim=1)

    def experts_and_logits(self, x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n k c"], Float[Tensor, "n k"]]:
        """The same with the gate's logits, for losses on the assignment."""
        encoded = self.encode(x)
        return self.expert_stack(encoded), self.gate_logits(x, encoded)

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

    def set_labels(self, labels: Int[Tensor, "*shape"]) -> None:
        """The assignment of `pretraining` kmeans or segments: an expert for each cell of a grid over the cube, or
        NO_LABEL. It is no part of the state: only training looks at it."""
        if labels.ndim != self.in_dim or int(labels.max()) >= self.config.experts or int(labels.min()) < NO_LABEL:
            raise ValueError(
                f"labels must lie on a grid of {self.in_dim} axes, below {self.config.experts} (the experts); got"
                f" {list(labels.shape)} of {int(labels.min())} to {int(labels.max())}"
            )
        self._labels = labels.reshape(-1).long(), tuple(labels.shape)

    def labels(self, x: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
        """The expert that pretraining assigns to each point: by its cell of a grid over the cube (A.3)."""
        kind, side = self.config.pretraining, self.config.label_cells
        if kind in ("grid", "subdivision"):
            tile = _tile_sides(self.config.experts, self.in_dim)
            # every cell of a tile once along `side` cells, or the tile itself as large as the cube
            cells = _cells(x, (side,) * self.in_dim if kind == "grid" else tile)
            return _flat([cell % n for cell, n in zip(cells, tile, strict=True)], tile)
        if kind == "random" and self._labels is None:
            rng = torch.Generator().manual_seed(self.config.label_seed)
            table = torch.randint(self.config.experts, (side**self.in_dim,), generator=rng)
            self._labels = table, (side,) * self.in_dim
        if self._labels is None:
            raise ValueError(f"the assignment '{kind}' comes with a signal, and none was set")
        if self._labels[0].device != x.device:
            self._labels = self._labels[0].to(x.device), self._labels[1]
        table, shape = self._labels
        return table[_flat(_cells(x, shape), shape)]

    def pretrain_loss(self, x: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
        """1000 (cross entropy, smoothed by 0.01, + 0.1 binary cross entropy of the logits against 1/N) (Eq. 3).

        The second term and the factor are the authors' code's; the paper has the first alone."""
        logits = self.gate_logits(x, self.encode(x))
        even = torch.full_like(logits, 1 / self.config.experts)
        entropy = assignment_loss(logits, self.labels(x))
        return 1000 * (entropy + 0.1 * nn.functional.binary_cross_entropy_with_logits(logits, even))


def assignment_loss(logits: Float[Tensor, "n k"], labels: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """Cross entropy of the gate with an assignment (Eq. 3), smoothed by 0.01 as in the authors' code, over the points
    that have a label; 0 where none has."""
    each = nn.functional.cross_entropy(logits, labels, label_smoothing=0.01, ignore_index=NO_LABEL, reduction="none")
    return each.sum() / (labels != NO_LABEL).sum().clamp(min=1)


def _cells(x: Float[Tensor, "n d"], shape: Sequence[int]) -> list[Int[Tensor, " n"]]:
    """Cell of each point along each axis of a grid over the cube; the outermost ones hold what lies beyond."""
    return [((x[:, axis] + 1) * (n / 2)).floor().clamp(0, n - 1).long() for axis, n in enumerate(shape)]


def _flat(cells: Sequence[Int[Tensor, " n"]], shape: Sequence[int]) -> Int[Tensor, " n"]:
    """Places in a grid's flat order, axis 0 slowest."""
    place = torch.zeros_like(cells[0])
    for cell, n in zip(cells, shape, strict=True):
        place = place * n + cell
    return place


def _tile_sides(experts: int, dims: int) -> list[int]:
    """Sides of a box-shaped tile that holds each expert once, as even as the factors allow: 8 in 3-D is 2 x 2 x 2."""
    sides, rest = [], experts
    for left in range(dims, 0, -1):
        target = rest ** (1 / left)
        side = min((s for s in range(1, rest + 1) if rest % s == 0), key=lambda s: abs(s - target))
        sides.append(side)
        rest //= side
    return sides
