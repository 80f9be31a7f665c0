"""Tables of "ASMR: Activation-Sharing Multi-Resolution Coordinate Networks" (Li et al. 2024)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from recon.fields.asmr import AsmrConfig
from recon.fields.base import FieldConfig
from recon.fields.hash_grid import HashGridConfig
from recon.fields.kilonerf import KiloNerfConfig
from recon.fields.papers import PAPERS
from recon.fields.siren import SirenConfig
from recon.shapes.sampling import SAMPLERS
from recon.signals.prepare import Preparation
from recon.studies.tables.data import CAMERAMAN, CAT, KODAK, PLUTO
from recon.studies.tables.model import MEAN, Column, Datum, Printed, Row, Size, Table, means
from recon.tasks.shape.settings import ShapeSettings
from recon.tasks.shape.truth import GRID
from recon.tasks.signal.settings import SignalSettings, asmr_protocol
from recon.training.optim import OptimConfig
from recon.training.plan import TrainConfig

_both = means("psnr", "ssim")
_BEST = "the paper's scores are the best over all iterations, ours the last; its products count biases, ours do not"


def _config(name: str) -> Any:
    return PAPERS[name].config


def _row(
    name: str, title: str, entry: str | FieldConfig, printed: dict[str, dict[str, Printed]], *,
    size: tuple[float, float], rate: float = 1e-4,
) -> Row:  # fmt: skip
    """A network on full batches (appendix B)."""
    config = _config(entry) if isinstance(entry, str) else entry
    return Row(name, title, lambda size: asmr_protocol(fitting(config, size), rate), printed, *size)


def fitting(config: FieldConfig, size: Size) -> FieldConfig:
    """The network with the paper's bases, turned where height and width are; chosen anew for other data."""
    if not isinstance(config, AsmrConfig):
        return config
    for axes in (config.axis_bases, (*config.axis_bases[:-2], *config.axis_bases[:-3:-1])):
        if tuple(map(math.prod, axes)) == size.shape:
            return replace(config, axis_bases=axes)
    return replace(config, axis_bases=(), levels=len(config.axis_bases[0]))


TABLE_2 = Table(
    "the least work: a grey picture",
    "fit",
    CAMERAMAN,
    (
        _row("kilonerf-3", "KiloNeRF (3)", "kilonerf-cameraman", _both(34.35), size=(250e3, 0.98e3), rate=5e-4),
        _row("loe-4", "LoE (4)", "loe-cameraman", _both(33.27), size=(126e3, 2.07e3), rate=1e-2),
        _row("siren-3", "SIREN (3)", "siren-cameraman-3", _both(28.62), size=(66.8e3, 66.3e3)),
        _row("siren-4", "SIREN (4)", "siren-cameraman-4", _both(32.37), size=(133e3, 132e3)),
        _row("asmr-3", "ASMR (3)", "asmr-cameraman-3", _both(31.44), size=(67.8e3, 1.29e3)),
        _row("asmr-4", "ASMR (4)", "asmr-cameraman-4", _both(37.84), size=(134e3, 1.35e3)),
    ),
    (Column("psnr", "PSNR"),),
    notes=(_BEST, "the paper's appendix has other scores for KiloNeRF (34.30) and LoE (36.24) in the same table"),
)

TABLE_3 = Table(
    "pictures of 768 x 512",
    "fit",
    KODAK,
    (
        _row("ffn", "FFN", "ffn-kodak",
             _both((31.037, 3.233), (0.841, 0.045)), size=(132.4e3, 131.8e3), rate=1e-3),
        _row("siren", "SIREN", "siren-kodak", _both((32.398, 3.331), (0.890, 0.037)), size=(133.1e3, 132.4e3)),
        _row("mfn", "MFN", "mfn-kodak",
             _both((27.565, 3.132), (0.782, 0.078)), size=(134.7e3, 133.4e3), rate=1e-2),
        _row("wire", "WIRE", replace(_config("wire-kodak"), sharpness=20.0),
             _both((31.266, 2.055), (0.854, 0.066)), size=(136.8e3, 135.9e3), rate=1e-3),
        _row("asmr", "ASMR", "asmr-kodak", _both((33.087, 2.704), (0.892, 0.021)), size=(134.7e3, 1.85e3)),
    ),
    (Column("psnr", "PSNR"), Column("ssim", "SSIM", 3)),
    notes=(_BEST, "latencies: recon bench fields"),
)  # fmt: skip

