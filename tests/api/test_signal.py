"""Signals from Python: pictures, sounds and films in, their values anywhere out, in the numbers that they came in."""

import gc
import json
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import recon
from recon import cli
from recon.api.inputs import as_signal
from recon.fields.siren import SirenConfig
from recon.signals.read import read_signal
from recon.signals.signal import Signal
from recon.tasks.signal.job import SignalJob

SHAPES = {"image": (12, 17, 3), "sound": (150, 2), "video": (4, 8, 9, 3)}
RATES = {"image": None, "sound": 800.0, "video": 12.5}
KINDS = tuple(SHAPES)


def waves(*shape: int) -> np.ndarray:
    """A smooth pattern in [0.1, 0.9], other in each channel, that no axis can be turned or exchanged in unseen."""
    axes = np.meshgrid(*(np.linspace(0, 1, size) for size in shape), indexing="ij")
    return 0.5 + 0.4 * np.sin(sum((i + 1) * axis for i, axis in enumerate(axes)))


def given(kind: str) -> np.ndarray:
    """A picture or a film in uint8, a sound in floats."""
    values = waves(*SHAPES[kind])
    return (2 * values - 1).astype(np.float32) if kind == "sound" else (255 * values).astype(np.uint8)


def middles(*shape: int) -> np.ndarray:
    """Middles of the cells of a grid over the cube [*shape, d], as `SignalResult.at` tells where they are."""
    axes = ((2 * np.arange(n) + 1) / n - 1 for n in shape)
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def weights(result: recon.SignalResult) -> torch.Tensor:
    return torch.cat([parameter.detach().reshape(-1) for parameter in result.field.parameters()])


@pytest.fixture(scope="module")
def small():
    """Settings of a fit of a fraction of a second."""
    settings = recon.signal_settings(SirenConfig(width=24, layers=3, scale=1.0), preset="quick")
    optim = replace(settings.train.optim, rate=2e-3, muon_rate=1e-2)
    return replace(settings, train=replace(settings.train, optim=optim, log_every=5, checkpoint_every=1000))


@pytest.fixture(scope="module")
def fits(small):
    """A fit of each kind that has learned it."""
    return {
        kind: recon.fit_signal(given(kind), kind=kind, rate=RATES[kind], settings=small, steps=150, quiet=True)
        for kind in KINDS
    }


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_of_the_input_in_its_own_numbers(fits, kind):
    true, found = given(kind), fits[kind].values()
    assert found.shape == true.shape and found.dtype == true.dtype
    apart = np.abs(found.astype(float) - true).mean() / (255 if true.dtype == np.uint8 else 2)
    assert apart < 0.03  # the pattern spreads over 0.8 of the range
    np.testing.assert_array_equal(fits[kind].signal.values, true)
    normalised = fits[kind].normalised()
    np.testing.assert_array_equal(fits[kind].signal.denormalised(normalised), found)
    assert normalised.dtype == np.float32 and np.abs(normalised).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_at_the_middles_of_the_grid_points_have_its_values(fits, kind):
    result, shape = fits[kind], SHAPES[kind][:-1]
    found = result.at(middles(*shape))
    assert isinstance(found, np.ndarray) and found.dtype == np.float64 and found.shape == SHAPES[kind]
    np.testing.assert_allclose(found / result.signal.scale, result.normalised(), atol=1e-5)
    whole = result.signal.values.dtype != np.float32
    np.testing.assert_allclose(found, result.values(), atol=0.501 if whole else 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_other_grids_cover_the_same_extent(fits, kind):
    finer = tuple(3 * n for n in SHAPES[kind][:-1])
    found = fits[kind].normalised(finer)
    assert found.shape == (*finer, SHAPES[kind][-1])
    middle = found[tuple(slice(1, None, 3) for _ in finer)]  # of three cells in one, the second has its middle
    np.testing.assert_allclose(middle, fits[kind].normalised(), atol=1e-4)


@pytest.mark.parametrize("field", ["hash-grid", "asmr", "neural-experts", "loe"])
def test_points_agree_with_values_whatever_the_field(field):
    picture = given("image")
    found = recon.fit_signal(picture, field, kind="image", preset="quick", steps=3, quiet=True)
    np.testing.assert_allclose(found.at(middles(12, 17)) / 255, found.normalised(), atol=1e-4)
    point = torch.zeros(1, 2, requires_grad=True)
    found.at(point).sum().backward()
    assert point.grad is not None and point.grad.isfinite().all()


def test_arrays_give_arrays_and_tensors_tensors_of_the_same_shape_and_kind(fits):
    points = middles(4, 5)
    found = fits["image"].at(points)
    assert fits["image"].at(points.astype(np.float32)).dtype == np.float32
    assert fits["image"].at(np.zeros((2, 2), int)).dtype == np.float32
    assert fits["image"].at(points[::-1, :, ::-1]).shape == (4, 5, 3)
    assert fits["image"].at(np.zeros(2)).shape == (3,) and fits["image"].at(np.zeros((0, 2))).shape == (0, 3)
    tensor = fits["image"].at(torch.from_numpy(points))
    assert tensor.dtype == torch.float64 and not tensor.requires_grad
    np.testing.assert_array_equal(tensor.numpy(), found)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_points_are_slopes(fits, kind):
    result, axes = fits[kind], len(SHAPES[kind]) - 1
    points = torch.full((1, axes), 0.1, dtype=torch.float64, requires_grad=True)
    result.at(points)[0, 0].backward()
    assert points.grad is not None
    for axis in range(axes):
        step = 0.002 * torch.eye(axes, dtype=torch.float64)[axis]
        ahead, behind = (float(result.at(points.detach() + way * step)[0, 0]) for way in (1, -1))
        slope = (ahead - behind) / 0.004
        assert points.grad[0, axis] == pytest.approx(slope, rel=0.05, abs=0.02 * result.signal.scale)
    assert all(parameter.grad is None for parameter in result.field.parameters())
    with torch.no_grad():
        assert not result.at(points).requires_grad


def test_a_picture_is_seen_in_any_size_in_width_and_height(fits):
    found = fits["image"].image()
    assert found.size == (17, 12) and found.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(found), fits["image"].values())
    larger = fits["image"].image((34, 24))
    np.testing.assert_array_equal(np.asarray(larger), fits["image"].values((24, 34)))


