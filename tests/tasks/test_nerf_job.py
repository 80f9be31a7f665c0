"""The scene job draws the pixels it says, on the backgrounds it says, and its voxels hand over what they found."""

import math
from dataclasses import replace

import pytest
import torch

from recon.geometry import Rays, Space
from recon.rendering.occupancy import OccupancyGrid
from recon.rendering.volume import Samples
from recon.scenes.region import space_for
from recon.tasks.nerf.job import NerfJob, _taught, _within
from recon.tasks.nerf.sampling import HIDDEN
from recon.tasks.nerf.settings import VoxelStage
from recon.training.optim import build_optimizer


def job_of(scene, space, settings, cpu, seed=0):
    torch.manual_seed(seed)
    return NerfJob(scene, space, settings, cpu)


def train(job, steps, start=0):
    """A plain loop, without checkpoints; the sum of losses of each step."""
    optimizers = build_optimizer(job.parameter_groups(), job.plan.optim)
    found = []
    for step in range(start, steps):
        optimizers.train_only(job.plan.stage_at(step)[0].trains)
        total = sum(job.loss(step).values())
        optimizers.zero_grad()
        total.backward()
        optimizers.step(job.plan.rate_factor(step))
        found.append(float(total.detach()))
    return found


def photographs(scene):
    """The same views without alpha, whose colours tell view, row and column, through a lens with distortion."""
    views, height, width = scene.images.shape[:3]
    images = torch.stack(torch.meshgrid(torch.arange(views), torch.arange(height), torch.arange(width), indexing="ij"))
    bent = torch.tensor([0.1, -0.05, 0.01, -0.02]).double().expand(views, 4)
    cameras = replace(scene.cameras, distortion=bent)
    return replace(scene, images=images.permute(1, 2, 3, 0).byte().contiguous(), cameras=cameras, layout="colmap")


# -- learning ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["voxel", "loe"])
def test_losses_fall(field, tiny, ball, space, cpu):
    steps = 60 if field == "voxel" else 150
    losses = train(job_of(ball, space, tiny(field, steps=steps, background="white"), cpu), steps)
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


def test_photographs_without_alpha_are_learned_in_contracted_space(tiny, ball, cpu):
    scene = replace(ball, images=ball.images[..., :3].contiguous(), layout="colmap")
    space = space_for(scene)
    assert space.kind == "contracted"
    losses = train(job_of(scene, space, tiny("loe", steps=60), cpu), 60)
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_a_seed_decides_everything_and_another_gives_other_pixels(tiny, ball, space, cpu):
    runs = [train(job_of(ball, space, tiny("loe"), cpu), 12) for _ in range(2)]
    assert runs[0] == runs[1]
    drawn = []
    for seed in (0, 1, -1, 2**32, 2**63):
        settings = tiny()
        settings = replace(settings, train=replace(settings.train, seed=seed))
        job, caught = job_of(ball, space, settings, cpu), []
        draw = job.batch
        job.batch = lambda count, rng, draw=draw, caught=caught: caught.append(draw(count, rng)) or caught[-1]
        job.loss(0)
        drawn.append(caught[0][1])
    assert not any(torch.equal(a, b) for i, a in enumerate(drawn) for b in drawn[:i])


def test_each_step_draws_other_pixels_and_other_samples(tiny, ball, space, cpu):
    job = job_of(ball, space, tiny(), cpu)
    losses = [float(sum(job.loss(step).values()).detach()) for step in (0, 1, 0)]
    assert losses[0] == losses[2] != losses[1]


# -- batches -----------------------------------------------------------------------------------------------------------


def test_a_ray_passes_through_the_very_pixel_whose_colour_it_is_to_learn(tiny, ball, space, cpu):
    scene = photographs(ball)
    job = job_of(scene, space, tiny(), cpu)
    rays, target, _ = job.batch(4000, torch.Generator().manual_seed(0))
    view, row, column = (255 * target).round().long().unbind(dim=1)
    points = rays.origin.double() + 2.7 * rays.direction.double()
    pixel, depth = scene.cameras.project(view, points)
    assert (depth > 0).all()
    torch.testing.assert_close(pixel, torch.stack([column, row], dim=1) + 0.5, atol=1e-4, rtol=0, check_dtype=False)
    assert set(view.tolist()) == set(scene.splits["train"])  # and never a held-out one
    assert len({(v, r, c) for v, r, c in zip(view.tolist(), row.tolist(), column.tolist(), strict=True)}) > 1500


