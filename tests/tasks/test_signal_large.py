"""Large signals: what follows training is done in parts, and parts change nothing but the memory that it takes."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from recon import memory, runtime
from recon.fields.asmr import AsmrConfig
from recon.fields.loe import LoeConfig
from recon.fields.siren import SirenConfig
from recon.metrics import image as picture_scores
from recon.metrics import signal as signal_scores
from recon.rendering.depth_picture import colour_picture, error_heat
from recon.scenes.images import shrink
from recon.signals import signal as signals
from recon.signals.signal import Signal
from recon.tasks.bench import Bench
from recon.tasks.signal import fitted as fits
from recon.tasks.signal import needs, pictures
from recon.tasks.signal.fitted import Fitted
from recon.tasks.signal.job import SignalJob, Targets, centres
from recon.tasks.signal.needs import needs_of
from recon.tasks.signal.run import Plan
from recon.tasks.signal.scores import score
from recon.tasks.signal.settings import SignalSettings
from recon.training.plan import TrainConfig

CPU = runtime.Runtime(torch.device("cpu"), "float32", ())
SIREN = SirenConfig(width=8, layers=3)


def picture(height: int, width: int, channels: int = 3) -> tuple[Signal, np.ndarray]:
    """A picture of noise, and a reconstruction."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (height, width, channels)).astype(np.uint8)
    signal = Signal("noise", "image", values, ".png")
    return signal, signal.normalised() * np.float32(0.9) + rng.random(values.shape, dtype=np.float32) * np.float32(0.1)


def in_parts_of(values: int, monkeypatch) -> None:
    """Everything that is done in parts, in parts of about so many values."""
    for module, name in ((signals, "BAND"), (signal_scores, "CHUNK"), (picture_scores, "_BAND"), (pictures, "BAND")):
        monkeypatch.setattr(module, name, values)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("band", [1, 700, 1 << 20])
def test_pictures_in_bands_are_those_of_the_whole(band, channels, monkeypatch):
    monkeypatch.setattr(pictures, "SIDE", 16)
    monkeypatch.setattr(pictures, "BAND", band)
    signal, pred = picture(53, 61, channels)
    a, b = (torch.from_numpy(pictures.as_rgb(x)) for x in (signal.normalised(), pred))
    whole = [shrink(shown, 4) for shown in (colour_picture(a), colour_picture(b), error_heat(b, a))]
    found = pictures._compared(signal.values, pred, signal.normalised)
    for one, expected in zip(found, whole, strict=True):
        assert expected.shape == (13, 15, 3)
        np.testing.assert_array_equal(one, expected.repeat(17, axis=0).repeat(17, axis=1))


@pytest.mark.parametrize("kind", ["image", "video"])
def test_scores_in_parts_are_those_of_the_whole(kind, monkeypatch):
    in_parts_of(1000, monkeypatch)
    signal, pred = picture(40, 50)
    if kind == "video":
        signal, pred = Signal("film", "video", signal.values[None].repeat(3, 0), ".mp4", 25.0), np.stack([pred] * 3)
    found, error = score(pred, signal), (pred.astype(np.float64) - signal.values / 255)
    assert found.values["mse"] == pytest.approx(np.square(error).mean(), rel=1e-6)
    a, b = (torch.from_numpy(x if kind == "image" else x[0]) for x in (pred, signal.normalised()))
    assert found.values["ssim"] == pytest.approx(picture_scores.ssim(a, b), rel=1e-12)


def peak(work: Callable[[], object]) -> int:
    """Bytes that numpy takes at most beside what it has already."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_nothing_after_the_evaluation_copies_a_picture_in_floats(monkeypatch, tmp_path: Path):
    in_parts_of(20_000, monkeypatch)
    monkeypatch.setattr(pictures, "SIDE", 64)
    signal, pred = picture(2000, 1600)
    fitted, stored = Fitted(SIREN.build(2, 3), signal, torch.device("cpu")), signal.values.nbytes
    pictures.draw(fitted, pred, tmp_path)  # libraries load
    assert peak(lambda: pictures.draw(fitted, pred, tmp_path)) < stored / 2
    assert peak(lambda: score(pred, signal)) < stored / 4
    assert peak(lambda: signal.denormalised(pred)) < stored * 1.25  # it returns as much


def test_targets_are_kept_as_they_are_stored():
    signal = picture(32, 32)[0]
    assert Targets(signal).stored.data_ptr() == signal.values.ctypes.data
    config = AsmrConfig(width=8, bases=(8, 4))
    settings = SignalSettings(config, TrainConfig(steps=10))
    job = SignalJob(config.for_grid(signal.shape).build(2, 3), signal, CPU, settings)
    assert job._nested.dtype == torch.uint8


def test_a_pass_has_the_order_of_numpys_permutation():
    signal = picture(30, 40)[0]
    job = SignalJob(SIREN.build(2, 3), signal, CPU, SignalSettings(SIREN, TrainConfig(steps=10, batch=100, seed=3)))
    for index in range(2):
        found = torch.cat([job.batch(12 * index + turn) for turn in range(12)])
        assert found.tolist() == np.random.default_rng([3, index]).permutation(1200).tolist()


def test_labels_of_parts_are_those_of_the_whole_grid(monkeypatch):
    signal = picture(20, 30)[0]
    fitted = Fitted(LoeConfig(width=8, tiles=(2, 3)).build(2, 3), signal, torch.device("cpu"))
    part = fitted.parts()[-1]
    whole = part.at(centres(torch.arange(600), (20, 30))).numpy().reshape(20, 30)
    monkeypatch.setattr(fits, "AT_ONCE", 7)
    np.testing.assert_array_equal(fitted.labels(part, (20, 30)), whole)
    assert len(np.unique(whole)) == part.count


@pytest.mark.parametrize("config", [SIREN, AsmrConfig(width=8, levels=3)])
def test_memory_is_foreseen_from_what_a_large_picture_takes_at_the_end(config, monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "own_bytes", lambda: 0.0)
    signal = Signal("black", "image", np.zeros((2000, 2000, 3), np.uint8), ".png")
    settings = SignalSettings(config, TrainConfig(steps=10, batch=1 << 16))
    monkeypatch.setattr(needs, "LIBRARIES", 0)
    found = needs_of(Plan("image", "any", "quick", settings), signal, Bench(CPU, tmp_path, lambda text: None))
    values = signal.values.size
    assert 5 * values < found.memory < 10 * values  # the reconstruction in floats and in bytes, and what trains
