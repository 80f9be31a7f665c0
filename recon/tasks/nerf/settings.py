"""What a scene run is made of, and the named presets."""

from __future__ import annotations

import dataclasses
import math
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
from recon.fields.pe_mlp import PeMlpConfig
from recon.fields.radiance import HeadConfig
from recon.fields.siren import SirenConfig
from recon.fields.voxel import VoxelConfig
from recon.fields.wire import WireConfig, complex_width
from recon.tasks.nerf.sampling import RaySamplerConfig
from recon.training.optim import OptimConfig
from recon.training.plan import Stage, TrainConfig

Preset = Literal["quick", "best", "paper"]
PRESETS: tuple[Preset, ...] = ("quick", "best", "paper")
DEFAULT_FIELD = "loe"
REFUSED = {
    name: "its loss weighs each expert's error at a point, and a pixel mixes many points"
    for name in ("neural-experts", "vanilla-moe")
}
"""Fields that can't learn from pixels, and why."""


@dataclass(frozen=True)
class VoxelStage:
    """A grid of density and colour, without a network, that is trained first: it finds the occupied space."""

    share: float = 0.0
    """Of all steps; 0 for no such stage."""
    resolution: int = 100
    """Grid points along the mean side of the box."""
    batch: int = 4096
    """Rays a step."""
    rate: float = 0.1
    """Adam's learning rate."""
    teach: float = 0.5
    """Share of the field's own steps in which it also learns the voxels' opacity and colour along the rays, less and
    less."""
    weight: float = 1.0
    """Of what it is taught, against the pixels."""

    def __post_init__(self) -> None:
        if not (0 <= self.share < 1 and 0 <= self.teach <= 1 and 0 <= self.weight < math.inf):
            raise ValueError(f"a voxel stage needs share in [0, 1), teach in [0, 1] and weight >= 0, got {self}")
        if self.resolution < 8 or self.batch < 1 or not 0 < self.rate < math.inf:
            raise ValueError(f"a voxel stage needs a resolution of at least 8, rays and a positive rate, got {self}")