@pytest.mark.parametrize("background", ["random", "white", "black"])
def test_transparent_pixels_are_the_background_and_opaque_ones_are_not(background, tiny, ball, space, cpu):
    job = job_of(ball, space, tiny(background=background), cpu)
    _, target, behind = job.batch(500, torch.Generator().manual_seed(0))
    empty = (target == behind).all(dim=1)
    assert 100 < int(empty.sum()) < 450
    if background == "random":
        assert behind.std(dim=0).min() > 0.25 and len(behind.unique(dim=0)) == 500
    else:
        assert (behind == float(background == "white")).all()
    again = job_of(ball, space, tiny(background="black"), cpu).batch(500, torch.Generator().manual_seed(0))[1]
    if background != "random":  # whose colours take numbers from the generator
        torch.testing.assert_close(target[~empty], again[~empty])


@pytest.mark.parametrize("background", ["random", "white", "black"])
def test_photographs_have_a_background_too_but_none_of_it_in_their_pixels(background, tiny, ball, space, cpu):
    job = job_of(photographs(ball), space, tiny(background=background), cpu)
    _, target, behind = job.batch(200, torch.Generator().manual_seed(0))
    assert len(behind.unique()) > 500 if background == "random" else (behind == float(background == "white")).all()
    assert target.max() <= 15 / 255


def test_half_transparent_pixels_mix(tiny, ball, space, cpu):
    images = torch.full_like(ball.images, 200)
    images[..., 3] = 102
    job = job_of(replace(ball, images=images), space, tiny(), cpu)
    _, target, behind = job.batch(50, torch.Generator().manual_seed(0))
    torch.testing.assert_close(target, 0.4 * 200 / 255 + 0.6 * behind)


# -- the limit of samples ----------------------------------------------------------------------------------------------


def samples_on(counts):
    """Unit intervals, so many on each ray."""
    ray = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    t0 = torch.cat([torch.arange(count, dtype=torch.float32) for count in counts])
    return Rays(torch.zeros(len(counts), 3), torch.ones(len(counts), 3)), Samples(t0, t0 + 1, ray)


@pytest.mark.parametrize(
    "counts, most, kept",
    [
        ([3, 2, 4], 9, 3),
        ([3, 2, 4], 8, 2),
        ([3, 2, 4], 5, 2),
        ([3, 2, 4], 4, 1),
        ([3, 2, 4], 1, 1),  # one ray at least
        ([0, 0, 5, 1], 3, 2),  # empty rays cost nothing
        ([2, 0, 0, 3], 2, 3),
        ([0, 0], 1, 2),
    ],
)
def test_a_batch_is_cut_to_whole_rays_within_the_limit(counts, most, kept):
    rays, samples = samples_on(counts)
    fewer, left = _within(rays, samples, most)
    assert len(fewer) == kept
    assert torch.bincount(left.ray, minlength=kept).tolist() == counts[:kept]
    assert len(left) <= max(most, counts[0])


def test_losses_of_a_cut_batch_are_those_of_its_first_rays(tiny, ball, space, cpu):
    whole = job_of(ball, space, tiny(rays="uniform"), cpu)  # 13 samples a ray that meets the box
    cut = job_of(ball, space, tiny(rays="uniform", samples=600), cpu)
    draw, seen = whole.batch, cut.lit.sampler.forward
    rays, target, behind = draw(128, torch.Generator().manual_seed(0))
    near, far = space.bounds(rays)
    met = (far > near).long().cumsum(0)
    count = int((13 * met <= 600).sum())
    assert 40 < count < 128 and seen is not None
    first = whole._losses(whole.lit, rays[slice(count)], target[:count], behind[:count], torch.Generator())
    same = cut._losses(cut.lit, rays, target, behind, torch.Generator())
    assert float(first["rgb"].detach()) == pytest.approx(float(same["rgb"].detach()), rel=0.2)  # their jitter differs
    assert cut._samples <= 13


# -- what the voxels teach and hand over -------------------------------------------------------------------------------


def twin_settings(tiny, **voxels):
    """The field is built as the voxels are."""
    settings = tiny("voxel")
    stage = replace(VoxelStage(share=0.5, resolution=12, batch=128), **voxels)
    return replace(settings, field=replace(settings.field, resolution=12), voxels=stage)


