"""Shapes from Python: any mesh in, questions in its own coordinates, nothing left behind."""

import gc
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import trimesh

import recon
from recon.fields import Field, FieldConfig
from recon.fields.siren import SirenConfig

CENTRE, RADIUS = np.array((100.0, -5.0, 3.0)), 37.0
WITHIN = 0.1 * RADIUS
"""How far off a fit of 200 steps may be."""


def around(distance: float, n: int = 50) -> np.ndarray:
    """Points at a distance from the ball's middle."""
    direction = np.random.default_rng(0).normal(size=(n, 3))
    return CENTRE + distance * direction / np.linalg.norm(direction, axis=1, keepdims=True)


def weights(result: recon.ShapeResult) -> torch.Tensor:
    return torch.cat([parameter.detach().reshape(-1) for parameter in result.field.parameters()])


def test_distances_are_in_units_of_the_input_and_negative_inside(learned):
    for distance in (0.5 * RADIUS, RADIUS, 1.1 * RADIUS):
        np.testing.assert_allclose(learned.signed_distance(around(distance)), distance - RADIUS, atol=WITHIN)
    assert learned.inside(around(0.9 * RADIUS)).all() and not learned.inside(around(1.1 * RADIUS)).any()


def test_beyond_what_was_learned_distances_go_on_and_nothing_is_inside(learned):
    found = learned.signed_distance(around(5 * RADIUS))
    assert (3.3 * RADIUS < found).all() and (found < 5 * RADIUS).all()
    further = learned.signed_distance(around(10 * RADIUS)) - found
    assert (further > 3.5 * RADIUS).all() and (further < 6 * RADIUS).all()
    assert not learned.inside(around(50 * RADIUS)).any()


def test_arrays_give_arrays_and_tensors_tensors_of_the_same_shape_and_kind(learned):
    points = around(RADIUS).reshape(5, 10, 3)
    found = learned.signed_distance(points)
    assert isinstance(found, np.ndarray) and found.shape == (5, 10) and found.dtype == np.float64
    assert learned.signed_distance(points.astype(np.float32)).dtype == np.float32
    tensor = learned.signed_distance(torch.from_numpy(points))
    assert tensor.dtype == torch.float64 and not tensor.requires_grad
    np.testing.assert_array_equal(tensor.numpy(), found)
    assert learned.inside(np.array([100, -5, 3])) and learned.signed_distance(np.zeros((0, 3))).shape == (0,)


def test_gradients_of_tensors_point_outwards(learned):
    for distance in (0.8 * RADIUS, 3 * RADIUS):
        points = torch.from_numpy(around(distance)).requires_grad_()
        learned.signed_distance(points).sum().backward()
        assert points.grad is not None
        outward = (points.detach() - torch.from_numpy(CENTRE)) / distance
        cosine = torch.nn.functional.cosine_similarity(points.grad, outward)
        assert cosine.min() > 0.4 and cosine.mean() > 0.85
    assert all(parameter.grad is None for parameter in learned.field.parameters())


@pytest.mark.parametrize("points", [np.zeros((3, 2)), np.zeros(()), np.zeros((2, 3), bool), torch.zeros(4, 4)])
def test_points_that_are_none_are_refused(learned, points):
    with pytest.raises(ValueError, match="rows of three numbers"):
        learned.signed_distance(points)


def test_the_mesh_lies_where_the_input_lay(learned, ball):
    mesh = learned.mesh(resolution=32)
    assert isinstance(mesh, trimesh.Trimesh) and mesh.is_watertight
    np.testing.assert_allclose(mesh.bounds, ball.bounds, atol=WITHIN)
    assert mesh.volume == pytest.approx(ball.volume, rel=0.1)
    with pytest.raises(ValueError, match="8 .. 2048"):
        learned.mesh(resolution=4)


def test_a_picture_shows_the_ball_in_its_middle(learned):
    picture = np.asarray(learned.render(size=48))
    assert picture.shape == (48, 48, 3)
    assert (picture[0, 0] == 255).all() and picture[24, 24].max() < 250


def test_the_same_mesh_is_learned_the_same_whatever_it_comes_in(ball, tiny, place):
    ball.export(place / "ball.ply")
    vertices, faces = np.array(ball.vertices), np.array(ball.faces)
    given = [
        ball,
        (vertices, faces),
        (torch.from_numpy(vertices), torch.from_numpy(faces)),
        (vertices.tolist(), faces.tolist()),
        place / "ball.ply",
    ]
    found = [weights(recon.fit_shape(shape, settings=tiny, steps=4, seed=7, quiet=True)) for shape in given]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-3, atol=1e-4)  # the file holds single precision
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=0)
    assert not torch.equal(weights(recon.fit_shape(ball, settings=tiny, steps=4, seed=8, quiet=True)), found[0])


