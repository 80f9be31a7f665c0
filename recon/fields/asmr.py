"""ASMR: activation sharing over a grid whose cells are addressed digit by digit, coarse to fine.

An axis of N = B_0 B_1 ... B_{L-1} cells gives digits x_i = floor(x / G_i) mod B_i with G_i = N / (B_0 ... B_i), scaled
to [0, 1]. With z_0 = x_0:  z_i = sin(30 (W_i z_{i-1} + b_i + 30 M_i x_i)),  y = W_L z_{L-1} + b_L  (ASMR, section 3).
Cells that share their first digits share the activations that those digits decide. The last level needs no sine per
cell: sin(q + m) = sin q cos m + cos q sin m, so for all children of all parents the last hidden level and the output
layer together are one product, [sin q, cos q] (parents x 2h) times (2h x children c).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recon.fields.base import Field, FieldConfig, chunked
from recon.fields.layers import sine_bound, uniform_

TABLE_LIMIT = 1 << 27
"""Cells up to which `evaluator` writes the whole grid down once."""

PIECE = 1 << 23
"""Numbers in the largest activation or output that evaluation of a whole grid makes at once."""


@dataclass(frozen=True)
class AsmrConfig(FieldConfig):
    """ASMR: sines modulated digit by digit over a grid, with activations shared between cells."""

    width: int = 256
    """Units of each hidden layer."""
    bases: tuple[int, ...] = (4, 4, 8)
    """Children per axis of each level, coarse to fine; their product is the number of cells per axis."""
    axis_bases: tuple[tuple[int, ...], ...] = ()
    """Bases axis by axis, where axes differ; replaces `bases`."""
    omega: float = 30.0
    """Frequency inside each sine, and once more in front of each modulation."""
    blend: bool = True
    """Read continuous points multilinearly between cell centres; otherwise constant in each cell, as in the paper."""
    offset: bool = False
    """Give the last level the offset within the cell instead: at centres the same values, smooth within each parent,
    and 2^d times less work than `blend`, which this replaces."""

    def __post_init__(self) -> None:
        lengths = {len(b) for b in self.axis_bases} or {len(self.bases)}
        if len(lengths) != 1 or min(lengths) < 2:
            raise ValueError(f"asmr needs the same number of levels, at least 2, on each axis, got {self}")
        if self.width < 1 or any(b < 1 for axis in (self.bases, *self.axis_bases) for b in axis):
            raise ValueError(f"asmr needs a positive width and positive bases, got {self}")
        if not 0 < self.omega < math.inf:
            raise ValueError(f"omega must be positive and finite, got {self.omega}")

    def build(self, in_dim: int, out_dim: int) -> Asmr:
        return Asmr(self, in_dim, out_dim)

    def for_grid(self, shape: Sequence[int]) -> AsmrConfig:
        """Bases whose product is the grid's size on each axis, largest last; as many levels as now."""
        levels = len(self.axis_bases[0]) if self.axis_bases else len(self.bases)
        return replace(self, axis_bases=tuple(choose_bases(n, levels) for n in shape))


def choose_bases(cells: int, levels: int) -> tuple[int, ...]:
    """`levels` factors of `cells`, ascending and as even as its prime factors allow."""
    if cells < 1 or levels < 1:
        raise ValueError(f"a grid needs at least one cell and one level on each axis, got {cells} and {levels}")
    factors, rest, prime = [], cells, 2
    while rest > 1:
        while rest % prime == 0:
            factors.append(prime)
            rest //= prime
        prime += 1
    bases = [1] * levels
    for factor in sorted(factors, reverse=True):
        bases[min(range(levels), key=lambda i: (bases[i], -i))] *= factor
    return tuple(sorted(bases))


