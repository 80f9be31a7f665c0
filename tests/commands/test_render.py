"""`recon render`: frames and films from a run folder alone, signals on other grids, and what is refused."""

import json
import shutil
from pathlib import Path

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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rate", "8000"), "--rate is for runs of a sound; "),
        (("--what", "rgb,gradient"), "--what gradient is for runs of recon fit; "),
        (("--what", "values"), "--what values is for runs of recon fit; "),
    ],
)
def test_a_scene_refuses_what_is_for_signals(recon, scene_run, words, said):
    refused(recon("render", scene_run, *words), said, "is one of a scene")


def test_shapes_are_not_rendered(recon, fit, home):
    fit("sdf", "siren", "--steps", 2)
    refused(recon("render", "latest"), "not of a scene")
    refused(recon("render", "latest", "--rate", 8000), "is one of a shape")


# -- signals ----------------------------------------------------------------------------------------------------------


def pattern(height, width):
    """A smooth picture."""
    down, right = np.meshgrid(np.linspace(0, 3, height), np.linspace(0, 3, width), indexing="ij")
    return np.stack([np.rint(127 + 100 * np.sin(down + right)).astype(np.uint8)] * 3, axis=-1)


def write_sound(path):
    tone = 0.5 * np.sin(np.arange(2000) * 0.05)
    pytest.importorskip("soundfile").write(path, np.stack([tone, -tone], axis=1), 8000, "PCM_16")


def write_film(path):
    video.write_mp4(path, [np.roll(pattern(16, 32), frame, axis=1) for frame in range(4)], 10.0)


WRITE = {
    "photo.png": lambda path: iio.imwrite(path, pattern(24, 32)),
    "tone.wav": write_sound,
    "clip.mp4": write_film,
}
PICTURE, SOUND, FILM = WRITE
FIELD = {PICTURE: ("siren", "--field.layers", "3"), SOUND: ("asmr",), FILM: ("asmr",)}


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """Learns a file, once, in no time; gives the run's folder, which no longer has the file."""
    from recon.commands import fit  # noqa: PLC0415 - after the import hook

    home, found = tmp_path_factory.mktemp("signals"), {}

    def run(name):
        if name not in found:
            WRITE[name](home / name)
            words = ["--signal", str(home / name), "--field", *FIELD[name], "--field.width", "16", "--steps", "30"]
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("RECON_HOME", str(home))
                assert fit.main("fit", [*words, "--threads", "1", "--quiet", "--out", str(home / f"run_{name}")]) == 0
            (home / name).unlink()
            found[name] = home / f"run_{name}"
        return found[name]

    return run


@pytest.fixture
def signal_run(learned, home):
    """A copy of such a run."""
    return lambda name: Path(shutil.copytree(learned(name), home / f"run_{name}"))


def test_a_picture_is_rendered_at_any_size_and_beside_the_truths_derivatives(recon, signal_run, home):
    picture_run = signal_run(PICTURE)
    done = recon("render", picture_run, "--size", "64x48", "--what", "rgb,gradient,laplacian", "--json")
    assert done.code == 0, done.err
    about = done.json
    assert (
        about["kind"] == "image"
        and about["size"] == [64, 48]
        and list(about["what"])
        == [
            "values",
            "gradient",
            "laplacian",
        ]
    )
    assert about["what"]["values"] == {"file": str(picture_run / "render_64x48.png")}
    assert iio.imread(picture_run / "render_64x48.png").shape == (48, 64, 3)
    for what in ("gradient", "laplacian"):
        facts = about["what"][what]
        assert facts["method"] == "autograd" and facts["definition"] and Path(facts["file"]).parent == picture_run
        assert iio.imread(facts["file"]).shape[1] == 2 * 256
    again = recon("render", picture_run, "--out", home / "there", "--quiet")
    assert again.code == 0 and again.err == "" and str(home / "there" / "render_32x24.png") in again.out
    made, own = home / "there" / "render_32x24.png", picture_run / "image.png"
    assert made.read_bytes() == own.read_bytes(), "at its own size it is what the run wrote"
    assert not [path for path in picture_run.rglob("*") if ".tmp" in path.name]


