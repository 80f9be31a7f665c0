"""ASMR cell by cell from its formula, against all faster ways to the same values; orders, blending, bases, counts."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recon.fields import asmr
from recon.fields.asmr import Asmr, AsmrConfig, choose_bases

TREES = {  # bases axis by axis
    "line": [(2, 3, 2)],
    "two levels": [(3, 4), (2, 5)],
    "square": [(2, 2, 3), (2, 2, 3)],
    "axes differ": [(2, 3, 1), (3, 1, 4)],
    "cube with base 1": [(2, 1, 3), (1, 2, 2), (3, 2, 1)],
    "one cell thin": [(1, 1, 1), (2, 1, 3)],
    "deep": [(2, 1, 2, 2), (1, 2, 2, 1)],
}
every_tree = pytest.mark.parametrize("tree", TREES)


def build(tree: str, out_dim: int = 2, blend: bool = False, width: int = 7) -> Asmr:
    torch.manual_seed(0)
    bases = tuple(TREES[tree])
    return AsmrConfig(width=width, axis_bases=bases, omega=4.0, blend=blend).build(len(bases), out_dim).double()


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
    return AsmrConfig(width=7, axis_bases=bases, omega=4.0, offset=True).build(len(bases), 2).double()


# --- bases ---


@given(cells=st.integers(1, 5000), levels=st.integers(1, 8))
def test_chosen_bases_multiply_to_the_grid_largest_last(cells, levels):
    bases = choose_bases(cells, levels)
    assert math.prod(bases) == cells
    assert len(bases) == levels
    assert list(bases) == sorted(bases)


@pytest.mark.parametrize(
    ("cells", "levels", "bases"),
    [(512, 3, (8, 8, 8)), (512, 4, (4, 4, 4, 8)), (768, 4, (4, 4, 6, 8)), (1024, 10, (2,) * 10), (7, 3, (1, 1, 7))],
)
def test_chosen_bases_are_as_even_as_the_papers(cells, levels, bases):
    assert choose_bases(cells, levels) == bases


@given(base=st.integers(2, 9), levels=st.integers(1, 5))
def test_a_power_is_split_into_equal_bases(base, levels):
    primes = [p for p in (2, 3, 5, 7) if base % p == 0]
    if base in primes:  # composites may share their primes out otherwise
        assert choose_bases(base**levels, levels) == (base,) * levels


@pytest.mark.parametrize(("cells", "levels"), [(0, 3), (-4, 3), (8, 0)])
def test_no_cells_or_levels_are_refused(cells, levels):
    with pytest.raises(ValueError, match="at least one cell and one level"):
        choose_bases(cells, levels)


def test_settings_follow_a_grid_axis_by_axis_and_keep_their_levels():
    config = AsmrConfig(width=5, bases=(4, 4, 8)).for_grid((12, 7, 64))
    assert config.axis_bases == ((2, 2, 3), (1, 1, 7), (4, 4, 4))
    assert config.build(3, 1).cells == (12, 7, 64)
    assert config.for_grid((8, 8)).axis_bases == ((2, 2, 2), (2, 2, 2))


def test_bases_for_other_axes_than_the_points_have_are_refused():
    with pytest.raises(ValueError, match="bases for 2 axes, but points have 3"):
        AsmrConfig(axis_bases=((2, 2), (2, 2))).build(3, 1)


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
