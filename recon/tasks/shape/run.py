"""From a shape and settings to a run folder with weights, mesh, pictures and scores; and back from the folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from recon.fields import FIELDS, Field
from recon.fields.asmr import Asmr
from recon.geometry import DOMAIN, Mesh
from recon.metrics.surface import iou
from recon.runtime import Precision, Runtime
from recon.shapes.pool import build_pool
from recon.shapes.shape import Shape
from recon.tasks.bench import Bench
from recon.tasks.preflight import refuse_impossible
from recon.tasks.pretrain import Pretraining, pretrain, pretraining_seconds
from recon.tasks.rebuild import rebuilt
from recon.tasks.shape.fitted import Fitted
from recon.tasks.shape.job import BatchSource, CellBatches, PointBatches, ShapeJob, cell_truth, pretrain_points
from recon.tasks.shape.reference import read_reference, write_reference
from recon.tasks.shape.scores import MOST_FACES, Scores, score
from recon.tasks.shape.settings import PRESETS, Preset, ShapeSettings, Task, preset
from recon.tasks.shape.truth import GRID, Truth, truth_of
from recon.training import checkpoint
from recon.training.job import OnStep
from recon.training.lock import holding
from recon.training.loop import Outcome, train
from recon.training.progress import peak_memory
from recon.training.run import Run
from recon.training.settings import from_plain, inputs_of, machine_of, misfits_in_words, to_plain


@dataclass(frozen=True)
class Plan:
    """A shape run before it starts."""

    task: Task
    field_name: str
    preset: Preset
    settings: ShapeSettings
    protocol: Literal["default", "paper"] = "default"
    precision: Precision = "float32"
    """Of products, as the run began: resumed with another, it would not be the same run."""
    threads: int = 0
    """Of a CPU, as they were asked for: sums of other parts end in other bits."""
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What was typed of the shape, to read it again."""

    def as_settings(self) -> dict[str, Any]:
        """For `config.json`."""
        return {
            "preset": self.preset,
            "protocol": self.protocol,
            "precision": self.precision,
            "threads": self.threads,
            **to_plain(self.settings),
        }


def start(plan: Plan, shape: Shape, bench: Bench, out: Path | None = None, *, latest: bool = True) -> Run:
    """Make the run folder with everything that it needs to stand alone; nothing is made for a plan that can't work."""
    check(plan)
    settings = plan.as_settings()
    run = Run.create(
        *(plan.task, shape.name, plan.field_name, settings, out),
        inputs=plan.inputs,
        latest=latest,
        fill=lambda folder: write_reference(folder, shape),
    )
    bench.lap("reading")
    return run


def check(plan: Plan) -> None:
    """Raises ValueError where the settings do not go together, or need more memory than there is."""
    with torch.device("meta"):  # all checks of the field's own, but no memory
        field = plan.settings.field.build(3, 1)
    if plan.settings.cells and not isinstance(field, Asmr):
        raise ValueError(f"--cells trains on a field's own grid, which only asmr has; this is {plan.field_name}")
    if plan.settings.cells and plan.task != "occ":
        raise ValueError("--cells is for recon occ: distances are learned at points")
    refuse_impossible([field])


def fit(
    plan: Plan,
    shape: Shape,
    run: Run,
    bench: Bench,
    *,
    resume: bool = False,
    stop_after: int | None = None,
    watch: Callable[[ShapeJob], OnStep] | None = None,
) -> tuple[Fitted, Outcome]:
    """Train (or go on training) the field of a run. What it leaves is in the run's checkpoint.

    `watch` is given the job as training begins; what it returns hears of each step."""
    with holding(run.folder):
        settings = plan.settings
        torch.manual_seed(settings.train.seed)
        field = settings.field.build(3, 1)
        bench.lap("building")
        source = _batches(plan, shape, field, bench)
        bench.lap("samples")
        if settings.pretrains and not checkpoint.exists(run.checkpoints):
            how = Pretraining(settings.pretrain, {"points": "shape"}, settings.train.seed, pretrain_points)
            stopped = pretrain(field, settings.field, how, run, bench)
            bench.lap("pretraining_now")
            if stopped:
                return Fitted(plan.task, field, shape, bench.run_on.device), stopped
        if settings.pretrains:
            bench.timings["pretraining"] = pretraining_seconds(run)
        if resume and not checkpoint.exists(run.checkpoints):
            resume = False  # it was stopped before its first checkpoint
        job = ShapeJob(plan.task, field, source, bench.run_on, settings)
        on_step = watch(job) if watch else None
        outcome = train(
            job, settings.staged(), run, resume=resume, stop_after=stop_after, on_step=on_step, quiet=bench.quiet
        )
        bench.lap("training")
        return Fitted(plan.task, field, shape, bench.run_on.device), outcome


