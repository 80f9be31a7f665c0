"""Which part of a field serves a point: the expert that a mixture chose, or the tile or network of a grid's cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recon.fields import Field
from recon.fields.kilonerf import KiloNerf
from recon.fields.loe import Loe
from recon.fields.neural_experts import NeuralExperts

FINEST = 64
"""Cells along an axis; finer ones would not be told apart."""
MOST = 3
"""Levels of one field."""


@dataclass(frozen=True)
class Parts:
    """One way in which a field divides the cube."""

    kind: Literal["experts", "tiles"]
    title: str
    count: int
    """Labels lie below it."""
    _label: Callable[[Tensor], Tensor]

    @torch.no_grad()
    def at(self, x: Float[Tensor, "n d"], chunk: int = 1 << 16) -> Int[Tensor, " n"]:
        """The part that serves each point of the cube."""
        return torch.cat([self._label(part) for part in x.split(chunk)]).long().cpu()


def parts_of(field: Field) -> list[Parts]:
    """The experts of a mixture; the levels of a tiled field, coarse to fine; nothing for other fields."""
    if isinstance(field, NeuralExperts):
        return [Parts("experts", "experts", field.config.experts, field.assign)]
    if isinstance(field, KiloNerf):
        title = f"{_times(field.nets)} networks"
        return [Parts("tiles", title, field.count, lambda x: field.locate(x.clamp(-1, 1))[0])]
    if not isinstance(field, Loe):
        return []
    found = []
    for layer, tiles in enumerate(field.tiles):
        cells = [round(float(count)) for count in field.cells[layer]]
        if max(cells) <= FINEST and (not found or cells != [round(float(c)) for c in field.cells[layer - 1]]):
            again = "" if cells == list(tiles) else f" of {_times(tiles)} tiles"
            title = f"layer {layer + 1}: {_times(cells)} cells{again}"
            found.append(Parts("tiles", title, len(field.weights[layer]), partial(_tile, field, layer)))
    return found[:MOST]


def _tile(field: Loe, layer: int, x: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
    return field.nearest(field.unit(x), layer)


def _times(counts: tuple[int, ...] | list[int]) -> str:
    return " × ".join(map(str, counts))
