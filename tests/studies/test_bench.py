"""Benchmarks at tiny sizes: what rows say, that ways agree in values, and that time is kept. No second is asserted."""

import json
import sys
from dataclasses import asdict, dataclass

import pytest
import torch
from torch import nn

from recon.fields import FIELDS, FieldConfig
from recon.fields.asmr import AsmrConfig
from recon.fields.loe import LoeConfig
from recon.fields.neural_experts import NeuralExpertsConfig
from recon.fields.pe_mlp import PeMlpConfig
from recon.fields.siren import SirenConfig
from recon.fields.voxel import VoxelConfig
from recon.kernels.grouped import grouped_linear_reference
from recon.studies.bench import formulations, kernels, networks, steps
from recon.studies.bench.measure import Aim, Meter, Row, Way, agree
from recon.studies.bench.plot import picture
from recon.studies.bench.run import BENCHES, measure
from recon.studies.bench.sizes import Sizes
from recon.studies.bench.table import aims, lines

CPU = torch.device("cpu")
TINY = Sizes(
    width=8, batches=(16, 32), widths=(8, 16), width_batch=32, layer_widths=(8,), tiles=4, points=128,
    expert_points=64, step_batch=64, pool=1000, drawn="siren", asmr_width=8, picture=((2, 2, 2), (2, 2, 3)),
    full_batch=(2, 2, 2), solid=(2, 2, 2), last_level=(4, 2), part=32, surface=24, surface_coarse=12,
    occupancy_levels=4, occupancy_least=3, occupancy_width=8,
)  # fmt: skip
KEYS = {"name", "seconds", "ratio_plain", "ratio_mlp", "points_per_second", "peak_mb", "aim", "met", "figure", "macs"}


@dataclass(frozen=True)
class Flat(FieldConfig):
    """A field that refuses space."""

    def build(self, in_dim, out_dim):
        raise ValueError("flat takes points of a plane")


@pytest.fixture
def few(monkeypatch):
    """Some fields, small ones, and one that refuses."""
    some = {
        "pe-mlp": PeMlpConfig(width=8, layers=3),
        "voxel": VoxelConfig(resolution=8),
        "asmr": AsmrConfig(width=8, bases=(2, 2)),
        "flat": Flat(),
    }
    monkeypatch.setattr(networks, "FIELDS", some)
    monkeypatch.setattr(steps, "FIELDS", {name: some[name] for name in ("pe-mlp", "voxel")})
    small = NeuralExpertsConfig(experts=4, expert_width=8, encoder_width=16, manager_width=8)
    monkeypatch.setattr(kernels, "EXPERTS", {"Large": small})
    monkeypatch.setattr(steps, "EXPERTS", {"Large": small})


@pytest.mark.parametrize("name", sorted(BENCHES))
def test_without_any_time_every_row_is_still_measured_once(few, name):
    told = []
    result = measure(name, CPU, 0.0, TINY, told.append)
    assert json.loads(json.dumps(result, allow_nan=False))["bench"] == name and result["device"] == "cpu"
    assert len(told) == len(BENCHES[name][0](TINY))
    for row in result["rows"]:
        assert set(row) >= KEYS
        if "not measured" not in row["name"]:
            assert row["seconds"] > 0 and row["repeats"] == 1, row
    judged = [row for row in result["rows"] if row["aim"]]
    assert judged and all(row["figure"] > 0 and isinstance(row["met"], bool) for row in judged)


def test_every_field_has_a_row_for_each_batch_and_width_and_one_that_refuses_says_why(few):
    rows = measure("fields", CPU, 0.0, TINY)["rows"]
    both = [(row["batch"], row["width"]) for row in rows if row["name"] == "asmr: forward and backward"]
    assert both == [(16, 8), (32, 8), (32, 16)]
    assert all(row["ratio_mlp"] > 0 and row["points_per_second"] > 0 for row in rows if "forward" in row["name"])
    refused = [row for row in rows if row["name"].startswith("flat")]
    assert len(refused) == 2 and refused[0]["note"] == "flat takes points of a plane" and not refused[0]["seconds"]


