"""What every field owes its users, in 1, 2 and 3 dimensions, for 1 and 3 outputs (STYLE, 14)."""

import dataclasses

import pytest
import torch

from recon.fields import FIELDS, Field, FieldConfig, Mixture, MultiScale
from recon.fields.asmr import AsmrConfig
from recon.fields.bacon import BaconConfig
from recon.fields.coordinate_embedding import CoordinateEmbeddingConfig
from recon.fields.feature_grid import FeatureGridConfig
from recon.fields.ffn import FfnConfig
from recon.fields.finer import FinerConfig
from recon.fields.gauss import GaussConfig
from recon.fields.hash_grid import HashGridConfig
from recon.fields.kilonerf import KiloNerfConfig
from recon.fields.loe import LoeConfig
from recon.fields.mfn import MfnConfig
from recon.fields.neural_experts import NeuralExpertsConfig
from recon.fields.pe_mlp import PeMlpConfig
from recon.fields.siren import SirenConfig
from recon.fields.vanilla_moe import VanillaMoeConfig
from recon.fields.voxel import VoxelConfig
from recon.fields.wire import WireConfig

TINY: dict[str, FieldConfig] = {
    "ffn": FfnConfig(rows=6, sigma=0.5, width=12, layers=3),
    "siren": SirenConfig(width=12, layers=3, omega=5.0),
    "finer": FinerConfig(width=12, layers=3, omega=3.0),
    "gauss": GaussConfig(width=12, layers=3, sharpness=2.0),
    "wire": WireConfig(width=12, layers=3, omega=3.0, sharpness=1.0),
    "mfn": MfnConfig(width=12, layers=3, frequency=4.0),
    "bacon": BaconConfig(width=12, band=4, divisors=(4, 2)),
    "pe-mlp": PeMlpConfig(width=12, layers=3, frequencies=2),
    "loe": LoeConfig(width=12, layers=4, frequencies=2, tiles=(2, 1, 3, 2)),
    "asmr": AsmrConfig(width=12, bases=(2, 2, 3), omega=3.0),
    "hash-grid": HashGridConfig(levels=3, features=2, table_log2=5, coarsest=2, finest=9, width=12, init=0.5),
    "voxel": VoxelConfig(resolution=4, init=0.5),
    "feature-grid": FeatureGridConfig(resolutions=(2, 5), channels=2, width=12, layers=3, init=0.5),
    "neural-experts": NeuralExpertsConfig(
        experts=3, expert_width=10, encoder_width=12, encoder_layers=2, manager_width=11, omega=3.0, expert_omega=3.0
    ),
    "vanilla-moe": VanillaMoeConfig(
        experts=3, expert_width=10, encoder_width=12, encoder_layers=2, manager_width=11, omega=3.0, expert_omega=3.0
    ),
    "kilonerf": KiloNerfConfig(nets=2, width=12, layers=3, frequencies=2),
    "coordinate-embedding": CoordinateEmbeddingConfig(
        resolution=5, channels=3, frequencies=2, width=12, layers=3, init=0.5
    ),
}
"""Each field's default made small enough for finite differences; a new field is tested with its default."""

VARIANTS = TINY | {
    "ffn, softplus": FfnConfig(rows=0, width=12, layers=3, activation="softplus"),
    "ffn, coordinates": dataclasses.replace(TINY["ffn"], coordinates=True, normalise=True),
    "finer, first bias": dataclasses.replace(TINY["finer"], biases="zero", first_bias=2.0),
    "loe, blended": dataclasses.replace(TINY["loe"], blending="linear"),
    "loe, last layers untiled": dataclasses.replace(TINY["loe"], tiles=(2, 3), shift="random", slope=0.2),
    "loe, constant input": dataclasses.replace(TINY["loe"], encoding="constant", blending="linear"),
    "loe, random affine": dataclasses.replace(TINY["loe"], hierarchy="random-affine"),
    "asmr, offset": dataclasses.replace(TINY["asmr"], offset=True),
    "asmr, cells": dataclasses.replace(TINY["asmr"], blend=False),
    "asmr, chosen bases": AsmrConfig(width=12, omega=3.0),
    "neural-experts, grids": dataclasses.replace(
        TINY["neural-experts"], encoder="feature-grid", grid=TINY["feature-grid"]
    ),
    "neural-experts, softplus": dataclasses.replace(TINY["neural-experts"], activation="softplus"),
    "neural-experts, finer": dataclasses.replace(TINY["neural-experts"], activation="finer"),
    "neural-experts, fourier": dataclasses.replace(TINY["neural-experts"], activation="softplus-fourier"),
    "kilonerf, three an axis": dataclasses.replace(TINY["kilonerf"], nets=3),
}
CONFIGS = VARIANTS | {name: config for name, config in FIELDS.items() if name not in TINY}

