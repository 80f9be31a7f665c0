"""Run folders of any state, made without training."""

import torch

from recon.training import checkpoint
from recon.training.run import Run


def make(step=None, status=None, *, steps=10, task="sdf", data="ball", field="siren", iou=0.5, **more):
    """A run at some step, scored if a status is given."""
    run = Run.create(task, data, field, {"preset": "quick", "train": {"steps": steps}})
    if step is not None:
        checkpoint.save(run.checkpoints, {"w": torch.zeros(3)}, {}, {}, {"step": step, "seconds": 2.5})
    if status:
        scores = {"iou": iou, "trimap_iou_sampled_0.01": iou, "chamfer_l1": None}
        run.write_metrics({"task": task, "steps": step, "status": status, "seconds": 3.0, "scores": scores, **more})
    return run
