"""The papers' own networks by name, and their parameters and multiply-accumulates, counted in modules that are built.

Two counts of multiply-accumulates exist: products of matrices alone, as LoE and the SIREN rows count, and those of
ASMR's profiler, which adds biases (and the adding of modulations). Numbers of the papers are exact where the layers
that fit their rounded ones say so. Complex numbers count once, frozen ones (random frequencies) not at all, and
neither does reading an encoding or a grid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from recon.fields.asmr import Asmr, AsmrConfig
from recon.fields.bacon import BaconConfig
from recon.fields.base import Field, FieldConfig
from recon.fields.coordinate_embedding import CoordinateEmbeddingConfig
from recon.fields.ffn import FfnConfig
from recon.fields.finer import FinerConfig
from recon.fields.kilonerf import KiloNerfConfig
from recon.fields.loe import LoeConfig
from recon.fields.mfn import MfnConfig
from recon.fields.neural_experts import NeuralExpertsConfig
from recon.fields.pe_mlp import PeMlpConfig
from recon.fields.radiance import HeadConfig, RadianceField
from recon.fields.siren import SirenConfig
from recon.fields.vanilla_moe import VanillaMoeConfig
from recon.fields.wire import WireConfig
from recon.geometry import Box, Space


@dataclass(frozen=True)
class Entry:
    """A network of a paper, and what the paper says that it costs."""

    config: FieldConfig | None
    """None where the text does not determine the network."""
    in_dim: int
    out_dim: int
    paper_params: int | None = None
    paper_macs: int | float | None = None
    rule: Literal["products", "profiler"] = "products"
    """How the paper's multiply-accumulates were counted."""
    head: HeadConfig | None = None
    """A radiance field's, where the network is one."""
    note: str = ""


def count(entry: Entry) -> dict[str, Any]:
    """Parameters and multiply-accumulates per point of the built network, and the paper's own (None: not stated).

    `macs` are products of everything a training step evaluates (ASMR: with activations shared, modulators included),
    `macs_routed` those of inference, where they differ, and `macs_profiler` adds biases."""
    paper = {"paper_params": entry.paper_params, "paper_macs": entry.paper_macs}
    if entry.config is None:
        return {"params": None, "macs": None, "macs_profiler": None, **paper}
    with torch.device("meta"):  # shapes alone: 17 million numbers cost nothing
        whole, field, head = _build(entry, entry.config)
    products = sum(m.in_features * m.out_features for m in head)
    biases = sum(m.bias.numel() for m in head)
    macs = field.shared_macs() if isinstance(field, Asmr) else field.macs() + products
    ours = {"params": sum(p.numel() for p in whole.parameters()), "macs": macs}
    if field.routed_macs() != field.macs():
        ours["macs_routed"] = field.routed_macs() + products
    return {**ours, "macs_profiler": field.profiler_macs() + products + biases, **paper}


def _build(entry: Entry, config: FieldConfig) -> tuple[nn.Module, Field, list[nn.Linear]]:
    """The whole network, the field in it, and the linear layers of its head."""
    if entry.head is None:
        field = config.build(entry.in_dim, entry.out_dim)
        return field, field, []
    whole = RadianceField(config, entry.head, Space("box", Box((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))))
    head = [m for part in (whole.density_layer, whole.colour) for m in part.modules() if isinstance(m, nn.Linear)]
    return whole, whole.field, head


# -- Neural Experts ----------------------------------------------------------------------------------------------------


def _experts(width: int = 128, count: int = 4, scale: float = 1.0, **settings: Any) -> NeuralExpertsConfig:
    """One width everywhere but where the settings say otherwise."""
    even = NeuralExpertsConfig(count, width, encoder_width=width, manager_width=width, scale=scale)
    return replace(even, **settings)


def _siren(width: int, layers: int, scale: float = 1.0, widths: tuple[int, ...] = ()) -> SirenConfig:
    return SirenConfig(width=width, layers=layers, scale=scale, widths=widths)


WIDER = (128,) * 4 + (512,) * 3
COUNTS = {2: 265_864, 3: 315_916, 4: 365_968, 5: 416_020, 6: 466_072, 7: 516_124}
WIDTHS = {2: (257, 193, 142, 103), 4: (167, 128, 96, 71), 6: (128, 100, 76, 56), 8: (105, 83, 64, 48)}
ALLOCATIONS = {(128, 102, 128, 196): 366_140, (256, 68, 96, 68): 368_300, (196, 85, 128, 128): 367_976}
TWICE = "the published network feeds t twice"
UNPRINTED = "the printed 366.0k and 99.8k leave the Fourier features out"