def _batches(plan: Plan, shape: Shape, field: Field, bench: Bench) -> BatchSource:
    settings = plan.settings
    if settings.cells:
        assert isinstance(field, Asmr)
        return CellBatches(field, cell_truth(shape, field.cells), settings.train.seed)
    bench.say(f"exact distances of {settings.pool:,} points (kept in {bench.cache})")
    pool = build_pool(shape, settings.sampler, settings.pool, settings.train.seed, bench.cache)
    return PointBatches(pool, settings.train.batch)


# -- what a run leaves ------------------------------------------------------------------------------------------------


def finish(plan: Plan, fitted: Fitted, outcome: Outcome, run: Run, bench: Bench) -> dict[str, Any]:
    """Extract, export, draw and score; writes and returns `metrics.json`."""
    bench.say(f"extracting the surface at {plan.settings.resolution}^3")
    found = fitted.extract(plan.settings.resolution)
    bench.lap("extraction")
    about = fitted.export(run.folder / "mesh.ply", found.mesh)
    files: dict[str, Any] = {"mesh": "mesh.ply"}
    bench.lap("export")
    noise = _noise(found.mesh)
    for text in noise:
        bench.say(f"warning: {text}")
    if not noise:
        (run.folder / "images").mkdir(exist_ok=True)
        files["images"] = fitted.pictures(run.folder / "images", found.mesh)
    bench.lap("pictures")
    bench.say("scoring against the truth")
    metrics = evaluate(plan, fitted, run, bench, mesh=found.mesh)
    metrics |= {
        "steps": outcome.step,
        "status": outcome.status,
        "seconds": round(outcome.seconds + bench.timings.get("pretraining", 0.0), 3),
        "surface": {**about, "evaluations": found.evaluations, "complete": found.complete, "note": found.note},
        "files": files,
        "mesh_report": fitted.shape.report.as_dict() if fitted.shape.report else None,
        "timings": bench.timings,
        "peak_memory": peak_memory(),
    }
    warnings = [*outcome.warnings, *((outcome.reason,) if outcome.reason else ()), *noise]
    best = metrics["scores"].get("iou_of_exact_cells")
    if best is not None and best < 0.9:
        thin = "parts thinner than a cell are lost: take more cells (--field.bases), or recon sdf"
        bench.say(f"warning: exact cells of this size have an IoU of {best:.3f}; {thin}")
        warnings = [*warnings, f"exact cells of this size have an IoU of {best:.3f}; {thin}"]
    metrics["warnings"] = [*(fitted.shape.report.warnings() if fitted.shape.report else []), *warnings]
    run.write_metrics(metrics)
    return metrics


def _noise(mesh: Mesh) -> list[str]:
    """A warning where a mesh is too large to draw pictures of, which would take minutes."""
    if len(mesh.faces) <= MOST_FACES:
        return []
    why = "a field that diverged or is not trained yet has noise for a surface; train longer, or lower --resolution"
    return [f"the mesh has {len(mesh.faces):,} faces, more than the {MOST_FACES:,} that pictures are drawn of: {why}"]


