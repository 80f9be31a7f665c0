"""Radiance fields: any field from the cube to features, in a space, with a head for density and colour by direction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recon.fields.base import Field, FieldConfig
from recon.fields.layers import linear_macs, relu_stack
from recon.fields.pe_mlp import positional_encoding
from recon.geometry import Space

DIRECTION_FREQUENCIES = 4
"""Octaves of the encoding of directions (NeRF, section 5.1): 27 numbers with the direction itself."""


@dataclass(frozen=True)
class HeadConfig:
    """How features become density and colour."""

    kind: Literal["view", "direct"] = "view"
    """view: NeRF's head, a density layer and a network of feature and direction. direct: the field's own four outputs
    are density and colour, the same from everywhere."""
    features: int = 256
    """Outputs of the field that feed the head (view)."""
    width: int = 128
    """Hidden units of the colour network (view)."""
    gain: float = 1.0
    """Features are multiplied by this: those of sine networks begin tiny."""
    density_bias: float = 0.0
    """Added to the density's input to the activation: below 0, space starts thin."""
    density_scale: float = 25.0
    """Density, per half length of the cube, where the activation is 1."""

    def __post_init__(self) -> None:
        if self.features < 1 or self.width < 1 or not (self.density_scale > 0 and self.gain > 0):
            raise ValueError(f"a head needs positive features, width, gain and density_scale, got {self}")


EVEN = 1024
"""Points are brought to a multiple of so many, where products are rounded: oneDNN compiles each product of a new size,
and keeps it. Rays have a new number of samples at each step. (Lego, 500 steps, AMD with bfloat16: PE MLP 1.9 GB
as they come, 0.9 GB evened.)"""


def _evened(x: Float[Tensor, "n 3"]) -> Float[Tensor, "m 3"]:
    """With the last row once more, as often as it takes."""
    lacking = -len(x) % EVEN
    if not lacking or not len(x) or x.device.type != "cpu" or torch.get_float32_matmul_precision() == "highest":
        return x
    return torch.cat([x, x[-1:].expand(lacking, 3)])


class RadianceField(nn.Module):
    """Density and colour of world points (LoE, section 4.3; NeRF, section 3).

    Density is softplus(raw + bias) times a scale per length in the cube, turned into one per world unit where the
    point lies: a field need not know how large its scene is, nor how far it was drawn in."""

    def __init__(self, config: FieldConfig, head: HeadConfig, space: Space) -> None:
        super().__init__()
        self.head, self.space = head, space
        self.field: Field = config.build(3, head.features if head.kind == "view" else 4)
        self._read: Callable[[Tensor], Tensor] | None = None
        if head.kind == "view":
            self.density_layer = nn.Linear(head.features, 1)
            nn.init.zeros_(self.density_layer.bias)
            encoded = 3 * (1 + 2 * DIRECTION_FREQUENCIES)
            self.colour = relu_stack([head.features + encoded, head.width, 3])

    def cube_density(self, u: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Density per unit of length in the cube, at points of the cube."""
        return self._activate(self._raw(self._features(u)))

    def density(self, x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        """Density per world unit at world points."""
        return self.cube_density(self.space.to_cube(x)) * self.space.rate(x)

    def forward(self, x: Float[Tensor, "n 3"], d: Float[Tensor, "n 3"]) -> tuple[Tensor, Tensor]:
        """Colours [n 3] in [0, 1] seen in unit directions d, and densities [n] per world unit, at world points."""
        count = len(x)
        x, d = _evened(x), _evened(d)
        features, density = self.features(x)
        return self.colour_of(features, d)[:count], density[:count]

    def features(self, x: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "n c"], Float[Tensor, " n"]]:
        """What `colour_of` needs, and densities per world unit, at world points."""
        features = self._features(self.space.to_cube(x))
        return features, self._activate(self._raw(features)) * self.space.rate(x)

    @contextmanager
    def reading(self, evaluator: Callable[[Tensor], Tensor]) -> Iterator[None]:
        """Within, what needs no gradients comes from the field's evaluator: for some fields a table, far cheaper for
        many points. It shows the field as it was when the evaluator was made."""
        self._read = evaluator
        try:
            yield
        finally:
            self._read = None

    def _features(self, u: Tensor) -> Tensor:
        values = self._read(u) if self._read and not torch.is_grad_enabled() else self.field(u)
        return values if self.head.gain == 1 else self.head.gain * values

    def _raw(self, features: Tensor) -> Tensor:
        return self.density_layer(features)[:, 0] if self.head.kind == "view" else features[:, 0]

    def _activate(self, raw: Tensor) -> Tensor:
        return self.head.density_scale * nn.functional.softplus(raw + self.head.density_bias)

    def colour_of(self, features: Float[Tensor, "n c"], d: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
        """Colours in [0, 1] of points seen in unit directions."""
        if self.head.kind == "direct":
            return torch.sigmoid(features[:, 1:])
        encoded = positional_encoding(d, DIRECTION_FREQUENCIES)
        return torch.sigmoid(self.colour(torch.cat([features, encoded], dim=1)))

    def macs(self) -> int:
        """Multiply-accumulates per sample, head included."""
        head = 0
        if self.head.kind == "view":
            head = linear_macs(self.density_layer) + linear_macs(self.colour)
        return self.field.macs() + head