def test_a_student_that_equals_its_teacher_has_nothing_to_learn_from_it(tiny, ball, space, cpu):
    job = job_of(ball, space, twin_settings(tiny), cpu)
    train(job, 6)
    different = job.loss(6)["taught"].detach()
    job.lit.radiance.load_state_dict(job.voxels.radiance.state_dict())
    assert float(job.loss(6)["taught"].detach()) < 1e-12 < float(different)


def test_what_is_taught_is_the_square_of_opacities_and_of_colours_where_they_are_seen():
    _, samples = samples_on([2, 1])
    density, teacher = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([3.0, 2.0, math.inf])
    rgb = torch.tensor([[0.5, 0.5, 0.5], [1.0, 0.0, 0.0], [0.2, 0.2, 0.2]])
    taught = _taught(rgb, density, samples, (torch.zeros(3, 3), teacher, torch.tensor([0.25, 0.5, 0.0])))
    opacity = (math.exp(-1) - math.exp(-3)) ** 2 + 0 + 1
    assert float(taught) == pytest.approx(opacity + 0.25 * 0.75 + 0.5 * 1)


def test_teaching_fades_and_ends(tiny, ball, space, cpu):
    job = job_of(ball, space, twin_settings(tiny, teach=0.5, weight=2.0), cpu)
    train(job, 6)
    torch.manual_seed(0)
    job.loss(6)  # hands over
    found = {step: job.loss(step).get("taught") for step in range(6, 12)}
    assert [step for step, value in found.items() if value is not None] == [6, 7, 8]
    rays, target, behind = job.batch(128, torch.Generator().manual_seed(1))
    parts = [
        job._losses(job.lit, rays, target, behind, torch.Generator().manual_seed(2), share=share)["taught"]
        for share in (0.0, 0.25, 0.45)
    ]
    assert [float((part / parts[0]).detach()) for part in parts] == pytest.approx([1, 0.5, 0.1])


@pytest.mark.parametrize("share", [0.0, 0.9])
def test_no_teaching_means_none(share, tiny, ball, space, cpu):
    job = job_of(ball, space, twin_settings(tiny, teach=0.0), cpu)
    rays, target, behind = job.batch(64, torch.Generator().manual_seed(1))
    losses = job._losses(job.lit, rays, target, behind, torch.Generator().manual_seed(2), share=share)
    assert set(losses) == {"rgb"}


def test_only_samples_that_the_voxels_hide_are_left_out(tiny, ball, space, cpu):
    job = job_of(ball, space, twin_settings(tiny), cpu)
    with torch.no_grad():  # voxels that grow denser along x
        table = job.voxels.radiance.field.table
        table[:, 0] = torch.linspace(-6, 8, 12).repeat_interleave(144)
    rays, _, _ = job.batch(200, torch.Generator().manual_seed(0))
    samples = job.lit.sampler(rays, job.lit.radiance.density, torch.Generator().manual_seed(0))
    kept, taught = job._visible(rays, samples, teach=True)
    assert 0 < len(kept) < len(samples) and taught is not None and len(taught[1]) == len(kept)
    x = rays.origin[samples.ray] + samples.middle[:, None] * rays.direction[samples.ray]
    thickness = (job.voxels.radiance.density(x) * samples.length).double().detach()
    expected = []
    for ray in range(len(rays)):  # one ray at a time, in float64
        mine = thickness[samples.ray == ray]
        expected.append(torch.exp(-(mine.cumsum(0) - mine)))
    left = torch.cat(expected) > HIDDEN
    clear = (torch.cat(expected) / HIDDEN - 1).abs() > 1e-4  # of rounding
    found = torch.zeros(len(samples), dtype=torch.bool)
    where = {(int(r), float(t)) for r, t in zip(kept.ray, kept.t0, strict=True)}
    for index, (r, t) in enumerate(zip(samples.ray.tolist(), samples.t0.tolist(), strict=True)):
        found[index] = (r, t) in where
    assert torch.equal(found[clear], left[clear])
    assert job._visible(rays, samples, teach=False)[1] is None


