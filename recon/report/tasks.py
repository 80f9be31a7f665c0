"""What the page says differently about different tasks: words for what was trained, its pictures, stages and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from recon.signals.kinds import FORMATS

SHAPE_CAPTIONS = {
    "views": "The reconstructed surface from four sides, a quarter turn apart.",
    "compare": "The input (left) and the reconstruction (right), seen from the same side.",
    "error": "Signed error on the reconstruction, from all sides: red where it lies outside the true shape, blue where "
    "it lies inside, pale where it is right. The scale counts in units of the normalised shape, which spans [-1, 1].",
    "experts": "The expert that serves each part of the surface, and every expert's share.",
    "tiles": "The parts of the network that serve each part of the surface, level by level, from the front and the "
    "back: one colour, one set of weights; colours repeat.",
    "slices": "Cuts through the middle: above what the field has learned, below the truth. The bold line is the "
    "surface, thin lines are level sets; inside is negative and blue.",
    "traced": "The field itself without a mesh in between: each ray walks along the learned distance until it meets "
    "the surface.",
}
OCC_SLICES = "Cuts through the middle, as solids: above what the field has learned, below the truth. Inside is blue."
SCENE_CAPTIONS = {
    "views": "Held-out views, a row each, from the worst to the best: the picture itself, what the field renders from "
    "its camera, and the difference (black is none, pale yellow a quarter of full brightness or more).",
    "inside": "Depth and normals of the same views. Depth: red is near and blue is far, with a scale of its own for "
    "each view. Normals: the colour is the direction in world space. White where nothing stops the ray.",
    "tiles": "The parts of the network that serve what the worst and the best view see, level by level: one colour, "
    "one set of weights; colours repeat.",
}
LAPS = {
    "reading": "reading and checking the shape",
    "building": "building the field",
    "samples": "samples with exact distances",
    "pretraining": "pretraining, when it was first done",
    "pretraining_now": "pretraining in this run",
    "training": "training, with checkpoints",
    "extraction": "extracting the surface",
    "export": "writing the mesh",
    "pictures": "drawing pictures",
    "truth": "truth to score against",
    "scores": "scoring",
}
SCENE_LAPS = {"reading": "reading and checking the scene", "scores": "rendering the held-out views, and scoring"}
CONTENTS = {
    "checkpoint": "weights and the optimiser's state, to go on or to evaluate",
    "config.json": "settings and versions",
    "images": "the pictures of this page",
    "log.jsonl": "losses, rate, speed and memory, a row every few steps",
    "mesh.ply": "the surface, in the coordinates of the input",
    "metrics.json": "scores and what they mean",
    "reference.safetensors": "the true shape, to evaluate without the data",
    "tb": "TensorBoard's events",
}
SCENE_CONTENTS = {
    "images": "every held-out view as rendered, its error, and the pictures of this page",
    "reference.safetensors": "cameras and held-out pictures, to evaluate without the data",
}


@dataclass(frozen=True)
class Task:
    """How the runs of one task are told."""

    words: str
    points: str = "points"
    """What a batch is made of."""
    captions: Mapping[str, str] = field(default_factory=lambda: SHAPE_CAPTIONS)
    laps: Mapping[str, str] = field(default_factory=lambda: LAPS)
    """What the time went to."""
    contents: Mapping[str, str] = field(default_factory=lambda: CONTENTS)
    """Files of the run folder."""
    stages: Mapping[str, str] = field(default_factory=dict)
    """What a reader must know of a stage of training to read its curves."""


SIGNAL_CAPTIONS = {
    "compare": "The file (left), what the field gives back, and the difference: black is none, pale yellow a quarter "
    "of full brightness or more. Of a film four frames.",
    "wave": "The first channel: the file, what the field gives back, and the difference, on one scale.",
    "spectrogram": "Power over time and frequency, from 0 (pale) to -100 dB of a full-scale sine (black).",
    "experts": "The expert that serves each part.",
    "tiles": "The parts of the network that serve each part, level by level: one colour, one set of weights; colours "
    "repeat.",
}
SIGNAL_LAPS = {
    "reading": "reading the file",
    "evaluation": "evaluating the field on the whole grid",
    "export": "writing the reconstruction",
}
SIGNAL_CONTENTS = {
    "reference.safetensors": "the signal itself, to evaluate without the file",
    "frames": "what the field gives back, frame by frame",
    **{
        f"{one.kind}{end}": "what the field gives back, in the file's own format"
        for one in FORMATS.values()
        for end in one.suffixes
    },
}

TASKS = {
    "sdf": Task("signed distance"),
    "occ": Task("occupancy", captions=SHAPE_CAPTIONS | {"slices": OCC_SLICES}),
    "nerf": Task(
        "radiance field",
        "rays",
        SCENE_CAPTIONS,
        LAPS | SCENE_LAPS,
        CONTENTS | SCENE_CONTENTS,
        {"voxels": "It is voxels that learn in the stage 'voxels', to find the occupied space: not yet the field."},
    ),
    "fit": Task("signal", "values", SIGNAL_CAPTIONS, LAPS | SIGNAL_LAPS, CONTENTS | SIGNAL_CONTENTS),
}


def task_of(name: object) -> Task:
    """The task of that name; what is not known here is told as a shape is, by its own name."""
    return TASKS.get(str(name)) or Task(str(name or ""))
