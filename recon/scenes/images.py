"""Pictures on disk to uint8: sizes are judged from headers first; shrinking is an exact average over blocks."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import warnings
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, UnidentifiedImageError, features
from safetensors import SafetensorError
from safetensors.numpy import load as parse
from safetensors.numpy import save

from recon.files import atomic_write_bytes

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".avif", ".heic", ".heif")
"""Kinds of pictures, by the ends of their names."""
MAX_PIXELS = 120_000_000
"""Pixels of one picture above which it is taken for a decompression bomb."""
AT_ONCE = 100_000_000
"""Pixels that are decoded at a time; each takes about ten bytes on the way."""
MAX_BYTES = 4 * 2**30
"""Memory that the pictures of a scene may take, unless the caller allows another amount."""
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "TIFF", "PPM", "AVIF", "HEIF")
"""What is decoded. Never EPS, for which Pillow starts another program."""
_CODECS = {"jpg": "jpg", "zlib": "zlib", "libtiff": "libtiff", "webp": "webp", "avif": "avif"}
FORMAT = 1


@dataclass(frozen=True)
class Header:
    """What a picture's first bytes say."""

    width: int
    height: int
    alpha: bool
    turned: bool
    """It carries an EXIF orientation other than upright."""


def is_picture(path: Path) -> bool:
    """Whether the name is that of a picture that can be read; hidden files are none."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def pictures_in(folder: Path) -> list[Path]:
    """A folder's pictures, in the order of their names."""
    return sorted(path for path in folder.iterdir() if is_picture(path)) if folder.is_dir() else []


def read_header(path: Path) -> Header:
    """Size and kind of a picture, without decoding it.

    FileNotFoundError where it is missing, ImportError for a missing codec, ValueError for everything else."""
    with _quiet():
        return _header(path)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Pillow's warnings of large pictures and odd chunks: we judge for ourselves.

    Around threads, never within: the filters of warnings belong to all of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _header(path: Path) -> Header:
    with _opened(path) as picture:
        width, height = picture.size
        header = Header(width, height, picture.has_transparency_data, _turned(picture))
    if width < 1 or height < 1:
        raise ValueError(f"{path}: a picture of zero size ({width} x {height})")
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"{path}: {width} x {height} pixels are more than the {MAX_PIXELS:,} that are decoded (a decompression "
            "bomb?); if it is real, shrink the file"
        )
    return header


def _turned(picture: Image.Image) -> bool:
    if picture.format == "PNG" and "exif" not in picture.info:
        return False  # Pillow would decode all of it to look for EXIF behind the pixels
    try:
        return picture.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1)
    except Exception:  # a damaged EXIF block says nothing, and harms nothing
        return False


def read_headers(files: tuple[Path, ...], masks: tuple[Path, ...] = ()) -> list[Header]:
    """Headers of pictures, which must all have one size; masks must have the size of their pictures."""
    with _quiet(), ThreadPoolExecutor(_workers()) as pool:
        headers = list(pool.map(_header, files))
        of_masks = list(pool.map(_header, masks))
    first = headers[0]
    for path, header in zip(files, headers, strict=True):
        if (header.width, header.height) != (first.width, first.height):
            raise ValueError(
                f"the pictures have different sizes: {files[0].name} has {first.width} x {first.height}, {path.name} "
                f"{header.width} x {header.height}; a scene needs one size (and one orientation): crop or resize them"
            )
    for path, header in zip(masks, of_masks, strict=True):
        if (header.width, header.height) != (first.width, first.height):
            raise ValueError(
                f"the mask {path} has {header.width} x {header.height}, its picture {first.width} x {first.height}"
            )
    return headers


