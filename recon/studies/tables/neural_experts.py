"""Tables of "Neural Experts: Mixture of Experts for Implicit Neural Representations" (Ben-Shabat et al. 2024)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from recon.fields.ffn import FfnConfig
from recon.fields.finer import FinerConfig
from recon.fields.papers import ALLOCATIONS, COUNTS, PAPERS, WIDER
from recon.signals.prepare import Preparation
from recon.studies.tables.data import ASTRONAUT, KODAK
from recon.studies.tables.model import MEAN, Column, Datum, Printed, Row, Table, means
from recon.tasks.shape.settings import preset as shape_preset
from recon.tasks.shape.truth import GRID
from recon.tasks.signal.settings import neural_experts_protocol

PIXELS = 128
SMALL_SQUARE = Preparation(downscale=4, square=True)
SOFT = 30_000
"""Steps in which a manager with SoftPlus is pretrained; with sines it is 3,000."""
_PSNR, _BOTH = Column("psnr_paper", "PSNR (as the paper counts)"), Column("ssim", "SSIM", 4)
_printed = means("psnr_paper", "ssim")
_IMAGE = (
    "LPIPS, which the paper prints besides, is left out: it needs another network's weights",
    "pretraining: random labels on 128 x 128 cells, Adam at 3e-5; the paper tells neither for pictures",
    "coordinates are the pixels' centres within [-1, 1]; the paper's outermost pixels lie on the border",
)


def _row(
    name: str,
    title: str,
    config: Any,
    printed: dict[str, dict[str, Printed]],
    params: float | None = None,
    *,
    pretraining: int = 3000,
) -> Row:
    """A network by its entry among the papers', or by its settings. Random labels are one a pixel."""
    config = PAPERS[config].config if isinstance(config, str) else config
    if hasattr(config, "label_cells"):
        config = replace(config, label_cells=PIXELS)
    return Row(name, title, lambda _: neural_experts_protocol(config, pretraining), printed, params)


def _image(**changes: Any) -> Any:
    """The paper's network for pictures, with these settings changed."""
    network: Any = PAPERS["neural-experts-image"].config
    return replace(network, **changes)


_WIDE_FFN = FfnConfig(64, 1.0, 128, 8, "softplus", coordinates=True, normalise=True, widths=WIDER)
TABLE_1 = Table(
    "pictures by activation: a network, a wider one, and experts",
    "fit",
    KODAK,
    (
        _row("softplus", "SoftPlus, base", "softplus-image", _printed((19.51, 2.95), (0.7158, 0.1106)), 99.8e3),
        _row("softplus-wider", "SoftPlus, wider", FfnConfig(rows=0, widths=WIDER, activation="softplus"),
             _printed((20.91, 3.12), (0.7798, 0.0899)), 642.8e3),
        _row("softplus-experts", "SoftPlus, experts", "neural-experts-image-softplus",
             _printed((20.62, 3.12), (0.7628, 0.0946)), 366.0e3, pretraining=SOFT),
        _row("fourier", "SoftPlus + Fourier features, base", "softplus-fourier-image",
             _printed((28.97, 3.30), (0.9433, 0.0193)), 99.8e3),
        _row("fourier-wider", "SoftPlus + Fourier features, wider", _WIDE_FFN,
             _printed((29.48, 3.91), (0.9436, 0.0245)), 642.8e3),
        _row("fourier-experts", "SoftPlus + Fourier features, experts", "neural-experts-image-softplus-fourier",
             _printed((31.66, 3.16), (0.9652, 0.0180)), 366.0e3, pretraining=SOFT),
        _row("sine", "sine, base", "siren-image", _printed((57.23, 2.46), (0.9991, 0.0005)), 99.8e3),
        _row("sine-wider", "sine, wider", "siren-image-wider", _printed((77.50, 5.32), (0.9996, 0.0005)), 642.8e3),
        _row("sine-experts", "sine, experts", "neural-experts-image",
             _printed((89.35, 7.10), (0.9997, 0.0004)), 366.0e3),
        _row("finer", "FINER, base", "finer-image", _printed((58.08, 3.04), (0.9991, 0.0005)), 99.8e3),
        _row("finer-wider", "FINER, wider", FinerConfig(widths=WIDER, scale=1.0),
             _printed((80.32, 5.40), (0.9996, 0.0004)), 642.8e3),
        _row("finer-experts", "FINER, experts", "neural-experts-image-finer",
             _printed((90.84, 8.14), (0.9997, 0.0004)), 366.0e3),
    ),
    (_PSNR, _BOTH),
    SMALL_SQUARE,
    (*_IMAGE, "the paper's parameters leave the Fourier features out"),
)  # fmt: skip

