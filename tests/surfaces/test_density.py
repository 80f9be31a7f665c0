"""Surfaces of densities whose level, radius and colours are known in closed form."""

import math

import numpy as np
import pytest
import torch

from recon.geometry import Box, Mesh, Rays, Space
from recon.surfaces.density import automatic_level, density_mesh, vertex_colours, without_floaters
from recon.surfaces.topology import describe

CENTRE = torch.tensor([2.0, -1.0, 0.5])
RADIUS, RATE, AT_RADIUS = 1.3, 12.0, 20.0
BOX = Box((0.0, -3.0, -1.5), (4.0, 1.0, 3.5))


def soft_ball(x: torch.Tensor) -> torch.Tensor:
    """Density falls by a factor e every 1 / RATE from the centre outwards, and is AT_RADIUS at RADIUS."""
    return AT_RADIUS * torch.exp(-RATE * ((x - CENTRE).norm(dim=-1) - RADIUS))


def hard_ball(x: torch.Tensor) -> torch.Tensor:
    return 50.0 * ((x - CENTRE).norm(dim=-1) < RADIUS)


def inward_rays(count: int = 200, distance: float = 4.0) -> Rays:
    direction = torch.nn.functional.normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    return Rays(CENTRE - distance * direction, direction)


def test_the_level_of_an_exponential_ball_is_its_rate_times_the_logarithm_of_two():
    """The optical depth up to a place is density / RATE; half of the light is stopped where that is ln 2."""
    level = RATE * math.log(2)
    depth = 4.0 - (RADIUS + math.log(AT_RADIUS / level) / RATE)
    rays = inward_rays()
    found = automatic_level(soft_ball, rays, torch.full((200,), depth), torch.ones(200), reach=0.1)
    assert found == pytest.approx(level, rel=0.04), "levels are tried in steps of 7 %"


def test_a_wall_of_even_density_is_cut_between_nothing_and_its_density():
    rays, depth = inward_rays(), torch.full((200,), 4.0 - RADIUS + math.log(2) / 50)
    found = automatic_level(hard_ball, rays, depth, torch.ones(200), reach=0.5)
    assert 50 / 50 < found < 50 / 1.5, "a margin to both sides"


def test_fog_before_a_wall_lifts_the_level_above_its_density():
    def foggy(x):
        return hard_ball(x) + 0.3

    depth = torch.full((200,), 4.0 - RADIUS + 0.01)
    assert 0.3 < automatic_level(foggy, inward_rays(), depth, torch.ones(200), reach=1.0) < 50


def test_veils_and_misses_do_not_count():
    rays, depth, opacity = inward_rays(), torch.full((200,), 4.0 - RADIUS + math.log(2) / 50), torch.ones(200)
    expected = automatic_level(hard_ball, rays, depth, opacity, reach=0.5)
    depth[::2], opacity[::2] = 1.0, 0.5
    depth[1] = float("nan")
    assert automatic_level(hard_ball, rays, depth, opacity, reach=0.5) == pytest.approx(expected, rel=1e-3)


def test_a_level_that_cannot_be_measured_is_asked_for():
    rays, depth = inward_rays(5), torch.ones(5)
    with pytest.raises(ValueError, match=r"no ray reaches an opacity of 0.9 \(the highest is 0.3\).*give a level"):
        automatic_level(hard_ball, rays, depth, torch.full((5,), 0.3), reach=0.5)
    with pytest.raises(ValueError, match="the density there is 0"):
        automatic_level(lambda x: x[:, 0] * 0, rays, depth, torch.ones(5), reach=0.5)
    with pytest.raises(ValueError, match="not a number in places"):
        automatic_level(lambda x: x[:, 0] * float("nan"), rays, depth, torch.ones(5), reach=0.5)


