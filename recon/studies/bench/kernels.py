"""`kernels`: the layers that make the networks fast, each against its plain reference and the ways it replaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

from recon.fields.asmr import AsmrConfig
from recon.fields.neural_experts import NeuralExperts, NeuralExpertsConfig
from recon.kernels.grouped import grouped_linear, order_by_group, permute, restore, routed_linear, runs_triton
from recon.studies.bench.formulations import asmr_shared, expanded_macs, experts_expanded, masked_linear
from recon.studies.bench.measure import Aim, Meter, Row, Way, agree
from recon.studies.bench.networks import Part, cube, judged_by, plain_mlp
from recon.studies.bench.sizes import Sizes

LARGE = NeuralExpertsConfig(encoder_width=512, expert_width=64, manager_width=128)
EXPERTS = {"Large": LARGE, "Small": NeuralExpertsConfig()}
"""The papers' sizes of Neural Experts for surfaces."""


def parts(sizes: Sizes) -> list[Part]:
    """All of the benchmark, piece by piece."""
    return [
        *(partial(tiled_layer, sizes=sizes, width=width) for width in sizes.layer_widths),
        partial(last_level, sizes=sizes),
        *(partial(first_layer, sizes=sizes, size=size) for size in EXPERTS),
        *(partial(routed_inference, sizes=sizes, size=size) for size in EXPERTS),
    ]


def tiled_layer(meter: Meter, *, sizes: Sizes, width: int) -> Iterator[Row]:
    """One layer of Levels of Experts, forward and backward, sorting included; the next layer would unsort."""
    torch.manual_seed(0)
    device, n, tiles = meter.device, sizes.points, sizes.tiles
    x = torch.randn(n, width, device=device, requires_grad=True)
    tile = torch.randint(tiles, (n,), device=device)
    bank = (torch.randn(tiles, width, width, device=device) / width**0.5).requires_grad_()
    bias = torch.zeros(width, device=device, requires_grad=True)
    matrix, out = bank[0].detach().clone().requires_grad_(), torch.randn(n, width, device=device)

    def in_torch() -> Tensor:
        order = order_by_group(tile, tiles)
        return grouped_linear(permute(x, order), order.sizes(), bank, bias.expand(tiles, -1))

    def step(make: Callable[[], Tensor], weight: Tensor = bank) -> list[Tensor]:
        y = make()
        return [y, *torch.autograd.grad(y, [x, weight, bias], out)]

    def ours() -> Tensor:
        return routed_linear(x, order_by_group(tile, tiles), bank, bias)

    def masks() -> Tensor:
        return masked_linear(x, tile, bank, bias)

    order = order_by_group(tile, tiles)
    theirs, own = step(masks), step(lambda: restore(ours(), order))
    bound = 1e-2 if runs_triton(x) else 1e-4
    note = [agree("a layer with tiles", a, b, bound) for a, b in zip(own, theirs, strict=True)]
    macs = float(width * width)
    ways = {
        "tiles": Way(lambda: step(ours), n, macs=macs, note=f"{tiles} tiles; {note[0]}"),
        "plain layer": Way(lambda: step(lambda: linear(x, matrix, bias), matrix), n, macs=macs),
        "loop with masks": Way(lambda: step(masks), n, macs=macs, note=f"{tiles} tiles"),
    }
    if runs_triton(x):
        ways["tiles, without Triton"] = Way(lambda: step(in_torch), n, macs=macs, note=f"{tiles} tiles")
    title = f"LoE layer {width} wide, forward and backward"
    rows = meter.compare(title, ways, plain="plain layer", mlp="plain layer", width=width)
    aim = Aim("times the plain layer", most=1.5 if meter.on_cpu else 1.3)
    rows["tiles"] = rows["tiles"].judged(aim, rows["tiles"].ratio_plain or 0.0)
    yield from judged_by(rows, True, {"loop with masks": Aim("times as long as tiles", least=8.0)}, ours="tiles")