@pytest.mark.parametrize(
    ("values", "mode"),
    [
        ((65535 * waves(6, 7)).astype(np.uint16), "L"),
        (waves(6, 7, 2), "LA"),
        (5 * waves(6, 7, 4), "RGBA"),
    ],
)
def test_pictures_of_other_numbers_are_seen_in_8_bits(values, mode, small):
    found = recon.fit_signal(values, kind="image", settings=small, steps=2, quiet=True)
    shown = found.image()
    assert shown.mode == mode and shown.size == (7, 6)
    expected = np.rint(found.normalised() * 255).reshape(np.asarray(shown).shape)
    np.testing.assert_array_equal(np.asarray(shown), expected)


def test_floats_above_one_come_back_as_large_as_they_were(small):
    values = 5 * waves(10, 11, 1)
    found = recon.fit_signal(values, kind="image", settings=small, steps=150, quiet=True)
    np.testing.assert_allclose(found.values(), values, atol=0.5)
    assert found.values().dtype == np.float32 and found.at(np.zeros((1, 2))).item() > 1


@pytest.mark.parametrize("kind", ["sound", "video"])
def test_only_pictures_are_images(fits, kind):
    with pytest.raises(ValueError, match=f"this is a {kind}"):
        fits[kind].image()


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_run_is_whole_and_loads_bit_for_bit(fits, kind, place):
    before = recon.load(fits[kind].folder)
    folder = before.save(place / "kept")
    files = {"image": "image.png", "sound": "sound.wav", "video": "frames"}
    for name in ("config.json", "metrics.json", "reference.safetensors", "report.html", "images", files[kind]):
        assert (folder / name).exists()
    found = recon.load(folder)
    assert isinstance(found, recon.SignalResult) and (found.status, found.steps) == ("done", 150)
    np.testing.assert_array_equal(found.values(), fits[kind].values())
    points = middles(*(5 for _ in SHAPES[kind][:-1])) * 0.9
    np.testing.assert_array_equal(found.at(points), fits[kind].at(points))
    assert found.settings == fits[kind].settings and found.signal.rate == (RATES[kind] or 0)
    written = read_signal(folder / files[kind])
    np.testing.assert_array_equal(written.values, fits[kind].values())
    assert found.scores == fits[kind].scores and found.scores.keys() == found.definitions.keys()
    assert "Left out" not in (folder / "report.html").read_text()


