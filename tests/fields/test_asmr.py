"""ASMR cell by cell from its formula, against all faster ways to the same values; orders, blending, bases, counts."""

import itertools
import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from recon.fields import asmr
from recon.fields.asmr import Asmr, AsmrConfig
from recon.kernels import products

TREES = {  # bases axis by axis
    "line": [(2, 3, 2)],
    "two levels": [(3, 4), (2, 5)],
    "square": [(2, 2, 3), (2, 2, 3)],
    "axes differ": [(2, 3, 1), (3, 1, 4)],
    "cube with base 1": [(2, 1, 3), (1, 2, 2), (3, 2, 1)],
    "one cell thin": [(1, 1, 1), (2, 1, 3)],
    "deep": [(2, 1, 2, 2), (1, 2, 2, 1)],
    "padded line": [(2, 3, 2)],
    "padded square": [(2, 2, 3), (2, 3, 2)],
    "padded cube": [(2, 1, 3), (1, 2, 2), (3, 2, 1)],
    "padded and deep": [(2, 2, 1, 2), (1, 3, 2, 2)],
}
GRIDS = {  # fewer cells than the bases make; where whole coarse cells are unused, too
    "padded line": (7,),
    "padded square": (5, 11),
    "padded cube": (4, 3, 5),
    "padded and deep": (3, 7),
}
every_tree = pytest.mark.parametrize("tree", TREES)


def build(tree: str, out_dim: int = 2, blend: bool = False, width: int = 7) -> Asmr:
    torch.manual_seed(0)
    bases = tuple(TREES[tree])
    config = AsmrConfig(width=width, axis_bases=bases, grid=GRIDS.get(tree, ()), omega=4.0, blend=blend)
    return config.build(len(bases), out_dim).double()


def all_cells(field: Asmr) -> torch.Tensor:
    return torch.tensor([*itertools.product(*map(range, field.cells))])


