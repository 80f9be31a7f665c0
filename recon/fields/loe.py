"""Levels of Experts: an MLP whose layers choose their matrix by where a point lies on cyclic grids, coarse to fine.

With p = (x + 1) / 2 in [0, 1], layer i reads tile floor(q) mod n_i per axis, q = alpha_i p + beta_i (LoE, Eq. 3 to 5),
or blends the matrices of the 2^d tiles around q. Points beyond the cube have the tiles of its nearest face.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recon.fields.base import Field, FieldConfig
from recon.fields.layers import uniform_
from recon.fields.pe_mlp import check_frequencies, positional_encoding
from recon.kernels.grouped import Order, order_by_group, restore, routed_linear
from recon.kernels.products import linear

CHOICES = {
    "hierarchy": ("coarse-to-fine", "none", "interleaved", "chunked", "random-affine"),
    "blending": ("nearest", "linear"),
    "encoding": ("positional", "constant"),
    "shift": ("none", "random"),
}

MAX_TILES = 1 << 16
"""Refuse layers of more matrices than this."""


@dataclass(frozen=True)
class LoeConfig(FieldConfig):
    """Levels of Experts: a positional encoding and a ReLU network with tiled weights."""

    paper: ClassVar[str] = "Hao et al. 2022"
    purpose: ClassVar[str] = "scenes, pictures and video: 64 times the weights at the same cost per point"

    width: int = 256
    """Units of each hidden layer."""
    layers: int = 5
    """Linear layers in all, last included."""
    frequencies: int = 10
    """Octaves of the encoding; the highest is 2^(frequencies - 1) half waves across half the cube."""
    tiles: tuple[int, ...] = (4, 4, 4, 4, 4)
    """Matrices per axis of each tiled layer, first layer first; layers beyond the list have one matrix everywhere."""
    axis_tiles: tuple[tuple[int, ...], ...] = ()
    """Tiles axis by axis, where axes differ; replaces `tiles`."""
    blending: Literal["nearest", "linear"] = "nearest"
    """Use the matrix of a point's own tile, or blend those of the 2^d tiles around it (at 2^d times the cost)."""
    hierarchy: Literal["coarse-to-fine", "none", "interleaved", "chunked", "random-affine"] = "coarse-to-fine"
    """Cells of layer i per axis: the product of the tiles so far. Or the paper's ablations: the middle layer's in all
    layers (it doesn't say whose); the last layer's in all; as many as tiles, so that nothing repeats; or the product,
    but each grid rotated and moved at random."""
    shift: Literal["none", "random"] = "none"
    """Grids begin at the cube's corner, so that the first covers it once, or at random places."""
    encoding: Literal["positional", "constant"] = "positional"
    """What the first layer sees; "constant" is the paper's ablation that knows the position from its tiles alone."""
    slope: float = 0.0
    """Of the activation below zero: 0 is ReLU."""

    def __post_init__(self) -> None:
        if self.width < 1 or self.layers < 2:
            raise ValueError(f"loe needs width >= 1 and layers >= 2, got {self.width} and {self.layers}")
        check_frequencies(self.frequencies)
        counts = [*self.axis_tiles, *([] if self.axis_tiles else [self.tiles])]
        if len({len(axis) for axis in counts}) != 1 or any(n < 1 for axis in counts for n in axis):
            raise ValueError(f"loe needs positive tiles, for the same number of layers on each axis, got {self}")
        if not 1 <= len(counts[0]) <= self.layers:
            raise ValueError(f"loe needs tiles for 1 to {self.layers} layers, got {len(counts[0])}: {self}")
        if not 0 <= self.slope < 1:
            raise ValueError(f"slope must lie in [0, 1), got {self.slope}")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be {', '.join(known[:-1])} or {known[-1]}, got '{getattr(self, name)}'")

    def build(self, in_dim: int, out_dim: int) -> Loe:
        return Loe(self, in_dim, out_dim)