def test_scores_are_those_of_the_values(fits):
    apart = fits["image"].normalised().astype(float) - fits["image"].signal.normalised()
    assert fits["image"].scores["psnr"] == pytest.approx(-10 * np.log10(np.square(apart).mean()), abs=1e-3)
    assert fits["image"].scores["psnr"] > 25 and fits["sound"].scores["snr"] > 10
    assert len(fits["video"].metrics["rows"]) == SHAPES["video"][0]
    assert fits["image"].history["loss"][-1] < 0.2 * fits["image"].history["loss"][0]
    assert repr(fits["image"]).startswith("SignalResult(task: fit, data: image, field: siren")


def test_out_is_a_whole_run_and_other_results_leave_nothing(small, place):
    found = recon.fit_signal(given("image"), kind="image", settings=small, steps=2, out="run", quiet=True)
    assert found.folder == place / "run" and (place / "run" / "report.html").is_file()
    other = recon.fit_signal(given("image"), kind="image", settings=small, steps=2, quiet=True)
    folder = other.folder
    del other
    gc.collect()
    assert not folder.exists() and [path.name for path in place.iterdir()] == ["run"]


def test_a_temporary_result_is_saved_under_renders(small, place):
    found = recon.fit_signal(given("sound"), kind="sound", rate=100, settings=small, steps=2, quiet=True)
    saved = found.save()
    assert saved.parent == place / "renders" / "fit" / "sound" / "siren" and recon.load().folder == saved.resolve()


# -- what comes in ------------------------------------------------------------------------------------------------


def test_the_same_picture_is_learned_the_same_whatever_it_comes_in(small, place):
    picture = given("image")
    Image.fromarray(picture).save(place / "Waves.png")
    (place / "datasets" / "images").mkdir(parents=True)
    Image.fromarray(picture).save(place / "datasets" / "images" / "Pattern.png")
    given_as = [
        picture,
        np.asfortranarray(picture),
        torch.from_numpy(picture),
        Image.fromarray(picture),
        Signal("waves", "image", picture, ".png"),
        place / "Waves.png",
        str(place / "Waves.png"),
        "pattern",
    ]
    options = {"settings": small, "steps": 4, "seed": 7, "quiet": True}
    found = [
        recon.fit_signal(one, kind="image" if isinstance(one, np.ndarray | torch.Tensor) else None, **options)
        for one in given_as
    ]
    assert all(torch.equal(weights(one), weights(found[0])) for one in found[1:])
    assert [one.signal.name for one in found[-3:]] == ["Waves", "Waves", "Pattern"]
    assert not torch.equal(weights(found[0]), weights(recon.fit_signal(picture, kind="image", **options | {"seed": 8})))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.arange(6, dtype=np.uint8).reshape(2, 3), np.uint8),
        (np.arange(6, dtype=">u2").reshape(2, 3), np.uint16),
        (np.linspace(0, 1, 6, dtype=np.float16).reshape(2, 3), np.float32),
        (np.linspace(0, 1, 6).reshape(2, 3), np.float32),
        (torch.linspace(0, 1, 6).reshape(2, 3).bfloat16(), np.float32),
        (torch.linspace(0, 1, 6).reshape(2, 3).requires_grad_(), np.float32),
    ],
)
def test_numbers_keep_their_kind_or_become_32_bit_floats(values, dtype):
    found = as_signal(values, kind="image", rate=None, frames=None)
    assert found.values.dtype == dtype and found.values.shape == (2, 3, 1)
    expected = values.detach().float().numpy() if isinstance(values, torch.Tensor) else values
    np.testing.assert_array_equal(found.values[..., 0], expected.astype(dtype))


def test_an_array_is_copied(small):
    picture = given("image")
    found = recon.fit_signal(picture, kind="image", settings=small, steps=2, quiet=True)
    picture[:] = 0
    assert found.signal.values.any()


