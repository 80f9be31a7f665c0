"""Tiny signals, made in place."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    """The same numbers each time."""
    return np.random.default_rng(0)


@pytest.fixture
def ffmpeg():
    """Runs ffmpeg, which must be content."""

    def run(*arguments: str) -> None:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *arguments]
        subprocess.run(command, check=True, timeout=60, stdin=subprocess.DEVNULL)

    return run


@pytest.fixture
def film(tmp_path, ffmpeg):
    """Makes a film: a moving test pattern of a size, in the format of the name."""

    def make(name: str, size: str = "32x20", frames: int = 7, *options: str) -> Path:
        source = ["-f", "lavfi", "-i", f"testsrc=size={size}:rate=10", "-frames:v", str(frames)]
        ffmpeg(*source, *options, str(tmp_path / name))
        return tmp_path / name

    return make
