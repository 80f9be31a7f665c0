"""Pictures of a run folder inside a page, as data URIs, made smaller where the page would grow too large."""

from __future__ import annotations

import base64
import io
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from recon.report.html import NOTHING, Html, tag, text

ORDER = ("views", "inside", "compare", "error", "experts", "tiles", "slices", "traced")
WIDE = ("views", "inside", "compare", "error", "experts", "tiles", "slices")
"""Pictures that take the page's whole width,"""
NARROW = 560
"""if they have more pixels than this."""
MOST = 40
"""Pictures of one page."""
FRAME = 2_000
"""Characters set aside for what surrounds a picture, or for the note in its place."""
MOST_PIXELS = 64_000_000
"""Larger pictures are not opened: a few bytes can claim to be billions of pixels."""
SMALLEST_SIDE = 160
"""Pixels below which a picture shows nothing any more, and is left out."""
UNREADABLE = (
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError, struct.error, zlib.error),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)
"""What Pillow raises about damaged pictures."""
KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


@dataclass(frozen=True)
class Picture:
    """One picture as it goes into the page."""

    name: str
    uri: str
    width: int
    height: int
    reduced: bool
    """Smaller or rougher than the file."""


def embed(folder: Path, files: Mapping[str, object], budget: int) -> tuple[list[Picture], list[str]]:
    """The pictures (or those at paths below `folder`), in the order to show them, in at most `budget` characters with
    all that surrounds them; and a note about each that can't be shown."""
    names = [name for name in ORDER if name in files] + sorted(set(files) - set(ORDER))
    pictures, notes = [], [f"{len(names) - MOST:,} more pictures than a page shows"] if len(names) > MOST else []
    names = names[:MOST]
    budget -= FRAME * (len(names) + len(notes))
    for position, name in enumerate(names):
        # What the smaller ones leave is for those that follow.
        share = budget // (len(names) - position)
        try:
            picture = _embed_one(name, folder, files[name], share)
        except UNREADABLE as error:
            notes.append(f"picture '{name}' is not shown: {error}")
            continue
        budget -= len(picture.uri)
        pictures.append(picture)
    return pictures, notes


def gallery(pictures: Sequence[Picture], captions: Mapping[str, str]) -> Html:
    """Pictures with what one sees on them; wide ones on their own, others side by side where there is room."""
    return tag("div", *(_figure(picture, captions) for picture in pictures), class_="gallery") if pictures else NOTHING


def _figure(picture: Picture, captions: Mapping[str, str]) -> Html:
    caption = captions.get(picture.name, picture.name[:200])
    reduced = " (Reduced, to keep the page small; the file in the run folder is finer.)" if picture.reduced else ""
    image = tag("img", src=picture.uri, alt=caption, width=picture.width, height=picture.height)
    kinds = ["wide"] * (picture.name in WIDE and picture.width > NARROW) + ["panorama"] * (
        picture.width > 3 * picture.height
    )
    return tag(
        "figure",
        tag("div", image, class_="paper"),
        tag("figcaption", text(caption + reduced)),
        class_=" ".join(kinds) or None,
    )


def _inside(folder: Path, file: object) -> Path:
    """The path below the folder that a file of metrics names; a page must not carry files from elsewhere."""
    path = (folder / str(file)).resolve()
    if not isinstance(file, str) or not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{file!r:.100} is no path inside the run folder")
    if not path.is_file():
        raise FileNotFoundError(f"there is no {file} in the run folder")
    return path


def _embed_one(name: str, folder: Path, source: object, limit: int) -> Picture:
    """A picture as its file is, or smaller where that takes more than `limit` characters."""
    if isinstance(source, Image.Image):
        return _shrunk(name, source, limit, _encoded(source, "PNG"))
    path = _inside(folder, source)
    with opened(path) as image:
        if path.stat().st_size * 4 // 3 + 100 <= limit:
            return Picture(name, _uri(path.read_bytes(), KINDS[str(image.format)]), *image.size, False)
        return _shrunk(name, image.convert("RGB"), limit)


def _shrunk(name: str, image: Image.Image, limit: int, whole: str = "") -> Picture:
    """`whole` where it fits, else as fine a JPEG as does."""
    if 0 < len(whole) <= limit:
        return Picture(name, whole, *image.size, False)
    while max(image.size) >= SMALLEST_SIDE:
        if len(uri := _encoded(image, "JPEG", quality=85)) <= limit:
            return Picture(name, uri, *image.size, True)
        image = image.resize((max(1, image.width * 2 // 3), max(1, image.height * 2 // 3)), Image.Resampling.LANCZOS)
    raise ValueError(f"it does not fit into the page ({limit:,} characters are left for it)")


def _encoded(image: Image.Image, kind: str, **options: int) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return _uri(buffer.getvalue(), KINDS[kind])


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """A picture of a file, with its pixels read; whatever is wrong with it is one of `UNREADABLE`."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)  # large ones are refused
        image = Image.open(path, formats=list(KINDS))
    with image:
        width, height = image.size
        if width * height > MOST_PIXELS:
            raise ValueError(f"{width} x {height} pixels are more than the {MOST_PIXELS:,} that are opened")
        image.load()
        yield image


def _uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
