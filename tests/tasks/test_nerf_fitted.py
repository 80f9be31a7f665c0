"""Pictures of a ball of known density are those of the closed form, whatever the sampler, chunk or background."""

import math
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from recon.fields.radiance import HeadConfig, RadianceField
from recon.geometry import Space
from recon.tasks.nerf import fitted as module
from recon.tasks.nerf.fitted import Fitted, place
from recon.tasks.nerf.job import build_lit
from recon.tasks.nerf.reference import reference_of
from recon.tasks.nerf.sampling import Lit, RaySamplerConfig
from recon.tasks.nerf.settings import preset

RADIUS, CPU = 0.5, torch.device("cpu")


class Ball(nn.Module):
    """Density in a ball around the origin: all of it inside, fading over `soft`; coloured by the direction of sight."""

    def __init__(self, space, density, soft=0.0):
        super().__init__()
        self.space, self.most, self.soft = space, density, soft
        self.field = SimpleNamespace(evaluator=lambda: self.density)

    def reading(self, _evaluator):
        return nullcontext()

    def density(self, x):
        inside = RADIUS - x.norm(dim=1)
        return self.most * (torch.sigmoid(inside / self.soft) if self.soft else (inside > 0).float())

    def cube_density(self, u):
        return self.density(self.space.from_cube(u)) * sum(self.space.box.half) / 3

    def features(self, x):
        return x, self.density(x)

    def colour_of(self, features, d):
        return (d + 1) / 2


def fitted_of(ball, space, density, soft=0.0, *, rays=None, background=1.0):
    settings = replace(preset("quick", "voxel"), head=HeadConfig(kind="direct"))
    config = rays or RaySamplerConfig("uniform", count=2000)
    lit = Lit(RadianceField(replace(settings.field, resolution=8), settings.head, space), config)
    lit.radiance = Ball(space, density, soft)
    return Fitted(lit, reference_of(ball, space, 1), CPU, torch.full((3,), background))


def chords(cameras, view):
    """Where each pixel's ray enters the ball, how far it goes inside, and where it looks."""
    rays = cameras.view_rays(view)
    origin, direction = rays.origin.double(), rays.direction.double()
    along = -(origin * direction).sum(dim=1)
    half = (along**2 - origin.square().sum(dim=1) + RADIUS**2).clamp(min=0).sqrt()
    shape = cameras.height, cameras.width
    return (along - half).view(shape), 2 * half.view(shape), rays


@pytest.mark.parametrize("density", [0.5, 3.0, 40.0])
def test_opacity_and_depths_of_a_ball_are_those_of_the_closed_form(ball, space, density):
    picture = fitted_of(ball, space, density).render(ball.cameras, 8)
    near, length, rays = chords(ball.cameras, 8)
    thickness = density * length
    torch.testing.assert_close(picture.opacity.double(), -torch.expm1(-thickness), atol=0.01 * min(density, 3), rtol=0)
    clear = length > 0.2
    assert 20 < int(clear.sum()) < 200
    mean = near + 1 / density - length * torch.exp(-thickness) / -torch.expm1(-thickness)
    torch.testing.assert_close(picture.depth.double()[clear], mean[clear], atol=2e-3, rtol=0)
    median = torch.where(thickness > math.log(2), near + math.log(2) / density, torch.inf)
    sure = clear & ((thickness - math.log(2)).abs() > 0.05)
    torch.testing.assert_close(picture.median_depth.double()[sure], median[sure], atol=2e-3, rtol=0)
    assert (picture.depth[length == 0] == 0).all() and picture.median_depth[length == 0].isinf().all()
    colour = (rays.direction.view(16, 16, 3) + 1) / 2
    seen = picture.opacity[..., None]
    torch.testing.assert_close(picture.rgb, (colour * seen + 1 - seen).clamp(0, 1), atol=5e-3, rtol=0)
    assert picture.normal is None


