"""Assignments that come with a signal: clusters, segments, and what they ask of the field."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon import runtime
from recon.fields.neural_experts import NeuralExpertsConfig, assignment_loss
from recon.fields.siren import SirenConfig
from recon.signals.segments import Segments
from recon.signals.signal import Signal
from recon.tasks.signal import job as jobs
from recon.tasks.signal.job import SignalJob, centres
from recon.tasks.signal.labels import check_segments, clusters, labels_of
from recon.tasks.signal.settings import SignalSettings
from recon.training.plan import TrainConfig

CPU = runtime.Runtime(torch.device("cpu"), "float32", ())
TINY = NeuralExpertsConfig(
    experts=3, expert_width=4, encoder_width=8, encoder_layers=2, manager_width=8, manager_encoder_layers=2
)
TONE = Signal("t", "sound", np.sin(np.arange(30, dtype=np.float32))[:, None], ".wav", 10.0)
PARTS = Segments(np.repeat(np.array([0, 1, 2], np.int16), 10), ("a", "b", "c"))


def settings_of(config, **other):
    return SignalSettings(config, TrainConfig(steps=5, batch=30), **other)


def test_clusters_part_a_picture_by_its_colours():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, (20, 30))
    colours = np.array([[250, 10, 10], [10, 250, 10], [10, 10, 250]])[true] + rng.integers(-8, 8, (20, 30, 3))
    signal = Signal("p", "image", colours.clip(0, 255).astype(np.uint8), ".png")
    found = clusters(signal, 3, 0)
    assert all(len(np.unique(found[true == kind])) == 1 for kind in range(3)) and len(np.unique(found)) == 3
    assert (clusters(signal, 3, 0) == found).all()


@pytest.mark.filterwarnings("error")
def test_clusters_of_fewer_colours_than_experts_are_those_colours():
    constant = Signal("c", "image", np.full((4, 5, 3), 9, np.uint8), ".png")
    assert (clusters(constant, 4, 0) == 0).all()


def test_labels_are_the_segments_or_the_clusters_or_none():
    assert labels_of(settings_of(TINY), TONE, None) is None
    assert labels_of(settings_of(SirenConfig()), TONE, None) is None
    assert labels_of(settings_of(TINY), TONE, PARTS) is None  # random is random, though segments are learned after
    found = labels_of(settings_of(replace(TINY, pretraining="segments")), TONE, PARTS)
    assert found is not None and found.tolist() == PARTS.labels.tolist()
    found = labels_of(settings_of(replace(TINY, pretraining="kmeans")), TONE, None)
    assert found is not None and found.shape == (30,) and 0 <= int(found.min()) <= int(found.max()) <= 2


@pytest.mark.parametrize(
    ("config", "segments", "what"),
    [
        (SirenConfig(), PARTS, "siren has not"),
        (replace(TINY, experts=2), PARTS, "--field.experts 3"),
        (replace(TINY, manager="fixed"), PARTS, "this one is fixed"),
        (replace(TINY, pretraining="segments"), None, "wants segments"),
    ],
)
def test_segments_and_fields_that_do_not_go_together(config, segments, what):
    with pytest.raises(ValueError, match=what):
        check_segments(settings_of(config), "siren", segments)


def test_the_loss_with_segments_is_both_of_its_parts():
    settings = settings_of(TINY, segments_weight=0.5)
    job = SignalJob(TINY.build(1, 1), TONE, CPU, settings, PARTS.labels)
    found = job.loss(0)
    x = centres(torch.arange(30), (30,))
    outputs, logits = job.field.experts_and_logits(x)
    target = job.targets.of(job.targets.flat)
    error = (logits.softmax(dim=1) * (outputs - target[:, None]).square().mean(dim=2)).sum(dim=1).mean()
    torch.testing.assert_close(found["mse"], error)
    expected = 0.5 * assignment_loss(logits, torch.from_numpy(PARTS.labels).long())
    torch.testing.assert_close(found["segments"], expected)


@pytest.mark.parametrize("labels", [None, PARTS.labels])
def test_a_batch_in_parts_has_the_loss_and_the_gradients_of_the_whole(monkeypatch, labels):
    job = SignalJob(TINY.build(1, 1), TONE, CPU, settings_of(TINY), labels)

    def gradients():
        job.field.zero_grad()
        losses = job.loss(0)
        sum(losses.values()).backward()
        return {n: float(v.detach()) for n, v in losses.items()}, [p.grad.clone() for p in job.field.parameters()]

    whole, expected = gradients()
    monkeypatch.setattr(jobs, "AT_ONCE", 7)
    parts, found = gradients()
    assert parts == pytest.approx(whole, rel=1e-5)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)