NEURAL_EXPERTS = {
    "neural-experts-sdf-large": Entry(
        NeuralExpertsConfig(encoder_width=512, expert_width=64, manager_width=128), 3, 1, 1_285_904, 1_281_408
    ),
    "neural-experts-sdf-small": Entry(NeuralExpertsConfig(), 3, 1, 323_472, 321_216),
    "siren-sdf-small": Entry(_siren(256, 8, 1.2), 3, 1, 396_033, 394_240),
    "siren-sdf-large": Entry(_siren(512, 8, 1.2), 3, 1, 1_578_497, 1_574_912),
    "neural-experts-image": Entry(_experts(), 2, 3, 365_968, 363_008),
    "neural-experts-image-small": Entry(
        _experts(66), 2, 3, 98_686, 97_152, note="the width is what the count implies; the text states none"
    ),
    "vanilla-moe-image": Entry(
        VanillaMoeConfig(experts=4, expert_width=128, encoder_width=128, manager_width=128, scale=1.0),
        2, 3, 349_584, 346_624,
    ),
    "siren-image": Entry(_siren(128, 8), 2, 3, 99_843, 98_944, note='8 linear layers; the paper says "4 hidden"'),
    "siren-image-wider": Entry(_siren(128, 8, widths=WIDER), 2, 3, 642_819, 640_768),
    **{f"neural-experts-image-{n}-experts": Entry(_experts(count=n), 2, 3, params) for n, params in COUNTS.items()},
    **{
        f"neural-experts-image-allocation-{encoder}-{expert}-{own}-{manager}": Entry(
            _experts(encoder_width=encoder, expert_width=expert, manager_encoder_width=own, manager_width=manager),
            2, 3, params,
        )
        for (encoder, expert, own, manager), params in ALLOCATIONS.items()
    },
    **{
        f"neural-experts-image-{n}x{layers}": Entry(
            _experts(count=n, expert_width=width, expert_layers=layers + 1),
            2, 3, note="experts x layers of an expert (Table 8), widths unpublished: those nearest to 366k",
        )
        for n, widths in WIDTHS.items()
        for layers, width in zip((1, 2, 4, 8), widths, strict=True)
    },
    "neural-experts-image-softplus": Entry(_experts(activation="softplus"), 2, 3, 365_968, 363_008),
    "neural-experts-image-softplus-fourier": Entry(
        _experts(activation="softplus-fourier"), 2, 3, 398_736, note=UNPRINTED
    ),
    "neural-experts-image-finer": Entry(_experts(activation="finer"), 2, 3, 365_968, 363_008),
    "softplus-image": Entry(FfnConfig(rows=0, width=128, layers=8, activation="softplus"), 2, 3, 99_843),
    "softplus-fourier-image": Entry(
        FfnConfig(64, 1.0, 128, 8, "softplus", coordinates=True, normalise=True), 2, 3, 116_227, note=UNPRINTED
    ),
    "finer-image": Entry(FinerConfig(width=128, scale=1.0), 2, 3, 99_843, 98_944),
    "neural-experts-sound": Entry(_experts(scale=100.0), 2, 1, 364_936, 361_984, note=TWICE),
    "siren-sound": Entry(_siren(128, 8, 100.0), 2, 1, 99_585, note=TWICE),
    "siren-sound-wider": Entry(_siren(128, 8, 100.0, WIDER), 2, 1, 641_793, note=TWICE),
}  # fmt: skip

# -- LoE ---------------------------------------------------------------------------------------------------------------

LEVELS_OF_EXPERTS = {
    "pe-mlp-nerf": Entry(PeMlpConfig(layers=5, frequencies=10), 3, 256, 316_548, 315_136, head=HeadConfig()),
    "loe-nerf": Entry(
        LoeConfig(), 3, 256, 17_847_684, 315_136, head=HeadConfig(), note="the only tiling that fits the count"
    ),
    "pe-mlp-video": Entry(PeMlpConfig(layers=6, frequencies=9), 3, 3, 278_787, 277_504),
    "loe-video": Entry(LoeConfig(layers=6, frequencies=9, tiles=(2, 4, 4, 4, 4)), 3, 3, 16_896_003, 277_504),
    "coordinate-embedding-video": Entry(
        CoordinateEmbeddingConfig(), 3, 3, 17_072_387, 293_888, note="reading the grid is left out"
    ),
    "siren-video": Entry(_siren(256, 6), 3, 3, 264_963, 263_680),
    "siren-video-large": Entry(_siren(1024, 6), 3, 3, 4_205_571, 4_200_448),
    "loe-image": Entry(
        None, 2, 3, 9_370_000, 570_000,
        note="not reproduced: no layers found that give the printed 9.37M; 8 layers with a skip come to 9,363,843",
    ),
}  # fmt: skip

# -- ASMR and its baselines --------------------------------------------------------------------------------------------