def test_points_with_normals_are_learned(ball, tiny):
    points, face = trimesh.sample.sample_surface(ball, 2000, seed=1)
    cloud = recon.PointCloud(np.array(points), 3 * np.array(ball.face_normals[face]))
    found = recon.fit_shape(cloud, settings=tiny, steps=100, quiet=True)
    np.testing.assert_allclose(found.signed_distance(around(0.7 * RADIUS)), -0.3 * RADIUS, atol=0.2 * RADIUS)
    with pytest.raises(ValueError, match="no inside"):
        recon.fit_shape(cloud, task="occ", quiet=True)


def test_occupancy_knows_inside_but_no_distances(ball, tiny):
    settings = replace(recon.shape_settings("pe-mlp", preset="quick", task="occ"), field=tiny.field, train=tiny.train)
    settings = replace(settings, pool=4000, resolution=24)
    found = recon.fit_shape(ball, task="occ", settings=settings, steps=100, quiet=True)
    assert found.inside(around(0.8 * RADIUS)).all() and not found.inside(around(1.15 * RADIUS)).any()
    with pytest.raises(ValueError, match="no distances"):
        found.signed_distance(around(RADIUS))


def test_a_field_comes_by_its_settings(ball, monkeypatch, tiny):
    monkeypatch.setattr("recon.api.shape.settings_of", lambda task, preset, field: tiny)
    found = recon.fit_shape(ball, SirenConfig(width=12, layers=3), steps=2, quiet=True)
    assert found.config["field"] == "siren" and found.settings.field == SirenConfig(width=12, layers=3)


@dataclass(frozen=True)
class LineConfig(FieldConfig):
    """A field of somebody's notebook: one linear layer."""

    def build(self, in_dim: int, out_dim: int) -> Field:
        return Line(in_dim, out_dim)


class Line(Field):
    """A plane."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim)
        self.layer = torch.nn.Linear(in_dim, out_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)

    def macs(self) -> int:
        return self.layer.weight.numel()


def test_a_field_of_ones_own_has_to_be_named_first(ball, tiny, monkeypatch):
    with pytest.raises(ValueError, match=r"recon.FIELDS\['my-field'\] = LineConfig"):
        recon.fit_shape(ball, LineConfig(), quiet=True)
    monkeypatch.setitem(recon.FIELDS, "line", LineConfig())
    found = recon.fit_shape(ball, settings=replace(tiny, field=LineConfig()), steps=2, quiet=True)
    assert found.config["field"] == "line" and found.parameters == 4


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ("nothing.ply", {}, "no file nothing.ply"),
        ("no-such-name", {}, "no shape 'no-such-name'"),
        ((np.zeros((3, 2)), np.zeros((1, 3), int)), {}, r"rows of three numbers, \[n, 3\]"),
        ((np.eye(3), np.zeros((1, 3))), {}, "faces must be whole numbers"),
        ((np.eye(3), np.array([[0, 1, 7]])), {}, "vertices that do not exist"),
        ((np.full((3, 3), np.nan), np.array([[0, 1, 2]])), {}, "NaN or infinite"),
        ((np.eye(3), np.zeros((0, 3), int)), {}, "one at least"),
        (recon.PointCloud(np.eye(3), np.zeros((3, 3))), {}, "normals are zero"),
        ("rings", {"field": "sirn"}, "perhaps you meant siren"),
        ("rings", {"steps": 0}, "steps must be at least 1"),
        ("rings", {"threads": -1}, "threads must be"),
    ],
)
def test_what_can_not_be_used_is_refused_with_what_is_wanted(given, options, message, place):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        recon.fit_shape(given, quiet=True, **options)
    assert not list(place.iterdir())


def test_settings_hold_everything_and_take_nothing_beside_them(ball, tiny):
    with pytest.raises(ValueError, match="field and preset too"):
        recon.fit_shape(ball, "siren", settings=tiny, preset="quick")
    with pytest.raises(ValueError, match="preset too"):
        recon.fit_shape(ball, settings=tiny, preset="quick")


def test_nothing_is_left_of_a_result_that_nobody_keeps(ball, tiny, place):
    found = recon.fit_shape(ball, settings=tiny, steps=2, quiet=True)
    folder = found.folder
    assert (folder / "config.json").is_file()
    del found
    gc.collect()
    assert not folder.exists() and not folder.parent.exists() and not list(place.iterdir())