@pytest.mark.parametrize(
    "region",
    [BOX, Space("box", BOX), Space("contracted", BOX)],
    ids=["box", "space", "contracted"],
)
def test_the_mesh_of_a_ball_has_its_radius_and_faces_outwards(region):
    level = 8.0
    found = density_mesh(soft_ball, region, level, 65)
    radius = np.linalg.norm(found.mesh.vertices - CENTRE.numpy(), axis=1)
    np.testing.assert_allclose(radius, RADIUS + math.log(AT_RADIUS / level) / RATE, atol=5e-3)
    measures = describe(found.mesh)
    assert measures["watertight"] and measures["components"] == 1 and measures["volume"] is not None
    assert measures["volume"] == pytest.approx(4 / 3 * math.pi * radius.mean() ** 3, rel=0.01)
    outward = (found.mesh.vertices - CENTRE.numpy()) / radius[:, None]
    assert ((found.normals * outward).sum(axis=1) > 0.99).all()
    assert found.removed == 0 and found.colours is None and found.evaluations < 65**3


def test_a_wall_is_cut_within_a_cell():
    found = density_mesh(hard_ball, Space("box", BOX), 5.0, 65)
    radius = np.linalg.norm(found.mesh.vertices - CENTRE.numpy(), axis=1)
    assert np.abs(radius - RADIUS).max() <= 5 / 64


def test_a_frustum_mirrors_and_its_faces_still_look_outwards():
    """A camera at the origin looks along -z; the ball stands 4 units ahead."""
    space = Space("ndc", Box((-0.6, -0.6, -2.0), (0.6, 0.6, -1.0)), near=2.0)
    centre = torch.tensor([0.1, 0.2, -4.0])
    found = density_mesh(lambda x: 30 * ((x - centre).norm(dim=-1) < 0.8).float(), space, 3.0, 97)
    measures = describe(found.mesh)
    assert measures["watertight"] and measures["volume"] is not None
    assert measures["volume"] == pytest.approx(4 / 3 * math.pi * 0.8**3, rel=0.1)
    assert np.abs(np.linalg.norm(found.mesh.vertices - centre.numpy(), axis=1) - 0.8).max() < 0.15


def test_a_floater_is_removed_and_counted_and_a_small_part_is_kept():
    def scene(x):
        radii = {(0.0, 0.0, 0.0): 0.8, (1.5, 0.0, 0.0): 0.3, (-1.5, 1.5, 1.5): 0.05}
        balls = [(r, (x - x.new_tensor(c)).norm(dim=-1)) for c, r in radii.items()]
        return torch.stack([30 * torch.sigmoid(40 * (radius - away)) for radius, away in balls]).sum(dim=0)

    found = density_mesh(scene, Box((-2.0,) * 3, (2.0,) * 3), 10.0, 97)
    assert found.removed == 1 and "1 floater removed" in found.note
    assert describe(found.mesh)["components"] == 2
    assert len(found.normals) == len(found.mesh.vertices) == len(np.unique(found.mesh.faces))


def test_colours_are_those_seen_against_the_normal():
    found = density_mesh(soft_ball, BOX, 8.0, 33, colour=lambda x, d: (1 - d) / 2)
    assert found.colours is not None
    np.testing.assert_allclose(found.colours / 255, (found.normals + 1) / 2, atol=0.003)
    by_place = vertex_colours(found.mesh, found.normals, lambda x, d: (x - CENTRE) * 0.25 + 0.5)
    np.testing.assert_allclose(by_place / 255, (found.mesh.vertices - CENTRE.numpy()) * 0.25 + 0.5, atol=0.003)


def test_nothing_above_the_level_is_an_empty_mesh_that_says_so():
    found = density_mesh(lambda x: x[:, 0] * 0 + 1, BOX, 2.0, 17, colour=lambda x, d: d)
    assert not len(found.mesh.faces) and "give a lower level" in found.note
    assert found.colours is not None and found.colours.shape == (0, 3)
    assert without_floaters(Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64)))[1] == 0


@pytest.mark.parametrize("level", [0.0, -1.0, float("inf"), float("nan")])
def test_a_level_is_a_density(level):
    with pytest.raises(ValueError, match="the level must be a density above 0"):
        density_mesh(soft_ball, BOX, level, 17)