def _asmr(width: int, *axes: tuple[int, ...]) -> AsmrConfig:
    """Constant in each cell, as the paper's."""
    return AsmrConfig(width=width, axis_bases=axes, blend=False)


def _profiled(config: FieldConfig, dims: tuple[int, int], params: int, macs: int | float, note: str = "") -> Entry:
    return Entry(config, *dims, params, macs, "profiler", note=note)


def _square(width: int, *bases: int) -> AsmrConfig:
    return _asmr(width, bases, bases)


CAT_1, CAT_2 = (4, 2, 2, 2, 2, 2, 4), (4, 4, 2, 2, 2, 2, 2)
UVG = (5, 1, 1, 5, 1, 1, 3, 1, 1, 2), (5, 1, 3, 1, 3, 1, 3, 1, 2, 1), (5, 3, 2, 2, 1, 2, 1, 2, 1, 2)

ASMR = {
    "asmr-cameraman-3": _profiled(_square(256, 8, 8, 8), (2, 1), 67_841, 1_289.50),
    "asmr-cameraman-4": _profiled(_square(256, 4, 4, 4, 8), (2, 1), 134_145, 1_353.75),
    "asmr-kodak": _profiled(
        _asmr(256, (4, 4, 4, 8), (4, 4, 6, 8)), (2, 3), 134_659, 1_846.18, "the axes are swapped for portraits"
    ),
    "asmr-pluto": _profiled(_square(512, 4, 4, 4, 4, 4, 8), (2, 3), 1_058_819, 5_925.07),
    "asmr-pluto-big": _profiled(_square(1024, 4, 4, 4, 4, 2, 16), (2, 3), 4_214_787, 8_273.14),
    "asmr-librispeech": _profiled(_asmr(128, (10, 10, 16, 20)), (1, 1), 33_793, 1_013.30),
    "asmr-cat-1": _profiled(_asmr(512, (5, 3, 1, 2, 1, 2, 5), CAT_1, CAT_1), (3, 3), 1_326_083, 5_358.67),
    "asmr-cat-2": _profiled(_asmr(512, (5, 5, 3, 2, 1, 1, 2), CAT_2, CAT_2), (3, 3), 1_326_083, 44_993.42),
    "asmr-uvg": _profiled(_asmr(512, *UVG), (3, 3), 2_118_659, 119_756),
    "asmr-shapenet": _profiled(_asmr(512, *[(2,) * 10] * 3), (3, 1), 2_117_633, 38_108, "the paper prints 39K"),
    "asmr-cameraman-5": _profiled(_square(256, 8, 2, 2, 2, 8), (2, 1), 200_449, 1_612),
    "asmr-cameraman-6": _profiled(_square(256, 4, 2, 2, 2, 2, 8), (2, 1), 266_753, 1_628),
    "asmr-cameraman-7": _profiled(_square(256, 2, 2, 2, 2, 2, 2, 8), (2, 1), 333_057, 1_632),
    "siren-cameraman-3": Entry(_siren(256, 3), 2, 1, 66_817, 66_304),
    "siren-cameraman-4": Entry(_siren(256, 4), 2, 1, 132_609, 131_840),
    "siren-kodak": Entry(_siren(256, 4), 2, 3, 133_123, 132_352),
    "siren-librispeech": Entry(_siren(128, 4), 1, 1, 33_409, 33_024),
    "ffn-kodak": Entry(FfnConfig(layers=3), 2, 3, 132_355, 131_840),
    "mfn-kodak": Entry(MfnConfig(layers=3), 2, 3, 134_659, 133_376),
    "wire-kodak": Entry(
        WireConfig(width=212, layers=5), 2, 3, 136_743, 135_892,
        note="a complex number counts as one parameter, a complex product as one",
    ),
    "kilonerf-sound": Entry(KiloNerfConfig(nets=4, width=48, layers=5, frequencies=12), 1, 1, 33_412, 8_160),
    "kilonerf-cameraman": _profiled(
        KiloNerfConfig(nets=16, width=16, layers=3, frequencies=10), (2, 1), 250_112, 977, "944 products"
    ),
    "loe-cameraman": _profiled(
        LoeConfig(width=24, layers=4, frequencies=8, axis_tiles=((8,) * 3,) * 2),
        (2, 1), 126_049, 2_065, "1,992 products",
    ),
    "bacon-sdf": Entry(
        BaconConfig(), 3, 1, 530_953,
        note="the paper's code holds 2,565 parameters more that no output depends on; frozen frequencies not counted",
    ),
}  # fmt: skip

PAPERS: dict[str, Entry] = {**NEURAL_EXPERTS, **LEVELS_OF_EXPERTS, **ASMR}
"""Every network of the papers that their text or counts determine."""
