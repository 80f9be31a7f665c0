"""`steps`: whole training steps (loss, gradients, optimiser) of every field, and of two as their authors do them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from recon import runtime
from recon.fields import FIELDS, Field, FieldConfig
from recon.fields.asmr import Asmr, AsmrConfig
from recon.fields.neural_experts import NeuralExperts
from recon.fields.pe_mlp import PeMlpConfig
from recon.shapes.pool import Pool
from recon.studies.bench.formulations import asmr_shared, expanded_macs, experts_expanded
from recon.studies.bench.kernels import EXPERTS
from recon.studies.bench.measure import Aim, Meter, Row, Way, agree
from recon.studies.bench.networks import Part, cube, judged_by, plain_mlp, rivals, width_of
from recon.studies.bench.sizes import Sizes
from recon.tasks.shape.job import PointBatches, ShapeJob
from recon.tasks.shape.settings import ShapeSettings, preset
from recon.training.optim import OptimConfig, ParamGroup, build_optimizer

PRECISIONS: tuple[runtime.Precision, ...] = ("float32", "bf16-inside")
Experts = Callable[[NeuralExperts, Tensor], tuple[Tensor, Tensor]]


def parts(sizes: Sizes) -> list[Part]:
    """All of the benchmark, piece by piece."""
    return [
        *(partial(field_step, sizes=sizes, name=name) for name in FIELDS),
        *(
            partial(expert_step, sizes=sizes, size=size, precision=precision)
            for size in EXPERTS
            for precision in PRECISIONS
        ),
        *(
            partial(step, sizes=sizes, precision=precision)
            for step in (image_step, solid_step)
            for precision in PRECISIONS
        ),
        partial(drawing, sizes=sizes),
    ]


# -- every field ------------------------------------------------------------------------------------------------------


def field_step(meter: Meter, *, sizes: Sizes, name: str) -> Iterator[Row]:
    """A step of `recon sdf` in the quick preset's sizes, against the MLP as wide and as deep."""
    settings = preset("sdf", "quick", name)
    config = settings.field
    mlp = plain_mlp(config, width_of(config) or PeMlpConfig.width)
    try:
        macs = config.build(3, 1).macs()
        ways = {
            name: Way(trainer(meter, sizes, settings, config, sizes.step_batch), sizes.step_batch, macs=macs),
            "mlp": Way(trainer(meter, sizes, settings, mlp, sizes.step_batch), sizes.step_batch),
        }
        row = meter.compare("", ways, mlp="mlp", width=width_of(config))[name]
        note = f"{settings.train.optim.optimizer}; against an MLP {mlp.width} wide of {mlp.layers} layers"
        yield replace(row, name=f"{name}: step", note=note)
    except (ValueError, torch.OutOfMemoryError) as error:
        yield Row(f"{name}: not measured", batch=sizes.step_batch, note=str(error).splitlines()[0][:200])


def random_pool(settings: ShapeSettings, n: int) -> Pool:
    """Points to draw batches from; what their distances are matters to no clock."""
    rng = np.random.default_rng(0)
    counts = settings.sampler.counts(n)
    group = np.repeat(np.arange(len(counts), dtype=np.uint8), counts)
    points = rng.uniform(-1, 1, (n, 3)).astype(np.float32)
    return Pool(points, rng.normal(0, 0.1, n).astype(np.float32), group, settings.sampler, 0)


def trainer(meter: Meter, sizes: Sizes, settings: ShapeSettings, config: FieldConfig, batch: int) -> Callable[[], None]:
    """A job as `recon sdf` trains it, ready for its next step; with a pool of its own, for pools keep their order."""
    pool = random_pool(settings, sizes.pool)
    torch.manual_seed(0)
    run_on = runtime.Runtime(meter.device, "float32", ())
    field = config.build(3, 1).to(meter.device)
    job = ShapeJob("sdf", field, PointBatches(pool, batch), run_on, replace(settings, field=config, experts_last=0.0))
    optimizer = build_optimizer(job.parameter_groups(), settings.train.optim)
    count = itertools.count()

    def step() -> None:
        optimizer.zero_grad()
        torch.stack(list(job.loss(next(count)).values())).sum().backward()
        optimizer.step(1.0)

    return step


def drawing(meter: Meter, *, sizes: Sizes) -> Iterator[Row]:
    """Drawing a batch from the pool, as part of the quick step that uses it."""
    settings = preset("sdf", "quick", sizes.drawn)
    pool, batch = random_pool(settings, sizes.pool), settings.train.batch
    several, count = 20, itertools.count()  # now and then one shuffles, which a median would hide

    def draw() -> None:
        for _ in range(several):
            pool.batch(next(count), batch)

    ways = {
        "drawing its batch": Way(draw, batch, 1 / several),
        "whole": Way(trainer(meter, sizes, settings, settings.field, batch), batch),
    }
    rows = meter.compare(f"{sizes.drawn} quick step", ways, plain="whole")
    row = rows["drawing its batch"]
    yield row.judged(Aim("of a step", most=0.05), row.ratio_plain or 0.0)


# -- Neural Experts ---------------------------------------------------------------------------------------------------


