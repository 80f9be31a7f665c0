"""What a shape run is made of, and the named presets."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import Any, Literal

from recon.fields import FIELDS
from recon.fields.asmr import AsmrConfig
from recon.fields.bacon import BaconConfig
from recon.fields.base import FieldConfig
from recon.fields.coordinate_embedding import CoordinateEmbeddingConfig
from recon.fields.feature_grid import FeatureGridConfig
from recon.fields.ffn import FfnConfig
from recon.fields.gauss import GaussConfig
from recon.fields.hash_grid import HashGridConfig
from recon.fields.kilonerf import KiloNerfConfig
from recon.fields.loe import LoeConfig
from recon.fields.mfn import MfnConfig
from recon.fields.neural_experts import GIVEN, NeuralExpertsConfig
from recon.fields.pe_mlp import PeMlpConfig
from recon.fields.siren import SirenConfig
from recon.fields.voxel import VoxelConfig
from recon.fields.wire import WireConfig, complex_width
from recon.shapes.sampling import SAMPLERS, SamplerConfig
from recon.shapes.shape import Centre
from recon.tasks.pretrain import PretrainConfig
from recon.tasks.recipes import COSINE, GRIDS, MUON, small_experts
from recon.training.optim import OptimConfig
from recon.training.plan import Stage, TrainConfig

Task = Literal["sdf", "occ"]
Preset = Literal["quick", "small", "large", "paper-small", "paper-large"]
PRESETS: tuple[Preset, ...] = ("quick", "small", "large", "paper-small", "paper-large")
LOGIT_SCALE = 200.0
"""A field's value times this is the logit of being outside. Sine networks start with outputs near 0 and move slowly:
with a scale of 1, ASMR's cross entropy on a 128^3 grid was still 0.24 after 300 steps, and nothing was inside."""
DEFAULT_FIELD: dict[Task, str] = {"sdf": "neural-experts", "occ": "asmr"}


@dataclass(frozen=True)
class ShapeSettings:
    """Everything that decides the result of a shape run, but for the shape and the seed's machine."""

    field: FieldConfig
    train: TrainConfig
    pretrain: PretrainConfig = dataclasses.field(default_factory=PretrainConfig)
    sampler: SamplerConfig = dataclasses.field(default_factory=SamplerConfig)
    pool: int = 1_000_000
    """Points with exact distances that batches are drawn from."""
    cells: bool = False
    """Train on the cells of the field's own grid instead of points (occupancy with asmr)."""
    centre: Centre = "box"
    """What becomes the origin: the middle of the bounding box, or the mean vertex."""
    resolution: int = 256
    """Grid points per axis from which the mesh is extracted."""
    experts_last: float = 0.0
    """Share of the steps, at the end, in which only the experts train (Neural Experts, section 3)."""
    full_precision_from: float = 0.6
    """Share of training from which products run in full float32, where they run in bf16 before."""

    def __post_init__(self) -> None:
        if self.pool < 1000:
            raise ValueError(f"pool must hold at least 1000 points, got {self.pool}")
        if not 8 <= self.resolution <= 2048:
            raise ValueError(f"resolution must lie in 8 .. 2048, got {self.resolution}")
        if not 0 <= self.experts_last < 1:
            raise ValueError(f"experts_last must lie in [0, 1), got {self.experts_last}")
        if self.experts_last and not isinstance(self.field, NeuralExpertsConfig):
            raise ValueError("experts_last is for neural-experts: other fields have no experts")
        if getattr(self.field, "pretraining", "none") in GIVEN:
            raise ValueError(
                f"pretraining {' and '.join(GIVEN)} are for signals (recon fit): a shape has no such labels"
            )
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

    def with_steps(self, steps: int) -> ShapeSettings:
        """The same plan in another number of steps; pretraining shrinks or grows with it."""
        pretrain = self.pretrain.rescaled(steps / self.train.steps)
        return replace(self, train=self.train.rescaled(steps), pretrain=pretrain)


def preset(task: Task, name: Preset, field_name: str) -> ShapeSettings:
    """Complete settings for a task, a preset and a field."""
    if name.startswith("paper"):
        settings = _paper(field_name, large=name == "paper-large")
    elif name == "quick":
        settings = _quick(task, field_name)
    else:
        settings = _best(field_name, large=name == "large")
    if task == "sdf":
        return settings
    share = replace(SAMPLERS["occupancy"], outside=settings.sampler.outside)
    return replace(settings, sampler=share, cells=isinstance(settings.field, AsmrConfig))


def _paper(field_name: str, large: bool) -> ShapeSettings:
    """Neural Experts, A.3: 30,000 steps of Adam, decayed by 0.9999, 30,000 points a step.

    The paper says rate 5e-3, its code 3e-5, which is what a sine network of this frequency bears."""
    optim = OptimConfig(rate=3e-5, schedule="exponential", gamma=0.9999)
    train = TrainConfig(steps=30_000, optim=optim, batch=30_000, checkpoint_every=5_000)
    config = sized(FIELDS[field_name], large)
    pretrain = PretrainConfig()
    if isinstance(config, NeuralExpertsConfig):
        config = replace(config, biases="zero")
        pretrain = PretrainConfig(steps=30_000)
    elif isinstance(config, SirenConfig):
        config = replace(config, biases="zero")
    sampler = SAMPLERS["neural-experts"]
    return ShapeSettings(
        config, train, pretrain, sampler, pool=3_000_000, centre="mean", resolution=512, full_precision_from=0.0
    )


