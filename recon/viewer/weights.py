"""A run's field as its newest checkpoint has it, and the next one once training has written it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from recon import runtime
from recon.runtime import Runtime
from recon.tasks.nerf import run as scene_runs
from recon.tasks.nerf.fitted import Fitted as FittedScene
from recon.tasks.nerf.job import build_lit, build_voxels, part_of
from recon.tasks.rebuild import rebuilt
from recon.tasks.shape import run as shape_runs
from recon.tasks.shape.fitted import Fitted as FittedShape
from recon.training import checkpoint
from recon.training.checkpoint import Checkpoint
from recon.training.run import Run


def machine() -> Runtime:
    """Where to evaluate when nobody says: as `runtime.start`, but random states and threads stay as they are."""
    return Runtime(torch.device("cuda" if runtime.has_gpu() else "cpu"), "float32", ())


@dataclass
class ShapeRun:
    """A run of a shape and what it has learned by now."""

    run: Run
    plan: shape_runs.Plan
    fitted: FittedShape
    step: int
    name: str
    """Of the checkpoint."""
    warnings: list[str]

    @classmethod
    def open(cls, run: Run, run_on: Runtime) -> ShapeRun:
        """From the folder alone. FileNotFoundError or ValueError where it holds nothing to show."""
        plan, fitted, saved, warnings = shape_runs.reopen(run, run_on)
        return cls(run, plan, fitted, saved.step, saved.name, warnings)

    @property
    def title(self) -> str:
        """The run in a few words."""
        return f"{self.plan.task} of {self.fitted.shape.name}, {self.plan.field_name}"

    def advance(self) -> None:
        """Take the newest checkpoint. FileNotFoundError, OSError or ValueError where it cannot be read right now."""
        saved = checkpoint.load(self.run.checkpoints)
        field = rebuilt(lambda: self.plan.settings.field.build(3, 1), saved.model, self.run.folder)
        device = self.fitted.device
        self.fitted = FittedShape(self.plan.task, field.to(device), self.fitted.shape, device)
        self.step, self.name = saved.step, saved.name


@dataclass
class SceneRun:
    """A run of a scene and what it has learned by now."""

    run: Run
    plan: scene_runs.Plan
    fitted: FittedScene
    step: int
    name: str
    """Of the checkpoint."""
    warnings: list[str]

    @classmethod
    def open(cls, run: Run, run_on: Runtime) -> SceneRun:
        """From the folder alone. FileNotFoundError or ValueError where it holds nothing to show."""
        plan, fitted, saved, warnings = scene_runs.reopen(run, run_on)
        found = cls(run, plan, fitted, saved.step, saved.name, warnings)
        if found._in_voxels(saved):
            found._take(saved)
        return found

    @property
    def title(self) -> str:
        """The run in a few words."""
        return f"{self.fitted.reference.name}, {self.plan.field_name}"

    def advance(self) -> None:
        """Take the newest checkpoint. FileNotFoundError, OSError or ValueError where it cannot be read right now."""
        self._take(checkpoint.load(self.run.checkpoints))

    def _take(self, saved: Checkpoint) -> None:
        """The field, or the voxels while only they have learned."""
        settings, reference = self.plan.settings, self.fitted.reference
        voxels = self._in_voxels(saved)
        build, part = (build_voxels, "voxels") if voxels else (build_lit, "lit")
        lit = rebuilt(lambda: build(settings, reference.space), part_of(saved.model, part), self.run.folder)
        lit.refresh()
        device = self.fitted.device
        self.fitted = FittedScene(lit.to(device), reference, device, self.fitted.background)
        self.step, self.name = saved.step, saved.name

    def _in_voxels(self, saved: Checkpoint) -> bool:
        plan = self.plan.settings.staged()
        last = min(max(saved.step - 1, 0), plan.steps - 1)
        return plan.span_at(last)[0].name == "voxels"