class Asmr(Field):
    """d -> h, L - 2 times h -> h, h -> c, and L - 1 modulators d -> h without bias."""

    linears: Sequence[nn.Linear]
    modulators: Sequence[nn.Linear]

    def __init__(self, config: AsmrConfig, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        axes = config.axis_bases or (config.bases,) * in_dim
        if len(axes) != in_dim:
            raise ValueError(f"asmr has bases for {len(axes)} axes, but points have {in_dim} coordinates")
        self.config, self.levels = config, len(axes[0])
        self.bases = [tuple(axis[level] for axis in axes) for level in range(self.levels)]
        self.cells = tuple(math.prod(axis) for axis in axes)
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
                q = self._pre(level, z)[rows[first]]
                z = torch.sin(q + self._modulation(level, scaled))
            rows = inverse
        assert z is not None and rows is not None
        if offset is not None:
            bases = cell.new_tensor(self.bases[-1])
            digits = (cell % bases + offset) / (bases - 1).clamp(min=1)
            z, rows = torch.sin(self._pre(self.levels - 1, z)[rows] + self._modulation(self.levels - 1, digits)), ...
        return self.linears[-1](z)[rows]

    # -- whole grids --------------------------------------------------------------------------------------------

    def _pre(self, level: int, z: Tensor) -> Tensor:
        """omega (W z + b): what a level's children share."""
        linear, omega = self.linears[level - 1], self.config.omega
        return nn.functional.linear(z, omega * linear.weight, omega * linear.bias)

    def _modulation(self, level: int, digits: Tensor) -> Tensor:
        """omega^2 M x: what a child adds, whatever its parent."""
        weight = self.modulators[level - 1].weight
        return nn.functional.linear(digits.to(weight.dtype), self.config.omega**2 * weight)

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
        q = self._pre(level, self._activations(level, parents))[back]
        return torch.sin(q + self._modulation(level, children)[rows % len(children)])

    def _below(self, depth: int, z: Float[Tensor, "m h"]) -> Float[Tensor, "m k c"]:
        """Values of all cells below prefixes of `depth` levels, from the prefixes' activations."""
        shape = len(z), math.prod(self.cells) // self.prefixes(depth), self.out_dim
        for level in range(depth, self.levels - 1):
            z = self._expand(level, z)
        return self._last_level(self._pre(self.levels - 1, z)).reshape(shape)

    def _pieces(self, depth: int, z: Float[Tensor, "m h"]) -> Iterator[Float[Tensor, "n c"]]:
        """The same in order, piece by piece: subtrees too large for memory are opened a level further."""
        below = math.prod(self.cells) // self.prefixes(depth)
        parents = below // math.prod(self.bases[-1])
        size = PIECE // max(2 * self.config.width * parents, self.out_dim * below)
        if size or depth == self.levels - 1:
            yield from (self._below(depth, part).flatten(0, 1) for part in z.split(max(1, size)))
        else:
            for row in z.split(1):
                yield from self._pieces(depth + 1, self._expand(depth, row))

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
        return nn.functional.linear(waves, matrix, out.bias.repeat(len(m))).reshape(len(q), len(m), self.out_dim)

    def to_raster(self, values: Tensor) -> Tensor:
        """[prefixes of depth 1, nested cells, ...] to [cells of axis 0, axis 1, ..., ...]."""
        sides = [b for level in self.bases for b in level]
        order = [level * self.in_dim + axis for axis in range(self.in_dim) for level in range(self.levels)]
        tail = values.shape[2:]
        split = values.reshape(*sides, *tail).permute(*order, *range(len(sides), len(sides) + len(tail)))
        return split.reshape(*self.cells, *tail)

    def to_nested(self, raster: Tensor, depth: int = 1) -> Tensor:
        """The inverse of `to_raster`: values on the grid to [prefixes of `depth`, cells below each, ...]."""
        sides = [level[axis] for axis in range(self.in_dim) for level in self.bases]
        order = [axis * self.levels + level for level in range(self.levels) for axis in range(self.in_dim)]
        tail = raster.shape[self.in_dim :]
        split = raster.reshape(*sides, *tail).permute(*order, *range(len(sides), len(sides) + len(tail)))
        return split.reshape(self.prefixes(depth), -1, *tail)

    @torch.no_grad()
    def on_grid(self, shape: Sequence[int]) -> Float[Tensor, "*shape c"]:
        if tuple(shape) != self.cells:
            return super().on_grid(shape)
        roots, done = self._children(0), 0
        values = roots.new_empty(math.prod(self.cells), self.out_dim)
        for piece in self._pieces(1, roots):
            values[done : done + len(piece)] = piece
            done += len(piece)
        return self.to_raster(values.reshape(len(roots), -1, self.out_dim))

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
        """Products and modulators per cell of the full grid with activations shared, as the paper counts them."""
        layers = sum(linear.weight.numel() * self._share(level) for level, linear in enumerate(self.linears))
        children = sum(math.prod(bases) for bases in self.bases[1:])
        return layers + self.in_dim * self.config.width * children / math.prod(self.cells)

    def profiler_macs(self) -> float:
        """The count that the paper prints: its profiler adds biases and the adding of modulations."""
        biases = sum(linear.bias.numel() * self._share(level) for level, linear in enumerate(self.linears))
        adding = sum(self.config.width * self._share(level) for level in range(self.levels - 1))
        return self.shared_macs() + biases + adding

    def _share(self, level: int) -> float:
        """Evaluations of a level's layer per cell of the full grid."""
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