@torch.no_grad()
def last_level(meter: Meter, *, sizes: Sizes) -> Iterator[Row]:
    """ASMR of two levels, which is its last level and little else: one product, against a sine for each cell."""
    torch.manual_seed(0)
    field = AsmrConfig(width=sizes.asmr_width, bases=sizes.last_level).build(2, 1).to(meter.device)
    cells = field.cells[0] * field.cells[1]
    note = agree("ASMR's last level", field.nested(), asmr_shared(field), 1e-3)
    ways = {
        "product": Way(field.nested, cells, macs=field.shared_macs(), note=note),
        "sine per cell": Way(lambda: asmr_shared(field), cells, macs=field.shared_macs()),
    }
    rows = meter.compare("ASMR last level, forward", ways, plain="sine per cell", width=sizes.asmr_width)
    yield from rows.values()


def first_layer(meter: Meter, *, sizes: Sizes, size: str) -> Iterator[Row]:
    """The experts' first layer, forward and backward: they share their input, so it can be one product."""
    torch.manual_seed(0)
    config, n = EXPERTS[size], sizes.points
    k, wide, inner = config.experts, config.encoder_width, config.expert_width
    x = torch.randn(n, wide, device=meter.device, requires_grad=True)
    bank = (torch.randn(k, inner, wide, device=meter.device) / wide**0.5).requires_grad_()
    out = torch.randn(k, n, inner, device=meter.device)

    def one() -> Tensor:
        return linear(x, bank.flatten(0, 1)).reshape(n, k, inner).transpose(0, 1)

    def expanded() -> Tensor:
        return torch.bmm(x.unsqueeze(0).expand(k, -1, -1), bank.transpose(1, 2))

    def step(make: Callable[[], Tensor]) -> tuple[Tensor, ...]:
        return torch.autograd.grad(make(), [x, bank], out)

    note = [agree("the experts' first layer", a, b, 1e-3) for a, b in zip(step(one), step(expanded), strict=True)]
    macs = float(k * wide * inner)
    ways = {
        "one product": Way(lambda: step(one), n, macs=macs, note=f"gradients: {note[1]}"),
        "expanded batched products": Way(lambda: step(expanded), n, macs=macs),
    }
    title = f"Neural Experts {size}, first layer, forward and backward"
    yield from meter.compare(title, ways, plain="expanded batched products", width=inner).values()


@torch.no_grad()
def routed_inference(meter: Meter, *, sizes: Sizes, size: str) -> Iterator[Row]:
    """Each point through its own expert, against all experts and picking one, ours and the authors'."""
    torch.manual_seed(0)
    config, n = EXPERTS[size], sizes.points
    field, x = config.build(3, 1).to(meter.device).eval(), cube(n, meter.device)
    balance(field, x)
    mlp = plain_mlp(config, config.encoder_width).build(3, 1).to(meter.device)

    def pick(outputs: Float[Tensor, "n k c"], gate: Float[Tensor, "n k"]) -> Float[Tensor, "n c"]:
        return outputs[torch.arange(len(gate), device=gate.device), gate.argmax(dim=1)]

    # Where two experts are equally sure, rounding decides: all but the closest calls are compared.
    off = (field.routed(x) - pick(*field.experts(x))).abs().amax(dim=1)
    if float((off > 1e-3).double().mean()) > 1e-2:
        raise RuntimeError(f"routed inference gives other values than all experts do: {float(off.max()):.1e}")
    macs = field.macs()
    ways = {
        "routed": Way(lambda: field.routed(x), n, macs=field.routed_macs()),
        "all experts": Way(
            lambda: pick(*field.experts(x)), n, macs=macs, note=f"{macs / field.routed_macs():.2f} times the products"
        ),
        "the authors'": Way(lambda: pick(*experts_expanded(field, x)), n, macs=expanded_macs(field)),
        "mlp": Way(lambda: mlp(x), n, macs=mlp.macs()),
    }
    title = f"Neural Experts {size}, {config.experts} experts, inference"
    rows = meter.compare(title, ways, plain="all experts", mlp="mlp", width=config.encoder_width)
    aim = Aim("times as long as routed", least=2.0)
    yield from judged_by(rows, True, {"all experts": aim, "the authors'": aim}, ours="routed")


@torch.no_grad()
def balance(field: NeuralExperts, x: Float[Tensor, "n d"]) -> None:
    """Moves the untrained gate so that each expert gets points, as training does: else one would get nearly all."""
    last = field.manager[-1]
    assert isinstance(last, torch.nn.Linear)
    last.bias.sub_(field.gate_logits(x, field.encode(x)).mean(dim=0))