_VANILLA: Any = PAPERS["vanilla-moe-image"].config
TABLE_2 = Table(
    "pictures with sines: sizes, and what the manager sees",
    "fit",
    KODAK,
    (
        _row("base", "base", "siren-image", _printed((57.23, 2.46), (0.9991, 0.0005)), 99.8e3),
        _row("small", "experts, small", "neural-experts-image-small",
             _printed((63.42, 7.09), (0.9992, 0.0007)), 98.7e3),
        _row("wider", "wider", "siren-image-wider", _printed((77.50, 5.32), (0.9996, 0.0005)), 642.8e3),
        _row("vanilla", "vanilla mixture", replace(_VANILLA, pretraining="none"),
             _printed((62.98, 4.16), (0.9993, 0.0005)), 349.6e3),
        _row("vanilla-random", "vanilla mixture, random pretraining", _VANILLA,
             _printed((74.28, 7.36), (0.9996, 0.0004)), 349.6e3),
        _row("experts", "experts", "neural-experts-image", _printed((89.35, 7.10), (0.9997, 0.0004)), 366.0e3),
    ),
    (_PSNR, _BOTH),
    SMALL_SQUARE,
    _IMAGE,
)  # fmt: skip

TABLE_5 = Table(
    "what the manager is given of the experts' encoding",
    "fit",
    ASTRONAUT,
    tuple(
        _row(kind, title, _image(conditioning=kind), _printed(psnr))
        for kind, title, psnr in (
            ("none", "nothing", 64.52), ("max", "its maximum over the points", 77.3),
            ("mean", "its mean over the points", 77.62), ("concatenate", "all of it", 81.17),
        )
    ),
    (_PSNR,),
    SMALL_SQUARE,
    _IMAGE,
)  # fmt: skip

TABLE_6 = Table(
    "what the manager is pretrained to",
    "fit",
    ASTRONAUT,
    (
        _row("fixed-subdivision", "one block an expert, for good", _image(manager="fixed", pretraining="subdivision"),
             _printed(53.39)),
        _row("fixed-random", "random, for good", _image(manager="fixed"), _printed(53.58)),
        _row("none", "nothing", _image(pretraining="none"), _printed(56.31)),
        _row("kmeans", "clusters of colours", _image(pretraining="kmeans"), _printed(63.62)),
        _row("grid", "tiles of 2 x 2", _image(pretraining="grid"), _printed(67.82)),
        _row("random", "random", _image(), _printed(81.17)),
    ),
    (_PSNR,),
    SMALL_SQUARE,
    (*_IMAGE, "the paper's row of segments by SAM (58.88) is left out"),
)  # fmt: skip

_TIMES = {2: 65.57, 3: 71.70, 4: 81.17, 5: 77.08, 6: 82.68, 7: 82.34}
TABLE_7 = Table(
    "how many experts",
    "fit",
    ASTRONAUT,
    tuple(
        _row(
            f"experts-{n}",
            f"{n} experts",
            f"neural-experts-image-{n}-experts",
            _printed(psnr),
            round(COUNTS[n] / 1e3) * 1e3,
        )
        for n, psnr in _TIMES.items()
    ),
    (_PSNR,),
    SMALL_SQUARE,
    (*_IMAGE, "milliseconds a step are the paper's GPU's, and left out"),
)

