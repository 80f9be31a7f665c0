"""Derivatives of pictures and fields against closed forms, finite differences, and what each kind of field can give."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from recon.fields import FIELDS, Field
from recon.fields.asmr import AsmrConfig
from recon.fields.feature_grid import FeatureGridConfig
from recon.fields.finer import FinerConfig
from recon.fields.loe import LoeConfig
from recon.fields.neural_experts import NeuralExpertsConfig
from recon.fields.siren import SirenConfig
from recon.signals.signal import Signal
from recon.tasks.signal import derivatives
from recon.tasks.signal.derivatives import differences, jumps_of, slopes_at, slopes_of_field, slopes_of_picture, way_of
from recon.tasks.signal.fitted import Fitted
from recon.tasks.signal.settings import preset

RNG = np.random.default_rng(0)
CPU = torch.device("cpu")
PICTURE = Signal("noise", "image", RNG.integers(0, 256, (12, 20, 3)).astype(np.uint8), ".png")
EXPERTS = NeuralExpertsConfig(experts=3, expert_width=8, encoder_width=12, encoder_layers=2, manager_width=8, omega=6.0)
SMOOTH = ("siren", "finer", "gauss", "wire", "mfn", "bacon")
"""Fields whose Laplacian autograd finds, as `recon fit` builds them for pictures."""


def quiet(line: str) -> None:
    """Says nothing."""


class Waves(Field):
    """sin(a x) cos(b y) of the first colour, twice that of the second, 0 of the third, and alpha."""

    a, b = 3.0, 2.0

    def __init__(self) -> None:
        super().__init__(2, 4)

    def forward(self, x):
        value = torch.sin(self.a * x[:, 0]) * torch.cos(self.b * x[:, 1])
        return torch.stack([value, 2 * value, 0 * value, 100 * x[:, 0] ** 2], dim=1)


class Closed(torch.autograd.Function):
    """Squares, whose derivative can't be taken twice."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    def backward(ctx, grad):
        if torch.is_grad_enabled():
            raise RuntimeError("squares have one derivative only\nand no second line")
        return 2 * ctx.saved_tensors[0] * grad


class Squares(Field):
    """The sum of squares by `Closed`."""

    def __init__(self) -> None:
        super().__init__(2, 3)

    def forward(self, x):
        return Closed.apply(x).sum(dim=1, keepdim=True).expand(-1, 3)


class Steps(Field):
    """Constant in each of four tiles."""

    def __init__(self) -> None:
        super().__init__(2, 3)

    def forward(self, x):
        return x.sign().sum(dim=1, keepdim=True).expand(-1, 3)


def fitted(config, signal=PICTURE, seed=0):
    torch.manual_seed(seed)
    return Fitted(config.for_grid(signal.shape).build(2, signal.channels), signal, CPU)


def test_the_fields_derivatives_are_those_of_its_formula_per_pixel():
    signal = replace(PICTURE, values=RNG.integers(0, 256, (12, 20, 4)).astype(np.uint8))
    field, shape = Waves(), (6, 10)
    found, way = slopes_of_field(Fitted(field, signal, CPU), shape, 2, quiet)
    assert way.method == "autograd"
    x, y = np.meshgrid(*((np.arange(n) + 0.5) * (2 / n) - 1 for n in shape), indexing="ij")
    sx, cx, sy, cy = np.sin(3 * x), np.cos(3 * x), np.sin(2 * y), np.cos(2 * y)
    # the mean of the colours in [0, 1] is (f + 1) / 2, and a pixel is 2 / 12 or 2 / 20 long
    np.testing.assert_allclose(found.gradient[..., 0], 3 * cx * cy / 2 * (2 / 12), atol=1e-5)
    np.testing.assert_allclose(found.gradient[..., 1], -2 * sx * sy / 2 * (2 / 20), atol=1e-5)
    expected = -9 * sx * cy / 2 * (2 / 12) ** 2 - 4 * sx * cy / 2 * (2 / 20) ** 2
    np.testing.assert_allclose(found.laplacian, expected, atol=1e-5)
    first, _ = slopes_of_field(Fitted(field, signal, CPU), shape, 1, quiet)
    np.testing.assert_allclose(first.gradient, found.gradient, atol=1e-6)


