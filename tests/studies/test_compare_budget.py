"""Sizes matched to a budget: of every field, found by counting modules that are really built."""

import pytest

from recon.fields import FIELDS
from recon.fields.feature_grid import FeatureGridConfig
from recon.fields.hash_grid import HashGridConfig
from recon.fields.neural_experts import NeuralExpertsConfig
from recon.fields.siren import SirenConfig
from recon.fields.voxel import VoxelConfig
from recon.studies.compare.budget import Budget, budget_of, resized, sized
from recon.studies.compare.shapes import field_cost


def params(config) -> int:
    return field_cost(config).params


def macs(config) -> int:
    return field_cost(config).macs


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_every_field_can_be_brought_near_a_number_of_parameters(name):
    amount = 600_000.0
    found = sized(name, FIELDS[name], params, Budget("params", amount))
    assert type(found.config) is type(FIELDS[name])
    assert found.count == params(found.config)
    assert abs(found.miss) < 0.15
    assert found.miss == pytest.approx(found.count / amount - 1)


@pytest.mark.parametrize("name", sorted(set(FIELDS) - {"voxel"}))
def test_every_field_with_a_network_can_be_brought_near_a_number_of_products(name):
    found = sized(name, FIELDS[name], macs, Budget("macs", 60_000.0))
    assert found.count == macs(found.config)
    assert abs(found.miss) < 0.15


def test_a_field_is_itself_at_its_own_size():
    for config in (SirenConfig(width=40, layers=3), VoxelConfig(resolution=12), HashGridConfig(table_log2=8)):
        assert sized("x", config, params, Budget("params", float(params(config)))).config == config


def test_no_neighbouring_width_is_nearer():
    found = sized("siren", SirenConfig(), params, Budget("params", 12_345.0))
    assert isinstance(found.config, SirenConfig)
    for other in (-1, 1):
        near = params(SirenConfig(width=found.config.width + other))
        assert abs(near - 12_345) >= abs(found.count - 12_345)


def test_work_is_matched_by_networks_and_parameters_by_tables():
    grid = HashGridConfig(table_log2=10)
    assert resized(grid, 2.0, "macs") == HashGridConfig(table_log2=10, width=128)
    assert resized(grid, 2.0, "params") == HashGridConfig(table_log2=11)
    mixture = NeuralExpertsConfig(encoder="feature-grid", grid=FeatureGridConfig(resolutions=(8, 16)))
    larger = resized(mixture, 2.0, "params")
    assert isinstance(larger, NeuralExpertsConfig)
    assert larger.grid.resolutions == (16, 32)
    assert larger.expert_width == mixture.expert_width


@pytest.mark.parametrize(
    ("config", "count", "budget", "message"),
    [
        (VoxelConfig(), macs, Budget("macs", 5000.0), "can't have 5,000 multiply-accumulates.*largest has 8"),
        (SirenConfig(layers=8), params, Budget("params", 3.0), r"smallest has \d"),
        (VoxelConfig(resolution=8), params, Budget("params", 1e12), "largest has"),
        (SirenConfig(), params, Budget("params", 1e30), "largest has"),
    ],
)
def test_a_budget_out_of_reach_is_refused_with_what_is_possible(config, count, budget, message):
    with pytest.raises(ValueError, match=message):
        sized("this", config, count, budget)


def test_there_is_one_budget():
    none = dict.fromkeys(("params", "macs", "seconds", "steps"))
    assert budget_of(None, none) == Budget("params")
    assert budget_of("macs", none) == Budget("macs")
    assert budget_of(None, none | {"steps": 9.0}) == Budget("steps", 9.0)
    assert budget_of("seconds", none | {"seconds": 9.0}) == Budget("seconds", 9.0)
    with pytest.raises(ValueError, match="--params and --macs"):
        budget_of(None, none | {"params": 1.0, "macs": 1.0})
    with pytest.raises(ValueError, match="--budget macs and --steps"):
        budget_of("macs", none | {"steps": 1.0})
    with pytest.raises(ValueError, match="--seconds N"):
        budget_of("seconds", none)
    with pytest.raises(ValueError, match="positive"):
        budget_of(None, none | {"params": -1.0})


def test_counting_takes_no_memory():
    """A network of 4 TiB."""
    assert params(SirenConfig(width=1 << 19, layers=5)) > 1 << 39
