"""The voxel grid against torch's `grid_sample`, at its grid points, and its settings."""

import pytest
import torch

from recon.fields import voxel
from recon.fields.voxel import Voxel, VoxelConfig

RNG = torch.Generator().manual_seed(0)


def build(sides: tuple[int, ...], out_dim: int = 3) -> Voxel:
    torch.manual_seed(0)
    return VoxelConfig(axis_resolutions=sides, init=1.0).build(len(sides), out_dim).double()


def by_grid_sample(field: Voxel, x: torch.Tensor) -> torch.Tensor:
    dims = field.in_dim
    volume = field.table.T.reshape(1, -1, *field.sides)
    where = x.flip(1).reshape(1, -1, *[1] * (dims - 1), dims)  # the last axis comes first
    return torch.nn.functional.grid_sample(volume, where, align_corners=True).reshape(field.out_dim, -1).T


@pytest.mark.parametrize("sides", [(5, 7), (2, 9), (4, 3, 6)])
@pytest.mark.parametrize("channels", [1, 4, 28])  # wide rows are scattered another way
def test_values_and_gradients_are_those_of_grid_sample(sides, channels):
    field = build(sides, channels)
    x = (torch.rand(50, len(sides), generator=RNG, dtype=torch.float64) * 2 - 1).requires_grad_()
    found, expected = field(x), by_grid_sample(field, x)
    torch.testing.assert_close(found, expected)
    out = torch.randn(found.shape, generator=RNG, dtype=torch.float64)
    for a, b in zip(*(torch.autograd.grad(y, [field.table, x], out) for y in (found, expected)), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("sides", [(6,), (3, 4), (3, 2, 4)])
def test_grid_points_hold_their_own_values(sides):
    field = build(sides)
    axes = [torch.linspace(-1, 1, n, dtype=torch.float64) for n in sides]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, len(sides))
    torch.testing.assert_close(field(points), field.table)


def test_settings_follow_a_grid_axis_by_axis():
    config = VoxelConfig().for_grid((12, 1, 5))
    assert config.axis_resolutions == (12, 2, 5)
    assert config.build(3, 1).table.shape == (120, 1)
    assert VoxelConfig(resolution=5).build(2, 4).table.shape == (25, 4)


def test_grids_for_other_axes_or_too_large_for_memory_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="axis_resolutions name 2 axes, but points have 3"):
        VoxelConfig(axis_resolutions=(4, 4)).build(3, 1)
    monkeypatch.setattr(voxel, "MAX_ROWS", 63)
    with pytest.raises(ValueError, match="holds 64 points; at most 63"):
        VoxelConfig(resolution=4).build(3, 1)


def test_counts():
    assert VoxelConfig(resolution=4).build(3, 5).macs() == 8 * 5


def test_a_scaled_grid_has_so_many_times_the_points_along_each_axis():
    config = VoxelConfig(resolution=10, axis_resolutions=(8, 12)).scaled(1.5)
    assert (config.resolution, config.axis_resolutions) == (15, (12, 18))
    assert VoxelConfig(resolution=10).scaled(1e-3).resolution == 2