def test_sounds_of_one_channel_and_films_of_grey_have_a_last_axis(small):
    sound = recon.fit_signal(waves(50), kind="sound", rate=100, settings=small, steps=2, quiet=True)
    assert sound.values().shape == (50, 1) and sound.at(np.zeros((4, 1))).shape == (4, 1)
    film = recon.fit_signal(waves(3, 8, 8, 1), kind="video", rate=10, settings=small, steps=2, quiet=True)
    assert film.values((2, 4, 4)).shape == (2, 4, 4, 1)


def test_a_film_is_learned_from_its_first_frames(small, place):
    for number in range(3):
        Image.fromarray(given("image")).save(place / f"{number}.png")
    found = recon.fit_signal(place, frames=2, settings=small, steps=2, quiet=True)
    assert found.signal.kind == "video" and found.values().shape == (2, 12, 17, 3)


def test_pictures_of_pillow_are_upright_and_keep_alpha(place):
    picture = Image.fromarray(given("image"))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(place / "turned.jpg", exif=exif)
    with Image.open(place / "turned.jpg") as opened:
        found = as_signal(opened, kind="image", rate=None, frames=None)
    assert found.name == "turned" and found.values.shape == (17, 12, 3) and "turned upright" in found.notes[0]
    np.testing.assert_array_equal(found.values, read_signal(place / "turned.jpg").values)
    clear = as_signal(Image.new("LA", (3, 2)), kind=None, rate=None, frames=None)
    assert clear.values.shape == (2, 3, 2) and clear.name == "image"
    bits = as_signal(Image.new("1", (3, 2), 1), kind=None, rate=None, frames=None)
    assert (bits.values == 255).all()


IMAGE, SOUND, VIDEO = {"kind": "image"}, {"kind": "sound", "rate": 100.0}, {"kind": "video", "rate": 10.0}


@pytest.mark.parametrize(
    ("wrong", "options", "message"),
    [
        (np.zeros((4, 4)), {}, 'say kind="image"'),
        (np.zeros((4, 4)), {"kind": "imag"}, "perhaps you meant image"),
        (np.zeros((3, 20, 30)), IMAGE, "np.moveaxis brings channels to the end"),
        (np.zeros((2, 900)), SOUND, "900 channels are more than the 8"),
        (np.zeros(4), IMAGE, r"have the axes \[h w c\]"),
        (np.zeros((4, 4, 3)), VIDEO, r"have the axes \[t h w c\]"),
        (np.zeros((0, 4)), IMAGE, "is empty"),
        (np.full((4, 4), np.nan), IMAGE, "16 of 16 values are NaN or infinite"),
        (np.full((4, 4), 1e300), IMAGE, "NaN or infinite"),
        (np.zeros((4, 4), int), IMAGE, "uint8, uint16 or floats, got int64"),
        (np.zeros(9, np.int16), SOUND, "divide by the loudest"),
        (np.zeros((4, 4), bool), IMAGE, "numbers are wanted, got an array of bool"),
        (torch.zeros(4, 4, dtype=torch.complex64), IMAGE, "numbers are wanted"),
        (np.zeros((4, 4)), {"kind": "image", "rate": 10.0}, "an image has no rate"),
        (np.zeros(9), {"kind": "sound"}, "a sound needs its rate"),
        (np.zeros(9), {"kind": "sound", "rate": 1e12}, "a sound needs its rate"),
        (np.zeros((2, 4, 4, 3)), {"kind": "video"}, "a video needs its rate"),
        (np.zeros((2, 4, 4, 3)), {"kind": "video", "rate": np.inf}, "positive and finite"),
        (np.zeros((2, 4, 4, 3)), {**VIDEO, "frames": 1}, "of an array give fewer"),
        (Image.new("L", (4, 4)), SOUND, "leave kind and rate out"),
        (Image.new("L", (4, 4)), {"rate": 5.0}, "leave kind and rate out"),
        (Image.new("L", (4, 4)), {"frames": 2}, "frames is for videos"),
        (Image.new("L", (4, 4)), {"frames": 0}, "frames must be at least 1"),
        (Image.new("F", (4, 4)), {}, "an image of the kind 'F'"),
        (Signal("a", "image", np.zeros((2, 2, 1), np.uint8), ".wav"), {}, "'.wav' is no suffix"),
        ([[0.0]], IMAGE, "a signal is a path, .* got list"),
        (None, {}, "got NoneType"),
        ("nothing.png", {}, "no picture, sound or film 'nothing.png'"),
    ],
)
def test_what_is_no_signal_is_refused_with_what_is_wanted(wrong, options, message, place):
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        as_signal(wrong, **{"kind": None, "rate": None, "frames": None, **options})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"field": "sirn"}, "perhaps you meant siren"),
        ({"field": "voxel", "preset": "paper"}, "not for voxel"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"threads": -1}, "threads must be"),
        ({"rate": 3.0}, "an image has no rate"),
    ],
)
def test_what_can_not_be_used_is_refused_before_anything_is_written(options, message, place):
    with pytest.raises(ValueError, match=message):
        recon.fit_signal(given("image"), kind="image", out="run", quiet=True, **options)
    assert not list(place.iterdir())