def test_trainers_share_no_pool_whose_order_one_would_make_for_the_other(few, monkeypatch):
    made, real = [], steps.random_pool
    monkeypatch.setattr(steps, "random_pool", lambda *args: made.append(real(*args)) or made[-1])
    list(steps.field_step(Meter(CPU, 0.0), sizes=TINY, name="pe-mlp"))
    list(steps.drawing(Meter(CPU, 0.0), sizes=TINY))
    assert len({id(pool) for pool in made}) == 4


def test_steps_have_a_row_for_each_field_that_there_is():
    named = [part.keywords["name"] for part in steps.parts(TINY) if "name" in part.keywords]
    assert named == list(FIELDS)


# -- time and ratios --------------------------------------------------------------------------------------------------


def test_ways_take_turns():
    order = []
    Meter(CPU, 0.0).interleave({"a": lambda: order.append("a"), "b": lambda: order.append("b")})
    assert order == ["a", "b"]
    Meter(CPU, 0.01).interleave({"a": lambda: order.append("a"), "b": lambda: order.append("b")})
    assert order == ["a", "b"] * (len(order) // 2) and len(order) > 2


def test_ratios_are_of_medians_after_a_warm_up_and_parts_are_scaled(monkeypatch):
    taken = {"ours": iter([9.0, 1.0, 5.0, 2.0]), "plain": iter([9.0, 4.0, 4.0, 8.0]), "mlp": iter([9.0, 1.0, 1.0, 1.0])}
    monkeypatch.setattr(Meter, "time", lambda self, work: work())
    monkeypatch.setattr("recon.studies.bench.measure.MOST_ROUNDS", 3)
    ways = {name: Way(lambda name=name: next(taken[name]), 80, 4.0 if name == "mlp" else 1.0) for name in taken}
    rows = Meter(CPU, 1e6).compare("t", ways, plain="plain", mlp="mlp", width=7)
    ours = rows["ours"]
    assert (ours.name, ours.seconds, ours.repeats, ours.width, ours.plain) == ("t: ours", 2.0, 3, 7, "plain")
    assert (ours.ratio_plain, ours.ratio_mlp, ours.points_per_second) == (0.5, 0.5, 40.0)
    assert rows["mlp"].seconds == 4.0 and rows["plain"].ratio_plain == 1.0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process its peak")
def test_peak_memory_is_what_a_call_takes_beyond_what_was_there():
    held = torch.ones(8_000_000)
    found = Meter(CPU, 0.0).peak_mb(lambda: torch.ones(16_000_000).sum())
    assert found is not None and 55 < found < 100, len(held)
    nothing = Meter(CPU, 0.0).peak_mb(lambda: None)
    assert nothing is not None and nothing < 10


def test_an_aim_is_met_on_its_own_side_of_its_bound():
    assert Aim("x", least=2.0).met(2.0) and not Aim("x", least=2.0).met(1.9)
    assert Aim("x", most=2.0).met(2.0) and not Aim("x", most=2.0).met(2.1)
    row = Row("n").judged(Aim("times", most=1.5), 1.6)
    assert (row.aim, row.figure, row.met) == ("times <= 1.5", 1.6, False)


def test_ways_that_disagree_are_not_timed():
    assert "agree" in agree("w", torch.ones(2), torch.ones(2), 1e-6)
    for wrong in (torch.tensor([1.0, 1.1]), torch.tensor([1.0, float("nan")])):
        with pytest.raises(RuntimeError, match="disagree"):
            agree("w", wrong, torch.ones(2), 1e-3)


# -- the same values --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("omegas", [(30.0, 30.0), (20.0, 10.0)])
def test_the_authors_formulation_of_neural_experts_gives_the_same_values_for_twice_the_encoder(omegas):
    torch.manual_seed(0)
    config = NeuralExpertsConfig(omega=omegas[0], expert_omega=omegas[1])
    field, x = config.build(3, 2).double(), torch.rand(20, 3).double() * 2 - 1
    for ours, theirs in zip(field.experts(x), formulations.experts_expanded(field, x), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert formulations.expanded_macs(field) == field.macs() + 3 * 256 + 3 * 256 * 256


@pytest.mark.parametrize("axes", [((2, 3, 2),), ((2, 3, 2), (4, 1, 2)), ((2, 2), (3, 2), (2, 5))])
def test_asmr_shared_and_unshared_are_the_field_itself(axes):
    torch.manual_seed(0)
    field = AsmrConfig(width=8, axis_bases=axes).build(len(axes), 3).double()
    ranges = torch.meshgrid(*[torch.arange(n) for n in field.cells], indexing="ij")
    cell = torch.stack(ranges, dim=-1).reshape(-1, len(axes))
    expected = field.at_cells(cell)
    torch.testing.assert_close(formulations.asmr_unshared(field, cell), expected)
    shared = field.to_raster(formulations.asmr_shared(field))
    torch.testing.assert_close(shared.reshape(-1, 3), expected)
    assert formulations.unshared_macs(field) > field.shared_macs()


def test_a_loop_with_masks_is_the_definition_of_a_layer_with_tiles():
    x, tile, bank = torch.randn(30, 4), torch.randint(5, (30,)), torch.randn(5, 3, 4)
    bias = torch.randn(3)
    expected = grouped_linear_reference(x, tile, bank, bias.expand(5, 3))
    torch.testing.assert_close(formulations.masked_linear(x, tile, bank, bias), expected)


# -- equal sizes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_fields_are_made_as_wide_as_one_another(name):
    config = networks.at_width(FIELDS[name], 32)
    assert networks.width_of(config) in (32, None)
    assert isinstance(config, type(FIELDS[name])) and networks.depth_of(config) == networks.depth_of(FIELDS[name])


@pytest.mark.parametrize(
    "config",
    [
        SirenConfig(width=8),
        LoeConfig(width=8, tiles=(2,)),
        AsmrConfig(width=8, bases=(2, 2, 2)),
        FIELDS["asmr"],
        FIELDS["wire"],
    ],
)
def test_depth_is_the_number_of_layers_that_a_point_passes(config):
    field = config.build(3, 1)
    matrices = [p for n, p in field.named_parameters() if p.ndim > 1 and "modulator" not in n]
    assert networks.depth_of(config) == len(matrices)


def test_the_rival_mlp_of_a_mixture_is_as_deep_as_its_encoder_and_an_expert():
    mlp = networks.plain_mlp(NeuralExpertsConfig(encoder_layers=2, expert_layers=3), 16)
    assert (mlp.width, mlp.layers) == (16, 6)
    assert sum(isinstance(m, nn.Linear) for m in mlp.build(3, 1).modules()) == 6


# -- for people -------------------------------------------------------------------------------------------------------


def result(*rows: Row) -> dict:
    return {"bench": "fields", "device": "cpu", "threads": 2, "rows": [asdict(row) for row in rows]}


def test_the_table_has_a_line_for_each_row_and_aims_say_met_or_missed_with_the_figure():
    good = Row("a: ours", 0.002, 1.25, points_per_second=3e6, batch=4096, repeats=77).judged(
        Aim("times", most=1.5), 1.25
    )
    bad = Row("b: ours", 0.002, note="why").judged(Aim("times as long", least=40.0), 12.3)
    told = lines(result(good, bad, Row("c: not measured")))
    assert len(told) == 4 and "4,096" in told[1] and " 2 " in told[1] and " 77" in told[1] and told[2].endswith("why")
    met, missed = aims([result(good, bad)])
    assert met.split() == ["met", "1.25", "a:", "ours:", "times", "<=", "1.5"]
    assert missed.split()[:2] == ["missed", "12.3"]


@pytest.mark.parametrize("several", [True, False])
def test_a_picture_is_drawn_of_lines_of_bars_and_of_nothing(several):
    line = [Row(f"{name}: forward", 0.1 * n, batch=n, width=8) for name in "ab" for n in (1, 2, 4)]
    bars = [Row("c: x", 1e-5).judged(Aim("ms", most=1.0), 2.0)]
    for rows in ([*line, *bars] if several else bars, line if several else []):
        assert picture(result(*rows)).startswith(b"\x89PNG")
