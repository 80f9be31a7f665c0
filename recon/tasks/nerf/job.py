"""The training job of a scene: rays through random pixels of all training views; voxels learn first, then the field."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recon import runtime
from recon.fields.radiance import HeadConfig, RadianceField
from recon.fields.voxel import VoxelConfig
from recon.geometry import Rays, Space
from recon.rendering.volume import Rendering, Samples, composite, distortion, ray_entropy, weights
from recon.runtime import Runtime
from recon.scenes.scene import Scene
from recon.tasks.nerf.fitted import place
from recon.tasks.nerf.sampling import HIDDEN, Lit
from recon.tasks.nerf.settings import NerfSettings
from recon.training.job import Job
from recon.training.optim import ParamGroup

WARMUP_GRID = 8
"""The occupancy grid of a field that starts without voxels is looked at everywhere this many times."""


def build_lit(settings: NerfSettings, space: Space) -> Lit:
    """A radiance field as the settings ask for, with its sampler."""
    config = settings.field
    if isinstance(config, VoxelConfig):
        config = config.for_grid(voxel_sides(space, config.resolution))
    return Lit(RadianceField(config, settings.head, space), settings.rays)


def build_voxels(settings: NerfSettings, space: Space) -> Lit:
    """The voxels that find the occupied space; their rays march through a grid of their own."""
    sides = voxel_sides(space, settings.voxels.resolution)
    head = HeadConfig(kind="direct", density_bias=-2.0)
    return Lit(RadianceField(VoxelConfig(init=0.0).for_grid(sides), head, space), settings.rays)


def voxel_sides(space: Space, mean: int) -> tuple[int, int, int]:
    """Grid points an axis, `mean` of them along the mean side of a box, so that voxels are cubes in world space."""
    if space.kind == "ndc":
        return mean, mean, mean
    half = space.box.half
    x, y, z = (max(8, round(mean * 3 * h / sum(half))) for h in half)
    return x, y, z


class NerfJob(Job):
    """Fits a radiance field to pictures (mean squared error of colours in [0, 1])."""

    def __init__(self, scene: Scene, space: Space, settings: NerfSettings, run_on: Runtime) -> None:
        self.scene, self.space, self.settings, self.run_on = scene, space, settings, run_on
        self.plan = settings.staged()
        self.lit = build_lit(settings, space).to(run_on.device)
        self.voxels = build_voxels(settings, space).to(run_on.device) if settings.voxels.share else None
        self.points_per_step = settings.train.batch
        self._views = torch.tensor(scene.splits["train"])
        self._seed = settings.train.seed
        self._samples = 0.0
        self.step, self.stage = -1, ""
        """The update that was computed last, and its stage."""

    # -- what the loop asks for ---------------------------------------------------------------------------------

    def parameter_groups(self) -> list[ParamGroup]:
        """Hidden matrices, tables and the rest of the field; the voxels, at a rate of their own."""
        field = self.lit.radiance.field
        matrices = [p for p in field.matrices()]
        tables = [p for p in field.tables()]
        named = {id(p) for p in (*matrices, *tables)}
        rest = [p for p in self.lit.parameters() if id(p) not in named]
        groups = [
            ParamGroup("field.matrix", matrices, "matrix", rate_scale=self.settings.matrix_rate),
            ParamGroup("field.table", tables),
            ParamGroup("field.other", rest),
        ]
        if self.voxels is not None:
            scale = self.settings.voxels.rate / self.settings.train.optim.rate
            groups.append(ParamGroup("voxels", list(self.voxels.parameters()), rate_scale=scale))
        return groups

    def loss(self, step: int) -> dict[str, Tensor]:
        stage, start, end = self.plan.span_at(step)
        self.step, self.stage = step, stage.name
        rough = self.run_on.precision == "bf16-inside" and step < self.settings.full_precision_from * self.plan.steps
        runtime.set_products("bf16-inside" if rough else "float32")
        rng = torch.Generator().manual_seed(_mix(self._seed, step))
        voxels = self.settings.voxels if stage.name == "voxels" else None
        rays, target, background = self.batch(voxels.batch if voxels else self.settings.train.batch, rng)
        self.points_per_step = len(rays)
        if stage.name == "voxels" and self.voxels is not None:
            self._look(self.voxels, step - start, rng)
            return self._losses(self.voxels, rays, target, background, rng)
        if step == start and self.voxels is not None:
            self._hand_over(rng)
        self._look(self.lit, step - start, rng)
        share = (step - start) / (end - start)
        return self._losses(self.lit, rays, target, background, rng, share=share)

    def state(self) -> dict[str, Tensor]:
        parts = {"lit": self.lit, "voxels": self.voxels}
        return {
            f"{name}.{key}": value for name, part in parts.items() if part for key, value in part.state_dict().items()
        }

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        for name, part in (("lit", self.lit), ("voxels", self.voxels)):
            if part is not None:
                part.load_state_dict(part_of(tensors, name))
                part.refresh()

    def measures(self) -> dict[str, float]:
        """Samples a ray, and the occupied share of the grid."""
        found = {"samples_per_ray": self._samples}
        lit = self.voxels if self.stage == "voxels" and self.voxels is not None else self.lit
        if lit.grid is not None:
            found["occupied"] = float(lit.grid.occupied.float().mean())
        return found

    # -- batches and losses -------------------------------------------------------------------------------------

    def batch(self, count: int, rng: torch.Generator) -> tuple[Rays, Float[Tensor, "r 3"], Float[Tensor, "r 3"]]:
        """Rays through random pixels of all training views, their colours, and what lies behind them."""
        cameras, device = self.scene.cameras, self.run_on.device
        view = self._views[torch.randint(len(self._views), (count,), generator=rng)]
        index = torch.randint(cameras.height * cameras.width, (count,), generator=rng)
        background = self._background(count, rng)
        target = self.scene.pixels(view, index, background)
        pixel = torch.stack([index % cameras.width, index // cameras.width], dim=-1) + 0.5
        return cameras.rays(view, pixel).to(device), target.to(device), background.to(device)

    def _background(self, count: int, rng: torch.Generator) -> Float[Tensor, "r 3"]:
        """Behind alpha, what the settings say. Behind photographs of everything it is random too: a field that left
        their white walls transparent would be found out."""
        if self.settings.background == "random" and not self.scene.white:
            return torch.rand(count, 3, generator=rng)
        return torch.full((count, 3), 0.0 if self.settings.background == "black" else 1.0)

    def _losses(
        self,
        lit: Lit,
        rays: Rays,
        target: Tensor,
        background: Tensor,
        rng: torch.Generator,
        *,
        share: float | None = None,
    ) -> dict[str, Tensor]:
        """The error of the pixels; for the field itself (`share` of its steps done) also what it is taught."""
        rays, samples = _within(rays, lit.sampler(rays, lit.radiance.density, rng), self.settings.samples)
        target, background = target[: len(rays)], background[: len(rays)]
        taught = None
        if self.voxels is not None and share is not None:
            samples, taught = self._visible(rays, samples, share < self.settings.voxels.teach)
        x, d = place(rays, samples)
        rgb, density = lit.radiance(x, d)
        found = composite(rgb, density, samples, len(rays), background)
        self._samples = len(samples) / len(rays)
        losses = {"rgb": (found.rgb - target).square().mean()}
        if taught is not None and share is not None:
            fading = self.settings.voxels.weight * (1 - share / self.settings.voxels.teach)
            losses["taught"] = fading * _taught(rgb, density, samples, taught) * 3 / len(rays)
        return losses | self._shape_losses(found, samples)

    def _shape_losses(self, found: Rendering, samples: Samples) -> dict[str, Tensor]:
        losses = {}
        if self.settings.distortion:
            side, far = 2 * sum(self.space.box.half) / 3, torch.tensor(self.space.far)
            extent = side if self.space.kind == "box" else float(self.space.to_even(far))
            t0, t1 = (self.space.to_even(t) / extent for t in (samples.t0, samples.t1))
            even = Samples(t0, t1, samples.ray)
            losses["distortion"] = self.settings.distortion * distortion(found.weight, even, len(found.rgb)).mean()
        if self.settings.entropy:
            losses["entropy"] = self.settings.entropy * ray_entropy(found.weight, samples.ray, len(found.rgb)).mean()
        return losses

    # -- the voxels' part ---------------------------------------------------------------------------------------

    @torch.no_grad()
    def _visible(
        self, rays: Rays, samples: Samples, teach: bool
    ) -> tuple[Samples, tuple[Tensor, Tensor, Tensor] | None]:
        """The samples that the voxels leave any light, and the voxels' colour, density and weight there."""
        assert self.voxels is not None
        radiance = self.voxels.radiance
        x, d = place(rays, samples)
        rgb, density = radiance(x, d)
        weight, transmittance = weights(density, samples, len(rays))
        seen = transmittance > HIDDEN
        return samples[seen], (rgb[seen], density[seen], weight[seen]) if teach else None

    def _hand_over(self, rng: torch.Generator) -> None:
        """The field's rays begin with the space that the voxels found occupied, and one cell around it."""
        assert self.voxels is not None
        mine, theirs = self.lit.grid, self.voxels.grid
        if mine is None or theirs is None:
            return
        self.voxels.update_grid(rng, everywhere=True)
        # The field has never seen what lies further out, and would be free to put specks there.
        mine.confine(theirs.dilated(1).reshape(-1))
        self.lit.refresh()

    def _look(self, lit: Lit, done: int, rng: torch.Generator) -> None:
        """Update the occupancy grid every so many steps; not before anything was learned."""
        if lit.grid is None or done == 0 or done % self.settings.rays.refresh:
            return
        alone = lit is self.voxels or self.voxels is None
        turn = done // self.settings.rays.refresh
        lit.update_grid(rng, everywhere=lit is self.voxels or (alone and turn <= WARMUP_GRID))


def _within(rays: Rays, samples: Samples, most: int) -> tuple[Rays, Samples]:
    """The first rays of a batch, as many as have `most` samples together, and one at least.

    Before it is known which space is empty, a batch has many times the samples that it has later."""
    if len(samples) <= most:
        return rays, samples
    count = max(1, int(samples.ray[most]))
    kept = samples.ray < count
    return rays[slice(count)], samples[kept]


def _mix(seed: int, step: int) -> int:
    """A seed for each step; torch's generators would look at the lowest 32 bits of a longer one only."""
    return int(np.random.SeedSequence([seed % 2**64, step]).generate_state(1)[0])


def part_of(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The entries of one part of a job's state."""
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}


def _taught(rgb: Tensor, density: Tensor, samples: Samples, taught: tuple[Tensor, Tensor, Tensor]) -> Float[Tensor, ""]:
    """Squared errors of each sample's opacity, and of its colour by how much of it is seen."""
    teacher_rgb, teacher_density, teacher_weight = taught
    length = samples.length
    opacity = torch.exp(-density * length) - torch.exp(-teacher_density * length)
    colour = (teacher_weight[:, None] * (rgb - teacher_rgb).square()).sum(dim=1)
    return opacity.square().sum() + colour.sum()
