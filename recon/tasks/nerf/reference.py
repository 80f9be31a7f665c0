"""The scene inside a run folder, so that a run stands alone: cameras, space and held-out pictures, without pickle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from recon.geometry import Box, Cameras, Space
from recon.scenes.scene import Scene, Split
from recon.training.files import atomic_write_bytes

NAME = "reference.safetensors"
FORMAT = "scene 1"


@dataclass(frozen=True)
class Reference:
    """What evaluation, rendering and export need of a scene."""

    name: str
    folder: Path
    """Where the scene was read; training goes on from there, nothing else needs it."""
    downscale: int
    cameras: Cameras
    space: Space
    files: tuple[str, ...]
    splits: dict[Split, tuple[int, ...]]
    test_images: UInt8[Tensor, "t h w c"]
    """Pictures of the test views, in the order of the split; 3 channels, or 4 with alpha."""
    notes: tuple[str, ...] = ()

    @property
    def test(self) -> tuple[int, ...]:
        """Held-out views."""
        return self.splits["test"]

    def truth(self, index: int, background: Float[Tensor, " 3"]) -> Float[Tensor, "h w 3"]:
        """A held-out picture on a background."""
        picture = self.test_images[index].float() / 255
        if picture.shape[-1] == 3:
            return picture
        return picture[..., :3] * picture[..., 3:] + background * (1 - picture[..., 3:])


def reference_of(scene: Scene, space: Space, downscale: int) -> Reference:
    """What is kept of a scene."""
    images = scene.images[list(scene.splits["test"])]
    return Reference(
        scene.name, scene.folder, downscale, scene.cameras, space, scene.files, scene.splits, images, scene.notes
    )


def write_reference(folder: Path, reference: Reference) -> None:
    """Store it in a run's folder."""
    cameras, about = reference.cameras, {"format": FORMAT, "name": reference.name, "notes": list(reference.notes)}
    about |= {"folder": str(reference.folder.absolute()), "downscale": reference.downscale}
    about |= {"files": list(reference.files), "splits": {k: list(v) for k, v in reference.splits.items()}}
    about |= {"space": asdict(reference.space), "height": cameras.height, "width": cameras.width}
    tensors = {name: getattr(cameras, name) for name in ("pose", "focal", "centre", "distortion")}
    tensors = {name: value.double().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
    tensors["test_images"] = reference.test_images.contiguous()
    atomic_write_bytes(folder / NAME, save(tensors, {"scene": json.dumps(about)}))


def read_reference(folder: Path) -> Reference:
    """The stored scene. FileNotFoundError where there is none, ValueError where it is damaged."""
    path = folder / NAME
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no {NAME}: without it a scene's run can't be used")
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["scene"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        return _parsed(about, tensors)
    except (SafetensorError, KeyError, TypeError, ValueError, IndexError) as error:
        raise ValueError(f"{path} is damaged ({error}); copy the run again, or train it again") from None


def _parsed(about: dict[str, Any], tensors: dict[str, Tensor]) -> Reference:
    if about["format"] != FORMAT:
        raise ValueError(f"it holds '{about['format']}', not '{FORMAT}'")
    height, width = int(about["height"]), int(about["width"])
    cameras = Cameras(**{k: tensors[k] for k in ("pose", "focal", "centre", "distortion")}, height=height, width=width)
    views, images, files = len(cameras), tensors["test_images"], tuple(map(str, about["files"]))
    splits: dict[Split, tuple[int, ...]] = {}
    for name, index in about["splits"].items():
        splits[cast(Split, name)] = tuple(map(int, index))
    fits = cameras.pose.shape == (views, 3, 4) and cameras.pose.isfinite().all() and len(files) == views
    fits &= images.shape[:3] == (len(splits["test"]), height, width) and images.shape[3] in (3, 4)
    if not fits or any(not 0 <= view < views for index in splits.values() for view in index):
        raise ValueError("cameras, pictures and splits do not fit together")
    box = Box(*(_triple(about["space"]["box"][corner]) for corner in ("low", "high")))
    frame = tuple(float(number) for number in about["space"]["frame"])
    space = Space(about["space"]["kind"], box, float(about["space"]["near"]), frame)
    where = Path(about["folder"]), int(about["downscale"])
    return Reference(about["name"], *where, cameras, space, files, splits, images, tuple(about["notes"]))


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    x, y, z = map(float, values)
    return x, y, z
