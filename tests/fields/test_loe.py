"""Levels of Experts against the paper's equations point by point, its counts, and what each ablation takes away."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recon.fields.loe import Loe, LoeConfig
from recon.fields.pe_mlp import PeMlpConfig, positional_encoding

RNG = torch.Generator().manual_seed(0)


def build(in_dim: int = 2, out_dim: int = 2, **settings) -> Loe:
    torch.manual_seed(0)
    defaults: dict = {"width": 6, "layers": 3, "frequencies": 2, "tiles": (2, 3, 2)}
    return LoeConfig(**defaults | settings).build(in_dim, out_dim).double()


def points(n: int, in_dim: int = 2, reach: float = 1.0) -> torch.Tensor:
    return (torch.rand(n, in_dim, generator=RNG, dtype=torch.float64) * 2 - 1) * reach


def hat(q: float, j: int, n: int) -> float:
    """Eq. 4, with the positive remainder; one tile alone is always itself."""
    return 1.0 if n == 1 else max(0.0, 1 - abs((q + 1 - j) % n - 1))


def blending(field: Loe, p: list[float], layer: int) -> list[float]:
    """Eq. 4 and 5 for all tiles of an axis-aligned layer, axis 0 slowest."""
    cells, shift, tiles = field.cells[layer].tolist(), field.shift[layer].tolist(), field.tiles[layer]
    q = [a * v + b for a, v, b in zip(cells, p, shift, strict=True)]
    if field.config.blending == "linear":
        axes = [[hat(v, j, n) for j in range(n)] for v, n in zip(q, tiles, strict=True)]
    else:
        axes = [[float(math.floor(v) % n == j) for j in range(n)] for v, n in zip(q, tiles, strict=True)]
    return [math.prod(weights) for weights in itertools.product(*axes)]


def slow(field: Loe, x: torch.Tensor) -> torch.Tensor:
    """One point after the other, with the blended matrix written down (Eq. 2 and 3)."""
    rows = []
    for point in x:
        h = positional_encoding(point[None], field.config.frequencies)[0]
        for layer, (bank, bias) in enumerate(zip(field.weights, field.biases, strict=True)):
            if layer:
                h = torch.nn.functional.leaky_relu(h, field.config.slope)
            if layer < len(field.tiles):
                share = torch.tensor(blending(field, ((point + 1) / 2).tolist(), layer), dtype=x.dtype)
                h = (share[:, None, None] * bank).sum(dim=0) @ h + bias
            else:
                h = bank @ h + bias
        rows.append(h)
    return torch.stack(rows)


SETTINGS = {
    "nearest": {},
    "linear": {"blending": "linear"},
    "shifted": {"shift": "random"},
    "linear, shifted, leaky": {"blending": "linear", "shift": "random", "slope": 0.2},
    "last layers untiled": {"layers": 4, "tiles": (3, 2)},
    "one tile": {"tiles": (1, 2, 1), "blending": "linear"},
    "interleaved": {"hierarchy": "interleaved"},
    "chunked": {"hierarchy": "chunked"},
    "no hierarchy": {"hierarchy": "none"},
    "axes differ": {"axis_tiles": ((2, 1, 4), (3, 5, 1))},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_values_and_gradients_are_the_equations_point_by_point(name):
    field, x = build(**SETTINGS[name]), points(30)
    with torch.no_grad():
        for bias in field.biases:
            bias.uniform_(-1, 1)
    found, expected = field(x), slow(field, x)
    torch.testing.assert_close(found, expected)
    out = torch.randn(found.shape, generator=RNG, dtype=torch.float64)
    wanted = [*field.parameters()]
    pair = (torch.autograd.grad(y, wanted, out, allow_unused=False) for y in (found, expected))
    for a, b in zip(*pair, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_coarse_to_fine_gives_every_finest_cell_its_own_matrices_in_order(dims):
    """Axis by axis, the tiles of the layers are the digits of the finest cell's number."""
    tiles = (2, 3, 2)
    field = build(dims, tiles=tiles)
    n = math.prod(tiles)
    cell = torch.arange(n)
    x = ((cell + 0.5) * 2 / n - 1).double()[:, None].expand(-1, dims)
    for layer, digit in enumerate((cell // 6, cell // 2 % 3, cell % 2)):
        number = sum(digit * tiles[layer] ** axis for axis in range(dims))
        assert torch.equal(field.nearest(field.unit(x), layer).long(), number)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(n=st.integers(1, 7), layers=st.integers(2, 6), beyond=st.floats(0, 10))
def test_far_faces_and_points_beyond_belong_to_the_border_s_tiles(dtype, n, layers, beyond):
    field = build(1, layers=layers, tiles=(n,) * layers)
    for x, tile in ((1.0 + beyond, n - 1), (-1.0 - beyond, 0)):
        p = field.unit(torch.tensor([[x]], dtype=dtype))
        assert [int(field.nearest(p, layer)) for layer in range(layers)] == [tile] * layers


def test_linear_blending_is_continuous_where_nearest_jumps():
    borders = torch.arange(1, 12, dtype=torch.float64)[:, None] / 6 - 1  # borders and centres of 6 cells
    gaps = {}
    for name in ("nearest", "linear"):
        field = build(1, blending=name, tiles=(2, 3))
        gaps[name] = float((field(borders + 1e-9) - field(borders - 1e-9)).detach().abs().max())
    assert gaps["linear"] < 1e-5
    assert gaps["nearest"] > 1e-3


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=2))
def test_hats_sum_to_one_and_name_different_tiles(x):
    field = build(blending="linear", tiles=(2, 3))
    p = field.unit(torch.tensor([x], dtype=torch.float64))
    for layer in range(2):
        tiles, hats = field.around(p, layer)
        assert len(set(tiles[0].tolist())) == 4
        assert float(hats.sum()) == pytest.approx(1, abs=1e-12)
        assert float(hats.min()) >= 0


