"""Vanilla mixture of experts: Neural Experts' ablation whose manager sees only its own encoding of the point.

q(x) = softmax(Phi_m(E_m(x))) in the place of Eq. 1; everything else is as in `neural_experts`, the shared encoder too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from recon.fields.neural_experts import NeuralExpertsConfig


@dataclass(frozen=True)
class VanillaMoeConfig(NeuralExpertsConfig):
    """Vanilla mixture of experts: the manager does not see what the experts see."""

    purpose: ClassVar[str] = "what the manager's view of the experts' encoding adds"

    conditioning: Literal["concatenate", "max", "mean", "none"] = "none"
    """How the manager sees the experts' encoding: not at all; or as in neural-experts."""
