"""The choice of nerfacc: made on CUDA alone, announced, checked against plain torch, dropped with the reason."""

import math
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch.nn.functional import normalize

from recon import runtime
from recon.geometry import Box, Rays, Space
from recon.rendering import accelerated, volume
from recon.rendering.occupancy import OccupancyGrid
from recon.rendering.samplers import OccupancySampler, UniformSampler
from recon.rendering.volume import KERNELS, Samples

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


class FakeNerfacc(ModuleType):
    """The functions of nerfacc 0.5.3 that are used, as its documentation and kernels have them, one ray at a time."""

    __version__ = "0.5.3"

    def __init__(self):
        super().__init__("nerfacc")
        self.calls = []

    def render_weight_from_density(self, t_starts, t_ends, sigmas, *, ray_indices, n_rays):
        self.calls.append("weights")
        thickness = sigmas * (t_ends - t_starts)
        alphas = 1 - torch.exp(-thickness)
        passed = [
            torch.exp(-torch.cat([torch.zeros(1), own.cumsum(0)[:-1]]))
            for own in (thickness[ray_indices == ray] for ray in range(n_rays))
            if len(own)
        ]
        trans = torch.cat(passed) if passed else thickness
        return trans * alphas, trans, alphas

    def traverse_grids(self, rays_o, rays_d, binaries, aabbs, *, near_planes, far_planes, step_size):
        self.calls.append("march")
        low, high, n = aabbs[0, :3], aabbs[0, 3:], torch.tensor(binaries.shape[1:])
        edges, left, right, rays = [], [], [], []
        for ray, (origin, direction) in enumerate(zip(rays_o, rays_d, strict=True)):
            faces = torch.stack([(low - origin) / direction, (high - origin) / direction])
            first = max(float(faces.amin(0).amax()), float(near_planes[ray]))
            last = min(float(faces.amax(0).amin()), float(far_planes[ray]))
            count = max(0, math.ceil((last - float(near_planes[ray])) / step_size))
            t0 = float(near_planes[ray]) + step_size * torch.arange(count)
            middle = t0 + step_size / 2
            cell = ((origin + middle[:, None] * direction - low) / (high - low) * n).floor().long()
            x, y, z = cell.clamp(torch.zeros(3).long(), n - 1).T
            inside = (middle >= first) & (middle < last) & binaries[0][x, y, z] & (first < last)
            for k in inside.nonzero()[:, 0].tolist():
                # A step that follows another one shares its edge.
                if k > 0 and inside[k - 1]:
                    left[-1] = True
                else:
                    edges, left, right = [*edges, float(t0[k])], [*left, True], [*right, False]
                edges, left, right = [*edges, float(t0[k]) + step_size], [*left, False], [*right, True]
                rays.append(ray)
        intervals = SimpleNamespace(vals=torch.tensor(edges), is_left=mask(left), is_right=mask(right))
        return intervals, SimpleNamespace(ray_indices=torch.tensor(rays, dtype=torch.long)), near_planes


def mask(values):
    return torch.tensor(values, dtype=torch.bool)


