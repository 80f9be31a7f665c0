"""Maps of parts: what they call one part shares its weights, and cells are where the field's own formula has them."""

import pytest
import torch

from recon.fields.kilonerf import KiloNerfConfig
from recon.fields.loe import LoeConfig
from recon.fields.neural_experts import NeuralExpertsConfig
from recon.fields.siren import SirenConfig
from recon.tasks.maps import FINEST, parts_of

X = torch.rand(400, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_levels_of_tiles_are_told_coarse_to_fine_and_repeat_where_their_cells_do():
    found = parts_of(LoeConfig(width=8, layers=5, frequencies=2, tiles=(2, 3, 2, 4, 4)).build(3, 1))
    assert [part.title for part in found] == [
        "layer 1: 2 × 2 × 2 cells",
        "layer 2: 6 × 6 × 6 cells of 3 × 3 × 3 tiles",
        "layer 3: 12 × 12 × 12 cells of 2 × 2 × 2 tiles",
    ]
    for part, cells, tiles in zip(found, (2, 6, 12), (2, 3, 2), strict=True):
        cell = ((X + 1) / 2 * cells).floor().long() % tiles
        assert torch.equal(part.at(X, chunk=150), cell[:, 0] * tiles**2 + cell[:, 1] * tiles + cell[:, 2])
        assert part.count == tiles**3


def test_cells_that_nobody_could_tell_apart_are_left_out():
    found = parts_of(LoeConfig(width=8, layers=4, frequencies=2, tiles=(8, 8, 8)).build(3, 1))
    assert [part.count for part in found] == [512, 512] and FINEST == 64  # 512 cells along an axis would follow
    alike = parts_of(LoeConfig(width=8, layers=4, frequencies=2, tiles=(2, 2, 2), hierarchy="none").build(3, 1))
    assert len(alike) == 1  # each layer has the same cells


@pytest.mark.parametrize("config", [KiloNerfConfig(nets=3, width=8), NeuralExpertsConfig(experts=4, expert_width=8)])
def test_one_way_of_dividing_space_has_labels_below_its_count(config):
    (part,) = parts_of(config.build(3, 1))
    labels = part.at(X)
    assert labels.min() >= 0 and labels.max() < part.count and part.kind in ("experts", "tiles")
    if part.kind == "tiles":
        assert part.title == "3 × 3 × 3 networks" and len(labels.unique()) == 27


def test_a_network_of_one_piece_has_no_map():
    assert parts_of(SirenConfig(width=8).build(3, 1)) == []
