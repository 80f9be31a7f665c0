"""What a run's newest checkpoint holds, for tests that two runs are one."""

from pathlib import Path

import torch
from safetensors.torch import load_file


def tensors(run: Path) -> dict[str, torch.Tensor]:
    """Weights, grids and moments."""
    newest = sorted((run / "checkpoint").glob("step-*"))[-1]
    files = ("model.safetensors", "optimizer.safetensors")
    return {f"{file}/{key}": value for file in files for key, value in load_file(newest / file).items()}


def assert_same(one: Path, other: Path) -> None:
    """The same tensors, bit for bit."""
    first, second = tensors(one), tensors(other)
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key