def digits_of(index: int, bases: tuple[int, ...]) -> list[float]:
    """PAPERS, 4: x_i = floor(x / G_i) mod B_i with G_i = N / (B_0 ... B_i), scaled to x_i / (B_i - 1)."""
    scaled, rest = [], math.prod(bases)
    for b in bases:
        rest //= b
        scaled.append(0.0 if b == 1 else (index // rest % b) / (b - 1))
    return scaled


def slow_cell(field: Asmr, cell: list[int], tree: str) -> torch.Tensor:
    """z_0 = x_0; z_i = sin(omega (W z + b + omega M x_i)); y = W z + b, for one cell."""
    omega = field.config.omega
    digits = torch.tensor([digits_of(c, b) for c, b in zip(cell, TREES[tree], strict=True)], dtype=torch.float64)
    z = digits[:, 0]
    for level in range(1, field.levels):
        linear, modulator = field.linears[level - 1], field.modulators[level - 1]
        z = torch.sin(omega * (linear.weight @ z + linear.bias + omega * modulator.weight @ digits[:, level]))
    return field.linears[-1].weight @ z + field.linears[-1].bias


def slow(field: Asmr, tree: str) -> torch.Tensor:
    return torch.stack([slow_cell(field, cell, tree) for cell in all_cells(field).tolist()])


# --- one function, five ways ---


@every_tree
def test_values_at_cells_are_the_formula_s(tree):
    field = build(tree)
    torch.testing.assert_close(field.at_cells(all_cells(field)), slow(field, tree))


@every_tree
def test_values_at_cells_follow_their_rows_in_any_order_and_number(tree):
    field = build(tree)
    cells, values = all_cells(field), slow(field, tree)
    rows = torch.randint(len(cells), (50,), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(field.at_cells(cells[rows]), values[rows])


@every_tree
def test_nested_values_in_raster_order_are_the_formula_s(tree):
    field = build(tree)
    raster = field.to_raster(field.nested())
    torch.testing.assert_close(raster, slow(field, tree).reshape(*field.cells, -1))


@every_tree
def test_the_grid_is_the_formula_s_whatever_the_memory(tree, monkeypatch):
    field = build(tree)
    expected = slow(field, tree).reshape(*field.cells, -1)
    for piece in (1 << 23, 300, 1):  # whole, in pieces, a row at a time down to the last level
        monkeypatch.setattr(asmr, "PIECE", piece)
        torch.testing.assert_close(field.on_grid(field.cells), expected)


@every_tree
def test_points_of_a_cell_have_its_value_where_nothing_blends(tree):
    field = build(tree)
    cells = all_cells(field)
    sides = 2 / torch.tensor(field.cells, dtype=torch.float64)
    x = -1 + (cells + torch.rand(cells.shape, generator=torch.Generator().manual_seed(2))) * sides
    torch.testing.assert_close(field(x), slow(field, tree))
    assert torch.equal(field.cell_of(x), cells)
    assert torch.equal(field.cell_of(torch.ones(1, len(field.cells)))[0] + 1, torch.tensor(field.cells))


@every_tree
def test_gradients_of_the_nested_path_are_those_of_the_plain_path(tree):
    """The last level's product (sin q cos m + cos q sin m) is exact, in derivatives too."""
    field = build(tree)
    weight = torch.randn(*field.cells, field.out_dim, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    paths = field.to_raster(field.nested()), slow(field, tree).reshape(*field.cells, -1)
    found, expected = (torch.autograd.grad((y * weight).sum(), [*field.parameters()]) for y in paths)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_gradients_of_coarse_cells_do_not_depend_on_what_threads_do():
    """Sums over rows that read one entry: taken by all threads at once, they would end in other bits each time."""
    torch.manual_seed(0)
    field, rows = AsmrConfig(width=256, bases=(6, 7, 7, 2)).build(2, 3), torch.randperm(294**2)[:20_000]
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        first, *others = (
            torch.autograd.grad(field.nested(3, rows).square().mean(), [*field.parameters()]) for _ in range(6)
        )
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True))


@every_tree
def test_any_depth_and_rows_are_parts_of_the_whole(tree):
    field = build(tree)
    whole = field.nested().reshape(-1, field.out_dim)
    for depth in range(1, field.levels):
        split = field.nested(depth)
        assert len(split) == field.prefixes(depth)
        torch.testing.assert_close(split.reshape(-1, field.out_dim), whole)
        rows = torch.arange(field.prefixes(depth)).flip(0)[:3]
        torch.testing.assert_close(field.nested(depth, rows), split[rows])
    assert field.nested(1, torch.zeros(0, dtype=torch.long)).shape[0] == 0


@every_tree
def test_nested_order_is_undone_exactly(tree):
    field = build(tree)
    cells = all_cells(field).reshape(*field.cells, -1)
    for depth in range(1, field.levels):
        nested = field.to_nested(cells, depth)
        assert len(nested) == field.prefixes(depth)
        assert torch.equal(field.to_raster(nested), cells)


@pytest.mark.parametrize("depth", [0, 3, -1])
def test_a_depth_outside_the_tree_is_refused(depth):
    with pytest.raises(ValueError, match=r"depth must be in \[1, 2\]"):
        build("square").nested(depth)


class CoarseProducts(TorchDispatchMode):
    """A device that rounds float32 operands of products to 11 bits, as TF32 does."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default):
            *given, a, b = args
            args = *given, *(t.half().to(t.dtype) if t.dtype == torch.float32 else t for t in (a, b))
        return func(*args, **(kwargs or {}))


def test_digits_and_their_modulations_are_not_rounded_where_products_are(monkeypatch):
    """Modulations are multiplied by 900: 11 bits of them are phases off by 0.2, another function than in float32."""
    monkeypatch.setattr(products, "_coordinates", lambda x: x.shape[1] <= products.NARROW)
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")
    torch.manual_seed(0)
    field = AsmrConfig(width=16, bases=(4, 6), blend=False).build(2, 3)
    exact = field.at_cells(all_cells(field)).detach()
    with CoarseProducts(), torch.no_grad():
        for found in (field.at_cells(all_cells(field)), field.to_raster(field.nested()).flatten(0, 1)):
            assert float((found - exact).abs().max()) < 2**-10 * float(field.linears[-1].weight.abs().sum(dim=1).max())


def test_one_precision_is_kept_from_the_digits_on():
    """Digits divided in single precision, then multiplied by omega^2, would be off by 1e-5."""
    field = build("axes differ")
    assert field.at_cells(all_cells(field)).dtype == torch.float64
    torch.testing.assert_close(field.at_cells(all_cells(field)), slow(field, "axes differ"), atol=1e-12, rtol=0)


# --- blending ---


def centres(field: Asmr) -> torch.Tensor:
    return (all_cells(field) + 0.5) * 2 / torch.tensor(field.cells, dtype=torch.float64) - 1


@every_tree
def test_blending_is_exact_at_cell_centres(tree):
    field = build(tree, blend=True)
    torch.testing.assert_close(field(centres(field)), slow(field, tree))


@every_tree
def test_blending_is_continuous_across_every_border(tree):
    """Where plain cells jump: borders of cells and, for blending, the planes through their centres."""
    field = build(tree, blend=True)
    rng = torch.Generator().manual_seed(4)
    for axis, n in enumerate(field.cells):
        x = torch.rand(4 * n, len(field.cells), generator=rng, dtype=torch.float64) * 2 - 1
        x[:, axis] = torch.arange(4 * n) % (2 * n) / n - 1
        step = torch.zeros_like(x)
        step[:, axis] = 1e-9
        torch.testing.assert_close(field(x - step), field(x + step), atol=1e-6, rtol=0)


def test_blending_is_linear_between_two_centres_and_constant_beyond_the_last():
    field = build("line", blend=True)
    first, second = slow(field, "line")[:2]
    centre, pitch = -1 + 1 / 12, 1 / 6
    x = torch.tensor([[-1.0], [centre], [centre + 0.3 * pitch]], dtype=torch.float64)
    torch.testing.assert_close(field(x), torch.stack([first, first, 0.7 * first + 0.3 * second]))


@pytest.mark.parametrize("blend", [True, False])
def test_the_evaluator_is_a_snapshot_or_the_field_itself(blend, monkeypatch):
    field, x = build("cube with base 1", blend=blend), torch.rand(40, 3, dtype=torch.float64) * 2 - 1
    table = field.evaluator()
    monkeypatch.setattr(asmr, "TABLE_LIMIT", 1)
    direct = field.evaluator()
    torch.testing.assert_close(table(x), direct(x))


# --- offsets ---


@every_tree
def test_an_offset_leaves_the_centres_as_they_are(tree):
    field = with_offset(tree)
    torch.testing.assert_close(field(centres(field)), slow(field, tree))
    assert torch.equal(field.on_grid(field.cells), build(tree).on_grid(field.cells))


def test_an_offset_moves_the_last_digit():
    """Half way between two children of one parent, the last level sees the mean of their digits."""
    field = with_offset("line")
    a, b = field.linears[0], field.linears[1]
    z = torch.zeros(1, dtype=torch.float64)  # digit 0 of base 2, 1 of base 3, and 0.5 of base 2
    for linear, modulator, digit in ((a, field.modulators[0], 0.5), (b, field.modulators[1], 0.5)):
        z = torch.sin(4 * (linear.weight @ z + linear.bias + 4 * modulator.weight[:, 0] * digit))
    expected = field.linears[2].weight @ z + field.linears[2].bias
    x = torch.tensor([[2 * 3 / 12 - 1]], dtype=torch.float64)  # cells 2 and 3 of 12 meet here
    torch.testing.assert_close(field(x)[0], expected)


def test_an_offset_is_smooth_within_each_parent_and_jumps_between_them():
    field = with_offset("line")
    for border in range(1, 12):
        x = torch.tensor([[2 * border / 12 - 1]], dtype=torch.float64)
        jump = float((field(x + 1e-9) - field(x - 1e-9)).detach().abs().max())
        assert (jump < 1e-5) == (border % 2 == 1)


def with_offset(tree: str) -> Asmr:
    torch.manual_seed(0)
    bases = tuple(TREES[tree])
    config = AsmrConfig(width=7, axis_bases=bases, grid=GRIDS.get(tree, ()), omega=4.0, offset=True)
    return config.build(len(bases), 2).double()


# --- padding ---


@pytest.mark.parametrize("tree", sorted(GRIDS))
def test_used_cells_are_those_of_the_grid_at_any_depth(tree):
    field = build(tree)
    assert field.cells == GRIDS[tree] and math.prod(field.sides) > math.prod(field.cells)
    index = torch.arange(math.prod(field.cells)).reshape(field.cells) + 1
    for depth in range(1, field.levels):
        used, nested = field.used(depth), field.to_nested(index, depth)
        assert nested[used].sort().values.tolist() == index.flatten().tolist()
        assert not nested[~used].any()


@pytest.mark.parametrize("tree", sorted(GRIDS))
def test_padding_changes_no_used_cell(tree):
    """The grid is a corner of the one that the bases make; only points of the cube are laid over it anew."""
    small, large = build(tree), build(tree)
    large.cells = large.sides
    torch.testing.assert_close(small.on_grid(small.cells), large.on_grid(large.cells)[tuple(map(slice, small.cells))])
    assert torch.equal(small.cell_of(torch.ones(1, small.in_dim))[0] + 1, torch.tensor(small.cells))


@pytest.mark.parametrize("tree", sorted(GRIDS))
@pytest.mark.parametrize("blend", [False, True])
def test_the_evaluator_and_other_grids_of_a_padded_field_are_its_values(tree, blend):
    field = build(tree, blend=blend)
    x = torch.rand(60, field.in_dim, dtype=torch.float64, generator=torch.Generator().manual_seed(5)) * 2 - 1
    torch.testing.assert_close(field.evaluator()(x), field(x))
    for shape in (field.cells, field.sides):
        centre = [(torch.arange(n, dtype=torch.float64) + 0.5) * 2 / n - 1 for n in shape]
        points = torch.stack(torch.meshgrid(*centre, indexing="ij"), dim=-1)
        torch.testing.assert_close(field.on_grid(shape).flatten(0, -2), field(points.flatten(0, -2)).detach())


def test_a_photograph_of_any_size_is_covered_with_hardly_any_padding():
    field = AsmrConfig(width=4, levels=4).for_grid((1021, 683)).build(2, 3)
    assert field.cells == (1021, 683)
    assert math.prod(field.sides) < 1.03 * 1021 * 683
    assert all(list(axis) == sorted(axis) for axis in zip(*field.bases, strict=True))


@pytest.mark.parametrize("config", [AsmrConfig(bases=(4, 4)), AsmrConfig(axis_bases=((4, 4), (4, 5)))])
def test_bases_that_were_given_and_make_too_few_cells_are_refused(config):
    with pytest.raises(
        ValueError, match=r"bases \(4, 4\) must make the 17 cells of the grid's axis 0 at least, but make 16"
    ):
        config.for_grid((17, 3))
    assert config.for_grid((16, 3)).build(2, 1).cells == (16, 3)


# --- memory ---


class Largest(TorchDispatchMode):
    """Numbers in the largest tensor that any operation makes."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numbers = max(self.numbers, result.numel())
        return result


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("grid", [False, True])
def test_no_intermediate_of_a_whole_grid_is_larger_than_a_piece(dims, grid, monkeypatch):
    bases = {1: (4, 4, 4, 4, 8), 2: (2, 2, 2, 3), 3: (2, 2, 2, 2)}[dims]
    config = AsmrConfig(width=16, bases=bases, grid=(math.prod(bases) - 3,) * dims if grid else ())
    field = config.build(dims, 1)
    for piece in (2048, 8192):
        monkeypatch.setattr(asmr, "PIECE", piece)
        with Largest() as largest:
            covered = sum(part.numel() for _, part in field.tiles())
        assert covered == math.prod(field.cells) > 400
        assert piece / 32 < largest.numbers <= piece


@pytest.mark.parametrize("blend", [False, True])
def test_scattered_points_are_evaluated_in_parts(blend, monkeypatch):
    field, x = build("padded cube", blend=blend), torch.rand(3000, 3, dtype=torch.float64) * 2 - 1
    expected = field(x).detach()
    monkeypatch.setattr(asmr, "PIECE", 700)
    with Largest() as largest, torch.no_grad():
        torch.testing.assert_close(field(x), expected)
    assert largest.numbers <= 9000  # the points themselves


# --- bases ---


def test_settings_follow_a_grid_axis_by_axis_and_keep_their_levels():
    config = AsmrConfig(width=5).for_grid((12, 8, 64))
    assert [*zip(*config.build(3, 1).bases, strict=True)] == [(2, 2, 3), (2, 2, 2), (4, 4, 4)]
    assert config.build(3, 1).cells == (12, 8, 64)
    assert config.for_grid((16, 16)).build(2, 1).bases == [(2, 2), (2, 2), (4, 4)]


def test_without_bases_and_grid_there_are_128_cells_an_axis():
    field = AsmrConfig().build(2, 1)
    assert field.cells == (128, 128) and field.bases == [(4, 4), (4, 4), (8, 8)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"axis_bases": ((2, 2), (2, 2))}, "axis_bases names 2 axes, but points have 3"),
        ({"grid": (8, 8)}, "grid names 2 axes, but points have 3"),
        ({"bases": (1 << 11, 1 << 10)}, "more cells than 64 bits can count"),
    ],
)
def test_axes_and_cells_that_points_cannot_have_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        AsmrConfig(**settings).build(3, 1)


