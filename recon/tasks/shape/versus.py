"""Scores of one mesh file against another, in the files' frame or in the normalised frame of the true one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from recon.geometry import Mesh
from recon.shapes.inspect import inspect
from recon.shapes.load import read_mesh
from recon.shapes.shape import Centre, Shape, normalise
from recon.tasks.shape.scores import score
from recon.tasks.shape.truth import GRID, Ruler, truth_of


def score_meshes(
    pred_path: Path, true_path: Path, frame: Literal["input", "normalised"] = "input", centre: Centre = "box"
) -> dict[str, Any]:
    """All scores of PRED against TRUE, with the doctor's warnings about either.

    Frame "input": lengths in the files' units, the grid spans the cube around both meshes' common box."""
    pred, true = read_mesh(pred_path), read_mesh(true_path)
    both = np.concatenate([pred.vertices, true.vertices])
    if frame == "normalised":
        transform, ruler = normalise(true.vertices, centre), Ruler()
    else:
        transform = normalise(both, "box")
        low, high = transform.invert(-np.ones((1, 3)))[0], transform.invert(np.ones((1, 3)))[0]
        spans = ", ".join(f"[{a:.6g}, {b:.6g}]" for a, b in zip(low, high, strict=True))
        ruler = Ruler(1.0, transform.scale, "units of the files", f"{GRID}^3 points over the cube around both, {spans}")
    rng = np.random.default_rng(0)
    moved = [Mesh(transform.apply(mesh.vertices), mesh.faces) for mesh in (pred, true)]
    found, shape = (
        Shape(path.stem, str(path), mesh=mesh, transform=transform, report=inspect(mesh, rng))
        for path, mesh in zip((pred_path, true_path), moved, strict=True)
    )
    truth = truth_of(shape, ruler=ruler)
    scores = score(found.inside, moved[0], shape, truth)
    warnings = [
        f"{path.name}: {text}"
        for path, one in ((pred_path, found), (true_path, shape))
        for text in (one.report.warnings() if one.report else [])
    ]
    return {
        "task": "eval mesh",
        "data": str(true_path),
        "field": None,
        "preset": None,
        "params": None,
        "macs": None,
        "steps": None,
        "seconds": None,
        "device": "cpu",
        "run": None,
        "frame": frame,
        "files": {"pred": str(pred_path), "true": str(true_path)},
        "scores": scores.values,
        "definitions": scores.definitions,
        "rows": [{"pred": str(pred_path), "true": str(true_path), **scores.values}],
        "warnings": warnings,
    }
