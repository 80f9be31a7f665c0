"""`recon render`: frames and films from a run folder alone, and what is refused."""

import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np
import pytest

from recon.rendering import video


def pictures(folder):
    return [iio.imread(file) for file in sorted(folder.glob("*.png"))]


def refused(result, *said):
    assert result.code == 2 and result.out == "" and "Traceback" not in result.err, result.err
    for text in said:
        assert text in result.err.strip().splitlines()[-1], result.err


def test_an_orbit_leaves_frames_and_a_film_of_each_kind(recon, scene_run):
    words = ("--frames", 3, "--size", "20x16", "--what", "rgb,depth", "--what", "Normal", "--what", "opacity")
    result = recon("render", scene_run, *words, "--fps", 10, "--json")
    assert result.code == 0, result.err
    about = result.json
    assert about["path"] == "orbit" and about["frames"] == 3 and about["size"] == [20, 16]
    assert list(about["what"]) == ["rgb", "depth", "normal", "opacity"]
    for what, place in about["what"].items():
        assert place["film"] == str(scene_run / f"render_orbit_{what}.mp4")
        frames = pictures(scene_run / f"render_orbit_{what}")
        assert [frame.shape for frame in frames] == [(16, 20, 3)] * 3
        assert imageio_ffmpeg.count_frames_and_secs(place["film"]) == (3, pytest.approx(0.3, abs=0.11))
    opacity = pictures(scene_run / "render_orbit_opacity")[0]
    assert opacity[8, 10].min() > 200 and opacity[0, 0].max() < 60, "the ball is in the middle, and not in the corner"
    assert "3 frames of 20x16 along orbit" in result.err and "frame 3/3" in result.err


def test_the_test_path_shows_the_pictures_that_were_scored(recon, scene_run):
    result = recon("render", scene_run, "--path", "test", "--out", scene_run.parent / "film", "--quiet")
    assert result.code == 0 and result.err == "", result.err
    frames = pictures(scene_run.parent / "film" / "render_test_rgb")
    assert len(frames) == 3
    for index, frame in enumerate(frames):
        scored = iio.imread(scene_run / "images" / f"test_{index:03d}.png")
        np.testing.assert_array_equal(frame, scored)
    assert str(scene_run.parent / "film" / "render_test_rgb.mp4") in result.out


@pytest.mark.parametrize("path", ["spiral", "interpolate"])
def test_other_paths_are_rendered_too(recon, scene_run, path):
    assert recon("render", scene_run, "--path", path, "--frames", 2, "--size", "8x8").code == 0
    assert len(pictures(scene_run / f"render_{path}_rgb")) == 2


def test_without_ffmpeg_the_frames_are_there_and_the_exit_code_says_what_is_missing(recon, scene_run, monkeypatch):
    def missing():
        raise ImportError(f"films are written by ffmpeg, which is missing here; run: {video.INSTALL}")

    monkeypatch.setattr(video, "_ffmpeg", missing)
    result = recon("render", scene_run, "--frames", 2, "--size", "8x8", "--what", "rgb,opacity")
    assert result.code == 3 and video.INSTALL in result.err
    assert len(pictures(scene_run / "render_orbit_rgb")) == len(pictures(scene_run / "render_orbit_opacity")) == 2


def test_an_interruption_keeps_the_frames_so_far_and_says_where(recon, scene_run, monkeypatch):
    from recon.tasks.nerf import film  # noqa: PLC0415

    write, left = film.write_png, [2]

    def interrupted(path, picture):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        write(path, picture)

    monkeypatch.setattr(film, "write_png", interrupted)
    result = recon("render", scene_run, "--frames", 5, "--size", "8x8")
    assert result.code == 130 and "2 of 5 frames are whole" in result.err
    assert len(pictures(scene_run / "render_orbit_rgb")) == 2
    assert not (scene_run / "render_orbit_rgb.mp4").exists()


@pytest.mark.parametrize(
    "words, said",
    [
        (("--what", "rbg"), "perhaps you meant rgb"),
        (("--what", "rgb,"), "--what  is unknown"),
        (("--frames", "0"), "--frames must lie in 1"),
        (("--frames", "99999"), "--frames must lie in 1"),
        (("--fps", "0"), "--fps must lie in"),
        (("--fps", "nan"), "--fps must lie in"),
        (("--size", "100"), "WIDTHxHEIGHT"),
        (("--size", "0x9"), "0 pixels"),
        (("--size", "99999x99999"), "pixels"),
    ],
)
def test_flags_that_make_no_film_are_refused_before_anything_is_written(recon, scene_run, words, said):
    before = sorted(scene_run.rglob("*"))
    refused(recon("render", scene_run, *words), said)
    assert sorted(scene_run.rglob("*")) == before


def test_only_scenes_are_rendered(recon, fit, home):
    fit("sdf", "siren", "--steps", 2)
    refused(recon("render", "latest"), "not of a scene")