def cells(**settings) -> list[int]:
    return build(1, layers=4, tiles=(2, 4, 4), **settings).cells[:, 0].int().tolist()


def test_the_ablations_grids():
    assert cells() == [2, 8, 32]
    assert cells(hierarchy="random-affine") == [2, 8, 32]
    assert cells(hierarchy="none") == [8, 8, 8]
    assert cells(hierarchy="interleaved") == [32, 32, 32]
    assert cells(hierarchy="chunked") == [2, 4, 4]


def test_chunks_do_not_repeat_and_hold_one_network_each():
    """With the same tiles in every layer, chunks are networks of their own: two points of a chunk share all."""
    field = build(1, hierarchy="chunked", tiles=(3, 3, 3))
    x = torch.linspace(-1, 1, 61, dtype=torch.float64)[:, None]
    tiles = [field.nearest(field.unit(x), layer) for layer in range(3)]
    assert torch.equal(tiles[0], tiles[1])
    assert tiles[0].tolist() == sorted(tiles[0].tolist())


def test_random_grids_are_rotated_alike_in_all_directions_and_saved():
    field, other = build(3, hierarchy="random-affine"), LoeConfig(hierarchy="random-affine").build(3, 1)
    for rotation in field.rotation:
        torch.testing.assert_close(rotation @ rotation.T, torch.eye(3, dtype=torch.float64), atol=1e-6, rtol=0)
        assert float((rotation - torch.eye(3)).abs().max()) > 0.01
    assert not torch.equal(field.shift[0], other.shift[0])
    assert {"cells", "shift", "rotation"} <= set(field.state_dict())


def test_a_constant_input_knows_the_position_from_its_tiles_alone():
    field = build(1, encoding="constant", tiles=(2, 3, 2))
    cell = torch.arange(12).repeat_interleave(5)
    x = -1 + (cell[:, None] + torch.rand(60, 1, generator=RNG, dtype=torch.float64)) / 6
    y = field(x).detach()
    for k in range(12):
        torch.testing.assert_close(y[cell == k], y[cell == k][:1].expand(5, -1))
    assert len(y[::5].unique(dim=0)) == 12