def test_settings_hold_everything_and_take_nothing_beside_them(small):
    with pytest.raises(ValueError, match="field and preset too"):
        recon.fit_signal(given("image"), "siren", kind="image", settings=small, preset="quick")
    sound, image = (recon.signal_settings("siren", preset="quick", kind=kind) for kind in ("sound", "image"))
    assert sound.field != image.field and recon.signal_settings(preset="quick") != image


@pytest.mark.parametrize("points", [np.zeros((3, 3)), np.zeros(()), np.zeros((2, 2), bool), torch.zeros(4, 1)])
def test_points_that_are_none_are_refused(fits, points):
    with pytest.raises(ValueError, match=r"rows of two numbers, \[..., 2\]"):
        fits["image"].at(points)


@pytest.mark.parametrize("shape", [(4,), (4, 4, 3), (0, 4), (4, -1), (1 << 15, 1 << 15)])
def test_grids_that_are_none_are_refused(fits, shape):
    with pytest.raises(ValueError, match="a grid of"):
        fits["image"].values(shape)
    with pytest.raises(ValueError, match=r"sizes \[n\]"):
        fits["sound"].values((3, 4))


# -- what belongs to the caller ---------------------------------------------------------------------------------------


def test_a_fit_leaves_the_callers_random_states_and_settings_alone(small):
    torch.manual_seed(11), np.random.seed(12)
    expected = torch.rand(3), np.random.rand(3)
    torch.manual_seed(11), np.random.seed(12)
    threads = torch.get_num_threads()
    options = {"kind": "image", "settings": small, "steps": 2, "quiet": True}
    found = recon.fit_signal(given("image"), threads=1 if threads > 1 else 2, precision="bf16-inside", **options)
    found.image(), found.scores
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.rand(3), expected[0]) and (np.random.rand(3) == expected[1]).all()
    saved = json.loads((found.folder / "config.json").read_text())["settings"]
    assert saved["threads"] == (1 if threads > 1 else 2) and saved["precision"] == "bf16-inside"


def test_threads_and_modes_of_gradients_change_nothing(small):
    def brief() -> recon.SignalResult:
        return recon.fit_signal(given("image"), kind="image", settings=small, steps=2, quiet=True)

    found = []
    threads = [threading.Thread(target=lambda: found.append(brief())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with torch.inference_mode():
        found.append(brief())
        assert found[-1].at(torch.zeros(2, 2)).shape == (2, 3)
    assert len(found) == 3 and all(torch.equal(weights(one), weights(found[0])) for one in found)


def test_an_interrupted_fit_gives_what_was_learned_until_then_and_goes_on(small, place, monkeypatch):
    options = {"kind": "image", "settings": small, "steps": 9, "quiet": True}
    loss = SignalJob.loss
    with monkeypatch.context() as patch:
        patch.setattr(
            SignalJob,
            "loss",
            lambda job, step: (signal.raise_signal(signal.SIGINT) if step == 3 else 0, loss(job, step))[1],
        )
        found = recon.fit_signal(given("image"), out=place / "run", **options)
    assert (found.status, found.steps) == ("interrupted", 4) and "interrupted" in repr(found)
    kept = recon.load(place / "run")
    assert (kept.status, kept.steps) == ("interrupted", 4)
    np.testing.assert_array_equal(kept.values(), found.values())
    assert cli.main(["fit", "--resume", str(place / "run"), "--quiet"]) == 0
    assert torch.equal(weights(recon.load(place / "run")), weights(recon.fit_signal(given("image"), **options)))