def test_parts_make_the_same_whole(monkeypatch):
    run = fitted(SirenConfig(width=16, layers=3))
    whole, _ = slopes_of_field(run, (12, 20), 2, quiet)
    monkeypatch.setattr(derivatives, "CHUNK", 7)
    parts, _ = slopes_of_field(run, (12, 20), 2, quiet)
    np.testing.assert_allclose(parts.laplacian, whole.laplacian, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(parts.gradient, whole.gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("config", [SirenConfig(width=16, layers=3), FinerConfig(width=16, layers=3), EXPERTS])
def test_a_trained_fields_derivatives_are_what_its_values_change(config):
    run = fitted(config)
    field, rng = run.field, torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(field.parameters(), lr=1e-3)
    field.train()
    for _ in range(50):
        x = torch.rand(256, 2, generator=rng) * 2 - 1
        optimizer.zero_grad()
        (field(x) - torch.sin(4 * x[:, :1] + x[:, 1:])).square().mean().backward()
        optimizer.step()
    field.eval().double()
    x, step = torch.rand(400, 2, generator=rng, dtype=torch.float64) * 1.9 - 0.95, 1e-4
    first, second = slopes_at(field, x, 3, (2, 2), 2)  # pixels as long as the cube's unit
    near = [x + sign * step * torch.eye(2)[axis] for axis in (0, 1) for sign in (-1, 1)]
    stay = torch.ones(len(x), dtype=torch.bool)
    if isinstance(config, NeuralExpertsConfig):  # an expert's derivatives, not those of the seams between experts
        stay = torch.stack([field.assign(other) == field.assign(x) for other in near]).all(dim=0)
        assert field.assign(x).unique().numel() > 1 and stay.sum() > 300
    with torch.no_grad():
        middle, *around = ((field(p).mean(dim=1) + 1) / 2 for p in (x, *near))
    for axis in (0, 1):
        low, high = around[2 * axis], around[2 * axis + 1]
        slope, curve = (high - low) / (2 * step), (high - 2 * middle + low) / step**2
        # FINER's second derivatives jump where |z| = 0, within the steps of a few points
        assert torch.isclose(first[stay, axis], slope[stay], rtol=1e-4, atol=1e-5).double().mean() > 0.98
        assert torch.isclose(second[stay, axis], curve[stay], rtol=1e-3, atol=1e-3).double().mean() > 0.98


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_gives_both_derivatives_or_says_in_a_sentence_why_they_are_differences(name, monkeypatch):
    monkeypatch.setattr(derivatives, "TRIED", 64)
    run = fitted(preset("image", "quick", name).field.scaled(0.25))
    for order in (1, 2):
        found, way = slopes_of_field(run, (12, 20), order, quiet)
        assert found.gradient.shape == (12, 20, 2) and np.isfinite(found.gradient).all() and found.gradient.any()
        assert way.method == "autograd" or (way.why and "\n" not in way.why and len(way.why) < 160)
    assert np.isfinite(found.laplacian).all() and found.laplacian.any()
    assert (way.method == "autograd") == (name in SMOOTH)
    assert (way_of(run, 1).method == "autograd") == (name != "asmr")


@pytest.mark.parametrize(
    ("config", "methods"),
    [
        (AsmrConfig(width=8, offset=True), ("autograd", "autograd")),
        (AsmrConfig(width=8, blend=False), ("differences", "differences")),
        (EXPERTS, ("autograd", "autograd")),
        (replace(EXPERTS, encoder="feature-grid", grid=FeatureGridConfig((4, 9))), ("autograd", "differences")),
        (LoeConfig(width=8, frequencies=2, encoding="constant"), ("differences", "differences")),
    ],
)
def test_the_way_is_chosen_by_what_the_field_is_and_not_by_its_name(config, methods):
    run = fitted(config)
    assert (way_of(run, 1).method, way_of(run, 2).method) == methods


def test_what_autograd_cannot_do_is_done_by_differences_and_said():
    run = Fitted(Squares(), PICTURE, CPU)
    assert way_of(run, 1).method == "autograd"
    found, way = slopes_of_field(run, (5, 5), 2, quiet)
    assert way.method == "differences" and way.why == "autograd can't (squares have one derivative only)"
    # x^2 + y^2 by differences of pixels, which are exact but for the border's
    np.testing.assert_allclose(found.laplacian[1:-1, 1:-1], (2 / 12) ** 2 + (2 / 20) ** 2, atol=1e-5)
    steps = way_of(Fitted(Steps(), PICTURE, CPU), 1)
    assert steps.method == "differences" and "constant within its parts" in steps.why


def test_jumps_of_slopes_are_told_from_second_derivatives():
    x = torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    signal = replace(PICTURE, values=RNG.integers(0, 256, (12, 20, 4)).astype(np.uint8))
    assert jumps_of(Fitted(Waves(), signal, CPU), x) < 1e-3
    grid = fitted(FeatureGridConfig(resolutions=(4, 9), init=0.5))
    assert jumps_of(grid, x) == pytest.approx(1, abs=1e-3)


def test_the_truths_derivatives_are_exact_for_parabolas_and_go_on_linearly_at_the_border():
    down, right = np.meshgrid(np.arange(6.0), np.arange(9.0), indexing="ij")
    found = differences(2 * down**2 - right**2 + down)
    np.testing.assert_allclose(found.gradient[1:-1, 1:-1, 0], (4 * down + 1)[1:-1, 1:-1])
    np.testing.assert_allclose(found.gradient[1:-1, 1:-1, 1], (-2 * right)[1:-1, 1:-1])
    np.testing.assert_allclose(found.laplacian[1:-1, 1:-1], 2.0)
    slope = differences(3 * down + right)
    np.testing.assert_allclose(slope.gradient, np.broadcast_to((3.0, 1.0), (6, 9, 2)))
    np.testing.assert_allclose(slope.laplacian, 0, atol=1e-12)
    assert not differences(np.ones((1, 1))).gradient.any()


def test_the_truth_is_the_mean_of_the_colours_without_alpha():
    values = RNG.integers(0, 256, (5, 7, 4)).astype(np.uint8)
    found = slopes_of_picture(Signal("a", "image", values, ".png"))
    expected = differences(values[..., :3].mean(axis=2) / 255)
    np.testing.assert_allclose(found.laplacian, expected.laplacian, atol=1e-5)
    grey = slopes_of_picture(Signal("a", "image", values[..., :2], ".png"))
    np.testing.assert_allclose(grey.gradient, differences(values[..., 0] / 255).gradient, atol=1e-6)


def test_asmrs_derivatives_are_differences_of_its_own_pixels():
    run = fitted(AsmrConfig(width=8))
    values = run.field.on_grid(run.signal.shape).mean(dim=-1).numpy() / 2
    for order in (1, 2):
        found, way = slopes_of_field(run, (3, 3), order, quiet)
        assert way.method == "differences" and "joins them" in way.why
        np.testing.assert_allclose(found.laplacian, differences(values).laplacian, atol=1e-5)
        np.testing.assert_allclose(found.gradient, differences(values).gradient, atol=1e-5)
    assert math.isfinite(found.laplacian.sum())
