"""What a signal run is made of, and the named presets."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import Any, Literal

from recon.fields import FIELDS
from recon.fields.asmr import AsmrConfig
from recon.fields.base import FieldConfig
from recon.fields.coordinate_embedding import CoordinateEmbeddingConfig
from recon.fields.feature_grid import FeatureGridConfig
from recon.fields.ffn import FfnConfig
from recon.fields.hash_grid import HashGridConfig
from recon.fields.kilonerf import KiloNerfConfig
from recon.fields.loe import LoeConfig
from recon.fields.neural_experts import NeuralExpertsConfig
from recon.fields.papers import NEURAL_EXPERTS
from recon.fields.pe_mlp import PeMlpConfig
from recon.fields.siren import SirenConfig
from recon.fields.voxel import VoxelConfig
from recon.signals.signal import Kind
from recon.tasks.pretrain import PretrainConfig
from recon.tasks.recipes import COSINE, GRIDS, MUON, small_experts
from recon.training.optim import OptimConfig
from recon.training.plan import Stage, TrainConfig

Preset = Literal["quick", "best", "paper"]
PRESETS: tuple[Preset, ...] = ("quick", "best", "paper")
DEFAULT_FIELD: dict[Kind, str] = {"image": "hash-grid", "sound": "hash-grid", "video": "hash-grid"}
"""The best after equal seconds on the pictures, sounds and films of the README, with the most parameters."""
WHOLE = 1 << 21
"""Values of a grid that ASMR evaluates in one step, at most."""
ALL = 1 << 30
"""Values a step, of a batch that takes all there are."""


@dataclass(frozen=True)
class SignalSettings:
    """Everything that decides the result of a signal run, but for the signal and the seed's machine."""

    field: FieldConfig
    train: TrainConfig
    pretrain: PretrainConfig = dataclasses.field(default_factory=PretrainConfig)
    segments_weight: float = 1e-3
    """Of the cross entropy that holds each segment to its own expert, beside the squared error, where there are any."""
    experts_last: float = 0.0
    """Share of the steps, at the end, in which only the experts train (Neural Experts, section 3)."""
    full_precision_from: float = 0.6
    """Share of training from which products run in full float32, where they run in bf16 before."""

    def __post_init__(self) -> None:
        if not 0 <= self.experts_last < 1:
            raise ValueError(f"experts_last must lie in [0, 1), got {self.experts_last}")
        if self.experts_last and not isinstance(self.field, NeuralExpertsConfig):
            raise ValueError("experts_last is for neural-experts: other fields have no experts")
        if not 0 <= self.segments_weight < float("inf"):
            raise ValueError(f"segments_weight must be zero or more, got {self.segments_weight}")
        if not 0 <= self.full_precision_from <= 1:
            raise ValueError(f"full_precision_from must lie in [0, 1], got {self.full_precision_from}")

    @property
    def pretrains(self) -> bool:
        """Whether the field's manager is pretrained first."""
        return self.pretrain.wanted_by(self.field)

    def staged(self) -> TrainConfig:
        """The training with its stages: everything, then the experts alone with Adam's state cleared."""
        if not self.experts_last:
            return self.train
        last = Stage("experts", self.experts_last, trains=("experts",), reset_optimizer=True)
        return replace(self.train, stages=(Stage("all", 1 - self.experts_last), last))

    def with_steps(self, steps: int) -> SignalSettings:
        """The same plan in another number of steps; pretraining shrinks or grows with it."""
        pretrain = self.pretrain.rescaled(steps / self.train.steps)
        return replace(self, train=self.train.rescaled(steps), pretrain=pretrain)


@dataclass(frozen=True)
class _Recipe:
    """What a field trains with: settings that differ from its own, optimiser, steps, values a step."""

    settings: dict[str, Any]
    optim: OptimConfig
    steps: int = 1000
    batch: int = 16_384


_SINES = replace(COSINE, optimizer="muon", rate=5e-4, muon_rate=2e-3)
# 1,500 steps reach 38.35 dB on the cameraman, where 2,000 of Adam alone with its usual betas reached 37.63, and 38.00
# with these; 35.77 instead of 35.18 on kodim03, 34.13 instead of 33.52 on the astronaut. A step takes 1.16 times as
# long. Rates a little higher collapse: 2e-3 of Adam beside Muon, 1.4e-3 without it. Of speech: 58.24 dB, Adam 56.97.
_CELLS = replace(COSINE, warmup=0, optimizer="muon", muon_rate=5e-3, betas=(0.9, 0.95))
_PLANE = (32, 64, 128, 256)

