"""Tables of "Implicit Neural Representations with Levels-of-Experts" (Hao et al. 2022).

The paper tells no optimiser, batch or number of steps for pictures and films. Ours: Adam (0.9, 0.995) whose rate falls
to a tenth every third of the steps, 5e-3 for tiles and 1e-3 for other networks with ReLU, 1e-4 for sines."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from recon.fields.base import FieldConfig
from recon.fields.coordinate_embedding import CoordinateEmbeddingConfig
from recon.fields.loe import LoeConfig
from recon.fields.papers import PAPERS
from recon.fields.pe_mlp import PeMlpConfig
from recon.fields.siren import SirenConfig
from recon.studies.tables.data import CAT, PLUTO
from recon.studies.tables.model import Column, Datum, Row, Size, Table, means
from recon.tasks.nerf.settings import preset as scene_preset
from recon.tasks.signal.settings import SignalSettings
from recon.training.optim import OptimConfig
from recon.training.plan import TrainConfig

STEPS, BATCH = 15_000, 65_536
_UNTOLD = "optimiser, batch and steps are not in the paper; ours are Adam (0.9, 0.995), 65,536 values, 15,000 steps"
_psnr = means("psnr", "ssim")
_frames = means("psnr")


def _protocol(config: FieldConfig) -> SignalSettings:
    rate = 5e-3 if isinstance(config, LoeConfig) else 1e-4 if isinstance(config, SirenConfig) else 1e-3
    optim = OptimConfig(rate=rate, betas=(0.9, 0.995), schedule="step", step_every=STEPS // 3)
    train = TrainConfig(steps=STEPS, optim=optim, batch=BATCH, checkpoint_every=STEPS // 6)
    return SignalSettings(config, train, full_precision_from=0.0)


_TILED = LoeConfig(width=264, layers=10, frequencies=13, tiles=(4,) * 10)
"""0.57M products, as printed, and 9.2M parameters: the paper's own layers are not known."""


def _picture_row(
    name: str, title: str, config: FieldConfig, scores: tuple[float, float], *, size: tuple[float, float]
) -> Row:
    params, macs = size
    return Row(name, title, lambda size: _protocol(_placed(config, size)), _psnr(*scores), 1e6 * params, 1e6 * macs)


def _placed(config: FieldConfig, size: Size) -> FieldConfig:
    """The interleaved network with its grid as fine as the pixels, so that each tile holds some of them: the grid of
    all its layers, 4^10, is finer, and the pixels of 8192 x 8192 would all lie in one tile."""
    if not isinstance(config, LoeConfig) or config.hierarchy != "interleaved":
        return config
    levels = max(1, math.floor(math.log(min(size.shape), 4)))
    return replace(config, tiles=config.tiles[:levels])


TABLE_1 = Table(
    "a large picture: tiles, their arrangements, and other encodings",
    "fit",
    PLUTO,
    (
        _picture_row("pe-mlp", "PE MLP", PeMlpConfig(width=264, layers=10, frequencies=13),
                     (32.34, 0.869), size=(0.59, 0.57)),
        _picture_row("embedding", "PE + coordinate embedding",
                     CoordinateEmbeddingConfig(resolution=368, channels=64, width=264, layers=10, frequencies=13),
                     (39.65, 0.967), size=(9.37, 0.65)),
        _picture_row("interleaved", "interleaved", replace(_TILED, hierarchy="interleaved"),
                     (33.80, 0.876), size=(9.37, 0.57)),
        _picture_row("chunked", "chunked", replace(_TILED, hierarchy="chunked"), (43.13, 0.980), size=(9.37, 0.57)),
        _picture_row("affine", "random affine", replace(_TILED, hierarchy="random-affine"),
                     (42.08, 0.973), size=(9.37, 0.57)),
        _picture_row("constant", "constant input", replace(_TILED, encoding="constant"),
                     (39.48, 0.955), size=(8.92, 0.56)),
        _picture_row("bilinear", "LoE, bilinear", replace(_TILED, blending="linear"),
                     (44.85, 0.985), size=(9.37, 2.28)),
        _picture_row("loe", "LoE", _TILED, (44.24, 0.983), size=(9.37, 0.57)),
    ),
    (Column("psnr", "PSNR"), Column("ssim", "SSIM", 3)),
    notes=(
        _UNTOLD,
        "the network of the paper's pictures is not determined by its text: ours has 10 layers of 264, tiled 4 x 4;"
        " its last grids are finer than the pixels, and the interleaved one tiles only as many layers as are not",
    ),
)  # fmt: skip


def _film_row(name: str, title: str, entry: str, psnr: float, size: tuple[float, float]) -> Row:
    config: Any = PAPERS[entry].config
    return Row(name, title, lambda _: _protocol(config), _frames(psnr), *size)


TABLE_2 = Table(
    "a film",
    "fit",
    CAT,
    (
        _film_row("pe-mlp", "PE MLP", "pe-mlp-video", 27.33, (279e3, 0.28e6)),
        _film_row("embedding", "PE + coordinate embedding", "coordinate-embedding-video", 35.83, (17.1e6, 0.29e6)),
        _film_row("siren", "SIREN", "siren-video", 29.13, (265e3, 0.26e6)),
        _film_row("siren-large", "SIREN, large", "siren-video-large", 37.71, (4.21e6, 4.20e6)),
        _film_row("loe", "LoE", "loe-video", 39.98, (16.9e6, 0.28e6)),
    ),
    (Column("psnr", "PSNR"),),
    notes=(_UNTOLD,),
)


def _scene_row(name: str, title: str, field_name: str, scores: tuple[float, float], hierarchy: str = "") -> Row:
    def settings(_: Size) -> Any:
        found = scene_preset("paper", field_name)
        field: Any = found.field
        return replace(found, field=replace(field, hierarchy=hierarchy)) if hierarchy else found

    return Row(name, title, settings, _psnr(*scores), 317e3 if field_name == "pe-mlp" else 17.8e6, 315e3)


TABLE_3 = Table(
    "new views of a scene",
    "nerf",
    (Datum("family", "family"), Datum("lego", "lego", "Tanks and Temples' Family", stand_in=True)),
    (
        _scene_row("pe-mlp", "PE MLP", "pe-mlp", (30.50, 0.900)),
        _scene_row("no-hierarchy", "LoE without hierarchy", "loe", (27.73, 0.861), "none"),
        _scene_row("loe", "LoE", "loe", (31.46, 0.936)),
    ),
    (Column("psnr", "PSNR"), Column("ssim", "SSIM", 3)),
    notes=("the paper does not tell rate, batch and samples; these are NeRF's (recon nerf --preset paper)",),
)

TABLES = {"loe-1": TABLE_1, "loe-2": TABLE_2, "loe-3": TABLE_3}
