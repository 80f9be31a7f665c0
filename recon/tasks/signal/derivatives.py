"""Derivatives of a picture and of its field: gradient and Laplacian of the mean of the colours, per pixel.

Colours are u = (f + 1) / 2 in [0, 1] of a field f of the cube, on which a pixel is 2 / N long where the picture has N:
du/dpixel = f' / N and d2u/dpixel2 = 2 f'' / N^2. Alpha is no colour. Axis 0 goes down, axis 1 to the right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recon.fields import Field
from recon.fields.asmr import Asmr
from recon.signals.signal import Signal
from recon.tasks.bench import Say
from recon.tasks.signal.fitted import Fitted, told

Order = Literal[1, 2]
CHUNK = 1 << 13
"""Points at once: their activations are kept, and those of their gradients."""
TRIED = 512
"""Points at which autograd is tried."""
STEP, SUMMED = 1 / 16, 8
"""Of a pixel, and at how many places in it second derivatives are summed, to find kinks."""
KINKED = 0.1
"""Of `jumps_of`: smooth fields have 0.005 at most, networks of ReLU and grids 0.5 to 1."""


@dataclass(frozen=True)
class Slopes:
    """First and second derivatives on a grid."""

    gradient: Float[np.ndarray, "h w 2"]
    laplacian: Float[np.ndarray, "h w"]


@dataclass(frozen=True)
class Way:
    """How a field's derivatives are found."""

    method: Literal["autograd", "differences"]
    why: str = ""
    """Of differences, in a sentence."""


def slopes_of_picture(signal: Signal) -> Slopes:
    """The truth's, by central differences."""
    return differences(signal.normalised()[..., : colours_of(signal)].mean(axis=-1))


def slopes_of_field(fitted: Fitted, shape: tuple[int, int], order: Order, say: Say) -> tuple[Slopes, Way]:
    """The field's own, and how they were found: by autograd at the centres of a grid's cells, or by differences of its
    values at the signal's pixels, whatever the grid. Of order 1 the Laplacian by autograd is left 0."""
    signal, way, colours = fitted.signal, way_of(fitted, order), colours_of(fitted.signal)
    if way.method == "differences":
        values = np.empty(signal.shape, np.float32)
        flat = values.reshape(-1)
        for part, found in fitted.outputs(signal.shape):
            flat[part] = ((found[:, :colours].mean(dim=1) + 1) / 2).cpu().numpy()
        return differences(values), way
    made = Slopes(np.empty((*shape, 2), np.float32), np.zeros(shape, np.float32))
    gradient, laplacian = made.gradient.reshape(-1, 2), made.laplacian.reshape(-1)
    for part, x in told(fitted.points(shape, None, CHUNK), len(laplacian), say):
        first, second = slopes_at(fitted.field, x, colours, signal.shape, order)
        gradient[part], laplacian[part] = first.cpu().numpy(), second.sum(dim=1).cpu().numpy()
    return made, way


def way_of(fitted: Fitted, order: Order) -> Way:
    """Autograd where it tells of a field's derivatives of an order; else differences, and why."""
    field = fitted.field
    if isinstance(field, Asmr) and not field.config.offset:
        return Way("differences", "asmr has its values at pixels and only joins them in between, without own slopes")
    rng = torch.Generator().manual_seed(0)
    x = (torch.rand(TRIED, field.in_dim, generator=rng) * 2 - 1).to(fitted.device)
    try:
        first, _ = slopes_at(field, x, colours_of(fitted.signal), fitted.signal.shape, order)
        jumps = jumps_of(fitted, x) if order == 2 else 0.0
    except RuntimeError as error:  # what torch, or a field's own function, cannot take the derivative of
        return Way("differences", f"autograd can't ({str(error).splitlines()[0][:120]})")
    if not first.any():
        return Way("differences", "the field is constant within its parts: its slopes are 0 almost everywhere")
    if jumps > KINKED:
        return Way("differences", "the field's slopes change in jumps (ReLU, cells of grids), which autograd misses")
    return Way("autograd")


def jumps_of(fitted: Fitted, x: Float[Tensor, "n d"]) -> float:
    """How much of the changes of a field's slopes comes without a second derivative, from 0 (smooth) to 1 (linear
    pieces): what the slopes along an axis change within a small step, against the second derivatives summed over it.
    Steps from one expert or tile to the next are left out: there values jump too, and each has slopes of its own."""
    field, sides, colours = fitted.field, fitted.signal.shape, colours_of(fitted.signal)
    missing = total = 0.0
    for axis, side in enumerate(sides):
        step = torch.zeros_like(x[:1])
        step[0, axis] = STEP * 2 / side
        stays = [part.at(x) == part.at(x + step) for part in fitted.parts()]
        inside = torch.stack([*stays, torch.ones(len(x), dtype=torch.bool)]).all(dim=0).to(x.device)
        before, after = (slopes_at(field, x + end * step, colours, sides, 1)[0][:, axis] for end in (0, 1))
        middles = [(number + 0.5) / SUMMED for number in range(SUMMED)]
        second = [slopes_at(field, x + middle * step, colours, sides, 2)[1][:, axis] for middle in middles]
        smooth = torch.stack(second).mean(dim=0) * STEP
        missing += float((after - before - smooth)[inside].double().abs().sum())
        total += float((after - before)[inside].double().abs().sum())
    return missing / total if total else 1.0


def slopes_at(
    field: Field, x: Float[Tensor, "n d"], colours: int, sides: tuple[int, ...], order: Order
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
    """First derivatives, and where the order is 2 the second ones along each axis (else 0), by autograd. Points must
    not talk to each other: then the derivatives of a sum of values are those of each."""
    pixels, second = x.new_tensor(sides), torch.zeros_like(x)
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        first = _slope(field(x)[:, :colours].mean(dim=1), x, further=order == 2) / pixels
        for axis, side in enumerate(sides if order == 2 else ()):
            second[:, axis] = _slope(first[:, axis], x, keep=True)[:, axis] * 2 / side
    return first.detach(), second


def differences(values: Float[np.ndarray, "h w"]) -> Slopes:
    """Central differences of pixels; beyond the border they go on linearly."""
    made = Slopes(np.zeros((*values.shape, 2), values.dtype), np.zeros_like(values))
    for axis in range(2):
        before, after = _neighbours(values, axis)
        made.gradient[..., axis] = (after - before) / 2
        made.laplacian[...] += after - 2 * values + before
    return made


def colours_of(signal: Signal) -> int:
    """Channels that are no alpha."""
    return 1 if signal.channels <= 2 else 3


def _slope(
    values: Float[Tensor, " n"], x: Float[Tensor, "n d"], keep: bool = False, further: bool = False
) -> Float[Tensor, "n d"]:
    """Derivatives of each value by its own point; 0 where none depends on it. The graph may be kept for others of the
    same values, or made `further` for derivatives of what is returned."""
    if not values.requires_grad:
        return torch.zeros_like(x)
    (found,) = torch.autograd.grad(values.sum(), x, None, keep or further, further, allow_unused=True)
    return torch.zeros_like(x) if found is None else found


def _neighbours(
    values: Float[np.ndarray, "h w"], axis: int
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    if values.shape[axis] == 1:
        return values, values
    around = [(0, 0), (0, 0)]
    around[axis] = (1, 1)
    padded = np.pad(values, around, mode="reflect", reflect_type="odd")
    return (padded[:-2], padded[2:]) if axis == 0 else (padded[:, :-2], padded[:, 2:])