_IMAGE: dict[type[FieldConfig], _Recipe] = {
    AsmrConfig: _Recipe({"width": 256, "levels": 4}, _CELLS, 1500, WHOLE),
    SirenConfig: _Recipe({"width": 256, "layers": 5, "scale": 1.0}, _SINES),
    PeMlpConfig: _Recipe({"width": 256, "layers": 5, "frequencies": 9}, MUON),
    FfnConfig: _Recipe({"width": 256, "layers": 5, "sigma": 10.0}, MUON),
    LoeConfig: _Recipe({"width": 64, "frequencies": 9, "tiles": (4, 4, 4, 4, 4)}, MUON),
    KiloNerfConfig: _Recipe({"nets": 8, "frequencies": 6}, MUON),
    CoordinateEmbeddingConfig: _Recipe({"channels": 16, "width": 64, "layers": 4, "frequencies": 8}, GRIDS),
    HashGridConfig: _Recipe({"finest": 512}, GRIDS),
    FeatureGridConfig: _Recipe({"resolutions": _PLANE}, GRIDS),
    VoxelConfig: _Recipe({}, GRIDS),
    NeuralExpertsConfig: _Recipe(
        small_experts(_PLANE),
        GRIDS,
    ),
}
_SOUND = _IMAGE | {
    AsmrConfig: _Recipe({"width": 128, "levels": 6}, _CELLS, 2000, WHOLE),
    SirenConfig: _Recipe({"width": 256, "layers": 5, "scale": 100.0}, _SINES),
    PeMlpConfig: _Recipe({"width": 256, "layers": 5, "frequencies": 14}, MUON),
    FfnConfig: _Recipe({"width": 256, "layers": 5, "sigma": 300.0}, MUON),
    FeatureGridConfig: _Recipe({"resolutions": (1024, 4096, 16_384, 65_536)}, GRIDS),
    HashGridConfig: _Recipe({"finest": 131_072}, GRIDS),
}
_VIDEO = _IMAGE | {
    AsmrConfig: _Recipe({"width": 256, "levels": 4}, replace(COSINE, warmup=0), 1000, WHOLE),
    FeatureGridConfig: _Recipe({"resolutions": (16, 32, 64, 128)}, GRIDS),
}
_RECIPES: dict[Kind, dict[type[FieldConfig], _Recipe]] = {"image": _IMAGE, "sound": _SOUND, "video": _VIDEO}


def preset(kind: Kind, name: Preset, field_name: str) -> SignalSettings:
    """Complete settings for a kind of signal, a preset and a field. ValueError where a paper names none."""
    config = FIELDS[field_name]
    if name == "paper":
        return _paper(kind, config, field_name)
    recipe = next((_RECIPES[kind][base] for base in type(config).__mro__ if base in _RECIPES[kind]), None)
    recipe = recipe or _Recipe({}, COSINE)
    steps = recipe.steps * (5 if name == "best" else 1)
    train = TrainConfig(
        steps=steps, optim=recipe.optim.rescaled(steps / recipe.steps), batch=recipe.batch,
        checkpoint_every=max(500, steps // 2), log_every=20,
    )  # fmt: skip
    return SignalSettings(replace(config, **recipe.settings), train)


def _paper(kind: Kind, config: FieldConfig, field_name: str) -> SignalSettings:
    """ASMR, section 4, or Neural Experts, A.1, whose networks for pictures and for sound are alike."""
    if isinstance(config, AsmrConfig):
        return asmr_protocol(replace(config, levels=4))
    own = {"neural-experts": "neural-experts-image", "vanilla-moe": "vanilla-moe-image", "siren": "siren-image",
           "finer": "finer-image"}  # fmt: skip
    if field_name not in own:
        raise ValueError(
            "--preset paper has settings for asmr, neural-experts and the sine networks they are compared with, not"
            f" for {field_name}; use quick or best"
        )
    network: Any = NEURAL_EXPERTS[own[field_name]].config
    return neural_experts_protocol(replace(network, scale=100.0 if kind == "sound" else 1.0))


def asmr_protocol(config: FieldConfig, rate: float = 1e-4) -> SignalSettings:
    """10,000 full-batch steps of Adam, with a cosine to 1e-6 (ASMR, appendix B)."""
    optim = OptimConfig(rate=rate, schedule="cosine", final_fraction=min(1.0, 1e-6 / rate))
    most = WHOLE if isinstance(config, AsmrConfig) else ALL
    train = TrainConfig(steps=10_000, optim=optim, batch=most, checkpoint_every=2500)
    return SignalSettings(config, train, full_precision_from=0.0)


def neural_experts_protocol(config: FieldConfig, pretraining: int = 3000) -> SignalSettings:
    """30,000 full-batch steps of Adam, 1e-5, decayed by 0.9999, of which the experts have the last fifth alone
    (Neural Experts, A.1). `pretraining` has its code's steps for sines; the rate is that of its surfaces."""
    optim = OptimConfig(rate=1e-5, schedule="exponential", gamma=0.9999)
    train = TrainConfig(steps=30_000, optim=optim, batch=ALL, checkpoint_every=5000)
    if not isinstance(config, NeuralExpertsConfig):
        config = replace(config, biases="zero") if isinstance(config, SirenConfig) else config
        return SignalSettings(config, train, full_precision_from=0.0)
    pretrain = PretrainConfig(steps=pretraining)
    return SignalSettings(replace(config, biases="zero"), train, pretrain, experts_last=0.2, full_precision_from=0.0)