@dataclass(frozen=True)
class NerfSettings:
    """Everything that decides the result of a scene run, but for the scene and the seed's machine."""

    field: FieldConfig
    train: TrainConfig
    head: HeadConfig = dataclasses.field(default_factory=HeadConfig)
    rays: RaySamplerConfig = dataclasses.field(default_factory=RaySamplerConfig)
    voxels: VoxelStage = dataclasses.field(default_factory=VoxelStage)
    background: Literal["random", "white", "black"] = "random"
    """Behind what is transparent, in training; views are scored and shown on white, or on black with black."""
    distortion: float = 0.0
    """Weight of mip-NeRF 360's distortion loss, which draws a ray's samples together."""
    entropy: float = 0.0
    """Weight of InfoNeRF's ray entropy, which is against fog."""
    samples: int = 1 << 16
    """Samples of a step at most: while most of space may be occupied, a step takes fewer rays."""
    matrix_rate: float = 1.0
    """Times the learning rate of hidden matrices under Adam."""
    full_precision_from: float = 1.0
    """Share of training from which products run in full float32, where they run in bf16 before."""

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"samples must be at least 1, got {self.samples}")
        for name in ("distortion", "entropy"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be zero or more, got {getattr(self, name)}")
        if not 0 < self.matrix_rate < math.inf:
            raise ValueError(f"matrix_rate must be positive, got {self.matrix_rate}")
        if not 0 <= self.full_precision_from <= 1:
            raise ValueError(f"full_precision_from must lie in [0, 1], got {self.full_precision_from}")

    def staged(self) -> TrainConfig:
        """The training with its stages: the voxels, if any, then the field."""
        field = Stage("field", 1 - self.voxels.share, trains=("field",), schedule="own")
        if not self.voxels.share:
            return replace(self.train, stages=(field,))
        voxels = Stage("voxels", self.voxels.share, trains=("voxels",), schedule="own")
        return replace(self.train, stages=(voxels, field))

    def with_steps(self, steps: int) -> NerfSettings:
        """The same plan in another number of steps."""
        return replace(self, train=self.train.rescaled(steps))


def preset(name: Preset, field_name: str) -> NerfSettings:
    """Complete settings for a preset and a field; ValueError for a field that can't learn from pixels."""
    if field_name in REFUSED:
        raise ValueError(f"{field_name} can't learn a scene: {REFUSED[field_name]}; use loe, pe-mlp or hash-grid")
    make = {"quick": _quick, "best": _best, "paper": _paper}[name]
    settings = make(FIELDS[field_name])
    if isinstance(settings.field, VoxelConfig):
        settings = replace(settings, head=HeadConfig(kind="direct", density_bias=-2.0))
    return settings


def grid_optim(rate: float) -> OptimConfig:
    """For tables of features, most of which are touched rarely."""
    return OptimConfig(rate=rate, betas=(0.9, 0.99), eps=1e-15, schedule="cosine")


@dataclass(frozen=True)
class _Quick:
    """What a field trains with for two minutes: settings that differ from its own, optimiser, head, most samples."""

    settings: dict[str, Any]
    optim: OptimConfig
    head: HeadConfig = HeadConfig(features=64, width=32, density_bias=-1.0)
    samples: int = 1 << 16


_COSINE = OptimConfig(rate=5e-3, betas=(0.9, 0.99), eps=1e-15, schedule="cosine", warmup=20)
_MUON = replace(_COSINE, optimizer="muon", muon_rate=0.02)
_TABLE = HeadConfig(features=16, width=32, density_bias=-1.0)
_SMALL = {"width": 64, "layers": 5}

_QUICK: dict[type[FieldConfig], _Quick] = {
    PeMlpConfig: _Quick({**_SMALL, "frequencies": 8}, _MUON),
    FfnConfig: _Quick({**_SMALL, "sigma": 4.0}, _MUON),
    SirenConfig: _Quick(_SMALL, replace(_COSINE, rate=5e-4)),
    GaussConfig: _Quick({**_SMALL, "sharpness": 5.0}, replace(_COSINE, rate=1e-3)),
    WireConfig: _Quick({**_SMALL, "width": complex_width(64)}, replace(_COSINE, rate=1e-3)),
    MfnConfig: _Quick({**_SMALL, "frequency": 128.0}, replace(_COSINE, rate=1e-3)),
    BaconConfig: _Quick({"width": 64}, replace(_COSINE, rate=2e-3)),
    HashGridConfig: _Quick({"levels": 8, "table_log2": 17, "finest": 256}, replace(_COSINE, rate=1e-2), _TABLE),
    FeatureGridConfig: _Quick({"resolutions": (16, 32, 64, 128)}, replace(_COSINE, rate=1e-2), _TABLE),
    VoxelConfig: _Quick({}, grid_optim(0.1)),
    KiloNerfConfig: _Quick({"nets": 8, "frequencies": 4}, _MUON),
    CoordinateEmbeddingConfig: _Quick(
        {"channels": 8, "width": 64, "layers": 4, "frequencies": 6}, replace(_COSINE, rate=1e-2), _TABLE
    ),
    # 2^3 tiles a layer: the paper's 4^3 starve in so few steps (Lego at 100x100, 720 steps: 25.6 against 21.1 dB).
    LoeConfig: _Quick({**_SMALL, "frequencies": 6, "tiles": (2, 2, 2, 2, 2)}, _MUON),
    # Blended cells and no head learned more than an offset within the last level, or features for a head, did.
    # Blending evaluates eight cells a sample.
    AsmrConfig: _Quick(
        {"width": 256, "bases": (4, 4, 8)},
        replace(_COSINE, rate=1e-3),
        HeadConfig(kind="direct", gain=100.0, density_bias=-1.0),
        1 << 14,
    ),
}


def _quick(config: FieldConfig) -> NerfSettings:
    """About two minutes on two CPU cores. A field of another package trains with its own sizes."""
    default = _Quick({}, replace(_COSINE, rate=1e-3))
    quick = next((_QUICK[kind] for kind in type(config).__mro__ if kind in _QUICK), default)
    alone = isinstance(config, VoxelConfig)  # it is what the others begin with
    voxels, batch = (VoxelStage(), 4096) if alone else (VoxelStage(share=0.35), 2048)
    train = TrainConfig(steps=1600, optim=quick.optim, batch=batch, checkpoint_every=400, log_every=20)
    config = replace(config, **quick.settings)
    return NerfSettings(config, train, quick.head, voxels=voxels, samples=quick.samples)


def _best(config: FieldConfig) -> NerfSettings:
    """For a GPU: the paper's widths, more samples, a voxel stage in front."""
    optim = OptimConfig(rate=2e-3, betas=(0.9, 0.99), eps=1e-15, schedule="cosine", warmup=200)
    voxels, head = VoxelStage(share=0.1, resolution=160, teach=0.2), HeadConfig(density_bias=-1.0)
    if isinstance(config, HashGridConfig | FeatureGridConfig):
        optim, head = replace(optim, rate=1e-2), HeadConfig(features=16, width=64, density_bias=-1.0)
    elif isinstance(config, VoxelConfig):
        optim, voxels = grid_optim(0.05), VoxelStage()
    elif isinstance(config, SirenConfig | GaussConfig | WireConfig):
        optim = replace(optim, rate=2e-4)
    elif isinstance(config, AsmrConfig):
        config, optim = replace(config, bases=(4, 8, 8)), replace(optim, rate=5e-4)
        head = HeadConfig(kind="direct", gain=100.0, density_bias=-1.0)
    train = TrainConfig(steps=20_000, optim=optim, batch=16_384, checkpoint_every=2_000)
    rays = RaySamplerConfig(steps=256, grid=128, opacity=0.03)
    return NerfSettings(sized(config), train, head, rays, voxels, samples=1 << 21)


def _paper(config: FieldConfig) -> NerfSettings:
    """LoE's NeRF: 10 and 4 octaves, 5 layers of 256 and NeRF's head, no occupancy, coarse to fine samples.

    The paper tells neither rate nor batch nor samples; these are NeRF's, with the warm-up that tiles want."""
    optim = OptimConfig(rate=5e-4, schedule="exponential", gamma=0.1 ** (1 / 250_000), warmup=500)
    train = TrainConfig(steps=200_000, optim=optim, batch=4096, checkpoint_every=5_000)
    rays = RaySamplerConfig("hierarchical", count=64, fine=128)
    return NerfSettings(sized(config), train, HeadConfig(), rays, background="white", samples=1 << 21)


def sized(config: FieldConfig) -> FieldConfig:
    """The paper's sizes: 315,136 multiply-accumulates with the head for PE MLP and LoE."""
    if isinstance(config, PeMlpConfig):
        return replace(config, width=256, layers=5, frequencies=10)
    if isinstance(config, LoeConfig):
        return replace(config, width=256, layers=5, frequencies=10, tiles=(4, 4, 4, 4, 4))
    if isinstance(config, SirenConfig):
        return replace(config, width=256, layers=5)
    return config
