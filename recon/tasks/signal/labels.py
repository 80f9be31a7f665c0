"""The expert that each value of a signal is assigned to before training: its segment's, or its cluster's."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from jaxtyping import Int
from scipy.cluster.vq import kmeans2
from torch import Tensor

from recon.fields.neural_experts import NeuralExpertsConfig
from recon.signals.segments import Segments
from recon.signals.signal import Signal
from recon.tasks.signal.settings import SignalSettings

FITTED = 100_000
"""Values that clusters are found from, at most."""


def check_segments(settings: SignalSettings, field_name: str, segments: Segments | None) -> None:
    """ValueError where segments and field do not go together."""
    config = settings.field
    if segments is None:
        if isinstance(config, NeuralExpertsConfig) and config.pretraining == "segments":
            raise ValueError("pretraining by segments wants segments: recon fit --segments FILE")
        return
    if not isinstance(config, NeuralExpertsConfig):
        raise ValueError(f"--segments gives each segment an expert, which {field_name} has not; use neural-experts")
    if config.manager == "fixed":
        raise ValueError("--segments is learned by a manager, and this one is fixed (--field.manager)")
    if len(segments.names) > config.experts:
        names = ", ".join(segments.names)
        raise ValueError(
            f"{len(segments.names)} segments ({names:.200}) need as many experts, and there are {config.experts}; give"
            f" --field.experts {len(segments.names)}"
        )


def labels_of(settings: SignalSettings, signal: Signal, segments: Segments | None) -> Int[Tensor, "*shape"] | None:
    """The assignment that comes with a signal, or None where the field has its own, or none."""
    config = settings.field
    if segments is not None and isinstance(config, NeuralExpertsConfig) and config.pretraining == "segments":
        return torch.from_numpy(segments.labels.astype(np.int64))
    if isinstance(config, NeuralExpertsConfig) and config.pretraining == "kmeans":
        return torch.from_numpy(clusters(signal, config.experts, settings.train.seed))
    return None


def clusters(signal: Signal, count: int, seed: int) -> Int[np.ndarray, "*shape"]:
    """k-means of the values themselves (Neural Experts, Table 6), each place by its nearest centre."""
    values = signal.values.reshape(-1, signal.channels)
    rng = np.random.default_rng(seed)
    chosen = values if len(values) <= FITTED else values[rng.choice(len(values), FITTED, replace=False)]
    points = signal.normalised(chosen).astype(np.float64)
    count = min(count, len(np.unique(chosen, axis=0)))
    with warnings.catch_warnings():  # a cluster that loses all its members is no fault: another expert learns more
        warnings.simplefilter("ignore")
        centres, _ = kmeans2(points, count, iter=50, minit="++", rng=rng, missing="warn")
    labels = np.empty(len(values), np.int64)
    for start in range(0, len(values), FITTED):
        part = signal.normalised(values[start : start + FITTED])
        labels[start : start + FITTED] = ((part[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    return labels.reshape(signal.shape)
