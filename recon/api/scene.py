"""Scenes from Python: posed pictures in, a field seen from any camera out; world frame and units are the files'."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from recon import runtime
from recon.api.begin import pass_on, place_for, tell_end
from recon.api.inputs import as_points, check_steps, named_field, one_of, refuse_both
from recon.api.picture import Picture
from recon.api.places import cache_folder
from recon.api.result import Result, Trained
from recon.api.state import asking, fitting
from recon.api.voice import voice, warn
from recon.fields import Field, FieldConfig
from recon.geometry import Cameras
from recon.scenes.region import Kind, space_for
from recon.scenes.scene import Scene, Split
from recon.tasks.bench import Bench
from recon.tasks.named_scene import named_scene
from recon.tasks.nerf import run as scenes
from recon.tasks.nerf.export import level_mesh
from recon.tasks.nerf.fitted import Fitted
from recon.tasks.nerf.run import Plan
from recon.tasks.nerf.settings import DEFAULT_FIELD, PRESETS, NerfSettings, Preset
from recon.tasks.nerf.settings import preset as settings_of
from recon.training.run import Run

MOST_PIXELS = 2**24
"""Of one picture: a slip of the size would fill the memory."""


def fit_scene(
    scene: str | os.PathLike[str] | Scene,
    field: str | FieldConfig | None = None,
    *,
    steps: int | None = None,
    preset: Preset | None = None,
    settings: NerfSettings | None = None,
    downscale: int = 1,
    space: Kind = "auto",
    seed: int | None = None,
    out: str | os.PathLike[str] | None = None,
    device: runtime.DeviceName = "auto",
    precision: runtime.PrecisionName = "auto",
    threads: int = 0,
    malloc: runtime.MallocName = "auto",
    quiet: bool = False,
) -> SceneResult:
    """Learn a radiance field from posed pictures, as `recon nerf` does.

    Interruptions, the caller's settings of torch, and threads: see `fit_shape`.

    Args:
        scene: A folder (NSVF, Blender, instant-ngp or nerfstudio, LLFF, COLMAP), a known name ("figurines", made at
            first use, or one in `datasets/` or RECON_DATA), or a Scene from recon.scenes.read.read_scene.
        field: A name of recon.FIELDS, or settings such as LoeConfig(width=64). Default "loe".
        steps: Optimiser steps; every stage and schedule of the preset is stretched to them.
        preset: Complete settings by name: "quick" (the default without a GPU), "best" (with one), "paper".
        settings: Complete settings in place of field and preset: see recon.scene_settings.
        downscale: Average this many pixels of the files along each side into one.
        space: What the field covers: "box", "contracted" (all of space), "ndc" (forward-facing), or "auto".
        seed: Of weights and batches; default 0, or that of the settings. On a CPU equal seeds give equal results.
        out: Folder of the run, new or empty: it is kept, with views, scores and report. Without it nothing is kept
            but what `save` keeps.
        device: "cpu", "cuda", or "auto" for CUDA where there is one.
        precision: How products of float32 are computed inside while training: "float32", "bf16-inside", or "auto".
        threads: Of a CPU, during the fit; 0 for torch's choice.
        malloc: "auto" lets glibc keep freed blocks for the next step; that lasts after the fit. "default" does not.
        quiet: No progress; warnings are Python's either way.

    Raises:
        ValueError: The scene or a setting can't be used; the message says what was wanted and found.
        FileNotFoundError: There is no such folder or name.
    """
    with fitting(), place_for(out) as (folder, temporary):
        plan = _plan(field, preset=preset, steps=steps, settings=settings, seed=seed)
        say = voice(quiet)
        run_on = runtime.start(device, precision, plan.settings.train.seed, threads, malloc)
        plan, total = replace(plan, precision=run_on.precision), plan.settings.train.steps
        bench = Bench(run_on, cache_folder(), say, quiet)
        loaded = scene if isinstance(scene, Scene) else named_scene(os.fspath(scene), downscale, say, bench.cache)
        found = space_for(loaded, space)
        say(f"{loaded.name} with {plan.field_name}, preset {plan.preset}, {total:,} steps, {run_on.line()}")
        run = scenes.start(plan, loaded, found, downscale, folder, latest=False)
        fitted, outcome = scenes.fit(plan, loaded, run, bench)
        tell_end(outcome, total, bench)
        result = SceneResult(plan, fitted, Trained(run, bench, outcome, temporary))
        if temporary is None:
            result.report()
    pass_on(outcome)
    return result


def scene_settings(field: str | FieldConfig | None = None, *, preset: Preset | None = None) -> NerfSettings:
    """Complete settings of a fit of a scene, to be changed by dataclasses.replace and given to `fit_scene`.

    Arguments are those of `fit_scene`."""
    chosen: Preset = preset or _usual_preset()
    one_of("preset", chosen, PRESETS)
    found = settings_of(chosen, named_field(field or DEFAULT_FIELD))
    return replace(found, field=field) if isinstance(field, FieldConfig) else found


def _usual_preset() -> Preset:
    return "best" if runtime.has_gpu() else "quick"


def _plan(
    field: str | FieldConfig | None,
    *,
    preset: Preset | None,
    steps: int | None,
    settings: NerfSettings | None,
    seed: int | None,
) -> Plan:
    refuse_both(settings, field=field, preset=preset)
    check_steps(steps)
    found = settings or scene_settings(field, preset=preset)
    if seed is not None:
        found = replace(found, train=replace(found.train, seed=seed))
    found = found.with_steps(steps) if steps else found
    return Plan(named_field(found.field), preset or _usual_preset(), found)


class SceneResult(Result):
    """A learned scene. Points, distances, cameras and meshes are in the world frame of the input."""

    def __init__(self, plan: Plan, fitted: Fitted, trained: Trained) -> None:
        self._plan, self._fitted = plan, fitted
        super().__init__(trained)

    @property
    def settings(self) -> NerfSettings:
        """What decided the result; may be changed by dataclasses.replace and given to the next fit."""
        return self._plan.settings

    @property
    def field(self) -> Field:
        """The network: points of the cube [-1, 1]^3 in, density and features out."""
        return self._fitted.lit.radiance.field

    @property
    def cameras(self) -> Cameras:
        """All cameras of the scene, those held out too: camera-to-world, OpenGL axes (right, up, backwards)."""
        return self._fitted.reference.cameras

    @property
    def splits(self) -> dict[Split, tuple[int, ...]]:
        """Which of the cameras were learned from ("train") and which held out ("test")."""
        return dict(self._fitted.reference.splits)

    def render(
        self,
        camera: int | np.ndarray | Tensor | Cameras,
        *,
        size: tuple[int, int] | None = None,
        fov: float | None = None,
        normals: bool = False,
    ) -> Picture:
        """What a camera sees: colours, opacity, depth, and normals where asked for.

        Args:
            camera: One of the scene's own views by its index (see `cameras` and `splits`), a pose [4, 4] or [3, 4]
                from camera to world with columns right, up, backwards, position, or a single camera of recon's.
            size: Width and height in pixels; default those of the scene's views.
            fov: Degrees from left to right, for a pose; default that of the scene's first view.
            normals: Directions of the surface too, which takes about twice as long.
        """
        cameras = self._camera(camera, size, fov)
        if cameras.width * cameras.height > MOST_PIXELS:
            raise ValueError(f"{cameras.width}x{cameras.height} pixels are more than the {MOST_PIXELS:,} of a picture")
        with asking():
            return Picture.of(self._fitted.render(cameras, 0, normals))

    def density(self, points: np.ndarray | Tensor) -> np.ndarray | Tensor:
        """Learned density per world unit at points [..., 3]; arrays give arrays, tensors tensors; without gradients."""
        given = as_points(points, 3)
        with asking():
            found = self._fitted.density(given.detach().reshape(-1, 3).float()).to(given.device)
        found = found.reshape(given.shape[:-1])
        return found if isinstance(points, Tensor) else found.numpy()

    def mesh(
        self, resolution: int = 256, *, level: float | None = None, keep: Literal["all", "largest"] = "all"
    ) -> trimesh.Trimesh:
        """The surface where density rises above a level, with colours; `resolution` grid points an axis.

        `level` is a density per world unit; default the one that agrees best with where rays end. Floaters are left
        out; `keep` may drop all components but that of the largest area. ValueError where there is nothing to see yet.
        """
        if not 8 <= resolution <= 2048:
            raise ValueError(f"resolution must lie in 8 .. 2048, got {resolution}")
        one_of("keep", keep, ("all", "largest"))
        with asking():
            found = level_mesh(self._fitted, resolution, self._bench.say, level=level, keep=keep)
        if not len(found.mesh.faces):
            warn(f"the mesh is empty: {found.facts['note']}")
        return trimesh.Trimesh(
            found.mesh.vertices,
            found.mesh.faces,
            vertex_normals=found.normals,
            vertex_colors=found.colours,
            process=False,
        )

    def _camera(self, camera: Any, size: tuple[int, int] | None, fov: float | None) -> Cameras:
        """The one camera that is meant."""
        own = self.cameras
        if isinstance(camera, Cameras):
            if len(camera) != 1:
                raise ValueError(f"these are {len(camera)} cameras; render one at a time: cameras.select([index])")
            chosen = camera
        elif isinstance(camera, int | np.integer):
            if not -len(own) <= camera < len(own):
                raise ValueError(f"there is no view {camera}: the scene has {len(own)}")
            chosen = own.select([int(camera) % len(own)])
        else:
            return self._posed(camera, size or (own.width, own.height), fov)
        if fov is not None:
            raise ValueError("fov is for a pose: this camera has its own")
        width, height = size or (chosen.width, chosen.height)
        _check_size(width, height)
        return chosen if (width, height) == (chosen.width, chosen.height) else chosen.resized(height, width)

    def _posed(self, pose: Any, size: tuple[int, int], fov: float | None) -> Cameras:
        width, height = size
        _check_size(width, height)
        given = checked_pose(pose)
        if fov is None:
            focal = float(self.cameras.focal[0, 0]) * width / self.cameras.width
        elif 0 < fov < 180:
            focal = width / 2 / float(np.tan(np.radians(fov) / 2))
        else:
            raise ValueError(f"fov must lie between 0 and 180 degrees, got {fov}")
        two = torch.tensor([[focal, focal]], dtype=torch.float64)
        middle = torch.tensor([[width / 2, height / 2]], dtype=torch.float64)
        return Cameras(given[None], two, middle, torch.zeros(1, 4, dtype=torch.float64), height, width)

    def _evaluate(self) -> dict[str, Any]:
        self._bench.say(f"rendering {len(self._fitted.reference.test)} held-out views")
        return scenes.evaluate(self._plan, self._fitted, self._run, self._bench)

    def _finish(self, run: Run) -> dict[str, Any]:
        return scenes.finish(self._plan, self._fitted, self._outcome, run, self._bench)

    def _module(self) -> torch.nn.Module:
        return self._fitted.lit.radiance


def checked_pose(pose: Any) -> Float[Tensor, "3 4"]:
    """A pose in double precision. ValueError where its axes aren't of length 1 and perpendicular, right-handed."""
    array = pose.detach().cpu().numpy() if isinstance(pose, Tensor) else np.asarray(pose)
    if array.shape not in ((3, 4), (4, 4)) or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise ValueError(
            "a camera is the index of a view, a pose [4, 4] or [3, 4] of finite numbers, or one of recon's Cameras; "
            f"got {array.dtype} of shape {list(array.shape)}"
        )
    found = torch.from_numpy(np.array(array[:3], np.float64))
    axes = found[:, :3]
    apart = float((axes.T @ axes - torch.eye(3, dtype=torch.float64)).abs().max())
    if apart > 1e-3 or float(torch.linalg.det(axes)) < 0:
        raise ValueError(
            "the columns right, up, backwards of a pose must have length 1 and be perpendicular, right-handed; "
            f"these are off by {apart:.3g}, determinant {float(torch.linalg.det(axes)):.3g}"
        )
    return found


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ValueError(f"size is (width, height), at least one pixel each; got ({width}, {height})")
