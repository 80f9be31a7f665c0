"""Films from pictures, sRGB uint8 [h, w, 3]: numbered PNG files, and mp4 that every player shows (H.264, yuv420p)."""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from pathlib import Path
from types import ModuleType

import imageio.v3 as iio
import numpy as np
from jaxtyping import UInt8

from recon.files import replacing
from recon.rendering.picture import write_png

INSTALL = 'pip install "imageio-ffmpeg>=0.6"'
CODEC = "libx264"
_QUALITY = 8  # of imageio's 0 .. 10


def write_pngs(folder: Path, frames: Iterable[UInt8[np.ndarray, "h w 3"]]) -> list[Path]:
    """Writes frames as 0000.png, 0001.png, ... as they come, each whole or not at all; makes the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, frame in enumerate(frames):
        files.append(folder / f"{number:04d}.png")
        write_png(files[-1], frame)
    return files


def read_pngs(files: Iterable[Path]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The pictures that `write_pngs` wrote, one at a time."""
    for file in files:
        yield iio.imread(file)


def write_mp4(path: Path, frames: Iterable[UInt8[np.ndarray, "h w 3"]], fps: float = 30.0) -> int:
    """Writes a film whole or not at all, and returns how many frames it has.

    H.264 wants even sides: a row or column at the end is repeated where a side is odd. ImportError with the line that
    installs what is missing where ffmpeg or its H.264 is; ValueError where there are no frames or their sizes differ.
    """
    if path.suffix.lower() != ".mp4":
        raise ValueError(f"a film is written as .mp4, '{path.name}' has the suffix '{path.suffix}'")
    ffmpeg = _ffmpeg()
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        raise ValueError("a film needs at least one frame, got none")
    # ffmpeg tells formats by their suffix, so that of the temporary name is mp4 too.
    with replacing(path, ".tmp.mp4") as temporary:
        return _encode(ffmpeg, temporary, chain([first], rest), fps)


def _encode(ffmpeg: ModuleType, path: Path, frames: Iterator[UInt8[np.ndarray, "h w 3"]], fps: float) -> int:
    """Sends frames to ffmpeg and returns their number, which is also that in the file, or OSError."""
    sent, size, writer = 0, None, None
    try:
        for frame in frames:
            if writer is None:
                size = frame.shape
                writer = _writer(ffmpeg, path, _even(frame), fps)
            if frame.shape != size:
                raise ValueError(f"frame {sent} of the film has shape {frame.shape}, the first one had {size}")
            writer.send(np.ascontiguousarray(_even(frame)).tobytes())
            sent += 1
    finally:
        if writer is not None:
            writer.close()
    # ffmpeg's own end is not reported: a full disk shows in what it wrote.
    try:
        written = ffmpeg.count_frames_and_secs(str(path))[0]
    except RuntimeError:
        written = 0
    if written != sent:
        raise OSError(f"ffmpeg kept {written} of {sent} frames; is the disk full?")
    return sent


def _writer(
    ffmpeg: ModuleType, path: Path, frame: UInt8[np.ndarray, "h w 3"], fps: float
) -> Generator[None, bytes, None]:
    # Players take an untagged film for bt709, ffmpeg would convert colours by an older rule.
    colours = [part for name in ("-colorspace", "-color_primaries", "-color_trc") for part in (name, "bt709")]
    writer = ffmpeg.write_frames(
        str(path),
        frame.shape[1::-1],
        fps=fps,
        codec=CODEC,
        pix_fmt_out="yuv420p",
        quality=_QUALITY,
        macro_block_size=1,
        ffmpeg_log_level="error",
        output_params=["-vf", "scale=out_color_matrix=bt709:out_range=tv", *colours, "-movflags", "+faststart"],
    )
    writer.send(None)
    return writer


def _even(frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "a b 3"]:
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _ffmpeg() -> ModuleType:
    """The module imageio_ffmpeg with a program that runs; loaded here since only films need it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import imageio_ffmpeg  # noqa: PLC0415

        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-encoders"]
        encoders = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (ImportError, RuntimeError, OSError, subprocess.SubprocessError) as error:
        raise ImportError(f"films are written by ffmpeg, which is missing here ({error}); run: {INSTALL}") from error
    if CODEC not in encoders:
        raise ImportError(f"{command[0]} has no H.264 encoder ({CODEC}); unset IMAGEIO_FFMPEG_EXE and run: {INSTALL}")
    return imageio_ffmpeg
