"""BACON: products of sines whose frequencies are whole and bounded, with an output a band (Lindell et al. 2022).

z_0 = g_0(x), z_i = (W_i z_{i-1} + b_i) g_i(x), g(x) = sin(pi k x + phi), k whole numbers drawn once, |k| <= its band.
The cube [-1, 1]^d is one period. A product of sines adds their frequencies, so an output after some layers holds none
above the sum of the bands so far: it is band-limited whatever the weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recon.fields.base import Field, FieldConfig
from recon.fields.layers import Linear, hidden_matrices, linear_macs, uniform_
from recon.kernels.products import linear

MAX_BAND = 1 << 24
"""float32 holds all whole numbers up to this."""


@dataclass(frozen=True)
class BaconConfig(FieldConfig):
    """BACON: band-limited outputs, coarse to fine."""

    paper: ClassVar[str] = "Lindell et al. 2022"
    purpose: ClassVar[str] = "one network at several levels of detail, each band-limited"

    width: int = 256
    """Units of each layer."""
    band: int = 192
    """Periods across the cube, along each axis, that the divisors divide: the finest output's with these."""
    divisors: tuple[int, ...] = (24, 16, 8, 4)
    """An output for each: its layers' sines have frequencies up to band / divisor. Coarse to fine."""
    layers: int = 2
    """Layers that lead to each output from the one before."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.layers < 1:
            raise ValueError(f"bacon needs a positive width and at least 1 layer, got {self.width} and {self.layers}")
        if not self.divisors or min(self.divisors) < 1:
            raise ValueError(f"divisors must be at least 1, and there must be one, got {self.divisors}")
        if min(self.steps()) < 1:
            raise ValueError(f"band must be at least the largest of the divisors {self.divisors}, got {self.band}")
        if self.band > MAX_BAND:
            raise ValueError(f"band must be at most {MAX_BAND:,}, the whole numbers of float32, got {self.band:,}")

    def steps(self) -> tuple[int, ...]:
        """Highest frequency of each output's filter, in periods across the cube."""
        return tuple(round(self.band / divisor) for divisor in self.divisors)

    def bands(self) -> tuple[int, ...]:
        """Highest frequency of each output along each axis, in periods across the cube."""
        first, *others = self.steps()  # the first filter also starts the product: it occurs once more
        return tuple(accumulate([(self.layers + 1) * first, *(self.layers * step for step in others)]))

    def build(self, in_dim: int, out_dim: int) -> Bacon:
        return Bacon(self, in_dim, out_dim)


class Waves(nn.Module):
    """sin(pi k x + phi): frequencies k drawn from the whole numbers within ±band for good, phases phi trained."""

    def __init__(self, in_dim: int, width: int, band: int) -> None:
        super().__init__()
        self.frequencies: Tensor
        self.register_buffer(
            "frequencies", torch.randint(-band, band + 1, (width, in_dim)).to(torch.get_default_dtype())
        )
        self.phases = nn.Parameter(torch.empty(width))
        uniform_(self.phases, math.pi)

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n w"]:
        # pi meets the points, so that the buffer holds whole numbers and stays exact in every precision
        return torch.sin(linear(math.pi * x, self.frequencies, self.phases))


class Bacon(Field):
    """The network of the paper's shapes; 3 -> 1 has 528,388 trained parameters.

    Its code holds 2,565 more, which no output depends on: all layers of one output share one filter. `macs` counts
    all outputs, `routed_macs` the finest alone, which is what `forward` gives."""

    def __init__(self, config: BaconConfig, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        w, self.layers = config.width, config.layers
        self.waves = nn.ModuleList(Waves(in_dim, w, step) for step in config.steps())
        hidden = [Linear(w, w) for _ in range(config.layers * len(config.divisors))]
        outs = [nn.Linear(w, out_dim) for _ in config.divisors]
        for layer in (*hidden, *outs):
            uniform_(layer.weight, math.sqrt(6 / w))
        self.hidden, self.outs = nn.ModuleList(hidden), nn.ModuleList(outs)

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        *_, finest = self._features(x)
        return self.outs[-1](finest)

    def outputs(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n s c"]:
        """Values at every level of detail, coarse to fine; the last is `forward`'s."""
        features = zip(self.outs, self._features(x), strict=True)
        return torch.stack([out(z) for out, z in features], dim=1)

    def _features(self, x: Float[Tensor, "n d"]) -> Iterator[Float[Tensor, "n w"]]:
        """The product so far, each time that an output is due."""
        for i, waves in enumerate(self.waves):
            g = waves(x)
            z = z if i else g
            for layer in self.hidden[i * self.layers : (i + 1) * self.layers]:
                z = layer(z) * g
            yield z

    def macs(self) -> int:
        return linear_macs(self) + sum(int(waves.frequencies.numel()) for waves in self._waves())

    def routed_macs(self) -> int:
        return self.macs() - linear_macs(self.outs[:-1])

    def profiler_macs(self) -> float:
        return super().profiler_macs() + sum(waves.phases.numel() for waves in self._waves())

    def matrices(self) -> Iterator[nn.Parameter]:
        yield from hidden_matrices(self.hidden)

    def _waves(self) -> Iterator[Waves]:
        return (module for module in self.modules() if isinstance(module, Waves))
