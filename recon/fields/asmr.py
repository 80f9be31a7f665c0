"""ASMR: activation sharing over a grid whose cells are addressed digit by digit, coarse to fine.

An axis of N = B_0 B_1 ... B_{L-1} cells gives digits x_i = floor(x / G_i) mod B_i with G_i = N / (B_0 ... B_i), scaled
to [0, 1]. With z_0 = x_0:  z_i = sin(30 (W_i z_{i-1} + b_i + 30 M_i x_i)),  y = W_L z_{L-1} + b_L  (ASMR, section 3).
Cells that share their first digits share the activations that those digits decide. The last level needs no sine per
cell: sin(q + m) = sin q cos m + cos q sin m, so for all children of all parents the last hidden level and the output
layer together are one product, [sin q, cos q] (parents x 2h) times (2h x children c).

A grid of any size fits: where the bases make more cells than it has, those beyond its far faces are unused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from recon.fields.base import Field, FieldConfig, chunked
from recon.fields.digits import choose_bases
from recon.fields.layers import sine_bound, uniform_
from recon.kernels import products

TABLE_LIMIT = 1 << 27
"""Cells up to which `evaluator` writes the whole grid down once."""

PIECE = 1 << 23
"""Numbers in the largest activation or output that evaluation without gradients makes at once."""

MAX_LEVELS = 62
"""Cells are counted in 64 bits: further levels could only have one child."""

CELLS = 128
"""Cells of an axis where neither bases nor a grid are given."""


@dataclass(frozen=True)
class AsmrConfig(FieldConfig):
    """ASMR: sines modulated digit by digit over a grid, with activations shared between cells."""

    paper: ClassVar[str] = "Li et al. 2024"
    purpose: ClassVar[str] = "pictures, sound, video and occupancy on regular grids, at a fraction of the cost"

    width: int = 256
    """Units of each hidden layer."""
    bases: tuple[int, ...] = ()
    """Children per axis of each level, coarse to fine; their product is the number of cells per axis. Empty: chosen
    to cover the grid, the largest last."""
    axis_bases: tuple[tuple[int, ...], ...] = ()
    """Bases axis by axis, where axes differ; replaces `bases`."""
    levels: int = 3
    """How many bases are chosen where none are given."""
    grid: tuple[int, ...] = ()
    """Cells of the data on each axis, at most the product of its bases. Empty: that product; 128 without bases."""
    omega: float = 30.0
    """Frequency inside each sine, and once more in front of each modulation."""
    blend: bool = True
    """Read continuous points multilinearly between cell centres; otherwise constant in each cell, as in the paper."""
    offset: bool = False
    """Give the last level the offset within the cell instead: at centres the same values, smooth within each parent,
    and 2^d times less work than `blend`, which this replaces."""

    def __post_init__(self) -> None:
        lengths = {len(b) for b in self.axis_bases} or {len(self.bases) or self.levels}
        if len(lengths) != 1 or not 2 <= min(lengths) <= MAX_LEVELS:
            raise ValueError(f"asmr needs the same number of levels, 2 to {MAX_LEVELS}, on each axis, got {self}")
        if self.width < 1 or any(b < 1 for axis in (self.bases, *self.axis_bases, self.grid) for b in axis):
            raise ValueError(f"asmr needs a positive width and positive bases and cells of the grid, got {self}")
        if not 0 < self.omega < math.inf:
            raise ValueError(f"omega must be positive and finite, got {self.omega}")
        if self.axis_bases and self.grid and len(self.axis_bases) != len(self.grid):
            raise ValueError(f"asmr has bases for {len(self.axis_bases)} axes, but its grid has {len(self.grid)}")
        for axis, cells in enumerate(self.grid):
            given = self.axis_bases[axis] if self.axis_bases else self.bases
            if given and math.prod(given) < cells:
                raise ValueError(
                    f"asmr's bases {given} must make the {cells:,} cells of the grid's axis {axis} at least, but make"
                    f" {math.prod(given):,}; give larger bases, or none: then they are chosen"
                )

    def build(self, in_dim: int, out_dim: int) -> Asmr:
        return Asmr(self, in_dim, out_dim)

    def for_grid(self, shape: Sequence[int]) -> AsmrConfig:
        """One cell for each of the grid's. ValueError where bases were given and make fewer."""
        return replace(self, grid=tuple(shape))

    def all_bases(self, in_dim: int) -> tuple[tuple[int, ...], ...]:
        """Bases axis by axis. ValueError where axes or cells are not those of points of `in_dim` coordinates."""
        for name, axes in (("axis_bases", self.axis_bases), ("grid", self.grid)):
            if axes and len(axes) != in_dim:
                raise ValueError(f"asmr's {name} names {len(axes)} axes, but points have {in_dim} coordinates")
        if self.axis_bases or self.bases:
            found = self.axis_bases or (self.bases,) * in_dim
        else:
            found = tuple(choose_bases(cells, self.levels) for cells in self.grid or (CELLS,) * in_dim)
        if math.prod(map(math.prod, found)) >= 1 << 62:
            raise ValueError(f"asmr's bases {found} make more cells than 64 bits can count; give smaller ones")
        return found