def test_the_field_begins_in_all_cells_that_the_voxels_found_occupied_and_their_neighbours(tiny, ball, space, cpu):
    job = job_of(ball, space, tiny("loe", steps=200), cpu)
    start = job.plan.span_at(199)[1]
    train(job, start)
    job.loss(start)
    theirs, mine = (lit.grid.occupied.reshape(8, 8, 8).clone() for lit in (job.voxels, job.lit))
    assert 0 < theirs.sum() < 512
    near = torch.zeros_like(theirs)
    for x, y, z in theirs.nonzero().tolist():
        near[max(x - 1, 0) : x + 2, max(y - 1, 0) : y + 2, max(z - 1, 0) : z + 2] = True
    assert torch.equal(mine, near)
    assert job.lit.grid.holds(torch.tensor([[0.0, 0.0, 0.0], [0.7, 0.0, 0.0], [0.0, -0.7, 0.0]])).all()
    with torch.no_grad():
        job.lit.radiance.density_layer.bias += 100  # dense everywhere
    for _ in range(20):
        job.lit.update_grid(torch.Generator().manual_seed(0), everywhere=True)
    assert not (job.lit.grid.occupied.reshape(8, 8, 8) & ~near).any()  # and yet never where the voxels found nothing


def test_voxels_that_have_hardly_learned_leave_no_empty_space(tiny, ball, space, cpu):
    settings = tiny("loe", steps=3)
    for share in (0.0001, 0.3):  # no step of their own, and one
        job = job_of(ball, space, replace(settings, voxels=replace(settings.voxels, share=share)), cpu)
        train(job, 3)
        assert job.lit.grid.occupied.float().mean() > 0.3


def test_where_nothing_is_occupied_a_step_still_has_a_loss_and_gradients(tiny, ball, space, cpu):
    job = job_of(ball, space, tiny("voxel"), cpu)
    job.lit.grid.occupied.fill_(False)
    job.lit.refresh()
    losses = job.loss(1)
    sum(losses.values()).backward()
    assert float(losses["rgb"].detach()) > 0 and job.measures()["samples_per_ray"] == 0


# -- state -------------------------------------------------------------------------------------------------------------


def test_a_state_brings_weights_and_both_grids_back(tiny, ball, space, cpu):
    job = job_of(ball, space, tiny("loe"), cpu)
    train(job, 8)
    state = {name: value.clone() for name, value in job.state().items()}
    assert any("grid.occupied" in name for name in state)
    other = job_of(ball, space, tiny("loe"), cpu, seed=5)
    other.loss(8)
    other.load_state(state)
    assert all(torch.equal(value, state[name]) for name, value in other.state().items())
    assert [v.tolist() for v in other.loss(9).values()] == [v.tolist() for v in job.loss(9).values()]


@pytest.mark.parametrize("field", ["loe", "voxel", "hash-grid", "siren"])
def test_every_parameter_is_in_one_group(field, tiny, ball, space, cpu):
    job = job_of(ball, space, tiny(field), cpu)
    grouped = [id(p) for group in job.parameter_groups() for p in group.parameters]
    owned = [*job.lit.parameters(), *(job.voxels.parameters() if job.voxels else ())]
    assert sorted(grouped) == sorted(map(id, owned))


@pytest.mark.parametrize("kind", ["box", "contracted"])
def test_losses_of_shape_are_there_when_asked_for_and_small_where_light_stops_at_once(kind, tiny, ball, space, cpu):
    inside = space if kind == "box" else Space("contracted", space.box, near=0.1)
    settings = tiny(distortion=1.0, entropy=1.0)
    job = job_of(ball, inside, settings, cpu)
    foggy = {name: value.detach() for name, value in job.loss(0).items()}
    assert set(foggy) == {"rgb", "distortion", "entropy"}
    assert 0 < float(foggy["distortion"]) < 1 and float(foggy["entropy"]) > 0
    with torch.no_grad():
        job.lit.radiance.field.table[:, 0] = 1e4  # the first sample of each ray stops all
    solid = {name: value.detach() for name, value in job.loss(0).items()}
    assert float(solid["entropy"]) < 1e-6 < float(foggy["entropy"])
    assert float(solid["distortion"]) < float(foggy["distortion"])


def test_measures_tell_the_occupied_share_of_the_grid_in_use(tiny, ball, space, cpu):
    job = job_of(ball, space, tiny("loe"), cpu)
    assert isinstance(job.lit.grid, OccupancyGrid)
    job.voxels.grid.occupied[:256] = False
    job.loss(0)
    assert job.measures()["occupied"] == 0.5
    assert "occupied" not in job_of(ball, space, tiny("voxel", rays="uniform"), cpu).measures()
