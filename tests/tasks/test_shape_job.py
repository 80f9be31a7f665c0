"""Losses and batches: closed forms, targets where the raster has them."""

import numpy as np
import pytest
import torch
import trimesh
from scipy.ndimage import binary_dilation, binary_erosion

from recon import runtime
from recon.fields.asmr import AsmrConfig
from recon.fields.bacon import BaconConfig
from recon.fields.neural_experts import NeuralExpertsConfig
from recon.fields.siren import SirenConfig
from recon.geometry import DOMAIN, Mesh
from recon.shapes.shape import from_mesh
from recon.tasks.shape import job as jobs
from recon.tasks.shape.job import (
    LOSS_SCALE,
    CellBatches,
    ShapeJob,
    cell_truth,
    expert_shares,
    pretrain_points,
)
from recon.tasks.shape.settings import LOGIT_SCALE, preset

ON_CPU = runtime.Runtime(torch.device("cpu"), "float32", ())


@pytest.fixture(scope="module")
def shape():
    mesh = trimesh.creation.torus(0.7, 0.3, major_sections=24, minor_sections=12)
    return from_mesh("torus", Mesh(np.asarray(mesh.vertices), np.asarray(mesh.faces).astype(np.int64)))


@pytest.fixture
def asmr():
    torch.manual_seed(0)
    return AsmrConfig(width=8, bases=(2, 4, 4)).build(3, 1)


def test_nested_targets_are_the_raster_truth_cell_by_cell(asmr, shape):
    inside = cell_truth(shape, asmr.cells)
    centre = (np.indices(asmr.cells).reshape(3, -1).T + 0.5) * (2 * DOMAIN / 32) - DOMAIN
    np.testing.assert_array_equal(inside.reshape(-1), shape.inside(centre))
    batches = CellBatches(asmr, inside, 0)
    # the same order as the field's own values: a field that is the raster would have no error
    index = torch.arange(32**3).reshape(asmr.cells)
    nested = asmr.to_nested(index, batches.walk.depth)
    np.testing.assert_array_equal(batches.targets.numpy(), inside.reshape(-1)[nested.numpy()])


def test_a_small_grid_is_trained_whole(asmr, shape):
    batches = CellBatches(asmr, cell_truth(shape, asmr.cells), 0)
    assert batches.points_per_step == 32**3
    for step in range(3):
        assert sorted(batches.walk.rows(step).tolist()) == list(range(8**3))


def test_half_of_a_batch_are_cells_near_the_surface(asmr, shape, monkeypatch):
    monkeypatch.setattr(jobs, "CELLS_PER_STEP", 40 * 64)
    inside = cell_truth(shape, asmr.cells)
    (near, from_near), (far, from_far) = CellBatches(asmr, inside, 7).walk.groups
    assert from_near == from_far == 20 and len(near) + len(far) == 8**3
    mixed = asmr.to_nested(torch.from_numpy(jobs._near_border(inside)), 2).any(dim=1)
    assert mixed[near].all() and not mixed[far].any()


def test_the_loss_of_a_batch_is_the_mean_error_of_its_cells(asmr, shape, monkeypatch):
    monkeypatch.setattr(jobs, "CELLS_PER_STEP", 40 * 64)
    inside = torch.from_numpy(cell_truth(shape, asmr.cells))
    batches = CellBatches(asmr, inside.numpy(), 7)
    rows = batches.walk.rows(3)
    chosen = torch.zeros(8**3, 64, dtype=torch.bool)
    chosen[rows] = True
    cells = asmr.to_raster(chosen)
    outside = (~inside[cells]).float()
    logit = LOGIT_SCALE * asmr.on_grid(asmr.cells)[..., 0][cells]
    expected = LOSS_SCALE * torch.nn.functional.binary_cross_entropy_with_logits(logit, outside)
    torch.testing.assert_close(batches.loss(a_job("occ", asmr), 3), expected)


def test_near_cells_are_those_whose_neighbourhood_has_both_kinds(shape):
    inside = cell_truth(shape, (32, 32, 32))
    block = np.ones((3, 3, 3), bool)
    expected = binary_dilation(inside, block) ^ binary_erosion(inside, block, border_value=1)
    np.testing.assert_array_equal(jobs._near_border(inside), expected)


def test_cells_need_the_same_number_on_each_axis(shape):
    with pytest.raises(ValueError, match="same number on each axis"):
        cell_truth(shape, (8, 8, 4))