class Asmr(Field):
    """d -> h, L - 2 times h -> h, h -> c, and L - 1 modulators d -> h without bias."""

    linears: Sequence[nn.Linear]
    modulators: Sequence[nn.Linear]

    def __init__(self, config: AsmrConfig, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        axes = config.all_bases(in_dim)
        self.config, self.levels = config, len(axes[0])
        self.bases = [tuple(axis[level] for axis in axes) for level in range(self.levels)]
        self.sides = tuple(math.prod(axis) for axis in axes)
        """Cells of each axis that the bases make."""
        self.cells = config.grid or self.sides
        """Those of them that are used: the cells of the data, which fill the cube."""
        h, omega = config.width, config.omega
        widths = [in_dim, *[h] * (self.levels - 1), out_dim]
        linears = [nn.Linear(i, o) for i, o in zip(widths[:-1], widths[1:], strict=True)]
        for level, linear in enumerate(linears):
            bound = sine_bound(linear.in_features, omega, fed_by_coordinates=level == 0)
            uniform_(linear.weight, bound)
            uniform_(linear.bias, bound)  # each bias has its weight's bound, as in the authors' code
        modulators = [nn.Linear(in_dim, h, bias=False) for _ in range(self.levels - 1)]
        for modulator in modulators:
            uniform_(modulator.weight, math.sqrt(1 / in_dim))
        self.linears = nn.ModuleList(linears)  # pyright: ignore[reportAttributeAccessIssue]
        self.modulators = nn.ModuleList(modulators)  # pyright: ignore[reportAttributeAccessIssue]

    # -- points -------------------------------------------------------------------------------------------------

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        if torch.is_grad_enabled():
            return self._values(x)
        corners = 2**self.in_dim if self.config.blend else 1
        return chunked(self._values, x, max(1, 4 * PIECE // (corners * self.config.width)))

    def _values(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        if self.config.offset:
            cell = self.cell_of(x)
            return self.at_cells(cell, (x + 1) / 2 * x.new_tensor(self.cells) - cell - 0.5)
        if not self.config.blend:
            return self.at_cells(self.cell_of(x))
        corner, weight = self._corners(x)
        values = self.at_cells(corner.flatten(0, 1)).reshape(*weight.shape, self.out_dim)
        return (values * weight[..., None]).sum(dim=1)

    def cell_of(self, x: Float[Tensor, "n d"]) -> Int[Tensor, "n d"]:
        """Cell holding each point of the cube; the far face belongs to the last cell."""
        cells = x.new_tensor(self.cells)
        return torch.minimum(((x + 1) / 2 * cells).floor().clamp_(min=0), cells - 1).long()

    def _corners(self, x: Float[Tensor, "n d"]) -> tuple[Int[Tensor, "n k d"], Float[Tensor, "n k"]]:
        """Cells whose centres surround each point, with multilinear weights; constant beyond the outer centres."""
        cells = x.new_tensor(self.cells)
        u = torch.minimum(((x + 1) / 2 * cells - 0.5).clamp(min=0), cells - 1)
        low = torch.minimum(u.detach().floor(), (cells - 2).clamp(min=0))
        t = u - low
        bits = torch.cartesian_prod(*[torch.arange(2, device=x.device)] * self.in_dim).reshape(-1, self.in_dim)
        corner = torch.minimum(low.long()[:, None] + bits, cells.long() - 1)
        weight = torch.where(bits.bool(), t[:, None], 1 - t[:, None]).prod(dim=-1)
        return corner, weight

    def at_cells(self, cell: Int[Tensor, "n d"], offset: Float[Tensor, "n d"] | None = None) -> Float[Tensor, "n c"]:
        """Values of cells in any order: each level works on the batch's unique prefixes and hands them down.

        `offset`, from each cell's centre and in cells, moves the last digit: from there on, each row is on its own."""
        strides = [
            [math.prod(b[a] for b in self.bases[level + 1 :]) for a in range(self.in_dim)]
            for level in range(self.levels)
        ]
        z, rows, dtype = None, None, self.linears[0].weight.dtype
        for level in range(self.levels - (offset is not None)):
            prefix = torch.div(cell, cell.new_tensor(strides[level]), rounding_mode="floor")
            sizes = [math.prod(b[a] for b in self.bases[: level + 1]) for a in range(self.in_dim)]
            key = prefix[:, 0]
            for axis in range(1, self.in_dim):
                key = key * sizes[axis] + prefix[:, axis]
            _, inverse, first = _unique_rows(key)
            digits = prefix[first] % cell.new_tensor(self.bases[level])
            scaled = digits.to(dtype) / (cell.new_tensor(self.bases[level]) - 1).clamp(min=1)
            if z is None or rows is None:
                z = scaled
            else:
                q = self._pre(level, z).index_select(0, rows[first])
                z = torch.sin(q + self._modulation(level, scaled))
            rows = inverse
        assert z is not None and rows is not None
        if offset is not None:
            bases = cell.new_tensor(self.bases[-1])
            digits = (cell % bases + offset) / (bases - 1).clamp(min=1)
            q = self._pre(self.levels - 1, z).index_select(0, rows)
            return self.linears[-1](torch.sin(q + self._modulation(self.levels - 1, digits)))
        # Not [rows]: with several threads the sums of its gradient would depend on their timing.
        return self.linears[-1](z).index_select(0, rows)

    # -- whole grids --------------------------------------------------------------------------------------------

    def _pre(self, level: int, z: Tensor) -> Tensor:
        """omega (W z + b): what a level's children share."""
        linear, omega = self.linears[level - 1], self.config.omega
        return products.linear(z, omega * linear.weight, omega * linear.bias)

    def _modulation(self, level: int, digits: Tensor) -> Tensor:
        """omega^2 M x: what a child adds, whatever its parent."""
        weight = self.modulators[level - 1].weight
        return products.linear(digits.to(weight.dtype), self.config.omega**2 * weight)

    def _children(self, level: int) -> Float[Tensor, "k d"]:
        """Scaled digits of all children of a cell at this level, axis 0 slowest."""
        device, dtype = self.linears[0].weight.device, self.linears[0].weight.dtype
        axes = [torch.arange(b, device=device, dtype=dtype) / max(1, b - 1) for b in self.bases[level]]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, self.in_dim)

    def prefixes(self, depth: int) -> int:
        """Cells of the grid made by the first `depth` levels."""
        return math.prod(math.prod(b) for b in self.bases[:depth])

    def nested(self, depth: int = 1, rows: Int[Tensor, " m"] | None = None) -> Float[Tensor, "m k c"]:
        """Values of all k cells below each of the chosen prefixes of `depth` levels (default: all), in nested order.

        Nested order: digits of level `depth`, then of the next, ...; within a level axis 0 is slowest."""
        if not 1 <= depth < self.levels:
            raise ValueError(f"depth must be in [1, {self.levels - 1}], got {depth}")
        if rows is None:
            z = self._children(0)
            for level in range(1, depth):
                z = self._expand(level, z)
        else:
            z = self._activations(depth, rows)
        return self._below(depth, z)

    def _activations(self, depth: int, rows: Int[Tensor, " m"]) -> Float[Tensor, "m i"]:
        """What some prefixes of `depth` levels (in nested order) have computed; shared ancestors run once."""
        level = depth - 1
        children = self._children(level)
        if level == 0:
            return children[rows]
        parents, back = torch.unique(torch.div(rows, len(children), rounding_mode="floor"), return_inverse=True)
        q = self._pre(level, self._activations(level, parents)).index_select(0, back)
        return torch.sin(q + self._modulation(level, children).index_select(0, rows % len(children)))

    def _below(self, depth: int, z: Float[Tensor, "m h"]) -> Float[Tensor, "m k c"]:
        """Values of all cells below prefixes of `depth` levels, from the prefixes' activations."""
        shape = len(z), self._cells_below(depth), self.out_dim
        for level in range(depth, self.levels - 1):
            z = self._expand(level, z)
        return self._last_level(self._pre(self.levels - 1, z)).reshape(shape)

    def _cells_below(self, depth: int) -> int:
        return math.prod(math.prod(b) for b in self.bases[depth:])

    def _expand(self, level: int, z: Float[Tensor, "p i"]) -> Float[Tensor, "children h"]:
        q, m = self._pre(level, z), self._modulation(level, self._children(level))
        return torch.sin(q[:, None] + m).flatten(0, 1)

    def _last_level(self, q: Float[Tensor, "p h"]) -> Float[Tensor, "p k c"]:
        """All children of all parents in one product (see the module's head)."""
        m = self._modulation(self.levels - 1, self._children(self.levels - 1))
        out = self.linears[-1]
        basis = torch.cat([torch.cos(m), torch.sin(m)], dim=1)  # [k, 2h]
        weight = torch.cat([out.weight, out.weight], dim=1)  # [c, 2h]
        matrix = (basis[:, None] * weight).reshape(-1, basis.shape[1])  # [k c, 2h]
        waves = torch.cat([torch.sin(q), torch.cos(q)], dim=1)
        return products.linear(waves, matrix, out.bias.repeat(len(m))).reshape(len(q), len(m), self.out_dim)

    def to_raster(self, values: Tensor) -> Tensor:
        """[prefixes, nested cells, ...] to [cells of axis 0, axis 1, ..., ...]; the unused cells are left out."""
        tail = values.shape[2:]
        whole = self._boxes(0, values.reshape(1, -1, *tail))[0]
        return whole[tuple(slice(n) for n in self.cells)]

    def to_nested(self, raster: Tensor, depth: int = 1) -> Tensor:
        """Values on the grid to [prefixes of `depth`, cells below each, ...]; zeros for the unused cells."""
        if self.cells != self.sides:
            padded = raster.new_zeros(*self.sides, *raster.shape[self.in_dim :])
            padded[tuple(slice(n) for n in self.cells)] = raster
            raster = padded
        sides = [level[axis] for axis in range(self.in_dim) for level in self.bases]
        order = [axis * self.levels + level for level in range(self.levels) for axis in range(self.in_dim)]
        tail = raster.shape[self.in_dim :]
        split = raster.reshape(*sides, *tail).permute(*order, *range(len(sides), len(sides) + len(tail)))
        return split.reshape(self.prefixes(depth), -1, *tail)

    def used(self, depth: int = 1) -> Bool[Tensor, "m k"]:
        """Which cells below prefixes of `depth` are the data's; the others are padding, and no loss may see them."""
        return self.to_nested(torch.ones(self.cells, dtype=torch.bool), depth)

    def _boxes(self, depth: int, values: Tensor) -> Tensor:
        """[m, cells below prefixes of `depth`, ...] in nested order to [m, sides of the box of each, ...]."""
        finer, tail = self.bases[depth:], values.shape[2:]
        sides = [b for level in finer for b in level]
        order = [1 + level * self.in_dim + axis for axis in range(self.in_dim) for level in range(len(finer))]
        split = values.reshape(-1, *sides, *tail)
        split = split.permute(0, *order, *range(1 + len(sides), split.ndim))
        return split.reshape(-1, *[math.prod(b) for b in zip(*finer, strict=True)], *tail)

    # -- without gradients --------------------------------------------------------------------------------------

    @torch.no_grad()
    def tiles(self) -> Iterator[tuple[tuple[slice, ...], Float[Tensor, "*shape c"]]]:
        """The grid in parts that fit into little memory, for one that would not: where each part lies, and its values.

        Together they cover all cells, each once. Whoever wants slabs opens a file and writes each part to its place."""
        yield from self._tiles(1, self._children(0), self._steps(0))

    def _tiles(
        self, depth: int, z: Float[Tensor, "m h"], at: Int[Tensor, "m d"]
    ) -> Iterator[tuple[tuple[slice, ...], Float[Tensor, "*shape c"]]]:
        """Parts below some prefixes, whose first cells are given: subtrees too large are opened a level further."""
        some = (at < at.new_tensor(self.cells)).all(dim=1)
        z, at = z[some], at[some]
        below = self._cells_below(depth)
        size = PIECE // max(2 * self.config.width * (below // math.prod(self.bases[-1])), self.out_dim * below)
        if not size and depth < self.levels - 1:
            for row, first in zip(z.split(1), at.split(1), strict=True):
                yield from self._tiles(depth + 1, self._expand(depth, row), first + self._steps(depth))
            return
        for rows, firsts in zip(z.split(max(1, size)), at.split(max(1, size)), strict=True):
            boxes = self._boxes(depth, self._below(depth, rows))
            for first, box in zip(firsts.tolist(), boxes, strict=True):
                ends = [min(a + n, end) for a, n, end in zip(first, box.shape[:-1], self.cells, strict=True)]
                place = tuple(slice(a, b) for a, b in zip(first, ends, strict=True))
                yield place, box[tuple(slice(s.stop - s.start) for s in place)]

    def _steps(self, level: int) -> Int[Tensor, "k d"]:
        """First cells of a level's children, counted from their parent's, axis 0 slowest."""
        strides = [math.prod(b[axis] for b in self.bases[level + 1 :]) for axis in range(self.in_dim)]
        axes = [torch.arange(b) * stride for b, stride in zip(self.bases[level], strides, strict=True)]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, self.in_dim)

    @torch.no_grad()
    def on_grid(self, shape: Sequence[int]) -> Float[Tensor, "*shape c"]:
        if tuple(shape) != self.cells:
            return super().on_grid(shape)
        weight = self.linears[0].weight
        values = torch.empty(*shape, self.out_dim, device=weight.device, dtype=weight.dtype)
        for place, part in self.tiles():
            values[place] = part
        return values

    def evaluator(self) -> Callable[[Tensor], Tensor]:
        if self.config.offset or math.prod(self.cells) * self.out_dim > TABLE_LIMIT:
            return lambda x: chunked(self, x)
        table = self.on_grid(self.cells).reshape(-1, self.out_dim)
        strides = torch.tensor([math.prod(self.cells[a + 1 :]) for a in range(self.in_dim)], device=table.device)

        def read(x: Tensor) -> Tensor:
            if not self.config.blend:
                return table[(self.cell_of(x) * strides).sum(dim=1)]
            corner, weight = self._corners(x)
            return (table[(corner * strides).sum(dim=-1)] * weight[..., None]).sum(dim=1)

        return lambda x: chunked(read, x)

    def macs(self) -> int:
        return round(self.shared_macs())

    def shared_macs(self) -> float:
        """Products and modulators per cell of the data's grid with activations shared, as the paper counts them."""
        layers = sum(linear.weight.numel() * self._share(level) for level, linear in enumerate(self.linears))
        children = sum(math.prod(bases) for bases in self.bases[1:])
        return layers + self.in_dim * self.config.width * children / math.prod(self.cells)

    def profiler_macs(self) -> float:
        """The count that the paper prints: its profiler adds biases and the adding of modulations."""
        biases = sum(linear.bias.numel() * self._share(level) for level, linear in enumerate(self.linears))
        adding = sum(self.config.width * self._share(level) for level in range(self.levels - 1))
        return self.shared_macs() + biases + adding

    def _share(self, level: int) -> float:
        """Evaluations of a level's layer per cell of the data's grid."""
        return self.prefixes(level + 1) / math.prod(self.cells)

    def matrices(self) -> Iterator[nn.Parameter]:
        for linear in self.linears[1:-1]:
            yield linear.weight  # pyright: ignore[reportReturnType]


def _unique_rows(key: Int[Tensor, " n"]) -> tuple[Tensor, Tensor, Tensor]:
    """Unique keys, each row's position among them, and one row that holds each key."""
    unique, inverse = torch.unique(key, return_inverse=True)
    first = torch.empty(len(unique), dtype=torch.long, device=key.device)
    first[inverse] = torch.arange(len(key), device=key.device)
    return unique, inverse, first
