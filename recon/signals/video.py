"""Films to frames [t h w 3] in uint8 RGB, and back, by ffmpeg: every stored frame once, upright."""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import UInt8

from recon.signals.headers import check_size
from recon.signals.signal import BadSignal

MOST_PIXELS = 2**28
"""Pixels of all frames of the largest video that is read."""
INSTALL = 'pip install "imageio-ffmpeg>=0.6"'
_PROBE_SECONDS = 60
_DEMUXERS = {"mp4": "mov", "mov": "mov", "mkv": "matroska", "webm": "matroska", "gif": "gif", "avi": "avi"}
"""The one reader of ffmpeg that may look at a file: others open further files that a playlist names."""
_H264 = ["-c:v", "libx264", "-crf", "12", "-preset", "medium", "-pix_fmt", "yuv420p"]
_TAGS = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]
_BT709 = "scale=out_color_matrix=bt709:out_range=tv"
_ENCODERS = {
    "mp4": [*_H264, "-movflags", "+faststart", "-f", "mp4"],
    "mov": [*_H264, "-movflags", "+faststart", "-f", "mov"],
    "mkv": [*_H264, "-f", "matroska"],
    "avi": [*_H264, "-f", "avi"],
    "webm": ["-c:v", "libvpx-vp9", "-crf", "15", "-b:v", "0", "-row-mt", "1", "-pix_fmt", "yuv420p", "-f", "webm"],
    "gif": ["-f", "gif"],
}


@dataclass(frozen=True)
class Film:
    """What ffmpeg says of a file before it decodes it."""

    rate: float
    """Frames a second; 0 where it is not known."""
    frames: int
    """About how many, by the length; 0 where it is not known."""
    height: int
    width: int
    notes: tuple[str, ...]


def read_video(path: Path, name: str, most_frames: int | None) -> tuple[UInt8[np.ndarray, "t h w 3"], float, list[str]]:
    """Frames, their rate and notes; BadSignal says what is wrong, without the path."""
    film = _probe(path, name)
    expected = min(film.frames, most_frames or film.frames)
    check_frames(expected, film.height, film.width)
    if not film.rate:
        raise BadSignal("a film without a rate of frames; re-encode it: ffmpeg -i IN -r 25 OUT.mp4")
    most = MOST_PIXELS // (film.height * film.width) + 1
    wanted = min(most, most_frames or most)
    frames, complaint = _decoded(path, name, wanted)
    if complaint or not frames:
        reason = complaint or "no frames in it"
        raise BadSignal(
            f"the film is damaged or cut short after {len(frames):,} frames ({reason}); copy it again, or re-encode "
            "it: ffmpeg -i IN OUT.mp4"
        )
    check_frames(len(frames), *frames[0].shape[:2])
    if any(frame.shape != frames[0].shape for frame in frames):
        raise BadSignal("a film whose frames change their size; re-encode it: ffmpeg -i IN -s WIDTHxHEIGHT OUT.mp4")
    notes = list(film.notes)
    if most_frames and film.frames > len(frames) == most_frames:
        notes.append(f"the first {most_frames:,} of about {film.frames:,} frames")
    return _stacked(frames), film.rate, notes


def _decoded(path: Path, name: str, wanted: int) -> tuple[list[UInt8[np.ndarray, "h w 3"]], str]:
    """The first frames of a film, each as it is stored, and what ffmpeg complains of."""
    output = ["-frames:v", str(wanted), "-c:v", "ppm", "-pix_fmt", "rgb24", "-f", "image2pipe", "-"]
    command = [*_ffmpeg("error"), *_input(path, name), "-map", "0:V:0", "-fps_mode", "passthrough", *output]
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said) as process:
            assert process.stdout is not None
            with process.stdout as pipe:  # once it is closed, ffmpeg ends
                frames = list(_frames(pipe))
        said.seek(0)
        complaint = _first(said.read(4096).decode("utf-8", "replace"), path)
    return frames, complaint or (f"ffmpeg ended with {process.returncode}" if process.returncode else "")


def _stacked(frames: list[UInt8[np.ndarray, "h w 3"]]) -> UInt8[np.ndarray, "t h w 3"]:
    """All in one; each is let go once it is copied, for twice the memory would be too much."""
    values = np.empty((len(frames), *frames[0].shape), np.uint8)
    for number in reversed(range(len(frames))):
        values[number] = frames.pop()
    return values


def check_frames(frames: int, height: int, width: int) -> None:
    """BadSignal for more pixels than are decoded."""
    check_size(width, height)
    if frames * height * width > MOST_PIXELS:
        fits = MOST_PIXELS // (height * width)
        raise BadSignal(
            f"{frames:,} frames of {width} x {height} have more than the {MOST_PIXELS:,} pixels that are decoded; "
            f"take fewer frames (at most {fits:,}), or shrink the film"
        )


