"""What `recon render` writes of a learned signal, number by number, and its pictures of derivatives."""

from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from recon.fields import Field
from recon.fields.asmr import AsmrConfig
from recon.fields.siren import SirenConfig
from recon.signals.read import read_signal
from recon.signals.signal import Signal
from recon.signals.write import write_signal
from recon.tasks.signal.fitted import Fitted
from recon.tasks.signal.render import render_slopes, render_values
from recon.tasks.signal.target import target_of

RNG = np.random.default_rng(0)
CPU = torch.device("cpu")
PICTURE = Signal("noise", "image", RNG.integers(0, 256, (12, 20, 3)).astype(np.uint8), ".png")
DEEP = replace(PICTURE, values=RNG.integers(0, 65536, (12, 20, 1)).astype(np.uint16))
FILM = Signal("noise", "video", RNG.integers(0, 256, (4, 6, 10, 3)).astype(np.uint8), ".png", 25.0, subtype="folder")
SOUND = Signal("noise", "sound", RNG.uniform(-0.5, 0.5, (400, 2)).astype(np.float32), ".wav", 8000.0, subtype="FLOAT")


class Waves(Field):
    """Slow waves along each axis, that need no more pixels than there are."""

    def forward(self, x):
        value = torch.sin(2 * x).sum(dim=1, keepdim=True) / self.in_dim
        return value * torch.linspace(0.5, 1, self.out_dim)


def fitted(signal, config=None):
    torch.manual_seed(0)
    axes, channels = len(signal.shape), signal.channels
    field = Waves(axes, channels) if config is None else config.for_grid(signal.shape).build(axes, channels)
    return Fitted(field, signal, CPU)


def render(run, folder, **given):
    lines = []
    path = render_values(run, target_of(run.signal, **given), folder, lines.append)
    return path, read_signal(path)


@pytest.mark.parametrize("signal", [PICTURE, DEEP, FILM, SOUND])
@pytest.mark.parametrize("config", [SirenConfig(width=8, layers=3), AsmrConfig(width=8, levels=2)])
def test_at_its_own_size_a_signal_is_the_reconstruction_that_the_run_wrote(signal, config, tmp_path):
    run = fitted(signal, config)
    path, found = render(run, tmp_path / "new")
    expected = read_signal(write_signal(tmp_path / "own", signal.denormalised(run.values()), signal))
    assert path.parent == tmp_path / "new" and path.name.startswith("render_")
    np.testing.assert_array_equal(found.values, expected.values)


@pytest.mark.parametrize(
    ("signal", "given", "shape"),
    [
        (PICTURE, {"size": (40, 31)}, (31, 40)),
        (DEEP, {"size": (40, 24)}, (24, 40)),
        (FILM, {"size": (11, 7), "frames": 9}, (9, 7, 11)),
        (SOUND, {"rate": 12_000}, (600,)),
    ],
)
def test_a_finer_grid_has_the_fields_values_at_its_own_places(signal, given, shape, tmp_path):
    run = fitted(signal)
    _, found = render(run, tmp_path, **given)
    assert found.shape == shape and found.values.dtype == signal.values.dtype
    expected = signal.denormalised(run.values(shape))
    off = 1e-6 if signal is SOUND else 1  # a rounding that fell the other way
    np.testing.assert_allclose(found.values.astype(float), expected.astype(float), atol=off)
    assert np.abs(found.values.astype(float) - expected).mean() < 0.05
    if signal is SOUND:
        assert found.rate == 12_000


def test_a_coarser_picture_has_the_means_of_its_own_pixels(tmp_path):
    run = fitted(PICTURE, SirenConfig(width=8, layers=3))
    path, found = render(run, tmp_path, size=(5, 4))
    expected = PICTURE.denormalised(run.values().reshape(4, 3, 5, 4, 3).mean(axis=(1, 3)))
    assert path.name == "render_5x4.png"
    np.testing.assert_allclose(found.values.astype(int), expected, atol=1)
    _, mixed = render(run, tmp_path, size=(40, 4))  # finer one way, coarser the other
    expected = PICTURE.denormalised(run.values((12, 40)).reshape(4, 3, 40, 3).mean(axis=1))
    np.testing.assert_allclose(mixed.values.astype(int), expected, atol=1)


