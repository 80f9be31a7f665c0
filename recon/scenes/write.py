"""A posed scene onto disk in NSVF's or Blender's layout, whole or not at all, with its true depth and normals."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import imageio.v3 as iio
import numpy as np
from safetensors.numpy import save_file

from recon.geometry import Box, Cameras
from recon.scenes.make import View

Format = Literal["nsvf", "blender"]
_OPENCV = np.diag([1.0, -1.0, -1.0])  # right, up, backwards to right, down, forwards

DEPTH_NOTE = "distance from the camera along the ray through the pixel's centre, world units, 0 where nothing is met"
NORMAL_NOTE = "unit normal in world space at that point, 0 where nothing is met"


@contextlib.contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A hidden folder beside `out` that takes its name when the block ends well, and vanishes when it does not.

    Raises FileExistsError where `out` holds something, before the block and after it."""
    refuse_full(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.{os.getpid()}-{time.monotonic_ns()}.tmp")
    try:
        partial.mkdir()
        yield partial
        refuse_full(out)
        if out.is_dir():
            out.rmdir()
        os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class SceneWriter:
    """Writes views one by one into a folder; `close` adds what describes them all."""

    def __init__(self, folder: Path, layout: Format, cameras: dict[str, Cameras], box: Box) -> None:
        """`cameras`: those of the splits train and test."""
        self.folder, self.layout, self.cameras, self.box = folder, layout, cameras, box
        places = ["rgb", "pose"] if layout == "nsvf" else list(cameras)
        for place in [*places, "truth"]:
            (folder / place).mkdir()

    def add(self, split: str, index: int, view: View) -> None:
        """One picture, its pose where that has a file of its own, and its depth and normals."""
        name = self._name(split, index)
        if self.layout == "nsvf":
            pose = np.eye(4)
            pose[:3] = self.cameras[split].pose[index].numpy()
            pose[:3, :3] = pose[:3, :3] @ _OPENCV
            _write_table(self.folder / "pose" / f"{name}.txt", pose)
            iio.imwrite(self.folder / "rgb" / f"{name}.png", view.rgba)
        else:
            iio.imwrite(self.folder / split / f"{name}.png", view.rgba)
        truth = {"depth": view.depth.astype(np.float32), "normal": view.normal.astype(np.float16)}
        prefix = "" if self.layout == "nsvf" else f"{split}_"
        save_file(truth, self.folder / "truth" / f"{prefix}{name}.safetensors")

    def close(self, about: dict[str, Any]) -> None:
        """Intrinsics, box and the list of pictures; and `about`, facts about how the scene was made, in made.json."""
        first = self.cameras["train"]
        if self.layout == "nsvf":
            matrix = np.eye(4)
            matrix[[0, 1], [0, 1]], matrix[:2, 2] = first.focal[0].numpy(), first.centre[0].numpy()
            _write_table(self.folder / "intrinsics.txt", matrix)
            voxel = self.box.radius * 2 / 3**0.5 / 24  # where NSVF's own voxels would begin; others pass over it
            _write_table(self.folder / "bbox.txt", np.array([[*self.box.low, *self.box.high, voxel]]))
        else:
            for split in self.cameras:
                self._write_json(f"transforms_{split}.json", self._transforms(split))
        facts = {"box": [self.box.low, self.box.high], "depth": DEPTH_NOTE}
        self._write_json("made.json", {**about, **facts, "normal": NORMAL_NOTE, "light": "baked, linear; files: sRGB"})

    def _name(self, split: str, index: int) -> str:
        return f"{0 if split == 'train' else 1}_{index:04d}" if self.layout == "nsvf" else f"r_{index}"

    def _transforms(self, split: str) -> dict[str, Any]:
        """Blender's layout: one angle for all views, poses as they are here."""
        cameras = self.cameras[split]
        angle = 2 * float(np.arctan(cameras.width / 2 / float(cameras.focal[0, 0])))
        poses = [[*pose.tolist(), [0.0, 0.0, 0.0, 1.0]] for pose in cameras.pose]
        names = [f"./{split}/{self._name(split, index)}" for index in range(len(cameras))]
        frames = [{"file_path": name, "transform_matrix": pose} for name, pose in zip(names, poses, strict=True)]
        return {"camera_angle_x": angle, "frames": frames}

    def _write_json(self, name: str, data: dict[str, Any]) -> None:
        (self.folder / name).write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _write_table(path: Path, rows: np.ndarray) -> None:
    """Numbers in the shortest form that reads back the same."""
    path.write_text("".join(" ".join(map(repr, row)) + "\n" for row in rows.tolist()), encoding="utf-8")


def refuse_full(out: Path) -> None:
    """FileExistsError where a folder that is to be written holds something."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} exists and is not empty; choose another --out, or remove it first")