def test_a_sound_is_rendered_at_another_rate(recon, signal_run):
    sound_run = signal_run(SOUND)
    soundfile = pytest.importorskip("soundfile")
    for rate, samples in ((16_000, 4000), (5000, 1250)):
        done = recon("render", sound_run, "--rate", rate, "--json")
        assert done.code == 0, done.err
        assert (done.json["samples"], done.json["rate"]) == (samples, rate)
        made, found = soundfile.read(done.json["what"]["values"]["file"])
        assert found == rate and made.shape == (samples, 2)
        assert soundfile.info(done.json["what"]["values"]["file"]).subtype == "PCM_16"
    told = recon("render", sound_run, "--rate", 5000)
    assert "1,250 samples at 5,000 Hz" in told.out and str(sound_run / "render_5000hz.wav") in told.out


def test_a_film_has_more_frames_in_the_same_time(recon, signal_run):
    film_run = signal_run(FILM)
    done = recon("render", film_run, "--frames", 8, "--size", "64x32", "--json")
    assert done.code == 0, done.err
    about = done.json
    assert (about["size"], about["frames"], about["fps"]) == ([64, 32], 8, 20)
    made = Path(about["what"]["values"]["file"])
    assert made == film_run / "render_64x32_8frames.mp4"
    assert imageio_ffmpeg.count_frames_and_secs(made) == (8, pytest.approx(0.4, abs=0.06))


@pytest.mark.parametrize(
    ("kind", "words", "said"),
    [
        (PICTURE, ("--rate", "8000"), "--rate is for runs of a sound; "),
        (PICTURE, ("--frames", "3"), "--frames is for runs of a film or a scene; "),
        (PICTURE, ("--path", "orbit"), "--path is for runs of a scene; "),
        (PICTURE, ("--fps", "24"), "--fps is for runs of a scene; "),
        (PICTURE, ("--what", "rgb,depth"), "--what depth is for runs of a scene; "),
        (PICTURE, ("--what", "gradeint"), "perhaps you meant gradient"),
        (PICTURE, ("--size", "64"), "WIDTHxHEIGHT"),
        (PICTURE, ("--size", "0x9"), "0x9 has 0 pixels"),
        (PICTURE, ("--size", "99999x99999"), "pixels; 1 .. 134,217,728 are rendered"),
        (PICTURE, ("--size", "9999x9999", "--what", "laplacian"), "derivatives of at most 16,777,216 pixels"),
        (SOUND, ("--size", "64x48"), "--size is for runs of a picture, a film or a scene; "),
        (SOUND, ("--frames", "3"), "--frames is for runs of a film or a scene; "),
        (SOUND, ("--what", "gradient"), "--what gradient is for runs of a picture; "),
        (SOUND, ("--rate", "0"), "WAV holds 1 to 2,147,483,647 samples a second, not 0"),
        (SOUND, ("--rate", "2"), "--rate 2 leaves nothing of a sound of 0.25 s"),
        (SOUND, ("--rate", "8.5"), "--rate wants a whole number"),
        (FILM, ("--rate", "8000"), "--rate is for runs of a sound; "),
        (FILM, ("--frames", "0"), "--frames must be at least 1"),
        (FILM, ("--what", "laplacian"), "--what laplacian is for runs of a picture; "),
    ],
)
def test_a_signal_refuses_what_makes_no_sense_for_its_kind_before_anything_is_written(
    recon, signal_run, kind, words, said
):
    run = signal_run(kind)
    before = sorted(run.rglob("*"))
    refused(recon("render", run, *words), said)
    assert sorted(run.rglob("*")) == before


def test_between_frames_that_it_never_saw_a_field_is_warned_of(recon, signal_run, monkeypatch):
    from recon.tasks.signal import between  # noqa: PLC0415

    film_run = signal_run(FILM)
    monkeypatch.setattr(between, "detours", lambda fitted: [2.0, 0.1, 0.1])
    done = recon("render", film_run, "--frames", 8, "--json", "--quiet")
    assert done.code == 0 and done.err.startswith("warning: between the frames that it learned")
    assert json.loads(done.out)["warnings"] == [done.err.strip().removeprefix("warning: ")]