FROZEN_SCALE = ("finer", "finer, first bias", "neural-experts, finer")
"""Whose training gradients take a factor for a constant: their own tests check them."""

SIZES = [(d, c) for d in (1, 2, 3) for c in (1, 3)]
every_field = pytest.mark.parametrize("name", CONFIGS)
every_size = pytest.mark.parametrize(("in_dim", "out_dim"), SIZES)


def build(name: str, in_dim: int = 3, out_dim: int = 2, seed: int = 0) -> Field:
    torch.manual_seed(seed)
    return CONFIGS[name].build(in_dim, out_dim)


def points(n: int, in_dim: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(n, in_dim, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def everything(field: Field, x: torch.Tensor) -> torch.Tensor:
    """What a loss may see: all levels of detail, where there are several."""
    return field.outputs(x).flatten(1) if isinstance(field, MultiScale) else field(x)


def test_every_named_field_is_tested_here():
    assert set(FIELDS) <= set(CONFIGS)


@pytest.mark.parametrize("name", FIELDS)
def test_default_settings_build_a_field(name):
    field = FIELDS[name].build(3, 1)
    assert isinstance(field, Field)
    assert field(points(2, 3)).shape == (2, 1)


@every_field
@every_size
def test_points_do_not_talk_to_each_other_and_an_empty_batch_is_a_batch(name, in_dim, out_dim):
    field, x = build(name, in_dim, out_dim), points(17, in_dim)
    y = field(x)
    assert y.shape == (17, out_dim)
    assert field(x[:0]).shape == (0, out_dim)
    everything(field, x).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in field.parameters())
    field.eval()
    torch.testing.assert_close(field(x[:4]), field(x)[:4])
    assert field(x[:1]).shape == (1, out_dim)
    assert field(x[:0]).shape == (0, out_dim)


@every_field
def test_an_unbalanced_sum_reaches_every_parameter(name):
    """A constant sum would hide a gate, whose probabilities sum to 1 whatever it says."""
    field = build(name)
    x = points(200, 3)
    y = everything(field, x)
    (y * torch.randn(y.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in field.parameters())


@every_field
@every_size
def test_the_seed_decides_the_field(name, in_dim, out_dim):
    first, again, other = (build(name, in_dim, out_dim, seed) for seed in (3, 3, 4))
    for key, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
    x = points(9, in_dim)
    assert torch.equal(first(x), again(x))
    assert not torch.equal(first(x), other(x))


@every_field
@every_size
def test_the_evaluator_gives_what_forward_gives(name, in_dim, out_dim):
    field, x = build(name, in_dim, out_dim).eval(), points(300, in_dim)
    with torch.no_grad():
        expected = field(x)
    values = field.evaluator()(x)
    torch.testing.assert_close(values, expected, atol=1e-5, rtol=1e-5)
    assert not values.requires_grad
    assert field.evaluator()(x[:0]).shape == (0, out_dim)


@every_field
@every_size
def test_a_grid_holds_the_values_at_its_cell_centres(name, in_dim, out_dim):
    field, shape = build(name, in_dim, out_dim).eval(), (4, 6, 3)[:in_dim]
    for f in (field, CONFIGS[name].for_grid(shape).build(in_dim, out_dim).eval()):
        centres = torch.meshgrid(*[(torch.arange(n) + 0.5) * 2 / n - 1 for n in shape], indexing="ij")
        expected = f(torch.stack(centres, dim=-1).reshape(-1, in_dim)).reshape(*shape, out_dim)
        torch.testing.assert_close(f.on_grid(shape), expected.detach(), atol=1e-5, rtol=1e-5)
        assert not f.on_grid(shape).requires_grad


@every_field
def test_a_grid_of_a_double_field_is_double(name):
    assert build(name).double().eval().on_grid((2, 3, 2)).dtype == torch.float64


@every_field
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("in_dim", [1, 3])
def test_gradients_match_finite_differences(name, training, in_dim):
    if training and name in FROZEN_SCALE:
        pytest.skip("its training gradients are not the derivatives, by design; its own tests check them")
    field = build(name, in_dim, 1).double().train(training)
    x = points(3, in_dim).double().requires_grad_()
    names, values = zip(*field.named_parameters(), strict=True)

    def by_parameters(*given):
        return torch.func.functional_call(field, dict(zip(names, given, strict=True)), (x.detach(),))

    if name != "asmr, cells":  # constant in each cell: there is nothing to differentiate by x
        assert torch.autograd.gradcheck(field, (x,))
    assert torch.autograd.gradcheck(by_parameters, [v.detach().requires_grad_() for v in values], fast_mode=True)


@every_field
def test_a_state_dict_carries_everything(name):
    first, other, x = build(name, seed=5).eval(), build(name, seed=6).eval(), points(20, 3)
    other.load_state_dict(first.state_dict())
    assert torch.equal(first(x), other(x))


@every_field
@every_size
def test_matrices_are_hidden_weights_of_the_field(name, in_dim, out_dim):
    field = build(name, in_dim, out_dim)
    own = {id(p) for p in field.parameters()}
    matrices = [*field.matrices()]
    assert matrices or name in ("voxel", "wire")  # no network; complex matrices
    assert len({id(m) for m in matrices}) == len(matrices)
    assert all(id(m) in own and m.ndim in (2, 3) and m.shape[-1] > 3 for m in matrices)


@every_field
def test_a_wide_output_is_no_hidden_matrix(name):
    """Muon would orthogonalise it: the last layer is found by its place, not by its size."""
    field = build(name, in_dim=2, out_dim=20)
    assert all(m.shape[-2] != 20 for m in field.matrices())


@every_field
def test_tables_are_parameters_of_grids_and_no_matrices(name):
    field = build(name)
    tables, matrices = {id(p) for p in field.tables()}, {id(p) for p in field.matrices()}
    assert tables <= {id(p) for p in field.parameters()}
    assert not tables & matrices
    assert bool(tables) == (name in ("voxel", "hash-grid", "feature-grid", "coordinate-embedding"))


@every_field
@every_size
def test_macs_are_counted(name, in_dim, out_dim):
    macs = build(name, in_dim, out_dim).macs()
    assert isinstance(macs, int)
    assert macs > 0


@every_field
def test_only_mixtures_have_experts(name):
    assert isinstance(build(name), Mixture) == name.startswith(("neural-experts", "vanilla-moe"))


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize(("in_dim", "out_dim"), [(0, 1), (3, 0), (-1, 1)])
def test_a_field_without_inputs_or_outputs_is_refused(name, in_dim, out_dim):
    with pytest.raises(ValueError, match="at least one|axes"):
        FIELDS[name].build(in_dim, out_dim)


NONSENSE = [
    (SirenConfig, {"width": 0}),
    (SirenConfig, {"layers": 1}),
    (SirenConfig, {"omega": 0.0}),
    (SirenConfig, {"omega": float("nan")}),
    (SirenConfig, {"scale": -1.0}),
    (FfnConfig, {"rows": -1}),
    (FfnConfig, {"sigma": 0.0}),
    (FfnConfig, {"width": 0}),
    (FfnConfig, {"layers": 1}),
    (FinerConfig, {"width": 0}),
    (FinerConfig, {"layers": 1}),
    (FinerConfig, {"omega": 0.0}),
    (FinerConfig, {"scale": float("inf")}),
    (FinerConfig, {"first_bias": -1.0}),
    (GaussConfig, {"width": 0}),
    (GaussConfig, {"layers": 1}),
    (GaussConfig, {"sharpness": 0.0}),
    (WireConfig, {"width": 0}),
    (WireConfig, {"layers": 1}),
    (WireConfig, {"omega": float("nan")}),
    (WireConfig, {"sharpness": -1.0}),
    (MfnConfig, {"width": 0}),
    (MfnConfig, {"layers": 1}),
    (MfnConfig, {"frequency": 0.0}),
    (BaconConfig, {"width": 0}),
    (BaconConfig, {"layers": 0}),
    (BaconConfig, {"divisors": ()}),
    (BaconConfig, {"divisors": (4, 0)}),
    (BaconConfig, {"band": 10}),
    (BaconConfig, {"band": 10**20}),
    (PeMlpConfig, {"width": 0}),
    (PeMlpConfig, {"layers": 1}),
    (PeMlpConfig, {"frequencies": -1}),
    (PeMlpConfig, {"frequencies": 200}),
    (AsmrConfig, {"width": 0}),
    (AsmrConfig, {"bases": (8,)}),
    (AsmrConfig, {"levels": 1}),
    (AsmrConfig, {"bases": (4, 4), "grid": (8, 17)}),
    (AsmrConfig, {"bases": (4, 0)}),
    (AsmrConfig, {"axis_bases": ((2, 2), (2, 2, 2))}),
    (AsmrConfig, {"axis_bases": ((2, 2), (2, -2))}),
    (AsmrConfig, {"omega": -30.0}),
    (LoeConfig, {"width": 0}),
    (LoeConfig, {"layers": 1, "tiles": (2,)}),
    (LoeConfig, {"frequencies": -1}),
    (LoeConfig, {"frequencies": 200}),
    (LoeConfig, {"tiles": ()}),
    (LoeConfig, {"tiles": (4, 0)}),
    (LoeConfig, {"slope": -0.1}),
    (HashGridConfig, {"levels": 0}),
    (HashGridConfig, {"features": 0}),
    (HashGridConfig, {"coarsest": 1}),
    (HashGridConfig, {"coarsest": 32, "finest": 16}),
    (HashGridConfig, {"table_log2": 0}),
    (HashGridConfig, {"table_log2": 40}),
    (HashGridConfig, {"init": -1.0}),
    (VoxelConfig, {"resolution": 1}),
    (VoxelConfig, {"axis_resolutions": (4, 1)}),
    (VoxelConfig, {"init": float("inf")}),
    (FeatureGridConfig, {"resolutions": ()}),
    (FeatureGridConfig, {"resolutions": (16, 1)}),
    (FeatureGridConfig, {"channels": 0}),
    (FeatureGridConfig, {"width": 0}),
    (FeatureGridConfig, {"layers": 0}),
    (FeatureGridConfig, {"init": -0.1}),
    (FeatureGridConfig, {"init": float("nan")}),
    (CoordinateEmbeddingConfig, {"resolution": 1}),
    (CoordinateEmbeddingConfig, {"channels": 0}),
    (CoordinateEmbeddingConfig, {"init": -1.0}),
    (CoordinateEmbeddingConfig, {"width": 0}),
    (CoordinateEmbeddingConfig, {"layers": 1}),
    (CoordinateEmbeddingConfig, {"frequencies": -1}),
    (CoordinateEmbeddingConfig, {"frequencies": 200}),
    (KiloNerfConfig, {"nets": 0}),
    (KiloNerfConfig, {"axis_nets": (4, 0)}),
    (KiloNerfConfig, {"width": 0}),
    (KiloNerfConfig, {"layers": 1}),
    (KiloNerfConfig, {"frequencies": -1}),
    (KiloNerfConfig, {"frequencies": 200}),
    (VanillaMoeConfig, {"expert_width": 0}),
    (SirenConfig, {"widths": (4, 0)}),
    (NeuralExpertsConfig, {"manager_encoder_width": -1}),
    (NeuralExpertsConfig, {"experts": 0}),
    (NeuralExpertsConfig, {"expert_layers": 0}),
    (NeuralExpertsConfig, {"encoder_layers": 0}),
    (NeuralExpertsConfig, {"manager_width": -4}),
    (NeuralExpertsConfig, {"expert_omega": 0.0}),
]


@pytest.mark.parametrize(("config", "settings"), NONSENSE, ids=[f"{c.__name__}-{s}" for c, s in NONSENSE])
def test_settings_that_make_no_sense_are_refused(config, settings):
    with pytest.raises(ValueError, match=r"need|must"):
        config(**settings)


WRONG_WORDS = [
    (LoeConfig, "hierarchy"),
    (LoeConfig, "blending"),
    (LoeConfig, "encoding"),
    (LoeConfig, "shift"),
    (FfnConfig, "activation"),
    (SirenConfig, "biases"),
    (FinerConfig, "biases"),
    (NeuralExpertsConfig, "biases"),
    (NeuralExpertsConfig, "encoder"),
    (NeuralExpertsConfig, "activation"),
    (NeuralExpertsConfig, "conditioning"),
    (NeuralExpertsConfig, "pretraining"),
    (NeuralExpertsConfig, "manager"),
]


@pytest.mark.parametrize(("config", "name"), WRONG_WORDS)
def test_an_unknown_word_is_refused(config, name):
    """A hand-edited config.json may hold one. Types are checked in tests only, so the word is put in behind them."""
    settings = config()
    object.__setattr__(settings, name, "other")
    with pytest.raises(ValueError, match=f"{name} must be .*'other'"):
        settings.__post_init__()


BAD_POINTS = [
    (torch.zeros(4, 2), "points of shape"),
    (torch.zeros(3), "points of shape"),
    (torch.tensor([[0.0, float("nan"), 0.0]]), "not numbers"),
    (torch.tensor([[0.0, float("inf"), 0.0]]), "not numbers"),
    (torch.zeros(4, 3, dtype=torch.float16), "float16 on a CPU"),
    (torch.zeros(4, 3, dtype=torch.float64), "weights of torch.float32"),
]


@every_field
@pytest.mark.parametrize(("x", "message"), BAD_POINTS, ids=["dims", "shape", "nan", "inf", "half", "double"])
def test_points_that_no_field_takes_are_refused(name, x, message):
    with pytest.raises(ValueError, match=message):
        build(name)(x)


MANY = {  # tiles and networks of numbers beyond 256, which bfloat16 does not hold
    "loe of 16^3 tiles": LoeConfig(width=4, layers=2, tiles=(16,)),
    "loe of a line of tiles": LoeConfig(width=4, layers=2, axis_tiles=((301,), (1,), (2,))),
    "kilonerf of 16^3": KiloNerfConfig(width=4, layers=2),
    "kilonerf of a line": KiloNerfConfig(width=4, layers=2, axis_nets=(301, 1, 2)),
}


@pytest.mark.parametrize("name", [name for name in (*CONFIGS, *MANY) if name != "wire"])  # complex weights
def test_a_bfloat16_field_takes_bfloat16_points(name):
    field = (CONFIGS | MANY)[name].build(3, 2).bfloat16().eval()
    y = field(torch.cat([points(1000, 3), torch.ones(1, 3)]).bfloat16())
    assert y.dtype == torch.bfloat16
    assert y.isfinite().all()


@every_field
def test_points_outside_the_cube_have_finite_values(name):
    field = build(name).eval()
    with torch.no_grad():
        assert field(3 * points(50, 3)).isfinite().all()
        assert field(torch.full((1, 3), 1e3)).isfinite().all()


@every_field
def test_costs_are_counted_by_both_rules(name):
    field = build(name)
    assert 0 < field.routed_macs() <= field.macs() <= field.profiler_macs()


@every_field
def test_a_larger_field_of_the_same_kind_costs_more(name):
    def size(config: FieldConfig) -> int:
        return sum(p.numel() for p in config.build(3, 1).parameters())

    config = CONFIGS[name]
    assert type(config.scaled(2.0)) is type(config)
    assert size(config.scaled(0.5)) < size(config) < size(config.scaled(2.0))
