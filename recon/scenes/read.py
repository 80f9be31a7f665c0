"""A folder of posed pictures to a `Scene`: the layout is detected, everything is checked, and what was done is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from recon.scenes.colmap import models_in, read_colmap
from recon.scenes.images import MAX_BYTES, Header, is_picture, load_images, read_headers
from recon.scenes.listing import Listing, relative
from recon.scenes.llff import read_llff
from recon.scenes.nsvf import read_nsvf
from recon.scenes.poses import cameras_of
from recon.scenes.scene import Layout, Scene
from recon.scenes.transforms import read_blender, read_transforms

LAYOUTS: dict[Layout, tuple[Callable[[Path], bool], Callable[[Path], Listing], str]] = {
    "nsvf": (lambda f: (f / "rgb").is_dir() and (f / "pose").is_dir(), read_nsvf, "rgb/ and pose/"),
    "blender": (lambda f: (f / "transforms_train.json").is_file(), read_blender, "transforms_train.json"),
    "instant-ngp": (lambda f: (f / "transforms.json").is_file(), read_transforms, "transforms.json"),
    "llff": (lambda f: (f / "poses_bounds.npy").is_file(), read_llff, "poses_bounds.npy"),
    "colmap": (lambda f: bool(models_in(f)), read_colmap, "a COLMAP model in sparse/"),
}
"""How each layout is told, who reads it, and what a person calls its mark; the first that fits is taken."""


def detect(folder: Path) -> Layout:
    """The layout of a scene's folder; FileNotFoundError says what was looked for."""
    if not folder.exists():
        raise FileNotFoundError(f"no folder {folder}")
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file; a folder with a scene is wanted")
    for layout, (told, _, _) in LAYOUTS.items():
        if told(folder):
            return layout
    there = sorted(path.name for path in folder.iterdir())
    marks = "; ".join(f"{mark} ({layout})" for layout, (_, _, mark) in LAYOUTS.items())
    raise FileNotFoundError(
        f"{folder} is no scene: none of these is there: {marks}. What is there: {', '.join(there[:12]) or 'nothing'}"
    )


def read_scene(
    folder: Path, *, name: str = "", downscale: int = 1, cache: Path | None = None, max_bytes: int = MAX_BYTES
) -> Scene:
    """The scene in a folder, its pictures averaged over downscale x downscale blocks.

    Shrunk pictures are kept in the cache folder. ValueError and FileNotFoundError say what is wrong, ImportError which
    codec is missing; pictures that would take more than max_bytes are refused."""
    if downscale < 1:
        raise ValueError(f"--downscale must be 1 or more, found {downscale}")
    layout = detect(folder)
    with np.errstate(over="ignore", invalid="ignore"):  # poses that are not finite are refused below, with their names
        listing = LAYOUTS[layout][1](folder)
    listing = _used(replace(listing, notes=(f"layout: {layout}", *listing.notes, *_others(folder, layout))))
    names = [relative(path, folder) for path in listing.files]
    _check(listing, names)
    listing = _with_masks(listing, folder)
    headers = read_headers(listing.files, listing.masks)
    size = (headers[0].width, headers[0].height)
    if min(size) < downscale:
        raise ValueError(f"--downscale {downscale} leaves nothing of pictures of {size[0]} x {size[1]}")
    # cameras come first: a bad pose is told in a moment, pictures take long
    cameras, said = cameras_of(listing.poses, listing.lenses, names, size, downscale)
    images = load_images(listing.files, listing.masks, headers, downscale=downscale, cache=cache, max_bytes=max_bytes)
    images, alpha_said = _plain_alpha(images)
    return Scene(
        name=name or folder.resolve().name,
        layout=layout,
        folder=folder,
        cameras=cameras,
        images=torch.from_numpy(images),
        files=tuple(names),
        splits=listing.splits,
        box=listing.box,
        depth_range=listing.depth_range,
        points=None if listing.points is None else torch.from_numpy(listing.points).float(),
        white=listing.white and images.shape[-1] == 3,
        notes=(*listing.notes, *said, *_picture_notes(headers, size, downscale), *alpha_said),
    )


