"""The scene inside a run folder, so that a run stands alone: cameras, space and held-out pictures, without pickle."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from recon.files import atomic_write_bytes, check_tensors, parse_json
from recon.geometry import Box, Cameras, Space
from recon.scenes.scene import Scene, Split

NAME = "reference.safetensors"
FORMAT = "scene 1"
PARTS: dict[str, tuple[int, ...]] = {"pose": (3, 4), "focal": (2,), "centre": (2,), "distortion": (4,)}
"""Tensors of the cameras, and the shape of one camera's."""
LIMIT = 6 * 2**30
"""Bytes of the largest stored scene that is read: more than the pictures of a scene may take."""
DAMAGE = (SafetensorError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError)
"""What reading facts of the wrong kind raises."""


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

    def fits(self, scene: Scene) -> bool:
        """Whether training can go on with a scene: the same views, of the same size and kind, at the same places."""
        if (scene.files, scene.splits) != (self.files, self.splits):
            return False
        same_kind = scene.images.shape[1:] == self.test_images.shape[1:]
        # not bit for bit: another machine may round poses in another way
        return same_kind and all(
            torch.allclose(getattr(scene.cameras, name), getattr(self.cameras, name), atol=1e-6) for name in PARTS
        )


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
    tensors = {name: getattr(cameras, name) for name in PARTS}
    tensors = {name: value.double().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}
    tensors["test_images"] = reference.test_images.contiguous()
    atomic_write_bytes(folder / NAME, save(tensors, {"scene": json.dumps(about)}))


def read_reference(folder: Path) -> Reference:
    """The stored scene. FileNotFoundError where there is none, ValueError where it is damaged."""
    path = folder / NAME
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no {NAME}: without it a scene's run can't be used")
    try:
        check_tensors(path, LIMIT)
        with safe_open(path, framework="pt") as file:
            about = parse_json((file.metadata() or {})["scene"])
            tensors = {name: file.get_tensor(name) for name in (*PARTS, "test_images")}
        return _parsed(about, tensors)
    except DAMAGE as error:
        raise ValueError(f"{path} is damaged ({error}); copy the run again, or train it again") from None


def read_truths(folder: Path, wanted: Iterable[int], grey: float = 1.0) -> dict[int, UInt8[np.ndarray, "h w 3"]]:
    """Some held-out pictures by their places in the split, on a background, without reading the others or the cameras.

    ValueError where the file or a picture in it is not what it should be."""
    found = {}
    try:
        with safe_open(folder / NAME, framework="numpy") as file:
            pictures = file.get_slice("test_images")
            count, *_, channels = pictures.get_shape()
            for index in wanted:
                if not 0 <= index < count or channels not in (3, 4):
                    raise ValueError(f"there is no picture {index} of red, green and blue among {count}")
                picture = np.asarray(pictures[index : index + 1][0], np.float32) / 255
                alpha = picture[..., 3:] if channels == 4 else np.float32(1)
                found[index] = np.rint((picture[..., :3] * alpha + grey * (1 - alpha)) * 255).astype(np.uint8)
    except (*DAMAGE, OSError) as error:
        raise ValueError(f"held-out pictures of {folder / NAME} can't be read ({error})") from None
    return found


def _parsed(about: Any, tensors: dict[str, Tensor]) -> Reference:
    if about["format"] != FORMAT:
        raise ValueError(f"it holds '{about['format']}', not '{FORMAT}'")
    height, width = int(about["height"]), int(about["width"])
    parts = {name: tensors[name] for name in PARTS}
    views, images, files = len(parts["pose"]), tensors["test_images"], tuple(map(str, about["files"]))
    splits: dict[Split, tuple[int, ...]] = {}
    for name, index in about["splits"].items():
        splits[cast(Split, name)] = tuple(map(int, index))
    fits = all(
        parts[name].shape == (views, *shape) and parts[name].dtype == torch.float64 for name, shape in PARTS.items()
    )
    fits &= all(bool(part.isfinite().all()) for part in parts.values()) and bool((parts["focal"] > 0).all())
    fits &= images.shape in [(len(splits["test"]), height, width, channels) for channels in (3, 4)]
    fits &= images.dtype == torch.uint8 and images.numel() > 0 and len(files) == views and len(splits["train"]) > 0
    if not fits or any(not 0 <= view < views for index in splits.values() for view in index):
        raise ValueError("cameras, pictures and splits do not fit together")
    cameras, space = Cameras(**parts, height=height, width=width), _space(about["space"])
    where, notes = (Path(about["folder"]), int(about["downscale"])), tuple(map(str, about["notes"]))
    return Reference(str(about["name"]), *where, cameras, space, files, splits, images, notes)


def _space(about: Any) -> Space:
    box = Box(*(_triple(about["box"][corner]) for corner in ("low", "high")))
    near, frame = float(about["near"]), tuple(float(number) for number in about["frame"])
    if about["kind"] not in ("box", "contracted", "ndc") or not all(map(math.isfinite, (near, *frame))):
        raise ValueError(f"there is no space '{about['kind']}' with near {near} and frame {frame}")
    return Space(about["kind"], box, near, frame)


def _triple(values: Any) -> tuple[float, float, float]:
    x, y, z = map(float, values)
    return x, y, z
