"""What short trainings of shapes and of signals have in common: optimisers, and a mixture behind grids."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from recon.fields.feature_grid import FeatureGridConfig
from recon.training.optim import OptimConfig

COSINE = OptimConfig(rate=1e-3, schedule="cosine", warmup=20)
MUON = replace(COSINE, optimizer="muon", muon_rate=0.02)
# Most grid values are touched rarely: a short second moment, and no floor, let them move when they are.
GRIDS = OptimConfig(rate=1e-2, betas=(0.9, 0.99), eps=1e-15, schedule="cosine")


def small_experts(resolutions: tuple[int, ...]) -> dict[str, Any]:
    """Settings of Neural Experts whose encoder are grids: small experts and a small manager are enough behind them."""
    return {
        "encoder": "feature-grid",
        "grid": FeatureGridConfig(resolutions=resolutions),
        "expert_width": 16,
        "expert_layers": 2,
        "expert_omega": 5.0,
        "manager_width": 16,
        "manager_layers": 1,
        "manager_encoder_layers": 1,
        "pretraining": "none",
    }