def load_images(
    files: tuple[Path, ...],
    masks: tuple[Path, ...],
    headers: list[Header],
    *,
    downscale: int,
    cache: Path | None,
    max_bytes: int = MAX_BYTES,
) -> UInt8[np.ndarray, "v h w c"]:
    """All pictures, averaged over downscale x downscale blocks; shrunk ones are kept in the cache folder.

    Masks become alpha. ValueError where they would take more than max_bytes of memory."""
    first = headers[0]
    channels = 4 if masks or any(header.alpha for header in headers) else 3
    shape = (len(files), first.height // downscale, first.width // downscale, channels)
    _check_memory(shape, downscale, max_bytes)
    path = cache / f"pictures-{_key(files, masks, downscale)}.safetensors" if cache and downscale > 1 else None
    if path and (found := _read_cache(path, shape)) is not None:
        return found
    images = np.empty(shape, np.uint8)

    def fill(view: int) -> None:
        picture = _picture(files[view])
        images[view] = shrink(_as_channels(picture, channels, masks[view] if masks else None), downscale)

    with _quiet(), ThreadPoolExecutor(_workers(first.width * first.height)) as pool:
        for _ in pool.map(fill, range(len(files))):
            pass
    if path:
        _write_cache(path, images)
    return images


def read_picture(path: Path) -> UInt8[np.ndarray, "h w c"]:
    """One picture as RGB, or RGB and alpha; 16 bits become 8, grey and palettes become RGB; EXIF turns nothing."""
    with _quiet():
        return _picture(path)


def _picture(path: Path) -> UInt8[np.ndarray, "h w c"]:
    with _opened(path) as picture:
        try:
            return _decoded(picture)
        except ImportError:
            raise
        except Exception as error:  # decoders answer garbled files with errors of every kind
            raise _refusal(path, error) from None


def shrink(picture: UInt8[np.ndarray, "h w c"], factor: int) -> UInt8[np.ndarray, "a b c"]:
    """Exact averages over factor x factor blocks, rounded once; colours weigh by alpha, as light does.

    Columns and rows left over at the right and the bottom are cut off."""
    if factor == 1:
        return picture
    rows, columns = picture.shape[0] // factor, picture.shape[1] // factor
    small = np.empty((rows, columns, picture.shape[2]), np.uint8)
    for band in _bands(rows, columns * factor * factor):  # sums take eight times the picture's memory
        part = picture[band.start * factor : band.stop * factor, : columns * factor]
        small[band] = _averages(part.reshape(-1, factor, columns, factor, picture.shape[2]))
    return small


def _bands(rows: int, pixels: int) -> Iterator[slice]:
    """Rows in parts of about a million pixels; `pixels` are those of one row."""
    step = max(1, 2**20 // max(pixels, 1))
    return (slice(at, min(at + step, rows)) for at in range(0, rows, step))


def _averages(blocks: UInt8[np.ndarray, "a f b f c"]) -> UInt8[np.ndarray, "a b c"]:
    count = blocks.shape[1] * blocks.shape[3]

    def total(values: np.ndarray) -> np.ndarray:
        return values.sum(axis=1, dtype=np.uint64).sum(axis=2)

    if blocks.shape[4] == 3:
        return ((total(blocks) + count // 2) // count).astype(np.uint8)
    alpha = blocks[..., 3:].astype(np.uint32)
    weight = total(alpha)
    colour = (total(blocks[..., :3] * alpha) + weight // 2) // np.maximum(weight, 1)
    return np.concatenate([colour, (weight + count // 2) // count], axis=2).astype(np.uint8)


def _decoded(picture: Image.Image) -> UInt8[np.ndarray, "h w c"]:
    if picture.mode in ("F", "LAB", "HSV"):
        raise ValueError(f"pictures of kind '{picture.mode}' are not read; convert it to 8-bit PNG")
    if picture.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip
        grey = np.asarray(picture)
        if grey.min() < 0 or grey.max() > 65535:
            raise ValueError("a grey picture of 32 bits; convert it to 8-bit PNG")
        short = np.empty(grey.shape, np.uint8)
        for band in _bands(*grey.shape):
            short[band] = (grey[band].astype(np.int64) * 255 + 32767) // 65535
        return np.repeat(short[:, :, None], 3, axis=2)
    return np.array(picture.convert("RGBA" if picture.has_transparency_data else "RGB"))


def _as_channels(picture: UInt8[np.ndarray, "h w c"], channels: int, mask: Path | None) -> np.ndarray:
    """The picture with or without alpha, as the whole scene has it; alpha is 255 unless the file or the mask says."""
    if channels == 3:
        return picture
    if picture.shape[2] == 3:
        picture = np.concatenate([picture, np.full_like(picture[..., :1], 255)], axis=2)
    if mask is not None:
        seen = _picture(mask)
        # a mask that is all white but for its alpha keeps it there
        alpha = seen[..., :3].max(axis=2).astype(np.uint16) * (seen[..., 3] if seen.shape[2] == 4 else 255) // 255
        picture[..., 3] = picture[..., 3] * alpha // 255
    return picture


def _opened(path: Path) -> Image.Image:
    """The picture behind a path, its header read; the caller closes it."""
    if not path.is_file():
        raise FileNotFoundError(f"no picture {path}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the picture is empty (zero bytes)")
    _register(path)
    Image.init()
    try:
        return Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])
    except Exception as error:  # as above
        raise _refusal(path, error) from None


def _register(path: Path) -> None:
    """The codec of the kinds that Pillow leaves to others; ImportError with the line that installs it."""
    suffix = path.suffix.lower()
    if suffix in (".heic", ".heif"):
        try:
            importlib.import_module("pillow_heif").register_heif_opener()
        except ImportError:
            raise ImportError(f"{path.name} is a HEIF picture: pip install pillow-heif") from None
    if suffix == ".avif" and not features.check("avif"):
        raise ImportError(f"{path.name} is an AVIF picture: pip install --upgrade 'pillow>=11.3'")


def _refusal(path: Path, error: Exception) -> Exception:
    """What to raise where a picture could not be opened or decoded."""
    text = str(error)
    missing = [codec for codec in _CODECS if f"{codec} not available" in text or f"{codec}_decoder" in text]
    if missing or "decoder" in text and "not available" in text:
        return ImportError(f"{path.name}: this Pillow lacks a codec ({text}): pip install --force-reinstall pillow")
    if isinstance(error, Image.DecompressionBombError):
        return ValueError(f"{path}: too many pixels (a decompression bomb?): {text[:100]}")
    if isinstance(error, UnidentifiedImageError):
        return ValueError(f"{path} is not a readable picture ({', '.join(FORMATS)} are read)")
    if isinstance(error, PermissionError):
        return error
    return ValueError(f"{path} is damaged or cut short: {text[:120] or type(error).__name__}")


def _check_memory(shape: tuple[int, int, int, int], downscale: int, max_bytes: int) -> None:
    needed = int(np.prod([int(n) for n in shape], dtype=object))
    if needed <= max_bytes:
        return
    enough = downscale
    while needed * downscale * downscale > max_bytes * enough * enough:
        enough += 1
    raise ValueError(
        f"{shape[0]} pictures of {shape[2]} x {shape[1]} take {needed / 2**30:.1f} GiB of memory, more than the "
        f"{max_bytes / 2**30:.1f} GiB allowed; --downscale {enough} is enough"
    )


def _workers(pixels: int = 1) -> int:
    """Threads that decode: Pillow works outside Python's lock. Fewer for pictures of which four fill the memory."""
    return max(1, min(4, os.cpu_count() or 1, AT_ONCE // pixels))


def _key(files: tuple[Path, ...], masks: tuple[Path, ...], downscale: int) -> str:
    """Names, sizes and times of the files: what changes when a picture does."""
    digest = hashlib.sha256(f"pictures {FORMAT} {downscale} {len(files)}".encode())
    for path in (*files, *masks):
        facts = path.stat()
        digest.update(f"{path.resolve()}\0{facts.st_size} {facts.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def _read_cache(path: Path, shape: tuple[int, ...]) -> UInt8[np.ndarray, "v h w c"] | None:
    """Pictures from the cache; none where they are missing or not whole, in which case they are made again."""
    try:
        found = parse(path.read_bytes())
        images, check = found["images"], int(found["check"][0])
    except (OSError, SafetensorError, KeyError, IndexError, TypeError, ValueError):
        return None
    whole = images.shape == shape and images.dtype == np.uint8 and zlib.crc32(images.data) == check
    return images.copy() if whole else None


def _write_cache(path: Path, images: UInt8[np.ndarray, "v h w c"]) -> None:
    data = save({"images": images, "check": np.array([zlib.crc32(images.data)], np.int64)})
    try:
        atomic_write_bytes(path, data)
    except OSError as error:  # costs only the time to make it again
        warnings.warn(f"the pictures could not be cached ({error}); they are shrunk again next time", stacklevel=2)