TABLE_4 = Table(
    "two seconds of speech",
    "fit",
    (Datum("libri", "libri-1088-134315-0000", "100 utterances of LibriSpeech's test-clean"),),
    (
        _row("hash-grid", "Instant-NGP", HashGridConfig(levels=7, table_log2=16, coarsest=125, finest=8000, layers=2),
             _both((47.30, 3.74)), size=(32.9e3, 1.0e3)),
        _row("kilonerf", "KiloNeRF", "kilonerf-sound", _both((42.20, 2.39)), size=(33.4e3, 8.16e3)),
        _row("siren", "SIREN", replace(_config("siren-librispeech"), scale=100.0),
             _both((46.21, 3.30)), size=(33.4e3, 33.0e3)),
        _row("asmr", "ASMR", "asmr-librispeech", _both((61.66, 1.61)), size=(33.8e3, 1.0e3)),
    ),
    (Column("psnr", "PSNR"),),
    Preparation(seconds=2.0, mono=True),
    (_BEST, "SIREN's coordinates lie in [-100, 100], as in its own paper; this paper does not tell",
     "our products of the hash grid count the reading of its table"),
)  # fmt: skip


# -- epochs of random batches -----------------------------------------------------------------------------------------


def _epochs(config: FieldConfig, epochs: int, batch: int) -> Callable[[Size], SignalSettings]:
    """A protocol that counts passes over all values, at the rates of appendix B."""
    rate = 5e-4 if isinstance(config, KiloNerfConfig) else 1e-4

    def settings(size: Size) -> SignalSettings:
        steps = epochs * math.ceil(math.prod(size.shape) / batch)
        optim = OptimConfig(rate=rate, schedule="cosine", final_fraction=min(1.0, 1e-6 / rate))
        train = TrainConfig(steps=steps, optim=optim, batch=batch, checkpoint_every=max(1, steps // 20))
        return SignalSettings(fitting(config, size), train, full_precision_from=0.0)

    return settings


def _large(
    name: str, title: str, config: Any, printed: dict[str, dict[str, Printed]], *, size: tuple[float, float | None],
    log2: int = 18,
) -> Row:  # fmt: skip
    config = _config(config) if isinstance(config, str) else config
    return Row(name, title, _epochs(config, 500, 1 << log2), printed, *size)


TABLE_5 = Table(
    "a large picture",
    "fit",
    PLUTO,
    (
        _large("hash-grid", "Instant-NGP", HashGridConfig(table_log2=16, finest=4096),
               _both(33.61, 0.892), size=(1.229e6, 6e3)),
        _large("kilonerf", "KiloNeRF", KiloNerfConfig(nets=16, width=32, layers=6, frequencies=10),
               _both(27.91, 0.804), size=(1.459e6, 4e3), log2=22),
        _large("siren", "SIREN", SirenConfig(width=512, layers=6, scale=1.0),
               _both(31.66, 0.825), size=(1.054e6, 1.054e6)),
        _large("siren-big", "SIREN, big", SirenConfig(width=1024, layers=6, scale=1.0),
               _both(35.66, 0.895), size=(4.205e6, 4.205e6), log2=20),
        _large("asmr", "ASMR", "asmr-pluto", _both(33.10, 0.857), size=(1.059e6, 6e3)),
        _large("asmr-big", "ASMR, big", "asmr-pluto-big", _both(38.73, None), size=(4.215e6, None), log2=20),
    ),
    (Column("psnr", "PSNR"), Column("ssim", "SSIM", 3)),
    notes=(_BEST, "SSIM and MACs of the big ASMR can't be read in the text"),
)  # fmt: skip

_film = means("psnr_frames", "ssim")


def _moving(
    name: str, title: str, config: Any, printed: dict[str, dict[str, Printed]], *, size: tuple[float, float]
) -> Row:
    config = _config(config) if isinstance(config, str) else config
    return Row(name, title, _epochs(config, 200, 153_600), printed, *size)


TABLE_10 = Table(
    "a film",
    "fit",
    CAT,
    (
        _moving("siren", "SIREN", SirenConfig(width=512, layers=7, scale=1.0),
                _film((34.641, 1.159), (0.9079, 0.01062)), size=(1.314e6, 1313.79e3)),
        _moving("kilonerf", "KiloNeRF", KiloNerfConfig(axis_nets=(3, 8, 8), width=32, layers=6, frequencies=10),
                _film((29.560, 1.208), (0.8289, 0.0228)), size=(1.223e6, 6.21e3)),
        _moving("asmr-1", "ASMR-1", "asmr-cat-1", _film((31.506, 1.401), (0.8536, 0.0340)), size=(1.326e6, 5.36e3)),
        _moving("asmr-2", "ASMR-2", "asmr-cat-2", _film((31.596, 0.751), (0.8189, 0.0122)), size=(1.326e6, 44.99e3)),
    ),
    (Column("psnr_frames", "PSNR, mean over frames"), Column("ssim", "SSIM", 3)),
    notes=(
        "deviations are the paper's over frames of one film, ours over films",
        "KiloNeRF: 192 networks are what the printed count implies; on other films ASMR-1 and ASMR-2 are one",
    ),
)  # fmt: skip


# -- solids -----------------------------------------------------------------------------------------------------------


def _solid(name: str, title: str, config: FieldConfig, iou: tuple[float, float], size: tuple[float, float]) -> Row:
    """200 epochs of 250,000 points in batches of 4,096; 60 % anywhere, 20 % on, 20 % near the surface (appendix H)."""
    steps = 200 * math.ceil(250_000 / 4096)
    optim = OptimConfig(rate=1e-4, schedule="cosine", final_fraction=0.01)
    train = TrainConfig(steps=steps, optim=optim, batch=4096, checkpoint_every=steps // 5)

    def settings(_: Size) -> ShapeSettings:
        sampler = SAMPLERS["occupancy"]
        return ShapeSettings(config, train, sampler=sampler, pool=250_000, resolution=GRID, full_precision_from=0.0)

    return Row(name, title, settings, {MEAN: {"iou": (iou[0] / 100, iou[1] / 100)}}, *size)


TABLE_6 = Table(
    "solids",
    "occ",
    tuple(
        Datum(name.split("_")[0], name, "one model of each of ShapeNet's 55 categories")
        for name in ("airplane_0001", "bathtub_0001", "bed_manifoldplus", "chair_0001", "table_manifoldplus",
                     "toilet_0001")
    ),
    (
        _solid("siren", "SIREN", SirenConfig(width=512, layers=10), (89.27, 6.43), (2.10e6, 2.100e6)),
        _solid("asmr", "ASMR", _config("asmr-shapenet"), (89.37, 0.72), (2.12e6, 0.039e6)),
    ),
    (Column("iou", "IoU", 4),),
    notes=("the same 250,000 points in each epoch; the paper draws new ones",),
)  # fmt: skip

_ORDERS = {(4, 4, 4, 8): (1.34e3, 37.755, 0.930), (4, 4, 8, 4): (4.42e3, 37.442, 0.925),
           (4, 8, 4, 4): (4.61e3, 37.776, 0.928), (8, 4, 4, 4): (4.61e3, 37.574, 0.927)}  # fmt: skip
TABLE_12 = Table(
    "the order of the bases",
    "fit",
    CAMERAMAN,
    tuple(
        _row("-".join(map(str, bases)), f"[{', '.join(map(str, bases))}]",
             AsmrConfig(width=256, axis_bases=(bases, bases), blend=False), _both(psnr, ssim), size=(134e3, macs))
        for bases, (macs, psnr, ssim) in _ORDERS.items()
    ),
    (Column("psnr", "PSNR"), Column("ssim", "SSIM", 3)),
    notes=(_BEST, 'the paper says 512 units; its 134K parameters are those of 256'),
)  # fmt: skip

TABLES = {
    "asmr-2": TABLE_2, "asmr-3": TABLE_3, "asmr-4": TABLE_4, "asmr-5": TABLE_5, "asmr-6": TABLE_6,
    "asmr-10": TABLE_10, "asmr-12": TABLE_12,
}  # fmt: skip