_LAYERS = {
    2: ((79.39, 8.74), (77.78, 8.18), (72.23, 6.92), (65.32, 6.51)),
    4: ((92.32, 7.80), (89.35, 7.10), (81.19, 8.04), (74.36, 7.31)),
    6: ((99.15, 5.32), (92.84, 7.95), (87.80, 8.98), (75.26, 9.02)),
    8: ((96.13, 7.95), (90.72, 10.6), (83.05, 10.3), (66.57, 8.72)),
}
TABLE_8 = Table(
    "experts against layers, with about 366,000 parameters",
    "fit",
    KODAK,
    tuple(
        _row(f"{n}x{layers}", f"{n} experts of {layers} layers", f"neural-experts-image-{n}x{layers}", _printed(psnr))
        for n, scores in _LAYERS.items()
        for layers, psnr in zip((1, 2, 4, 8), scores, strict=True)
    ),
    (_PSNR,),
    SMALL_SQUARE,
    (*_IMAGE, "widths are not published; these come nearest to 366,000 parameters"),
)

_KINDS = {
    (128, 102, 128, 196): ("larger-manager", "larger manager", (83.05, 10.11), 366.1e3),
    (256, 68, 96, 68): ("larger-encoder", "larger encoder", (88.12, 6.92), 368.3e3),
    (196, 85, 128, 128): ("balanced", "balanced", (87.86, 8.98), 368.0e3),
}
TABLE_9 = Table(
    "where the parameters are",
    "fit",
    KODAK,
    (
        *(
            _row(name, title, f"neural-experts-image-allocation-{'-'.join(map(str, widths))}", _printed(psnr), params)
            for widths, (name, title, psnr, params) in _KINDS.items()
        ),
        _row("larger-experts", "larger experts", "neural-experts-image", _printed((89.35, 7.10)), 366.0e3),
    ),
    (_PSNR,),
    SMALL_SQUARE,
    _IMAGE,
)
assert set(_KINDS) == set(ALLOCATIONS)


def _clips(*values: float) -> dict[str, dict[str, Printed]]:
    return {name: {"mse_1e4": value} for name, value in zip(("bach", "counting", "two-speakers"), values, strict=False)}


_SOUND: Any = PAPERS["neural-experts-sound"].config
TABLE_3 = Table(
    "sound, and the experts of two speakers",
    "fit",
    (Datum("bach", "gt_bach"), Datum("counting", "gt_counting"), Datum("two-speakers", "gt_twospeakers")),
    (
        Row("siren", "SIREN", lambda _: neural_experts_protocol(_config("siren-sound")),
            _clips(0.71, 36.6, 2.06), 100e3),
        Row("siren-wider", "SIREN, wider", lambda _: neural_experts_protocol(_config("siren-sound-wider")),
            _clips(0.49, 15.9, 0.51), 642e3),
        Row("experts", "experts", lambda _: neural_experts_protocol(_SOUND), _clips(0.12, 1.72, 0.16), 365e3),
        Row("experts-segments", "experts, one a speaker (Figure 4)",
            lambda _: neural_experts_protocol(replace(_SOUND, pretraining="segments")),
            {"two-speakers": {"mse_1e4": 0.15}}, 365e3, only=("two-speakers",),
            segments="gt_twospeakers_segments.json"),
    ),
    (Column("mse_1e4", "mean squared error, in units of 1e-4", 3),),
    Preparation(mono=True),
    ("the paper does not tell how much the segments weigh; ours: --segments-weight",),
)  # fmt: skip


def _config(name: str) -> Any:
    return PAPERS[name].config


# -- surfaces: Tables 4, 12 and 13 ------------------------------------------------------------------------------------

