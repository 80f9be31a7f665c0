"""Batches, targets and losses of signal runs against what they should be, value by value."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon import runtime
from recon.fields import FIELDS
from recon.fields.asmr import AsmrConfig
from recon.fields.neural_experts import NeuralExpertsConfig
from recon.fields.siren import SirenConfig
from recon.signals.signal import Signal
from recon.tasks.signal.fitted import Fitted
from recon.tasks.signal.job import SignalJob, Targets, centres
from recon.tasks.signal.settings import DEFAULT_FIELD, PRESETS, SignalSettings, preset
from recon.training.plan import TrainConfig

CPU = runtime.Runtime(torch.device("cpu"), "float32", ())
RNG = np.random.default_rng(0)
PICTURE = Signal("noise", "image", RNG.integers(0, 256, (6, 10, 3)).astype(np.uint8), ".png")
SOUND = Signal("tone", "sound", (0.5 * np.sin(np.arange(50)))[:, None].astype(np.float32), ".wav", 100.0)
SIREN = SirenConfig(width=8, layers=3)


def job_of(signal, config=SIREN, batch=7, seed=0):
    settings = SignalSettings(config, TrainConfig(steps=10, batch=batch, seed=seed))
    field = config.for_grid(signal.shape).build(len(signal.shape), signal.channels)
    return SignalJob(field, signal, CPU, settings)


def test_points_are_the_cell_centres_that_a_grid_is_evaluated_at():
    shape = (3, 4, 5)
    x = centres(torch.arange(60), shape)
    axes = [(torch.arange(n) + 0.5) * (2 / n) - 1 for n in shape]
    expected = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)
    torch.testing.assert_close(x, expected)


def test_targets_are_in_minus_one_to_one():
    targets = Targets(PICTURE)
    np.testing.assert_allclose(targets.of(targets.stored).numpy(), PICTURE.values / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(
        Targets(SOUND).of(torch.from_numpy(SOUND.values)).numpy(), SOUND.values / np.abs(SOUND.values).max(), atol=1e-6
    )


@pytest.mark.parametrize("batch", [1, 7, 59, 60, 1000])
def test_each_pass_takes_each_value_once_in_an_order_of_its_own(batch):
    job = job_of(PICTURE, batch=batch)
    passes = [torch.cat([job.batch(job.turns * i + turn) for turn in range(job.turns)]) for i in range(2)]
    for index in passes:
        assert index.sort().values.tolist() == list(range(60))
    assert job.turns == 1 or not torch.equal(*passes)
    assert max(len(job.batch(step)) for step in range(job.turns)) <= min(batch, 60)
    again = job_of(PICTURE, batch=batch)
    assert torch.equal(again.batch(job.turns + job.turns // 2), job.batch(job.turns + job.turns // 2))
    assert job.turns == 1 or not torch.equal(job_of(PICTURE, batch=batch, seed=1).batch(0), job.batch(0))


def test_the_loss_is_the_mean_squared_error_at_the_batchs_values():
    job = job_of(PICTURE)
    index = job.batch(3)
    row, column = index // 10, index % 10
    x = torch.stack([(row + 0.5) / 3 - 1, (column + 0.5) / 5 - 1], dim=1)
    target = torch.from_numpy(PICTURE.values[row.numpy(), column.numpy()] / 127.5 - 1)
    expected = (job.field(x).double() - target).square().mean()
    torch.testing.assert_close(job.loss(3)["mse"].double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("most", [1 << 20, 30])
def test_cells_have_the_same_loss_as_the_grid_of_which_they_are_parts(most):
    job = job_of(PICTURE, AsmrConfig(width=8, levels=3), batch=most)
    assert job.walk is not None
    whole = torch.from_numpy(PICTURE.values / 127.5 - 1)
    error = (job.field.on_grid((6, 10)).double() - whole).square().mean(dim=-1)
    used = job.walk.used
    found = [(job.loss(step)["mse"], int(used[job.walk.rows(step)].sum())) for step in range(job.walk.steps)]
    assert sum(count for _, count in found) == 60
    total = sum(loss.double() * count for loss, count in found) / 60
    torch.testing.assert_close(total, error.mean(), rtol=1e-5, atol=1e-6)


def test_a_mixture_has_one_loss_an_expert():
    config = NeuralExpertsConfig(experts=3, expert_width=4, encoder_width=8, encoder_layers=2, manager_width=8)
    job = job_of(SOUND, config, batch=50)
    x = centres(torch.arange(50), (50,))
    outputs, gate = job.field.experts(x)
    target = torch.from_numpy(SOUND.values / np.abs(SOUND.values).max())
    expected = sum((gate[:, k] * (outputs[:, k] - target).square().mean(dim=1)).mean() for k in range(3))
    torch.testing.assert_close(job.loss(0)["mse"], expected)


@pytest.mark.parametrize("kind", DEFAULT_FIELD)
@pytest.mark.parametrize("field", FIELDS)
def test_every_field_has_settings_for_every_kind(kind, field):
    settings = preset(kind, "quick", field)
    shape = {"image": (8, 9), "sound": (64,), "video": (3, 4, 5)}[kind]
    with torch.device("meta"):
        built = settings.field.for_grid(shape).build(len(shape), 2)
    assert built.in_dim == len(shape) and settings.with_steps(10).train.steps == 10
    assert preset(kind, "best", field).train.steps == 5 * settings.train.steps


def test_the_papers_settings_are_theirs_and_others_have_none():
    assert preset("image", "paper", "asmr").train.steps == 10_000
    experts = preset("image", "paper", "neural-experts")
    assert (experts.train.optim.rate, experts.experts_last, experts.train.steps) == (1e-5, 0.2, 30_000)
    assert [stage.share for stage in experts.staged().stages] == [0.8, 0.2]
    with pytest.raises(ValueError, match="not for voxel"):
        preset("image", "paper", "voxel")
    assert PRESETS == ("quick", "best", "paper")


def test_values_are_clipped_to_what_a_signal_can_be():
    for signal, low in ((PICTURE, 0.0), (SOUND, -1.0)):
        field = SIREN.build(len(signal.shape), signal.channels)
        with torch.no_grad():
            for parameter in field.parameters():
                parameter.mul_(50)
        values = Fitted(field, signal, torch.device("cpu")).values()
        assert values.shape == signal.values.shape and low <= values.min() and values.max() <= 1
        assert np.isin(values, (low, 1.0)).mean() > 0.5


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="experts_last is for neural-experts"):
        SignalSettings(SIREN, TrainConfig(), experts_last=0.2)
    with pytest.raises(ValueError, match="must lie in"):
        replace(SignalSettings(SIREN, TrainConfig()), full_precision_from=2.0)
