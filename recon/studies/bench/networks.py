"""`fields`: every field forward and backward over batch and width, against the plain MLP as wide and as deep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from recon.fields import FIELDS, Field, FieldConfig, chunked
from recon.fields.asmr import Asmr, AsmrConfig
from recon.fields.bacon import BaconConfig
from recon.fields.neural_experts import NeuralExpertsConfig
from recon.fields.pe_mlp import PeMlpConfig
from recon.fields.siren import SirenConfig
from recon.studies.bench.formulations import asmr_shared, asmr_unshared, unshared_macs
from recon.studies.bench.measure import Aim, Meter, Row, Way, agree
from recon.studies.bench.sizes import Sizes

MAIN = {"pe-mlp": 1, "siren": 1, "loe": 1, "neural-experts": 1, "asmr": 1, "kilonerf": 8}
"""Fields whose width is varied; KiloNeRF's thousands of networks are made that many times narrower."""
Part = Callable[[Meter], Iterator[Row]]
"""A share of a benchmark: yields its rows within the time of its meter."""


def parts(sizes: Sizes) -> list[Part]:
    """All of the benchmark, piece by piece."""
    over_batch = [
        partial(forward_backward, name=name, config=at_width(config, sizes.width), batch=batch, width=sizes.width)
        for name, config in FIELDS.items()
        for batch in sizes.batches
    ]
    over_width = [
        partial(forward_backward, name=name, config=at_width(FIELDS[name], width), batch=sizes.width_batch, width=width)
        for name, share in MAIN.items()
        if name in FIELDS
        for width in (wide // share for wide in sizes.widths)
        if width != sizes.width or sizes.width_batch not in sizes.batches  # that one is measured already
    ]
    return [*over_batch, *over_width, partial(whole_picture, sizes=sizes)]


def width_of(config: FieldConfig) -> int | None:
    """The largest of a field's widths; None where it has none."""
    if isinstance(config, NeuralExpertsConfig) and config.encoder != "sine":
        return config.expert_width  # the encoder's is not used
    return max(_widths(config).values(), default=None)


def at_width(config: FieldConfig, width: int) -> FieldConfig:
    """The same field, its largest width this and all others in proportion; itself where it has none."""
    widths = _widths(config)
    factor = width / max(widths.values(), default=1)
    return replace(config, **{name: max(1, round(own * factor)) for name, own in widths.items()})


def _widths(config: FieldConfig) -> dict[str, int]:
    """Settings that are widths; one of 0 follows another."""
    found = {f.name: getattr(config, f.name) for f in fields(config) if f.name.endswith("width")}
    return {name: width for name, width in found.items() if width}


def depth_of(config: FieldConfig) -> int:
    """Linear layers that a point passes one after the other; those of the MLP where a field does not say."""
    match config:
        case AsmrConfig():
            return len((config.axis_bases or (config.bases,))[0]) or config.levels
        case BaconConfig():
            return len(config.divisors) * config.layers + 1
        case NeuralExpertsConfig():
            return (config.encoder_layers if config.encoder == "sine" else 0) + config.expert_layers + 1
    return max(2, getattr(config, "layers", PeMlpConfig.layers))


def plain_mlp(config: FieldConfig, width: int) -> PeMlpConfig:
    """A ReLU network of this width and as deep as the field."""
    return PeMlpConfig(width=width, layers=depth_of(config))


def forward_backward(meter: Meter, *, name: str, config: FieldConfig, batch: int, width: int) -> Iterator[Row]:
    """A field in evaluation, and forward and backward in training, each against the same of the MLP."""
    mlp = plain_mlp(config, width)
    try:
        torch.manual_seed(0)
        x = cube(batch, meter.device)
        built = {name: config.build(3, 1).to(meter.device), "mlp": mlp.build(3, 1).to(meter.device)}
        ways = {
            f"{who} {what}": Way(partial(run, field, x), batch, macs=macs)
            for who, field in built.items()
            for what, run, macs in (
                ("forward", evaluate, field.routed_macs()),
                ("forward and backward", differentiate, field.macs()),
            )
        }
        for what in ("forward", "forward and backward"):
            both = {who: ways[f"{who} {what}"] for who in built}
            found = Meter(meter.device, meter.left / (2 if what == "forward" else 1)).compare("", both, mlp="mlp")
            note = f"against an MLP of {mlp.layers} layers"
            yield replace(found[name], name=f"{name}: {what}", width=width, note=note)
    except (ValueError, torch.OutOfMemoryError) as error:
        yield Row(f"{name}: not measured", batch=batch, width=width, note=str(error).splitlines()[0][:200])


def evaluate(field: Field, x: Float[Tensor, "n d"]) -> None:
    with torch.no_grad():
        field.eval()(x)


def differentiate(field: Field, x: Float[Tensor, "n d"]) -> None:
    field.train().zero_grad(set_to_none=True)
    field(x).square().mean().backward()


def cube(n: int, device: torch.device, dims: int = 3) -> Float[Tensor, "n d"]:
    """Random points of the cube, the same each time."""
    points = torch.rand(n, dims, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return points.to(device)


def whole_picture(meter: Meter, *, sizes: Sizes) -> Iterator[Row]:
    """ASMR on all pixels of an image, against SIREN and the MLP of its size and against ASMR's slower ways."""
    torch.manual_seed(0)
    config = AsmrConfig(width=sizes.asmr_width, axis_bases=sizes.picture)
    field = config.build(2, 1).to(meter.device).eval()
    siren, mlp = rivals(sizes.asmr_width, field.levels, 2, meter.device)
    cells = field.cells[0] * field.cells[1]
    some = min(sizes.part, cells)
    scaled = f"scaled from {some:,} points"
    x, cell = cube(some, meter.device, 2), torch.cartesian_prod(*[torch.arange(n) for n in field.cells])
    cell = cell[torch.randperm(cells, generator=torch.Generator().manual_seed(2))[:some]].to(meter.device)
    note = same_values(field, cell)

    def far(work: Callable[[], object], macs: int) -> Way:
        return Way(torch.no_grad()(work), cells, cells / some, macs, scaled)

    ways = {
        "asmr": Way(lambda: field.on_grid(field.cells), cells, macs=field.shared_macs(), note=note),
        "siren": far(lambda: chunked(siren, x), siren.macs()),
        "mlp": far(lambda: chunked(mlp, x), mlp.macs()),
        "asmr, authors' sharing": Way(torch.no_grad()(lambda: asmr_shared(field)), cells, macs=field.shared_macs()),
        "asmr, unshared": far(lambda: asmr_unshared(field, cell), unshared_macs(field)),
    }
    title = f"image of {field.cells[0]}x{field.cells[1]}, {field.levels} levels"
    rows = meter.compare(title, ways, plain="siren", mlp="mlp", width=sizes.asmr_width)
    yield from judged_by(
        rows,
        meter.on_cpu,
        {
            "siren": Aim("times as long as ASMR", least=40.0),
            "asmr, unshared": Aim("times as long as ASMR", least=20.0),
        },
        ours="asmr",
    )


def rivals(width: int, layers: int, dims: int, device: torch.device) -> tuple[Field, Field]:
    """SIREN and the plain MLP, this wide and deep."""
    configs = (SirenConfig(width=width, layers=layers), PeMlpConfig(width=width, layers=layers))
    siren, mlp = (config.build(dims, 1).to(device) for config in configs)
    return siren, mlp


def judged_by(rows: dict[str, Row], apply: bool, aims: dict[str, Aim], ours: str) -> Iterator[Row]:
    """The rows; those of ways with an aim are judged by how many times as long as `ours` they take."""
    for name, row in rows.items():
        if apply and name in aims:
            yield row.judged(aims[name], (row.seconds or 0.0) / (rows[ours].seconds or 1.0))
        else:
            yield row


@torch.no_grad()
def same_values(field: Asmr, cell: Tensor) -> str:
    """Words on how far ASMR's three ways over a grid differ; RuntimeError where they are not the same."""
    ours = field.on_grid(field.cells)
    agree("ASMR's shared ways", ours, field.to_raster(asmr_shared(field)), 1e-3)
    return agree("ASMR shared and unshared", ours[tuple(cell.T)], asmr_unshared(field, cell), 1e-3)