_SCORES = ("trimap_iou_0.001", "chamfer_paper_1e5", "iou")
_SHAPES = {
    "siren-large": ("SIREN, large", "siren", "paper-large", 1.5e6, (
        (0.6981, 1.4983, 0.9963), (0.5517, 2.2367, 0.9861), (0.7958, 1.2030, 0.9930), (0.6191, 5.8465, 0.9706))),
    "experts-large": ("experts, large", "neural-experts", "paper-large", 1.3e6, (
        (0.9020, 1.4975, 0.9982), (0.7500, 2.1340, 0.9915), (0.8881, 1.1322, 0.9970), (0.7318, 5.4084, 0.9782))),
    "siren-small": ("SIREN, small", "siren", "paper-small", 396e3, (
        (0.5968, 2.9165, 0.9920), (0.5345, 2.3944, 0.9785), (0.6787, 1.2583, 0.9855), (0.5395, 6.7273, 0.9583))),
    "experts-small": ("experts, small", "neural-experts", "paper-small", 323e3, (
        (0.8200, 1.5086, 0.9977), (0.6800, 2.2102, 0.9899), (0.8272, 1.1047, 0.9950), (0.5787, 5.9721, 0.9509))),
}  # fmt: skip
_BANDS = {
    "siren-large": (0.9886, 0.9576), "experts-large": (0.9936, 0.9770),
    "siren-small": (0.9802, 0.9235), "experts-small": (0.9853, 0.9476),
}  # fmt: skip
_STATUES = ("armadillo", "dragon", "lucy", "thai-statue")


def _shape_row(name: str) -> Row:
    title, field_name, preset_name, params, numbers = _SHAPES[name]
    printed: dict[str, dict[str, Printed]] = {
        shape: dict(zip(_SCORES, scores, strict=True)) for shape, scores in zip(_STATUES, numbers, strict=True)
    }
    means_of = zip(("trimap_iou_0.001", "iou"), zip(*((t, i) for t, _, i in numbers), strict=True), strict=True)
    printed[MEAN] = {score: sum(values) / len(values) for score, values in means_of}
    printed[MEAN] |= dict(zip(("trimap_iou_0.1", "trimap_iou_0.01"), _BANDS[name], strict=True))

    def settings(_: object) -> Any:
        return replace(shape_preset("sdf", preset_name, field_name), resolution=GRID)  # pyright: ignore[reportArgumentType]

    return Row(name, title, settings, printed, params)


TABLE_4 = Table(
    "surfaces: Trimap IoU, Chamfer distance and IoU (with Tables 12 and 13)",
    "sdf",
    (
        Datum("armadillo", "armadillo", "Stanford's Armadillo of 172,974 vertices"),
        Datum("dragon", "asian_dragon", "XYZ RGB's Asian dragon in full"),
        Datum("lucy", "lucy"), Datum("thai-statue", "thai_statue"),
    ),
    tuple(map(_shape_row, _SHAPES)),
    (
        Column("trimap_iou_0.001", "Trimap IoU (0.001)", 4), Column("chamfer_paper_1e5", "Chamfer distance, 1e-5", 4),
        Column("iou", "IoU", 4), Column("trimap_iou_0.01", "Trimap IoU (0.01)", 4),
        Column("trimap_iou_0.1", "Trimap IoU (0.1)", 4),
    ),
    notes=(
        "the Chamfer distance has a floor near 1.1e-5 on the Armadillo, from the number of its samples",
        "the paper's printed means of the Chamfer distance are not the means of its rows, and left out",
        "rate 3e-5, as the authors' code; the paper's text says 5e-3",
    ),
)  # fmt: skip

TABLES = {
    "neural-experts-1": TABLE_1, "neural-experts-2": TABLE_2, "neural-experts-3": TABLE_3, "neural-experts-4": TABLE_4,
    "neural-experts-5": TABLE_5, "neural-experts-6": TABLE_6, "neural-experts-7": TABLE_7, "neural-experts-8": TABLE_8,
    "neural-experts-9": TABLE_9,
}  # fmt: skip
