"""Films read back: as many frames as were written, in the colours they had, or nothing at all."""

import builtins
import os
import subprocess
import sys

import imageio_ffmpeg
import numpy as np
import pytest

from recon.rendering.video import read_pngs, write_mp4, write_pngs

COLOURS = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [128, 128, 128], [250, 220, 40]], np.uint8)


def frames(height: int = 32, width: int = 48):
    for colour in COLOURS:
        yield np.broadcast_to(colour, (height, width, 3)).copy()


def read(path, height: int, width: int) -> np.ndarray:
    """Every frame of a film of known size, by ffmpeg's own conversion to RGB."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    return np.frombuffer(subprocess.check_output(command), np.uint8).reshape(-1, height, width, 3)


@pytest.mark.parametrize(("height", "width"), [(32, 48), (33, 47)])
def test_a_film_has_every_frame_in_its_colours_with_even_sides(height, width, tmp_path):
    path = tmp_path / "film.mp4"
    assert write_mp4(path, frames(height, width), fps=10.0) == 5
    found = read(path, height + height % 2, width + width % 2)
    assert len(found) == 5
    for frame, colour in zip(found, COLOURS, strict=True):
        assert np.abs(frame.astype(int) - colour).mean() < 6
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
    assert count == 5 and seconds == pytest.approx(0.5, abs=0.11)
    assert os.listdir(tmp_path) == ["film.mp4"]


def test_pngs_come_back_bit_for_bit_and_make_the_film(tmp_path):
    files = write_pngs(tmp_path / "new" / "frames", frames())
    assert [file.name for file in files] == [f"{i:04d}.png" for i in range(5)]
    np.testing.assert_array_equal(list(read_pngs(files)), list(frames()))
    assert write_mp4(tmp_path / "film.mp4", read_pngs(files)) == 5


def test_a_film_that_fails_midway_leaves_what_was_there(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"old")

    def interrupted():
        yield from frames()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_mp4(path, interrupted())
    with pytest.raises(ValueError, match=r"frame 5 of the film has shape \(32, 50, 3\), the first one had"):
        write_mp4(path, [*frames(), *frames(width=50)])
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["film.mp4"]


def test_frames_that_ffmpeg_lost_are_missed(tmp_path, monkeypatch):
    monkeypatch.setattr(imageio_ffmpeg, "count_frames_and_secs", lambda path: (3, 0.1))
    with pytest.raises(OSError, match="cannot write .*film.mp4: ffmpeg kept 3 of 5 frames; is the disk full"):
        write_mp4(tmp_path / "film.mp4", frames())
    assert not os.listdir(tmp_path)


def test_what_cannot_be_a_film_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one frame"):
        write_mp4(tmp_path / "film.mp4", [])
    with pytest.raises(ValueError, match="written as .mp4, 'film.gif'"):
        write_mp4(tmp_path / "film.gif", frames())
    with pytest.raises(OSError, match="cannot write .*absent is not a folder"):
        write_mp4(tmp_path / "absent" / "film.mp4", frames())


def test_a_missing_ffmpeg_names_the_line_that_installs_it(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "imageio_ffmpeg":
            raise ModuleNotFoundError("No module named 'imageio_ffmpeg'")
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "imageio_ffmpeg")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match='run: pip install "imageio-ffmpeg'):
        write_mp4(tmp_path / "film.mp4", frames())


def test_an_ffmpeg_without_the_codec_or_that_fails_is_a_missing_dependency(tmp_path, monkeypatch):
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho 'V..... mpeg4'\n")
    program.chmod(0o755)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(program))
    with pytest.raises(ImportError, match=r"no H.264 encoder \(libx264\).*run: pip install"):
        write_mp4(tmp_path / "film.mp4", frames())
    program.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(ImportError, match="missing here.*run: pip install"):
        write_mp4(tmp_path / "film.mp4", frames())
