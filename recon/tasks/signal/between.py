"""What a field says between the points of the signal's grid, where nothing has told it what to say."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from recon.signals.signal import Kind
from recon.tasks.signal.fitted import Fitted

TRIED = 4096
"""Pairs of neighbours along each axis."""
WILD = 0.6
"""Of `detours`, where a finer grid no longer looks like the signal: smooth fields have 0.05 to 0.2, hash grids of
pictures 0.3, but 3 between the frames of a film; pe-mlp with octaves for far larger pictures 1.3."""
WORDS: dict[Kind, tuple[str, ...]] = {
    "image": ("rows of pixels", "columns of pixels"),
    "sound": ("samples",),
    "video": ("frames", "rows of pixels", "columns of pixels"),
}
"""What lies along each axis."""


@torch.no_grad()
def detours(fitted: Fitted) -> list[float]:
    """Along each axis: how far the field is, halfway between neighbouring points of the signal's grid, from the mean
    of its values there, where their difference is 1 (roots of mean squares). 0 for linear pieces."""
    shape, rng, found = fitted.signal.shape, torch.Generator().manual_seed(0), []
    evaluate, sides = fitted.field.evaluator(), torch.tensor(shape)
    for axis, side in enumerate(shape):
        if side == 1:
            found.append(0.0)
            continue
        last = sides - (torch.arange(len(shape)) == axis).long()
        cell = (torch.rand(TRIED, len(shape), generator=rng) * last).long()
        x, step = (cell + 0.5) * (2 / sides) - 1, torch.zeros(len(shape))
        step[axis] = 2 / side
        low, middle, high = (evaluate((x + share * step).to(fitted.device)).double() for share in (0, 0.5, 1))
        off, apart = (float(v.square().mean()) for v in (middle - (low + high) / 2, low - high))
        found.append(math.sqrt(off / apart) if apart else 0.0)
    return found


def warnings_between(fitted: Fitted, axes: Iterable[int]) -> list[str]:
    """What a person should know who looks between the signal's own points along some axes."""
    chosen, words = list(axes), WORDS[fitted.signal.kind]
    ratios = detours(fitted) if chosen else []
    return [
        f"between the {words[axis]} that it learned this field has values of its own, which finer grids and derivatives"
        f" show (halfway they are {ratios[axis]:.1f} times as far from the mean of both as these are from each other); "
        "asmr blends there"
        for axis in chosen
        if ratios[axis] > WILD
    ]