def test_normals_of_an_opaque_ball_point_away_from_its_centre(ball, space):
    picture = fitted_of(ball, space, 400.0, 0.005).render(ball.cameras, 9, normals=True)
    near, length, rays = chords(ball.cameras, 9)
    out = (rays.origin + near.reshape(-1, 1) * rays.direction) / RADIUS
    clear = length > 0.4
    assert picture.normal is not None and int(clear.sum()) > 20
    torch.testing.assert_close(picture.normal[clear].double(), out.view(16, 16, 3)[clear].double(), atol=0.03, rtol=0)
    assert (picture.normal.norm(dim=2) <= picture.opacity + 1e-4).all()
    assert (picture.normal[picture.opacity == 0] == 0).all()


@pytest.mark.parametrize("kind", ["occupancy", "hierarchical"])
def test_other_samplers_show_the_same_ball(ball, space, kind):
    config = RaySamplerConfig(kind, steps=400, grid=16, count=300, fine=300)
    even, other = fitted_of(ball, space, 10.0), fitted_of(ball, space, 10.0, rays=config)
    if kind == "occupancy":
        other.lit.update_grid(torch.Generator().manual_seed(0), everywhere=True)
        other.lit.grid.occupied.copy_(other.lit.grid.dilated(1).flatten())  # one look misses what a cell barely holds
        other.lit.refresh()
        assert other.lit.grid.occupied.float().mean() < 0.8
    a, b = even.render(ball.cameras, 8), other.render(ball.cameras, 8)
    _, length, _ = chords(ball.cameras, 8)
    clear = length > 0.3
    torch.testing.assert_close(a.opacity[clear], b.opacity[clear], atol=0.02, rtol=0)
    torch.testing.assert_close(a.depth[clear], b.depth[clear], atol=0.01, rtol=0)
    torch.testing.assert_close(a.rgb[clear], b.rgb[clear], atol=0.02, rtol=0)


@pytest.mark.parametrize("chunk", [1, 37, 256, 10_000])
def test_pictures_do_not_depend_on_how_many_rays_are_rendered_at_once(ball, space, chunk, monkeypatch):
    few = RaySamplerConfig("uniform", count=64)
    whole = fitted_of(ball, space, 5.0, 0.02, rays=few).render(ball.cameras, 8, normals=True)
    monkeypatch.setattr(module, "RAYS", chunk)
    parts = fitted_of(ball, space, 5.0, 0.02, rays=few).render(ball.cameras, 8, normals=True)
    for name in ("rgb", "opacity", "depth", "median_depth", "normal"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), atol=1e-5, rtol=1e-5)


def test_a_view_on_black_and_on_white_differs_by_what_shines_through(ball, space):
    white = fitted_of(ball, space, 2.0).render(ball.cameras, 8)
    black = fitted_of(ball, space, 2.0, background=0.0).render(ball.cameras, 8)
    torch.testing.assert_close(white.rgb - black.rgb, (1 - white.opacity)[..., None].expand(-1, -1, 3))
    assert torch.equal(white.opacity, black.opacity) and torch.equal(white.depth, black.depth)


def test_cameras_that_look_away_see_the_background_and_nothing_else(ball, space):
    pose = ball.cameras.pose.clone()
    pose[:, :, [0, 2]] *= -1  # turned about the upward axis
    picture = fitted_of(ball, space, 10.0, 0.01).render(replace(ball.cameras, pose=pose), 0, normals=True)
    assert (picture.rgb == 1).all() and (picture.opacity == 0).all() and (picture.depth == 0).all()
    assert picture.median_depth.isinf().all() and picture.normal is not None and (picture.normal == 0).all()


def test_all_cameras_are_rendered_in_order_at_any_size(ball, space):
    fitted = fitted_of(ball, space, 10.0, rays=RaySamplerConfig("uniform", count=32))
    small = ball.cameras.select([2, 5]).resized(4, 6)
    pictures = list(fitted.renders(small))
    assert [picture.rgb.shape for picture in pictures] == [(4, 6, 3)] * 2
    assert torch.equal(pictures[1].opacity, fitted.render(small, 1).opacity)


def test_points_have_density_and_colour_in_world_space_without_gradients(ball, tiny):
    torch.manual_seed(0)
    for space in (Space("box", ball_box(2.0)), Space("contracted", ball_box(0.3), near=0.1)):
        lit = build_lit(tiny("pe-mlp"), space)
        fitted = Fitted(lit, reference_of(ball, space, 1), CPU, torch.ones(3))
        x = torch.rand(50, 3) * 2 - 1
        d = nn.functional.normalize(torch.randn(50, 3), dim=1)
        rgb, density = lit.radiance(x, d)
        assert torch.equal(fitted.density(x), density.detach()) and torch.equal(fitted.colour(x, d), rgb.detach())
        assert not fitted.density(x).requires_grad and not fitted.colour(x, d).requires_grad