def write_video(path: Path, values: UInt8[np.ndarray, "t h w c"], name: str, rate: float) -> None:
    """Writes frames in the container of this name: H.264 (VP9 in WebM), a repeated last row or column where a side is
    odd, which players want; a GIF keeps its size, with 256 colours."""
    height, width, channels = values.shape[1:]
    pixels = {1: "gray", 3: "rgb24"}.get(channels)
    if pixels is None or values.dtype != np.uint8:
        raise BadSignal(f"a film holds grey or RGB in uint8, got {channels} channels of {values.dtype}")
    size = ["-f", "rawvideo", "-pix_fmt", pixels, "-s", f"{width + width % 2}x{height + height % 2}"]
    filters = ["-vf", _BT709, *_TAGS]
    if name == "gif":
        size[-1] = f"{width}x{height}"
        filters = ["-vf", "split[a][b];[a]palettegen=stats_mode=full[p];[b][p]paletteuse=dither=none"]
    command = [*_ffmpeg("error"), "-y", *size, "-r", f"{rate:.6f}", "-i", "-", *filters, *_ENCODERS[name]]
    with tempfile.TemporaryFile() as said:
        out = subprocess.DEVNULL
        with subprocess.Popen([*command, _url(path)], stdin=subprocess.PIPE, stdout=out, stderr=said) as process:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # what ffmpeg says explains it
                for frame in values:
                    if name != "gif":
                        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")  # noqa: PLW2901
                    process.stdin.write(np.ascontiguousarray(frame).data)
                process.stdin.flush()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()
        said.seek(0)
        complaint = _first(said.read(4096).decode("utf-8", "replace"), path)
    if process.returncode or not path.is_file() or not path.stat().st_size:
        raise OSError(f"ffmpeg could not write the film ({complaint or process.returncode}); is the disk full?")


def _probe(path: Path, name: str) -> Film:
    """What ffmpeg lists; it ends with an error for want of an output, which is none of ours."""
    try:
        command = [*_ffmpeg("info"), *_input(path, name)]
        done = subprocess.run(command, capture_output=True, timeout=_PROBE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise BadSignal("ffmpeg did not come to an end with it; re-encode it") from None
    text = done.stderr.decode("utf-8", "replace")
    listed = text.partition("Input #0, ")[2]
    streams = [line for line in listed.splitlines() if re.match(r"\s*Stream #0:\d+.*: Video: ", line)]
    stream = next((line for line in streams if "(attached pic)" not in line), "")  # a cover is no film
    size = re.search(r", (\d{1,9})x(\d{1,9})[,\s]", stream)
    if size is None:
        reason = "no film in it" if listed else _first(text, path) or "its header is damaged"
        raise BadSignal(f"ffmpeg finds nothing to read ({reason}); copy it again, or re-encode it")
    width, height = (int(number) for number in size.groups())
    check_size(width, height)
    number = _found(r", (\d+(?:\.\d+)?k?) fps", stream) or _found(r", (\d+(?:\.\d+)?k?) tbr", stream) or "0"
    rate = float(number.replace("k", "")) * (1000 if "k" in number else 1)
    time = re.search(r"Duration: (\d+):(\d+):(\d+\.\d+)", listed)
    hours, minutes, seconds = (float(part) for part in time.groups()) if time else (0.0, 0.0, 0.0)
    frames = round((hours * 3600 + minutes * 60 + seconds) * rate)
    notes = ["its sound is left out"] if re.search(r"Stream #0:\d+.*: Audio: ", listed) else []
    if deep := _found(r"yuv\w*?p(1[0-6])[lb]e", stream):
        notes.append(f"{deep} bits became 8")
    return Film(rate, frames, height, width, tuple(notes))


def _found(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match[1] if match else None


def _frames(pipe: IO[bytes]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Frames from a stream of PPM pictures; a last one that is not whole is dropped."""
    while (head := pipe.readline()) == b"P6\n":
        sizes = pipe.readline().split()
        if len(sizes) != 2 or pipe.readline() != b"255\n":
            return
        width, height = (int(number) for number in sizes)
        check_size(width, height)
        data = pipe.read(height * width * 3)
        if len(data) < height * width * 3:
            return
        yield np.frombuffer(data, np.uint8).reshape(height, width, 3)
    assert not head, "ffmpeg writes PPM"


def _input(path: Path, name: str) -> list[str]:
    """Arguments that open a file, and nothing that it may point at; larger frames than we take are not decoded."""
    limits = ["-protocol_whitelist", "file", "-max_pixels", str(2**27), "-f", _DEMUXERS[name]]
    return [*limits, "-i", _url(path)]


def _url(path: Path) -> str:
    """No name is taken for an option or an address."""
    return f"file:{path.absolute()}"


def _ffmpeg(level: str) -> list[str]:
    """The beginning of a command; loaded here since only films need it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import imageio_ffmpeg  # noqa: PLC0415

        program = imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise ImportError(f"films are read and written by ffmpeg, missing here ({error}): {INSTALL}") from None
    return [program, "-nostdin", "-hide_banner", "-loglevel", level]


def _first(text: str, path: Path) -> str:
    """The first line of what ffmpeg complains of."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    line = lines[0] if lines else ""
    return re.sub(r" @ 0x[0-9a-f]+", "", line.replace(str(path.absolute()), "it"))[:160]