def _others(folder: Path, chosen: Layout) -> list[str]:
    """Marks of other layouts in the same folder: a person may have meant one of them."""
    marks = [mark for layout, (told, _, mark) in LAYOUTS.items() if layout != chosen and told(folder)]
    return [f"also there, and not used: {', '.join(marks)}"] if marks else []


def _used(listing: Listing) -> Listing:
    """Without the pictures that are in no split."""
    used = sorted({view for views in listing.splits.values() for view in views})
    return listing if len(used) == len(listing.files) else listing.select(used)


def _check(listing: Listing, names: list[str]) -> None:
    if len(names) < 2:
        raise ValueError(f"one picture only ({names[0]}): at least two views are needed, better 20")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"{len(twice)} pictures are listed more than once (first: {twice[0]}); keep one entry of each")
    for split in ("train", "test"):
        if not listing.splits.get(split):
            there = ", ".join(f"{name} {len(views)}" for name, views in listing.splits.items()) or "none"
            raise ValueError(f"the split '{split}' is empty (pictures by split: {there})")


def _with_masks(listing: Listing, folder: Path) -> Listing:
    """Masks from a folder beside the pictures', if the files name none: all pictures have one, or none is used."""
    if listing.masks:
        return replace(listing, notes=(*listing.notes, "masks are the alpha: what they leave out is background"))
    found = [_mask_beside(path, folder) for path in listing.files]
    masks = tuple(mask for mask in found if mask is not None)
    if not masks:
        return listing
    if len(masks) < len(found):
        said = f"only {len(masks)} of {len(found)} pictures have a mask: masks not used"
        return replace(listing, notes=(*listing.notes, said))
    said = f"masks from {relative(masks[0].parent, folder)}/ are the alpha: what they leave out is background"
    return replace(listing, masks=masks, notes=(*listing.notes, said))


def _mask_beside(picture: Path, folder: Path) -> Path | None:
    """masks/NAME.png for images/NAME.jpg (or masks_4 for images_4), also with the picture's whole name in it."""
    parts = list(picture.relative_to(folder).parts) if picture.is_relative_to(folder) else []
    if len(parts) < 2 or not parts[0].startswith(("images", "rgb")):
        return None
    suffix = parts[0].removeprefix("images") if parts[0].startswith("images") else ""
    for top in dict.fromkeys((f"masks{suffix}", f"mask{suffix}", "masks", "mask")):
        place = folder.joinpath(top, *parts[1:])
        for path in (place.with_suffix(".png"), place, place.with_name(place.name + ".png")):
            if path.is_file() and is_picture(path):
                return path
    return None


def _plain_alpha(images: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Three channels where the alpha of every picture is full: it tells nothing."""
    if images.shape[-1] == 4 and all((picture[..., 3] == 255).all() for picture in images):
        return np.ascontiguousarray(images[..., :3]), ["alpha is opaque everywhere: left out"]
    return images, []


def _picture_notes(headers: list[Header], size: tuple[int, int], downscale: int) -> list[str]:
    notes = []
    if turned := sum(header.turned for header in headers):
        notes.append(f"{turned} pictures carry an EXIF orientation: not applied, cameras belong to the stored pixels")
    if 0 < sum(header.alpha for header in headers) < len(headers):
        notes.append(
            f"{sum(header.alpha for header in headers)} of {len(headers)} pictures have alpha: others are opaque"
        )
    if downscale > 1:
        small = f"{size[0] // downscale} x {size[1] // downscale}"
        cut = [f"{extent % downscale} {what}" for extent, what in zip(size, ("columns", "rows"), strict=True)]
        rest = f", {' and '.join(cut)} cut off" if size[0] % downscale or size[1] % downscale else ""
        notes.append(f"pictures of {size[0]} x {size[1]} averaged over {downscale} x {downscale} pixels: {small}{rest}")
    return notes