def test_asmr_is_shown_from_a_table_that_is_made_once(ball, tiny, monkeypatch):
    torch.manual_seed(0)
    settings = tiny("asmr", rays="uniform")
    settings = replace(settings, field=replace(settings.field, offset=False))
    space = Space("box", ball_box(1.0))
    fitted = Fitted(build_lit(settings, space), reference_of(ball, space, 1), CPU, torch.ones(3))
    x, d = torch.rand(50, 3) * 2 - 1, nn.functional.normalize(torch.randn(50, 3), dim=1)
    rgb, density = fitted.lit.radiance(x, d)
    field = fitted.lit.radiance.field
    calls = {name: counted(monkeypatch, field, name) for name in ("forward", "on_grid")}
    slow = slow_picture(fitted, ball.cameras)
    calls["forward"].clear()
    torch.testing.assert_close(fitted.density(x), density.detach())
    torch.testing.assert_close(fitted.colour(x, d), rgb.detach())
    torch.testing.assert_close(fitted.render(ball.cameras, 8).rgb, slow, atol=1e-4, rtol=0)
    assert calls == {"forward": [], "on_grid": [1]}
    fitted.render(ball.cameras, 8, normals=True)
    assert calls["forward"]  # gradients are the field's own
    assert fitted.lit.state_dict().keys() == build_lit(settings, space).state_dict().keys()


def slow_picture(fitted, cameras):
    """Without the table."""
    radiance = fitted.lit.radiance
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(radiance, "reading", lambda _: nullcontext())
        return fitted.render(cameras, 8).rgb


def counted(monkeypatch, field, name):
    calls, method = [], getattr(field, name)
    monkeypatch.setattr(field, name, lambda *args: calls.append(1) or method(*args))
    return calls


def ball_box(half):
    from recon.geometry import Box  # noqa: PLC0415

    return Box((-half,) * 3, (half,) * 3)


@pytest.mark.parametrize(
    "field, change", [("loe", {"encoding": "constant"}), ("asmr", {"blend": False, "offset": False})]
)
def test_fields_that_are_constant_in_cells_have_no_normals_and_are_drawn_all_the_same(ball, space, tiny, field, change):
    settings = tiny(field)
    torch.manual_seed(0)
    lit = build_lit(replace(settings, field=replace(settings.field, **change)), space)
    fitted = Fitted(lit, reference_of(ball, space, 1), CPU, torch.ones(3))
    picture = fitted.render(ball.cameras, 0, normals=True)
    assert picture.normal is not None and (picture.normal == 0).all() and picture.opacity.max() > 0.1


def test_faint_samples_cost_no_colour_and_hardly_change_a_picture(ball, space, monkeypatch):
    fitted = fitted_of(ball, space, 50.0, 0.05, rays=RaySamplerConfig("uniform", count=200))
    asked = []
    colours = fitted.lit.radiance.colour_of
    monkeypatch.setattr(fitted.lit.radiance, "colour_of", lambda f, d: asked.append(len(f)) or colours(f, d))
    picture = fitted.render(ball.cameras, 8).rgb
    monkeypatch.setattr(module, "FAINT", -1.0)
    torch.testing.assert_close(fitted.render(ball.cameras, 8).rgb, picture, atol=1e-3, rtol=0)
    assert asked[0] < asked[1]


def test_samples_are_placed_on_their_rays(ball, space):
    rays = ball.cameras.view_rays(3)
    sampler = RaySamplerConfig("uniform", count=5).build(space)
    samples = sampler(rays, lambda x: x[:, 0], None)
    x, d = place(rays, samples)
    torch.testing.assert_close((x - rays.origin[samples.ray]).norm(dim=1), samples.middle)
    assert torch.equal(d, rays.direction[samples.ray])
    assert (space.to_cube(x).abs() <= 1 + 1e-5).all()