def evaluate(plan: Plan, fitted: Fitted, run: Run, bench: Bench, mesh: Any = None) -> dict[str, Any]:
    """The scores of a run, with what they mean. Needs nothing but the run folder."""
    paper = plan.protocol == "paper"
    resolution = GRID if paper else plan.settings.resolution
    if mesh is None or paper:
        mesh = fitted.extract(resolution).mesh
    truth = truth_of(fitted.shape, 0, plan.protocol, bench.cache)
    bench.lap("truth")
    solid = fitted.shape.mesh is not None
    inside, distance = (fitted.inside if solid else None), (fitted.distance if plan.task == "sdf" else None)
    scores = score(inside, mesh, fitted.shape, truth, distance=distance, protocol=plan.protocol)
    if isinstance(fitted.field, Asmr) and solid:
        scores = _with_grid_iou(scores, fitted, truth)
    bench.lap("scores")
    config, field = plan.settings.field, fitted.field
    return {
        "task": plan.task,
        "data": fitted.shape.name,
        "field": plan.field_name,
        "preset": plan.preset,
        "protocol": plan.protocol,
        "params": sum(p.numel() for p in field.parameters()),
        "macs": field.macs(),
        "steps": None,
        "seconds": None,
        "device": bench.run_on.line(),
        "run": str(run.folder),
        "files": {},
        "scores": scores.values,
        "definitions": scores.definitions,
        "bands": scores.bands,
        "rows": [{"shape": fitted.shape.name, "source": fitted.shape.source, **scores.values}],
        "resolution": resolution,
        "settings": to_plain(config),
    }


def _with_grid_iou(scores: Scores, fitted: Fitted, truth: Truth) -> Scores:
    """IoU on the field's own grid, at its cell centres (ASMR, Table 6), and how well such cells can do at all."""
    field = fitted.field
    assert isinstance(field, Asmr)
    cells = field.cells
    if len(set(cells)) != 1 or cells[0] > 256:
        return scores
    predicted = (field.on_grid(cells)[..., 0] < 0).cpu().numpy()
    true = cell_truth(fitted.shape, cells)
    grid = f"the field's own {cells[0]}^3 cells"
    scores = scores.with_extra("iou_grid", iou(predicted, true), f"iou at the centres of {grid}")
    x = torch.from_numpy(truth.grid_points).to(fitted.device) / DOMAIN
    exact = true[tuple(field.cell_of(x).cpu().numpy().T)]
    best = iou(exact, truth.inside.reshape(-1))
    return scores.with_extra(
        "iou_of_exact_cells", best, f"iou that {grid} have where each is exactly the truth at its centre"
    )


def reopen(run: Run, run_on: Runtime) -> tuple[Plan, Fitted, checkpoint.Checkpoint, list[str]]:
    """Everything about a finished or interrupted run, from its folder alone; warnings name what no longer fits."""
    plan, warnings = read_plan(run)
    saved = checkpoint.load(run.checkpoints)
    shape = read_reference(run.folder)
    field = rebuilt(lambda: plan.settings.field.build(3, 1), saved.model, run.folder)
    fitted = Fitted(plan.task, field.to(run_on.device), shape, run_on.device)
    return plan, fitted, saved, [*warnings, *saved.warnings]


def read_plan(run: Run) -> tuple[Plan, list[str]]:
    """The plan in a run's `config.json`, laid over today's defaults."""
    return plan_of(run.read_config(), run.folder)


def plan_of(config: Mapping[str, Any], where: Path) -> tuple[Plan, list[str]]:
    """The plan in a config that was read from `where`; warnings name what no longer fits."""
    task, field_name = config["task"], config["field"]
    if task not in ("sdf", "occ"):
        raise ValueError(f"{where} is a run of '{task}', not of a shape")
    if field_name not in FIELDS:
        raise ValueError(f"{where} used the field '{field_name}', which is unknown here; known: {', '.join(FIELDS)}")
    saved = dict(config["settings"])
    name, protocol = (saved.pop(key, None) for key in ("preset", "protocol"))
    how = machine_of(saved)
    try:
        name = name if name in PRESETS else "quick"
        default = preset(task, name, field_name)
        settings, misfits = from_plain(default, saved)
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{where}: its config.json holds settings that can't be used: {error}") from None
    protocol = "paper" if protocol == "paper" else "default"
    inputs = inputs_of(config)
    return Plan(task, field_name, name, settings, protocol, *how, inputs), misfits_in_words(config, misfits)
