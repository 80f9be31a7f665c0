"""Shapes from Python: a mesh or a cloud in, a solid that answers questions in the coordinates of the input out."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Literal, TypeVar

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from recon import runtime
from recon.api.begin import pass_on, place_for, tell_end
from recon.api.inputs import ShapeLike, as_points, as_shape, check_steps, named_field, one_of, refuse_both
from recon.api.places import cache_folder
from recon.api.result import Result, Trained
from recon.api.state import asking, fitting
from recon.api.voice import voice, warn
from recon.fields import Field, FieldConfig
from recon.geometry import DOMAIN, Mesh
from recon.rendering.camera import View
from recon.rendering.shading import shade_mesh
from recon.tasks.bench import Bench
from recon.tasks.shape import run as shapes
from recon.tasks.shape.fitted import Fitted
from recon.tasks.shape.run import Plan
from recon.tasks.shape.settings import DEFAULT_FIELD, PRESETS, Preset, ShapeSettings, Task
from recon.tasks.shape.settings import preset as settings_of
from recon.training.run import Run

Points = TypeVar("Points", np.ndarray, Tensor)


def fit_shape(
    shape: ShapeLike,
    field: str | FieldConfig | None = None,
    *,
    task: Task = "sdf",
    steps: int | None = None,
    preset: Preset | None = None,
    settings: ShapeSettings | None = None,
    seed: int | None = None,
    repair: bool = False,
    out: str | os.PathLike[str] | None = None,
    device: runtime.DeviceName = "auto",
    precision: runtime.PrecisionName = "auto",
    threads: int = 0,
    malloc: runtime.MallocName = "auto",
    quiet: bool = False,
) -> ShapeResult:
    """Learn a shape, as `recon sdf` and `recon occ` do.

    Ctrl-C (a notebook's stop button) ends the training after the step at hand and gives the result so far, with status
    "interrupted"; a second one raises KeyboardInterrupt. The caller's random states, precision, threads and gradient
    mode are as before when this returns; of the allocator see `malloc`. One fit runs at a time in a process: a second
    thread waits.

    Args:
        shape: A file (ply, obj, off, stl, glb, xyz), a known name ("idol", "rings", "filigree", or one in `datasets/`
            or RECON_DATA), a trimesh.Trimesh, (vertices, faces), or recon.PointCloud(points, normals).
        field: A name of recon.FIELDS, or settings such as SirenConfig(width=128). Default "neural-experts", and "asmr"
            for occupancy.
        task: "sdf" learns signed distances, "occ" inside and outside.
        steps: Optimiser steps; every stage and schedule of the preset is stretched to them.
        preset: Complete settings by name: "quick" (the default without a GPU), "small" (with one), "large",
            "paper-small", "paper-large".
        settings: Complete settings in place of field and preset: see recon.shape_settings.
        seed: Of weights and batches; default 0, or that of the settings. On a CPU equal seeds give equal results.
        repair: Fill holes and fix the winding of a mesh first.
        out: Folder of the run, new or empty: it is kept, with mesh, pictures, scores and report. Without it nothing is
            kept but what `save` keeps.
        device: "cpu", "cuda", or "auto" for CUDA where there is one.
        precision: How products of float32 are computed inside while training: "float32", "bf16-inside", or "auto" for
            bf16 where the hardware has it (fits finish in float32).
        threads: Of a CPU, during the fit; 0 for torch's choice.
        malloc: "auto" lets glibc keep freed blocks for the next step, up to 6 times faster; that lasts after the fit.
            "default" leaves it alone.
        quiet: No progress; warnings are Python's either way.

    Raises:
        ValueError: The input or a setting can't be used; the message says what was wanted and found.
        FileNotFoundError: There is no such file or name.
    """
    with fitting(), place_for(out) as (folder, temporary):
        plan = _plan(field, task=task, preset=preset, steps=steps, settings=settings, seed=seed)
        say = voice(quiet)
        run_on = runtime.start(device, precision, plan.settings.train.seed, threads, malloc)
        plan = replace(plan, precision=run_on.precision)
        loaded = as_shape(shape, centre=plan.settings.centre, repair=repair, seed=plan.settings.train.seed)
        if task == "occ" and loaded.mesh is None:
            raise ValueError('a point cloud has no inside for task="occ" to learn; use task="sdf"')
        total = plan.settings.train.steps
        say(f"{task} of {loaded.name} with {plan.field_name}, preset {plan.preset}, {total:,} steps, {run_on.line()}")
        for text in loaded.report.warnings() if loaded.report else []:
            warn(text)
        bench = Bench(run_on, cache_folder(), say, quiet)
        run = shapes.start(plan, loaded, bench, folder, latest=False)
        fitted, outcome = shapes.fit(plan, loaded, run, bench)
        tell_end(outcome, total, bench)
        result = ShapeResult(plan, fitted, Trained(run, bench, outcome, temporary))
        if temporary is None:
            result.report()
    pass_on(outcome)
    return result


def shape_settings(
    field: str | FieldConfig | None = None, *, preset: Preset | None = None, task: Task = "sdf"
) -> ShapeSettings:
    """Complete settings of a fit of a shape, to be changed by dataclasses.replace and given to `fit_shape`.

    Arguments are those of `fit_shape`."""
    one_of("task", task, tuple(DEFAULT_FIELD))
    chosen: Preset = preset or _usual_preset()
    one_of("preset", chosen, PRESETS)
    found = settings_of(task, chosen, named_field(field or DEFAULT_FIELD[task]))
    return replace(found, field=field) if isinstance(field, FieldConfig) else found


def _usual_preset() -> Preset:
    return "small" if runtime.has_gpu() else "quick"


def _plan(
    field: str | FieldConfig | None,
    *,
    task: Task,
    preset: Preset | None,
    steps: int | None,
    settings: ShapeSettings | None,
    seed: int | None,
) -> Plan:
    refuse_both(settings, field=field, preset=preset)
    check_steps(steps)
    found = settings or shape_settings(field, preset=preset, task=task)
    if seed is not None:
        found = replace(found, train=replace(found.train, seed=seed))
    found = found.with_steps(steps) if steps else found
    return Plan(task, named_field(found.field), preset or _usual_preset(), found)


class ShapeResult(Result):
    """A learned solid. Points, lengths and meshes are in the coordinates and units of the input."""

    def __init__(self, plan: Plan, fitted: Fitted, trained: Trained) -> None:
        self._plan, self._fitted = plan, fitted
        super().__init__(trained)
        self._extracted: tuple[tuple[int, str], Mesh] | None = None

    @property
    def settings(self) -> ShapeSettings:
        """What decided the result; may be changed by dataclasses.replace and given to the next fit."""
        return self._plan.settings

    @property
    def field(self) -> Field:
        """The network: points of the cube [-1, 1]^3 in, one number out, negative inside. The cube is the domain: 1.2
        times the half size of the shape's box, around its middle."""
        return self._fitted.field

    def signed_distance(self, points: Points) -> Points:
        """Learned distances [...] of points [..., 3] from the surface, negative inside (trimesh's sign is the other).

        Arrays give arrays, tensors give tensors of the same device; floats keep their kind, and a tensor that requires
        gradients passes them on. Beyond the domain (see `field`), where nothing was learned, it is the value at the
        nearest point of the domain and the way there, which a true distance does not exceed. ValueError for occupancy,
        which has no distances.
        """
        if self._plan.task == "occ":
            raise ValueError('an occupancy field knows inside from outside but no distances; use inside, or task="sdf"')
        return self._ask(points, lambda values, scale, beyond: (values + beyond) / scale)

    def inside(self, points: Points) -> Points:
        """Whether points [..., 3] lie in the learned solid; beyond the domain nothing does. Booleans, as given."""
        return self._ask(points, lambda values, scale, beyond: (values < 0) & (beyond == 0))

    def mesh(self, resolution: int | None = None, keep: Literal["all", "largest"] = "all") -> trimesh.Trimesh:
        """The learned surface, from a grid of `resolution` points an axis (default that of the settings): where the
        surface can't be is left out. `keep` may drop all components but that of the largest area."""
        found = self._extract(resolution, keep)
        vertices = self._fitted.shape.transform.invert(found.vertices)
        return trimesh.Trimesh(vertices, found.faces, process=False)

    def render(
        self,
        yaw: float = 35.0,
        pitch: float = 15.0,
        size: int = 512,
        *,
        up: Literal["x", "y", "z"] = "y",
        resolution: int | None = None,
    ) -> Image.Image:
        """A shaded picture of the mesh, size x size pixels, from an angle in degrees about and above the horizon."""
        if not 1 <= size <= 8192:
            raise ValueError(f"size must lie in 1 .. 8192 pixels, got {size}")
        mesh = self._extract(resolution, "all")
        return Image.fromarray(shade_mesh(mesh, View(yaw, pitch, up).framing(mesh.vertices), size))

    def _extract(self, resolution: int | None, keep: Literal["all", "largest"]) -> Mesh:
        """In the normalised frame; the last one is kept."""
        wanted = (self.settings.resolution if resolution is None else resolution, keep)
        if not 8 <= wanted[0] <= 2048:
            raise ValueError(f"resolution must lie in 8 .. 2048, got {wanted[0]}")
        one_of("keep", keep, ("all", "largest"))
        if self._extracted is None or self._extracted[0] != wanted:
            with asking():
                self._extracted = wanted, self._fitted.extract(wanted[0], keep=keep).mesh
        found = self._extracted[1]
        if not len(found.faces):
            warn("the field has no surface in the domain; the mesh is empty")
        return found

    def _ask(self, points: Any, answer: Any) -> Any:
        """`answer` for points of any leading shape: of the field's values within the domain, the scale from the input's
        lengths to normalised ones, and how far beyond the domain each point is."""
        given = as_points(points, 3)
        follow = given.requires_grad and torch.is_grad_enabled()
        with asking(), torch.set_grad_enabled(follow):
            transform = self._fitted.shape.transform
            flat = (given if follow else given.detach()).reshape(-1, 3).double()
            x = (flat - flat.new_tensor(transform.centre)) * transform.scale
            within = x.clamp(-DOMAIN, DOMAIN)
            beyond = _length(x - within)
            evaluate = self._fitted.smooth_values if follow else self._fitted.values
            values = evaluate(within.float()).to(x)
            found = answer(values, transform.scale, beyond).reshape(given.shape[:-1])
            if found.is_floating_point():
                found = found.to(given.dtype if given.is_floating_point() else torch.float32)
        return found if isinstance(points, Tensor) else found.numpy()

    def _evaluate(self) -> dict[str, Any]:
        return shapes.evaluate(self._plan, self._fitted, self._run, self._bench)

    def _finish(self, run: Run) -> dict[str, Any]:
        return shapes.finish(self._plan, self._fitted, self._outcome, run, self._bench)

    def _module(self) -> Field:
        return self._fitted.field


def _length(x: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """The norm, with a gradient of zero at zero."""
    square = x.square().sum(dim=-1)
    away = square > 0
    return torch.where(away, torch.where(away, square, 1.0).sqrt(), 0.0)