def sized(config: FieldConfig, large: bool) -> FieldConfig:
    """The papers' Small or Large (PAPERS: 323k and 1.29M mixtures, 396k and 1.58M SIRENs), and sizes near them."""
    if isinstance(config, NeuralExpertsConfig):
        return replace(config, encoder_width=512, expert_width=64, manager_width=128) if large else config
    if isinstance(config, SirenConfig):
        return replace(config, width=512 if large else 256)
    if isinstance(config, PeMlpConfig):
        return replace(config, width=512 if large else 256, layers=8, frequencies=8)
    if isinstance(config, AsmrConfig):
        return replace(config, width=512 if large else 256, bases=(4, 8, 8))
    if isinstance(config, FeatureGridConfig):
        return replace(config, resolutions=(32, 64, 128, 256) if large else (24, 48, 96, 192))
    return config


def _best(field_name: str, large: bool) -> ShapeSettings:
    """The papers' sizes with a shorter schedule, by the recipe that `renders/README.md` measures."""
    config = sized(FIELDS[field_name], large)
    optim, pretrain = replace(_quick_of(config).optim, warmup=100), PretrainConfig()
    if isinstance(config, NeuralExpertsConfig | SirenConfig):
        optim = OptimConfig(optimizer="muon", rate=5e-4, muon_rate=2e-3, schedule="cosine", warmup=100)
    if isinstance(config, NeuralExpertsConfig):
        # At 1e-3 pretraining ruined the encoder: nothing was inside after 600 steps that followed.
        pretrain = PretrainConfig(steps=1500, rate=1e-4, gamma=0.9997)
    train = TrainConfig(steps=10_000, optim=optim, batch=32_768, checkpoint_every=2_000)
    return ShapeSettings(config, train, pretrain, pool=2_000_000, resolution=512)


GRID_RESOLUTIONS = (24, 48, 96, 192)
"""Of feature grids that train for a minute."""


@dataclass(frozen=True)
class _Quick:
    """What a field trains with for a minute: settings that differ from its own, optimiser, steps, points a step."""

    settings: dict[str, Any]
    optim: OptimConfig
    steps: int = 600
    batch: int = 8192


# Muon at 0.02 with Adam at 1e-3 for the rest diverged for SIREN: loss 90 against 7 after 200 steps.
_SINES = replace(COSINE, rate=5e-4)

_QUICK: dict[type[FieldConfig], _Quick] = {
    PeMlpConfig: _Quick({"width": 128, "layers": 5}, MUON),
    FfnConfig: _Quick({"width": 128, "layers": 5, "sigma": 2.0}, MUON),
    SirenConfig: _Quick({"width": 128, "layers": 5}, _SINES),
    GaussConfig: _Quick({"width": 128, "layers": 5, "sharpness": 5.0}, COSINE),
    WireConfig: _Quick({"width": complex_width(128), "layers": 5}, COSINE),
    MfnConfig: _Quick({"width": 128, "layers": 5, "frequency": 128.0}, COSINE),
    BaconConfig: _Quick({"width": 128}, replace(COSINE, rate=5e-3, amsgrad=True, clip=1.0)),
    HashGridConfig: _Quick({"levels": 8, "table_log2": 17, "finest": 512}, GRIDS, 1000, 16_384),
    FeatureGridConfig: _Quick({"resolutions": GRID_RESOLUTIONS}, GRIDS, 1000, 16_384),
    VoxelConfig: _Quick({}, GRIDS, 1000, 16_384),
    KiloNerfConfig: _Quick({"nets": 8, "frequencies": 4}, MUON),
    CoordinateEmbeddingConfig: _Quick({"channels": 8, "width": 64, "layers": 4, "frequencies": 6}, GRIDS),
    LoeConfig: _Quick({"width": 64, "frequencies": 6, "tiles": (2, 2, 2, 2, 2)}, MUON),
    # Muon, which helps other sine networks, kept ASMR from learning anything within 200 steps.
    AsmrConfig: _Quick({"width": 128}, COSINE),
    NeuralExpertsConfig: _Quick(
        small_experts(GRID_RESOLUTIONS),
        GRIDS,
        700,
        16_384,
    ),
}


def _quick_of(config: FieldConfig) -> _Quick:
    """By the kind of field, or what it is a kind of."""
    return next((_QUICK[kind] for kind in type(config).__mro__ if kind in _QUICK), _Quick({}, COSINE))


def _quick(task: Task, field_name: str) -> ShapeSettings:
    """About 90 seconds on two CPU cores, evaluation included. A field of another package trains with its own sizes."""
    config = FIELDS[field_name]
    quick = _quick_of(config)
    if isinstance(config, AsmrConfig) and task == "occ":
        quick = replace(quick, settings={"bases": (2, 4, 4, 8)})
    config = replace(config, **quick.settings)
    every = max(500, quick.steps)
    train = TrainConfig(steps=quick.steps, optim=quick.optim, batch=quick.batch, checkpoint_every=every, log_every=20)
    return ShapeSettings(config, train, sampler=SAMPLERS["recon"])
