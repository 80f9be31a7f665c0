"""LLFF's layout: poses_bounds.npy with axes (down, right, backwards), and a folder of pictures in the same order."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy.lib import format as npy

from recon.scenes.images import pictures_in
from recon.scenes.listing import Lens, Listing, find_split, read_bytes, relative

NPY_LIMIT = 64 * 2**20
"""Bytes of the largest poses_bounds.npy that is read."""


def read_llff(folder: Path) -> Listing:
    """Pictures of `images` or of the largest `images_N`; split.json or every 8th held out."""
    rows = _array(folder / "poses_bounds.npy")
    camera = rows[:, :15].reshape(-1, 3, 5)
    down, right, backwards, position, (height, width, focal) = np.moveaxis(camera, 2, 0)[:4].tolist() + [
        camera[:, :, 4].T.tolist()
    ]
    poses = np.stack([np.array(right), -np.array(down), np.array(backwards), np.array(position)], axis=2)
    files, said = _pictures(folder, len(rows))
    near, far = float(rows[:, 15].min()), float(rows[:, 16].max())
    if not 0 < near < far < np.inf:
        raise ValueError(f"{folder / 'poses_bounds.npy'}: depths need 0 < near < far, found {near:g} .. {far:g}")
    splits, split_said = find_split(folder, [relative(file, folder) for file in files])
    return Listing(
        layout="llff",
        files=files,
        poses=poses,
        lenses=tuple(Lens((f, f), (w / 2, h / 2), (w, h)) for h, w, f in zip(height, width, focal, strict=True)),
        splits=splits,
        depth_range=(near, far),
        notes=("LLFF: poses from axes (down, right, backwards)", *said, *split_said),
    )


def _pictures(folder: Path, wanted: int) -> tuple[tuple[Path, ...], list[str]]:
    """The pictures of the least shrunk folder that holds as many as there are poses."""
    folders = [path for path in folder.glob("images*") if path.is_dir()]
    found = {path.name: pictures_in(path) for path in sorted(folders, key=_shrinkage)}
    for name, files in found.items():
        if len(files) == wanted:
            return tuple(files), [f"pictures from {name}/"]
    counts = ", ".join(f"{name} has {len(files)}" for name, files in found.items()) or "no folder images or images_N"
    raise FileNotFoundError(
        f"{folder}: poses_bounds.npy wants {wanted} pictures in a folder images or images_N: {counts}"
    )


def _shrinkage(path: Path) -> tuple[int, str]:
    """1 for images, N for images_N, and everything else last."""
    ending = path.name.removeprefix("images").removeprefix("_")
    return (int(ending) if ending.isdigit() and len(ending) < 6 else 1 if path.name == "images" else 10**6), path.name


def _array(path: Path) -> Float[np.ndarray, "v 17"]:
    data = read_bytes(path, NPY_LIMIT)
    try:
        rows = _parse(data)
    except Exception as error:  # numpy parses the header as Python: garbled ones end in errors of every kind
        raise ValueError(f"{path} is not a readable array of numbers ({str(error)[:120]})") from None
    if rows.ndim != 2 or rows.shape[1] != 17 or not len(rows):
        raise ValueError(f"{path}: an array of 17 numbers a picture was wanted, found shape {rows.shape}")
    if not np.isfinite(rows).all():
        bad = int((~np.isfinite(rows).all(axis=1)).sum())
        raise ValueError(f"{path}: the rows of {bad} pictures hold NaN or infinity")
    return rows


def _parse(data: bytes) -> np.ndarray:
    """The array, once its header agrees with the size of the file."""
    file = io.BytesIO(data)
    version = npy.read_magic(file)
    header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
    shape, _, dtype = header(file)
    if dtype.kind not in "fiu":
        raise ValueError(f"it holds {dtype}")
    count = 1
    for extent in shape:
        count *= int(extent)
    if count * dtype.itemsize > len(data):
        raise ValueError(f"its header speaks of {shape} numbers, the file holds {len(data)} bytes")
    file.seek(0)
    return npy.read_array(file, allow_pickle=False).astype(np.float64)
