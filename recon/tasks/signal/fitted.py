"""A field that was trained on a signal: its values on the signal's grid, or on a finer one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from recon import runtime
from recon.fields import Field, chunked
from recon.signals.signal import Signal
from recon.tasks.maps import Parts, parts_of
from recon.tasks.signal.job import AT_ONCE, centres


@dataclass
class Fitted:
    """A field and the signal that it learned."""

    field: Field
    signal: Signal
    device: torch.device

    def __post_init__(self) -> None:
        self.field.eval()
        runtime.set_products("float32")

    def values(self, shape: Sequence[int] | None = None) -> Float[np.ndarray, "*shape c"]:
        """Normalised values on the signal's grid, or another one over the same extent, clipped to what they can be."""
        found = self.field.on_grid(tuple(shape or self.signal.shape)).cpu().numpy()
        if self.signal.kind == "sound":
            return np.clip(found, -1, 1, out=found)
        found += 1
        found /= 2
        return np.clip(found, 0, 1, out=found)

    def at(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        """The same at points of the cube; gradients pass where they are enabled."""
        x = x.to(self.device)
        found = self.field(x) if torch.is_grad_enabled() else chunked(self.field, x)
        return found.clamp(-1, 1) if self.signal.kind == "sound" else ((found + 1) / 2).clamp(0, 1)

    def parts(self) -> list[Parts]:
        """The experts or tiles that divide the signal."""
        return parts_of(self.field)

    def labels(self, parts: Parts, shape: Sequence[int]) -> Int[np.ndarray, "*shape"]:
        """The part that serves each cell of a grid."""
        count = math.prod(shape)
        found = np.empty(count, np.int64)
        for start in range(0, count, AT_ONCE):
            index = torch.arange(start, min(start + AT_ONCE, count))
            found[start : start + AT_ONCE] = parts.at(centres(index, shape).to(self.device)).numpy()
        return found.reshape(tuple(shape))
