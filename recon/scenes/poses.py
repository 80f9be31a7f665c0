"""Poses and lenses as files state them to `Cameras`: checked, in double precision, with OpenGL axes."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from recon.geometry import Cameras
from recon.geometry.cameras import undistort
from recon.scenes.listing import Lens

TIDY = 1e-5
"""Deviation of a rotation from orthonormal that is mended without a word: the rounding of single precision."""
RIGID = 1e-3
"""Deviation above which a pose is no rotation and shift at all."""
RATIO = 0.01
"""Difference of the scales along x and y that the rounding of a small picture's size explains."""


def from_opencv(poses: Float[np.ndarray, "v 3 4"]) -> Float[np.ndarray, "v 3 4"]:
    """OpenCV's axes (right, down, forwards) to OpenGL's (right, up, backwards)."""
    return poses * np.array([1.0, -1.0, -1.0, 1.0])


def matrix(value: object, where: str) -> Float[np.ndarray, "3 4"]:
    """A pose from nested lists, 4 x 4 or 3 x 4; ValueError where it has another shape or holds no numbers."""
    try:
        found = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{where}: the pose must be a matrix of numbers") from None
    if found.shape not in ((4, 4), (3, 4)):
        raise ValueError(f"{where}: the pose must be a 4 x 4 or 3 x 4 matrix, found shape {found.shape}")
    if found.shape == (4, 4) and np.isfinite(found).all() and np.abs(found[3] - [0, 0, 0, 1]).max() > TIDY:
        raise ValueError(f"{where}: the last row of the pose must be 0 0 0 1, found {found[3].tolist()}")
    return found[:3]


def check_poses(
    poses: Float[np.ndarray, "v 3 4"], names: list[str]
) -> tuple[Float[np.ndarray, "v 3 4"], tuple[str, ...]]:
    """The poses with exact rotations, and a note where that took more than rounding.

    ValueError, with the picture's name, where a pose is not finite, not rigid, or mirrored."""
    finite = np.asarray((np.abs(poses) < 1e9).all(axis=(1, 2)))  # NaN is not less
    if not finite.all():
        bad = [name for name, good in zip(names, finite.tolist(), strict=True) if not good]
        raise ValueError(f"the poses of {len(bad)} pictures hold NaN, infinity or absurd numbers: {_some(bad)}")
    rotation = poses[:, :, :3]
    deviation = np.abs(rotation.transpose(0, 2, 1) @ rotation - np.eye(3)).max(axis=(1, 2))
    if (deviation > RIGID).any():
        worst = int(deviation.argmax())
        lengths = np.linalg.norm(rotation[worst], axis=0).round(4).tolist()
        raise ValueError(
            f"the poses of {int((deviation > RIGID).sum())} pictures are not rigid, {names[worst]} the most: its axes "
            f"have lengths {lengths} and should be of length 1 and perpendicular; take scale and shear out of them"
        )
    mirrored = np.linalg.det(rotation) < 0
    if mirrored.any():
        bad = [name for name, wrong in zip(names, mirrored.tolist(), strict=True) if wrong]
        raise ValueError(
            f"the poses of {len(bad)} of {len(names)} pictures are mirrored (determinant -1): {_some(bad)}; "
            "probably one axis is flipped, or two are swapped: columns must be right, up, backwards"
        )
    left, _, right = np.linalg.svd(rotation)
    loose = int((deviation > TIDY).sum())
    notes = (f"{loose} rotations were off by up to {deviation.max():.1e}: made orthonormal",) if loose else ()
    return np.concatenate([left @ right, poses[:, :, 3:]], axis=2), notes


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def check_lens(lens: Lens, name: str) -> None:
    """ValueError where no camera has these intrinsics."""
    numbers = [*lens.focal, *lens.centre, *lens.size, *lens.distortion]
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name}: its intrinsics hold NaN or infinity ({lens})")
    if not (min(lens.focal) > 1e-3 and max(lens.focal) < 1e8 and min(lens.size) > 0):
        raise ValueError(
            f"{name}: singular intrinsics: focal lengths must be positive pixels, found {lens.focal} for a picture of "
            f"{lens.size[0]:g} x {lens.size[1]:g}"
        )
    if max(map(abs, lens.centre)) > 100 * max(lens.size):
        raise ValueError(f"{name}: the principal point {lens.centre} is nowhere near the picture")


def cameras_of(
    poses: Float[np.ndarray, "v 3 4"], lenses: tuple[Lens, ...], names: list[str], size: tuple[int, int], downscale: int
) -> tuple[Cameras, tuple[str, ...]]:
    """Cameras of pictures of `size` (width, height) averaged over downscale x downscale blocks; and notes."""
    poses, notes = check_poses(poses, names)
    for lens, name in zip(lenses, names, strict=True):
        check_lens(lens, name)
    factors = np.array([_factors(lens, name, size) for lens, name in zip(lenses, names, strict=True)])
    if np.abs(factors - 1).max() > 1e-9:
        first = lenses[int(np.abs(factors - 1).max(axis=1).argmax())]
        stated = f"{first.size[0]:g} x {first.size[1]:g}"
        notes += (f"intrinsics are for {stated}, pictures have {size[0]} x {size[1]}: intrinsics scaled",)
    factors = factors / downscale
    cameras = Cameras(
        pose=torch.from_numpy(poses),
        focal=torch.from_numpy(factors * np.array([lens.focal for lens in lenses], dtype=np.float64)),
        centre=torch.from_numpy(factors * np.array([lens.centre for lens in lenses], dtype=np.float64)),
        distortion=torch.tensor([lens.distortion for lens in lenses], dtype=torch.float64),
        # what is left over at the right and the bottom is cut off: the corner at (0, 0) stays where it is
        height=size[1] // downscale,
        width=size[0] // downscale,
    )
    _check_distortion(cameras, names)
    return cameras, notes


def _factors(lens: Lens, name: str, size: tuple[int, int]) -> tuple[float, float]:
    """Pixels found per pixel stated, along x and y."""
    x, y = size[0] / lens.size[0], size[1] / lens.size[1]
    slack = max(RATIO, 1.0 / min(size))
    if abs(x / y - 1) > slack:
        turned = abs(size[1] / lens.size[0] / (size[0] / lens.size[1]) - 1) <= slack
        raise ValueError(
            f"{name}: the intrinsics are for {lens.size[0]:g} x {lens.size[1]:g}, but the picture has "
            f"{size[0]} x {size[1]}, which is {'turned by 90 degrees' if turned else 'another shape'}"
        )
    return x, y


def _check_distortion(cameras: Cameras, names: list[str]) -> None:
    """ValueError if a lens model folds over within its picture; along the border is enough: it grows outwards."""
    x, y = torch.linspace(0, cameras.width, 17).double(), torch.linspace(0, cameras.height, 17).double()
    sides = [torch.stack([x, torch.full_like(x, edge)], -1) for edge in (0.0, float(cameras.height))]
    sides += [torch.stack([torch.full_like(y, edge), y], -1) for edge in (0.0, float(cameras.width))]
    border = torch.cat(sides)
    rows = torch.cat([cameras.focal, cameras.centre, cameras.distortion], dim=1)
    unique, first = np.unique(rows.numpy(), axis=0, return_index=True)
    for row, view in zip(torch.from_numpy(unique), first, strict=True):
        try:
            undistort((border - row[2:4]) / row[:2], row[4:].expand(len(border), 4))
        except ValueError as error:
            raise ValueError(f"{names[int(view)]}: {error}") from None