class Loe(Field):
    """63 -> 256, 3 x 256 -> 256, 256 -> 256 with 4^3 tiles each is the paper's NeRF without its head."""

    cells: Tensor
    shift: Tensor
    rotation: Tensor

    def __init__(self, config: LoeConfig, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        axes = config.axis_tiles or (config.tiles,) * in_dim
        if len(axes) != in_dim:
            raise ValueError(f"loe's axis_tiles name {len(axes)} axes, but points have {in_dim} coordinates")
        self.config = config
        self.tiles = list(zip(*axes, strict=True))  # of each tiled layer, axis by axis
        if max(map(math.prod, self.tiles)) > MAX_TILES:
            raise ValueError(f"loe has {self.tiles} tiles in its layers; at most {MAX_TILES:,} in each")
        encoded = in_dim * (1 + 2 * config.frequencies) if config.encoding == "positional" else 1
        widths = [encoded, *[config.width] * (config.layers - 1), out_dim]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for layer, (i, o) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            bank = (math.prod(self.tiles[layer]),) if layer < len(self.tiles) else ()
            weight = nn.Parameter(torch.empty(*bank, o, i))
            uniform_(weight, math.sqrt(6 / (1 + config.slope**2) / i))  # Kaiming, by the fan-in of one tile
            self.weights.append(weight)
            self.biases.append(nn.Parameter(torch.zeros(o)))
        self._place_grids()

    def _place_grids(self) -> None:
        """alpha, beta and the rotation of each tiled layer's grid, as buffers: they belong to the state."""
        finest = torch.tensor(self.tiles, dtype=torch.float32).cumprod(dim=0)
        one = {"none": finest[len(finest) // 2], "interleaved": finest[-1], "chunked": torch.tensor(self.tiles)}
        layers, dims = finest.shape
        hierarchy = self.config.hierarchy
        rotation = torch.eye(dims).repeat(layers, 1, 1)
        if hierarchy == "random-affine":
            rotation = torch.linalg.qr(torch.randn(layers, dims, dims)).Q
        moved = self.config.shift == "random" or hierarchy == "random-affine"
        # A grid repeats after `tiles` cells: further shifts would be none.
        shift = torch.rand(layers, dims) * torch.tensor(self.tiles) if moved else torch.zeros(layers, dims)
        self.register_buffer("cells", one.get(hierarchy, finest).expand(layers, dims).to(finest).clone())
        self.register_buffer("shift", shift)
        self.register_buffer("rotation", rotation)

    # -- where points lie ---------------------------------------------------------------------------------------------

    def unit(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """p in [0, 1). The far face belongs to the last cell: 1 would begin the next, which is the first tile again."""
        p = ((x + 1) / 2).clamp(0, 1 - torch.finfo(x.dtype).eps / 2)
        return p.T.contiguous().T  # each axis in one piece: what follows goes axis by axis

    def grid_points(self, p: Float[Tensor, "n d"], layer: int) -> Float[Tensor, "n d"]:
        """q = alpha p + beta of a tiled layer: tile j of an axis begins at j, and again after every n."""
        if self.config.hierarchy == "random-affine":
            p = (p[:, None] * self.rotation[layer]).sum(dim=2)  # no matrix product: those may be rounded
        return p * self.cells[layer] + self.shift[layer]

    def _tile(self, corner: Float[Tensor, "n d"], layer: int) -> Int[Tensor, " n"]:
        """Number of the tile at whole numbers q, axis 0 slowest."""
        number = torch.zeros(len(corner), dtype=torch.int32, device=corner.device)
        for axis, n in enumerate(self.tiles[layer]):  # whole numbers: bfloat16 holds none above 256 exactly
            number = number * n + corner[:, axis].remainder(n).int().clamp_(max=n - 1)
        return number

    def nearest(self, p: Float[Tensor, "n d"], layer: int) -> Int[Tensor, " n"]:
        """The tile that each point lies in (Eq. 5)."""
        return self._tile(self.grid_points(p.detach(), layer).floor_(), layer)

    def around(self, p: Float[Tensor, "n d"], layer: int) -> tuple[Int[Tensor, "n k"], Float[Tensor, "n k"]]:
        """The 2^d tiles around each point and the product of their hats (Eq. 4)."""
        q = self.grid_points(p, layer)
        low = q.detach().floor()
        t = q - low
        tiles, weights = [], []
        for bits in itertools.product((0, 1), repeat=self.in_dim):
            corner = torch.tensor(bits, device=p.device)
            tiles.append(self._tile(low + corner, layer))
            weights.append(torch.where(corner.bool(), t, 1 - t).prod(dim=1))
        return torch.stack(tiles, dim=1), torch.stack(weights, dim=1)

    # -- values -------------------------------------------------------------------------------------------------------

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        if self.config.encoding == "positional":
            h = positional_encoding(x, self.config.frequencies)
        else:
            h = torch.ones_like(x[:, :1])
        p = self.unit(x)
        order: Order | None = None
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if layer:
                h = nn.functional.leaky_relu_(h, self.config.slope) if self.config.slope else torch.relu_(h)
            if layer >= len(self.tiles):
                h = linear(h, weight, bias)
            elif self.config.blending == "linear":
                h = self._blended(p, h, layer)
            else:
                # Rows stay in the order of their layer's tiles; the next layer sorts them on from there.
                own = order_by_group(self.nearest(p, layer), len(weight))
                h = routed_linear(h, own.after(order) if order else own, weight, bias)
                order = own
        return restore(h, order) if order else h

    def _blended(self, p: Float[Tensor, "n d"], h: Float[Tensor, "n i"], layer: int) -> Float[Tensor, "n o"]:
        """Each point goes through 2^d matrices, weighted (the layer is linear: weighting its input is the same)."""
        weight, bias = self.weights[layer], self.biases[layer]
        tiles, hats = self.around(p, layer)
        order = order_by_group(tiles.flatten(), len(weight))
        rows = (h[:, None] * hats[..., None]).flatten(0, 1)
        y = restore(routed_linear(rows, order, weight, torch.zeros_like(bias)), order)
        return y.unflatten(0, tiles.shape).sum(dim=1) + bias

    # -- counts -------------------------------------------------------------------------------------------------------

    def macs(self) -> int:
        around = 2**self.in_dim if self.config.blending == "linear" else 1
        matrices = [w.shape[-2] * w.shape[-1] for w in self.weights]
        tiled = len(self.tiles)
        return around * sum(matrices[:tiled]) + sum(matrices[tiled:])

    def profiler_macs(self) -> float:
        return float(self.macs() + sum(bias.numel() for bias in self.biases))

    def matrices(self) -> Iterator[nn.Parameter]:
        yield from (weight for weight in self.weights[:-1] if min(weight.shape[-2:]) > 8)