@pytest.mark.parametrize(
    "settings",
    [
        {"levels": 1},
        {"levels": 3000},
        {"grid": (8, 0)},
        {"grid": (-8,)},
        {"axis_bases": ((2, 2),), "grid": (4, 4)},
        {"bases": (4,)},
    ],
)
def test_settings_that_are_no_grid_are_refused(settings):
    with pytest.raises(ValueError, match=r"asmr (needs|has) .*(levels|grid|bases)"):
        AsmrConfig(**settings)


# --- initialisation and counts ---


def test_initial_bounds():
    torch.manual_seed(0)
    field = AsmrConfig(width=200, bases=(2, 2, 2)).build(3, 50)
    bounds = [1 / 3, math.sqrt(6 / 200) / 30, math.sqrt(6 / 200) / 30]
    for linear, bound in zip(field.linears, bounds, strict=True):
        for tensor in (linear.weight.detach(), linear.bias.detach()):
            assert 0.9 * bound < float(tensor.abs().max()) <= bound
    for modulator in field.modulators:
        assert modulator.bias is None
        assert 0.99 / math.sqrt(3) < float(modulator.weight.detach().abs().max()) <= 1 / math.sqrt(3)


CAT = ((5, 3, 1, 2, 1, 2, 5), (4, 2, 2, 2, 2, 2, 4), (4, 2, 2, 2, 2, 2, 4))
CAT_2 = ((5, 5, 3, 2, 1, 1, 2), (4, 4, 2, 2, 2, 2, 2), (4, 4, 2, 2, 2, 2, 2))
UVG = ((5, 1, 1, 5, 1, 1, 3, 1, 1, 2), (5, 1, 3, 1, 3, 1, 3, 1, 2, 1), (5, 3, 2, 2, 1, 2, 1, 2, 1, 2))
PAPER = {  # width, out, bases axis by axis, parameters, profiler, products and modulators (CONFIGURATIONS.md)
    "cameraman-3": (256, 1, ((8, 8, 8),) * 2, 67_841, 1_289.50, 1_280.38),
    "cameraman-4": (256, 1, ((4, 4, 4, 8),) * 2, 134_145, 1_353.75, 1_344.22),
    "kodak": (256, 3, ((4, 4, 4, 8), (4, 4, 6, 8)), 134_659, 1_846.18, 1_834.82),
    "pluto": (512, 3, ((4, 4, 4, 4, 4, 8),) * 2, 1_058_819, 5_925.07, 5_905.00),
    "pluto-big": (1024, 3, ((4, 4, 4, 4, 2, 16),) * 2, 4_214_787, 8_273.14, 8_260.01),
    "librispeech": (128, 1, ((10, 10, 16, 20),), 33_793, 1_013.30, 998.62),
    "cat-1": (512, 3, CAT, 1_326_083, 5_358.67, 5_340.80),
    "cat-2": (512, 3, CAT_2, 1_326_083, 44_993.42, 44_821.34),
    "uvg": (512, 3, UVG, 2_118_659, 119_756, 119_293),
    "shapenet": (512, 1, ((2,) * 10,) * 3, 2_117_633, 38_108, 37_961),
    "deeper-5": (256, 1, ((8, 2, 2, 2, 8),) * 2, 200_449, 1_612, None),
    "deeper-6": (256, 1, ((4, 2, 2, 2, 2, 8),) * 2, 266_753, 1_628, None),
    "deeper-7": (256, 1, ((2, 2, 2, 2, 2, 2, 8),) * 2, 333_057, 1_632, None),
}


@pytest.mark.parametrize("name", PAPER)
def test_the_paper_s_counts(name):
    width, out_dim, bases, params, profiler, products = PAPER[name]
    field = AsmrConfig(width=width, axis_bases=bases).build(len(bases), out_dim)
    assert sum(p.numel() for p in field.parameters()) == params
    printed_to = 0.5 if profiler == int(profiler) else 0.005
    assert field.profiler_macs() == pytest.approx(profiler, abs=printed_to * 1.0001)
    if products is not None:
        assert field.shared_macs() == pytest.approx(products, abs=printed_to * 1.0001)
        assert field.macs() == round(field.shared_macs())