def test_a_film_of_fewer_frames_has_some_of_its_own(tmp_path):
    run = fitted(FILM, AsmrConfig(width=8, levels=2))
    path, found = render(run, tmp_path, frames=2)
    assert path.name == "render_10x6_2frames" and path.is_dir()
    np.testing.assert_array_equal(found.values, FILM.denormalised(run.values())[[1, 3]])
    _, small = render(run, tmp_path, frames=3, size=(5, 2))
    expected = run.values()[[0, 2, 3]].reshape(3, 2, 3, 5, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(small.values.astype(int), FILM.denormalised(expected), atol=1)
    _, more = render(run, tmp_path, frames=8)
    assert more.shape == (8, 6, 10)


def test_a_sound_at_a_lower_rate_keeps_what_that_holds(tmp_path):
    run = fitted(SOUND)
    path, found = render(run, tmp_path, rate=2000)
    assert path.name == "render_2000hz.wav" and found.rate == 2000 and found.shape == (100,)
    np.testing.assert_allclose(found.values[20:-20], SOUND.denormalised(run.values((100,)))[20:-20], atol=2e-3)


def test_a_long_rendering_says_how_far_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr("recon.tasks.signal.fitted.EVERY", -1.0)
    monkeypatch.setattr("recon.tasks.signal.fitted.CHUNK", 100)
    lines = []
    run = fitted(PICTURE)
    render_values(run, target_of(PICTURE, size=(20, 20)), tmp_path, lines.append)
    assert lines == [f"{part}% of 400 points  0 s left" for part in (25, 50, 75, 100)]


# -- derivatives ------------------------------------------------------------------------------------------------------


def panels(path):
    """Both pictures of a sheet, without the line below them."""
    sheet = iio.imread(path)
    left, right = sheet[:, : sheet.shape[1] // 2], sheet[:, sheet.shape[1] // 2 :]
    return left, right


def ramp(values):
    """A picture of values in [0, 1]."""
    return Signal("ramp", "image", values.astype(np.float32), ".exr")


def test_pictures_of_derivatives_stand_side_by_side_in_one_scale(tmp_path):
    down, right = np.meshgrid(np.arange(64), np.arange(128), indexing="ij")
    truth = ramp((0.5 + 0.4 * np.sin(down / 5) * np.cos(right / 9))[..., None])
    run = fitted(truth)  # which is flatter than the truth by far
    found = render_slopes(run, target_of(truth), ["gradient", "laplacian"], tmp_path / "new", print)
    assert list(found) == ["gradient", "laplacian"]
    for what, facts in found.items():
        assert facts["file"] == str(tmp_path / "new" / f"render_{what}_128x64.png")
        assert facts["method"] == "autograd" and facts["why"] is None and -1 <= facts["correlation"] <= 1
        left, right = panels(facts["file"])
        assert left.shape[1] == right.shape[1] == 256 and left.shape[0] > 128  # twice its size, and a line of text
    grey, flat = panels(found["gradient"]["file"])
    assert grey[:128].max() == 255 and flat[:128].max() < 60
    red, blue = (panels(found["laplacian"]["file"])[0][:128, :, channel].astype(int) for channel in (0, 2))
    assert (red - blue).max() > 60 and (blue - red).max() > 60
    assert found["laplacian"]["limit"] == pytest.approx(0.4 * (1 / 25 + 1 / 81), rel=0.1)


def test_a_field_that_is_the_picture_correlates_with_it(tmp_path):
    run = fitted(PICTURE)
    truth = ramp(run.values((48, 64)))
    own = Fitted(run.field, truth, CPU)
    found = render_slopes(own, target_of(truth), ["gradient"], tmp_path, print)["gradient"]
    assert found["correlation"] > 0.9
    other = render_slopes(own, target_of(truth, size=(600, 300)), ["gradient"], tmp_path, print)["gradient"]
    assert other["correlation"] is None and panels(other["file"])[0].shape[1] == 600
    assert other["limit"] == found["limit"], "per pixel of the signal, whatever the size"


def test_differences_are_named_on_the_sheet_and_in_the_facts(tmp_path):
    run = fitted(PICTURE, AsmrConfig(width=8, levels=2))
    found = render_slopes(run, target_of(PICTURE, size=(60, 36)), ["laplacian"], tmp_path, print)["laplacian"]
    assert found["method"] == "differences" and "asmr" in found["why"] and found["correlation"] is not None
    assert panels(found["file"])[0].shape[1] == 240
    alone = render_slopes(fitted(PICTURE), target_of(PICTURE, size=(60, 36)), ["laplacian"], tmp_path / "other", print)
    assert not np.array_equal(panels(found["file"])[1][-20:], panels(alone["laplacian"]["file"])[1][-20:])


def test_a_constant_picture_has_derivatives_of_nothing(tmp_path):
    flat = ramp(np.full((8, 8, 1), 0.3))
    found = render_slopes(fitted(flat), target_of(flat), ["gradient", "laplacian"], tmp_path, print)
    assert found["gradient"]["limit"] > 0 and found["gradient"]["correlation"] is None