def test_one_tile_everywhere_is_the_plain_network():
    field, plain = build(tiles=(1, 1, 1)), PeMlpConfig(width=6, layers=3, frequencies=2).build(2, 2).double()
    with torch.no_grad():
        for weight, linear in zip(field.weights, plain.mlp[::2], strict=True):
            linear.weight.copy_(weight[0])
    x = points(20)
    torch.testing.assert_close(field(x), plain(x))


def test_weights_start_at_he_s_bound_of_one_tile_whatever_their_number():
    for tiles in (1, 8):
        field = build(2, layers=2, width=400, tiles=(tiles, 1), frequencies=12)
        bound = math.sqrt(6 / 50)
        largest = float(field.weights[0].detach().abs().max())
        assert 0.99 * bound < largest <= bound
        assert not any(bias.any() for bias in field.biases)


COUNTS = [  # settings, out, parameters, products (CONFIGURATIONS.md; the NeRF without its untiled head of 36,996)
    (LoeConfig(), 256, 17_847_684 - 36_996, 278_272),
    (LoeConfig(blending="linear"), 256, 17_847_684 - 36_996, 8 * 278_272),
    (LoeConfig(layers=6, frequencies=9, tiles=(2, 4, 4, 4, 4)), 3, 16_896_003, 277_504),
    (LoeConfig(width=24, layers=4, frequencies=8, axis_tiles=((8,) * 3,) * 2), 1, 126_049, 1_992),
]


@pytest.mark.parametrize(("config", "out_dim", "params", "macs"), COUNTS)
def test_the_paper_s_counts(config, out_dim, params, macs):
    field = config.build(2 if config.axis_tiles else 3, out_dim)
    assert sum(p.numel() for p in field.parameters()) == params
    assert field.macs() == macs


def test_the_plain_network_has_the_same_products():
    plain = PeMlpConfig(width=256, layers=5, frequencies=10).build(3, 256)
    assert plain.macs() == LoeConfig().build(3, 256).macs()
    assert sum(p.numel() for p in plain.parameters()) == 316_548 - 36_996


def test_second_derivatives_by_points_are_those_of_the_equations():
    """Normals, and losses on them: the gradient's gradient reaches the banks."""
    field, x = build(blending="linear"), points(8).requires_grad_()
    found = []
    for f in (field, lambda x: slow_by_points(field, x)):
        (normal,) = torch.autograd.grad(f(x).sum(), x, create_graph=True)
        found.append(torch.autograd.grad((normal**2).sum(), [*field.weights]))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def slow_by_points(field: Loe, x: torch.Tensor) -> torch.Tensor:
    """As `slow`, differentiable by points: matrices are gathered with the hats of `around`."""
    h = positional_encoding(x, field.config.frequencies)
    for layer, (weight, bias) in enumerate(zip(field.weights, field.biases, strict=True)):
        tiles, hats = field.around(field.unit(x), layer)
        h = torch.relu(h) if layer else h
        h = torch.einsum("nk,nkoi,ni->no", hats, weight[tiles.long()], h) + bias
    return h


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tiles": (4,) * 6}, "tiles for 1 to 5 layers, got 6"),
        ({"axis_tiles": ((2, 2), (2,), (2, 2))}, "same number of layers on each axis"),
        ({"slope": 1.0}, r"slope must lie in \[0, 1\)"),
    ],
)
def test_settings_that_fit_no_network_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        LoeConfig(**settings)


def test_tiles_that_fit_no_points_or_no_memory_are_refused():
    with pytest.raises(ValueError, match="axis_tiles name 2 axes, but points have 3"):
        LoeConfig(axis_tiles=((2,), (2,))).build(3, 1)
    with pytest.raises(ValueError, match="at most 65,536"):
        LoeConfig(tiles=(50,)).build(3, 1)


def test_the_profiler_s_count_adds_the_biases_of_untiled_and_tiled_layers_alike():
    field = LoeConfig(width=24, layers=4, frequencies=8, axis_tiles=((8,) * 3,) * 2).build(2, 1)
    assert (field.macs(), field.profiler_macs()) == (1_992, 2_065)