def expert_step(meter: Meter, *, sizes: Sizes, size: str, precision: runtime.Precision) -> Iterator[Row]:
    """One step of the paper's network on a batch of the paper's, against its authors' formulation."""
    config, n = EXPERTS[size], sizes.expert_points
    torch.manual_seed(0)
    field = config.build(3, 1).to(meter.device)
    note = formulations_agree(field)
    x, target = cube(n, meter.device), torch.rand(n, device=meter.device)
    mlp = plain_mlp(config, config.encoder_width)
    plain = mlp.build(3, 1).to(meter.device)
    ways = {
        "ours": Way(step_of(field, lambda: mixture_loss(*field.experts(x), target)), n, macs=field.macs(), note=note),
        "the authors'": Way(
            step_of(field, lambda: mixture_loss(*experts_expanded(field, x), target)), n, macs=expanded_macs(field)
        ),
        "mlp": Way(step_of(plain, lambda: (plain(x)[:, 0] - target).abs().mean()), n, macs=plain.macs()),
    }
    title = f"Neural Experts {size} step, {precision}"
    with products(precision):
        rows = meter.compare(title, ways, plain="the authors'", mlp="mlp", width=mlp.width)
    aim = Aim("times as long as ours", least=2.5 if precision == "bf16-inside" else 1.5)
    yield from judged_by(rows, size == "Large", {"the authors'": aim}, ours="ours")


@contextmanager
def products(precision: runtime.Precision) -> Iterator[None]:
    """Matrix products in this precision, and afterwards as before."""
    before = torch.get_float32_matmul_precision()
    runtime.set_products(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def mixture_loss(
    outputs: Float[Tensor, "n k c"], gate: Float[Tensor, "n k"], target: Float[Tensor, " n"]
) -> Float[Tensor, ""]:
    """Eq. 4 with p = 1."""
    return (gate * (outputs[..., 0] - target[:, None]).abs()).sum(dim=1).mean()


def formulations_agree(field: NeuralExperts) -> str:
    """Words on how far the authors' formulation differs in double precision: loss and gradients."""
    twin = field.config.build(3, 1).double()
    twin.load_state_dict(field.state_dict())
    x, target = cube(256, torch.device("cpu")).double(), torch.rand(256).double()
    found = []
    for outputs, gate in (twin.experts(x), experts_expanded(twin, x)):
        loss = mixture_loss(outputs, gate, target)
        found.append([loss, *torch.autograd.grad(loss, [*twin.parameters()])])
    words = [agree("Neural Experts", a, b, 1e-8) for a, b in zip(*found, strict=True)]
    return f"in float64 the loss's {words[0]}"


def step_of(field: Field, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """Forward, backward and Adam."""
    field.train()
    optimizer = build_optimizer([ParamGroup("all", list(field.parameters()))], OptimConfig(rate=1e-6))

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step(1.0)

    return step


# -- ASMR on whole grids ----------------------------------------------------------------------------------------------


def image_step(meter: Meter, *, sizes: Sizes, precision: runtime.Precision) -> Iterator[Row]:
    """A step on all pixels of an image, against SIREN and the MLP of its size and the authors' shared forward."""
    rows = grid_step(meter, sizes, precision, dims=2, bases=sizes.full_batch, loss=mse_loss)
    aims = {
        "siren": Aim("times as long as ASMR", least=30.0),
        "asmr, authors' sharing": Aim("times as long as ASMR", least=20.0),
    }
    yield from judged_by(rows, meter.on_cpu, aims, ours="asmr")


def solid_step(meter: Meter, *, sizes: Sizes, precision: runtime.Precision) -> Iterator[Row]:
    """A step on all cells of an occupancy grid."""
    rows = grid_step(meter, sizes, precision, dims=3, bases=sizes.solid, loss=binary_cross_entropy_with_logits)
    rows["asmr"] = rows["asmr"].judged(Aim("ms", most=100.0), 1e3 * (rows["asmr"].seconds or 0.0))
    yield from rows.values()


def grid_step(
    meter: Meter,
    sizes: Sizes,
    precision: runtime.Precision,
    *,
    dims: int,
    bases: tuple[int, ...],
    loss: Callable[[Tensor, Tensor], Tensor],
) -> dict[str, Row]:
    """Full-batch steps over a grid; networks that share nothing run on a part of it."""
    torch.manual_seed(0)
    field = AsmrConfig(width=sizes.asmr_width, bases=bases).build(dims, 1).to(meter.device)
    cells = field.prefixes(field.levels)
    note = gradients_agree(field)
    target = torch.rand(field.prefixes(1), cells // field.prefixes(1), 1, device=meter.device).round()
    some = min(sizes.part, cells)
    x, part = cube(some, meter.device, dims), target.flatten(0, 1)[:some]
    siren, mlp = rivals(sizes.asmr_width, field.levels, dims, meter.device)
    macs, scaled = field.shared_macs(), f"scaled from {some:,} points"
    ways = {"asmr": Way(step_of(field, lambda: loss(field.nested(), target)), cells, macs=macs, note=note)}
    for name, other in (("siren", siren), ("mlp", mlp)):
        step = step_of(other, lambda other=other: loss(other(x), part))
        ways[name] = Way(step, cells, cells / some, other.macs(), scaled)
    if dims == 2:  # in 3-D it would take 8 GB and half a minute
        ways["asmr, authors' sharing"] = Way(step_of(field, lambda: loss(asmr_shared(field), target)), cells, macs=macs)
    title = f"{'x'.join(map(str, field.cells))} full batch, {field.levels} levels, step, {precision}"
    with products(precision):
        return meter.compare(title, ways, plain="siren", mlp="mlp", width=sizes.asmr_width)


def gradients_agree(field: Asmr) -> str:
    """Words on how far gradients of the two shared forwards differ."""
    both = (field.nested(), asmr_shared(field))
    found = [torch.autograd.grad(values.square().mean(), [*field.parameters()]) for values in both]
    words = [agree("gradients of ASMR's shared ways", a, b, 1e-2) for a, b in zip(*found, strict=True)]
    return f"gradients: {words[0]}"