class NoBatches:
    points_per_step = 1

    def loss(self, job, step):
        raise NotImplementedError


def a_job(task, field):
    return ShapeJob(task, field, NoBatches(), ON_CPU, preset(task, "quick", "siren"))


def test_the_distance_loss_is_the_weighted_mean_error():
    torch.manual_seed(0)
    field = SirenConfig(width=8, layers=2).build(3, 1)
    x, target, weight = torch.rand(9, 3) * 2 - 1, torch.randn(9), torch.rand(9)
    expected = LOSS_SCALE * (weight * (field(x)[:, 0] - target).abs()).sum() / weight.sum()
    torch.testing.assert_close(a_job("sdf", field).point_loss(x, target, weight), expected)


def test_the_loss_of_a_mixture_is_that_of_each_expert_by_its_probability():
    torch.manual_seed(0)
    config = NeuralExpertsConfig(experts=3, expert_width=4, encoder_width=8, manager_width=8)
    field = config.build(3, 1)
    x, target, weight = torch.rand(9, 3) * 2 - 1, torch.randn(9), torch.ones(9)
    outputs, gate = (part.detach() for part in field.experts(x))
    expected = 0.0
    for point in range(9):
        for expert in range(3):
            expected += float(gate[point, expert] * (outputs[point, expert, 0] - target[point]).abs()) / 3 / 9
    loss = a_job("sdf", field).point_loss(x, target, weight).detach()
    assert float(loss) == pytest.approx(LOSS_SCALE * expected, rel=1e-4)


def test_the_loss_of_a_field_of_several_scales_is_the_mean_of_theirs():
    torch.manual_seed(0)
    field, x = BaconConfig(width=8).build(3, 1), torch.rand(30, 3) * 2 - 1
    target, weight = torch.rand(30), torch.rand(30)
    found = a_job("sdf", field).point_loss(x, target, weight)
    each = [(weight * (values[:, 0] - target).abs()).sum() / weight.sum() for values in field.outputs(x).unbind(1)]
    torch.testing.assert_close(found, LOSS_SCALE * torch.stack(each).mean())
    found.backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in field.parameters())


def test_the_occupancy_loss_is_the_cross_entropy_of_the_outside_logit():
    job = a_job("occ", SirenConfig(width=8, layers=2).build(3, 1))
    value, target = torch.tensor([-0.01, 0.01, 0.01, 0.0]), torch.tensor([-1.0, -1.0, 1.0, 0.0])
    inside = 1 / (1 + torch.exp(LOGIT_SCALE * value))
    share = (1 - target) / 2
    expected = -(share * inside.log() + (1 - share) * (1 - inside).log())
    torch.testing.assert_close(job.error(value, target), expected)


def test_parameter_groups_cover_every_parameter_once_and_set_the_experts_apart():
    for field in (NeuralExpertsConfig().build(3, 1), AsmrConfig(width=8).build(3, 1), SirenConfig().build(3, 1)):
        groups = a_job("sdf", field).parameter_groups()
        found = [id(p) for group in groups for p in group.parameters]
        assert sorted(found) == sorted(id(p) for p in field.parameters())
        experts = {id(p) for name, p in field.named_parameters() if name.startswith("expert_stack.")}
        named = {id(p) for group in groups if group.name.startswith("experts") for p in group.parameters}
        assert experts == named


def test_shares_of_experts_sum_to_one():
    field = NeuralExpertsConfig(experts=5, encoder_width=8, manager_width=8).build(3, 1)
    share = expert_shares(field, torch.device("cpu"))
    assert share.shape == (5,) and float(share.sum()) == pytest.approx(1)


def test_pretraining_points_fill_the_cube_and_depend_on_the_seed_alone():
    points = pretrain_points(20_000, torch.Generator().manual_seed(1))
    assert torch.equal(points, pretrain_points(20_000, torch.Generator().manual_seed(1)))
    assert points.shape == (20_000, 3) and points.abs().max() <= 1
    near, uniform = points[:10_000], points[10_000:]
    steps = (near + 1) * 127 / 2
    # Laplace noise: the mean distance to the grid is its scale, in steps of the grid
    assert float((steps - steps.round()).abs().mean()) == pytest.approx(2e-3 / DOMAIN * 127 / 2, rel=0.1)
    assert float(uniform.abs().mean()) == pytest.approx(0.5, abs=0.02)