class Wrong(FakeNerfacc):
    """With one thing broken."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def render_weight_from_density(self, *args, **more):
        weight, trans, alphas = super().render_weight_from_density(*args, **more)
        if self.what == "weights":
            return weight * 1.01, trans, alphas
        return (weight, trans.detach(), alphas) if self.what == "gradients" else (weight, trans, alphas)

    def traverse_grids(self, *args, **more):
        if self.what == "samples":
            more["step_size"] *= 1.02
        return super().traverse_grids(*args, **more)


@pytest.fixture(autouse=True)
def plain_again():
    yield
    accelerated.drop()


@pytest.fixture
def no_lock(monkeypatch):
    monkeypatch.setattr(accelerated, "build_lock", lambda: None)


def offer(monkeypatch, module):
    monkeypatch.setitem(sys.modules, "nerfacc", module)


# -- the choice -------------------------------------------------------------------------------------------------------


def test_a_cpu_never_touches_nerfacc(monkeypatch):
    offer(monkeypatch, None)  # importing it would fail
    said = []
    assert "this is cpu" in accelerated.accelerate(CPU, said.append)
    assert said == [] and KERNELS.weights is None and KERNELS.march is None


def test_without_nerfacc_cuda_runs_plain_torch_and_says_so(monkeypatch, no_lock):
    offer(monkeypatch, None)
    said = []
    assert "no nerfacc: ModuleNotFoundError" in accelerated.accelerate(CUDA, said.append)
    assert said == [] and KERNELS.weights is None


def test_compiling_is_announced_before_it_starts_and_its_failure_is_the_reason(monkeypatch, no_lock, capsys):
    events = []

    class Broken(FakeNerfacc):
        def traverse_grids(self, *args, **more):
            sys.stdout.write("building")
            events.append("compiled")
            raise RuntimeError("Error building extension 'nerfacc_cuda'\nwith a long log")

    monkeypatch.setattr(accelerated, "switch_on", lambda module, device: module.traverse_grids())
    offer(monkeypatch, Broken())
    line = accelerated.accelerate(CUDA, events.append)
    assert [*events] == [events[0], "compiled"] and "minutes" in events[0]
    assert "plain torch" in line and "Error building extension 'nerfacc_cuda'" in line and "long log" not in line
    assert capsys.readouterr().out == ""  # standard output belongs to --json
    assert KERNELS.weights is None


def test_a_lock_left_behind_is_named_instead_of_waited_for(monkeypatch, tmp_path):
    pytest.importorskip("setuptools")
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    assert accelerated.build_lock() is None
    lock = tmp_path / "nerfacc_cuda" / "lock"
    lock.touch()
    offer(monkeypatch, FakeNerfacc())
    said = []
    assert f"delete {lock.parent}" in accelerated.accelerate(CUDA, said.append)
    assert said == [] and KERNELS.weights is None


def test_a_nerfacc_that_agrees_is_used_until_the_next_choice(monkeypatch, no_lock):
    offer(monkeypatch, FakeNerfacc())
    switch_on = accelerated.switch_on
    monkeypatch.setattr(accelerated, "switch_on", lambda module, device: switch_on(module, CPU))
    said = []
    assert accelerated.accelerate(CUDA, said.append).startswith("nerfacc 0.5.3 for rays")
    assert len(said) == 1 and KERNELS.march is not None and KERNELS.weights is not None
    accelerated.accelerate(CPU, said.append)
    assert len(said) == 1 and KERNELS.march is None and KERNELS.weights is None


@pytest.mark.parametrize("what", ["gradients", "samples", "weights"])
def test_a_nerfacc_that_is_wrong_is_dropped_with_what_was_wrong(what):
    with pytest.raises(RuntimeError, match=f"its {what} differ from plain torch's"):
        accelerated.switch_on(Wrong(what), CPU)
    assert KERNELS.march is None and KERNELS.weights is None and KERNELS.device == ""


# -- values -----------------------------------------------------------------------------------------------------------


def scene(near=0.0):
    rng = torch.Generator().manual_seed(1)
    grid = OccupancyGrid(6)
    grid.occupied.copy_(torch.rand(6**3, generator=rng) < 0.4)
    space = Space("box", Box((-1.0, -1.0, -0.5), (1.0, 2.0, 0.5)), near=near)
    origin = torch.randn(60, 3, generator=rng)
    target = torch.rand(60, 3, generator=rng) * 3 - 1.5
    return space, grid, Rays(origin, normalize(target - origin, dim=1))


@pytest.mark.parametrize("near", [0.0, 0.5])
@pytest.mark.parametrize("step", [0.04, 0.4])
def test_both_marches_take_the_same_steps(near, step):
    space, grid, rays = scene(near)
    fake = FakeNerfacc()
    plain, fast = [], []
    for found in (plain, fast):
        for seed in range(3):
            sampler = OccupancySampler(space, grid, step)
            found.append(sampler(rays, lambda x: x[:, 0], torch.Generator().manual_seed(seed)))
        if found is plain:
            accelerated.switch_on(fake, CPU)
            fake.calls.clear()
    assert fake.calls == ["march"] * 3
    for one, other in zip(plain, fast, strict=True):
        assert one.ray.tolist() == other.ray.tolist()
        torch.testing.assert_close(one.t0, other.t0, atol=1e-5, rtol=0)
        torch.testing.assert_close(one.t1, other.t1, atol=1e-5, rtol=0)


def test_both_weights_and_their_gradients_are_the_same():
    space, _, rays = scene()
    samples = UniformSampler(space, 12)(rays, lambda x: x[:, 0])
    start = torch.rand(len(samples), generator=torch.Generator().manual_seed(0)) * 3
    results = []
    for fast in (False, True):
        if fast:
            accelerated.switch_on(FakeNerfacc(), CPU)
        density = start.clone().requires_grad_()
        weight, before = volume.weights(density, samples, len(rays))
        (weight * samples.t0 + before.square()).sum().backward()
        results.append((weight.detach(), before.detach(), density.grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=2e-6, rtol=1e-5)


def test_what_nerfacc_cannot_do_stays_with_plain_torch():
    fake = FakeNerfacc()
    accelerated.switch_on(fake, CPU)
    fake.calls.clear()
    space, grid, rays = scene()
    assert len(OccupancySampler(space, grid, 0.1)(rays[:0], lambda x: x[:, 0])) == 0
    OccupancySampler(Space("contracted", space.box), grid, 0.1)(rays, lambda x: x[:, 0])
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    volume.weights(t[1:], Samples(t[:-1], t[1:], torch.zeros(4, dtype=torch.long)), 1)
    assert fake.calls == []


@pytest.mark.gpu
@pytest.mark.skipif(not runtime.has_gpu(), reason="no CUDA device")
def test_the_real_nerfacc_agrees_with_plain_torch():
    pytest.importorskip("nerfacc")
    assert accelerated.accelerate(CUDA, lambda line: None).startswith("nerfacc")
