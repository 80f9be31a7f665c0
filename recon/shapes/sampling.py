"""Where training points lie around a shape. Points are in the normalised frame; the domain is [-1.2, 1.2]^3."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

from recon.geometry import DOMAIN
from recon.shapes.shape import Shape

GROUPS = ("surface", "fine", "coarse", "uniform")
"""Names of the groups of points, in the order of their numbers."""


@dataclass(frozen=True)
class PerGroup:
    """One number for each group of points."""

    surface: float = 0.0
    fine: float = 0.0
    coarse: float = 0.0
    uniform: float = 0.0

    def __post_init__(self) -> None:
        if not all(np.isfinite(value) and value >= 0 for value in astuple(self)):
            raise ValueError(f"shares and weights must be finite and not negative, got {self}")


@dataclass(frozen=True)
class SamplerConfig:
    """Where training points lie: on the surface, near it (fine), around it (coarse), and anywhere in the domain."""

    shares: PerGroup = field(default_factory=lambda: PerGroup(0.1, 0.6, 0.2, 0.1))
    """Part of the points in each group; they sum to 1."""
    weights: PerGroup = field(default_factory=lambda: PerGroup(1.0, 1.0, 1.0, 1.0))
    """Weight of a point of each group in the loss."""
    fine_scale: float = 4e-3
    """Scale b of the Laplace noise on each coordinate of a surface point; its standard deviation is b * sqrt(2)."""
    coarse_scale: float = 0.2
    """The same for coarse points."""
    outside: Literal["redraw", "clip", "wrap"] = "redraw"
    """What becomes of a noisy point outside the domain: drawn again, moved to its face, or taken as periodic."""
    target: Literal["distance", "inside"] = "distance"
    """What is learned: the signed distance, or only its sign (-1 inside, 1 outside, 0 on the surface)."""

    def __post_init__(self) -> None:
        if abs(sum(astuple(self.shares)) - 1) > 1e-6:
            raise ValueError(f"shares must sum to 1, got {sum(astuple(self.shares)):g} from {self.shares}")
        if not any(share and weight for share, weight in zip(astuple(self.shares), astuple(self.weights), strict=True)):
            raise ValueError("every group that has points has no weight: nothing would be learned")
        if not (0 < self.fine_scale < np.inf and 0 < self.coarse_scale < np.inf):
            raise ValueError(f"noise scales must be positive, got {self.fine_scale:g} and {self.coarse_scale:g}")
        if self.outside not in ("redraw", "clip", "wrap"):
            raise ValueError(f"outside must be redraw, clip or wrap, got '{self.outside}'")
        if self.target not in ("distance", "inside"):
            raise ValueError(f"target must be distance or inside, got '{self.target}'")

    def counts(self, n: int) -> list[int]:
        """How many of n points each group gets: whole numbers that sum to n, rounded by the largest remainders."""
        exact = np.array(astuple(self.shares)) / sum(astuple(self.shares)) * n
        counts = np.floor(exact + 1e-9).astype(int)
        short = n - int(counts.sum())
        counts[np.argsort(counts - exact, kind="stable")[:short]] += 1
        return counts.tolist()


SAMPLERS: dict[str, SamplerConfig] = {
    # Ours, by what helped (renders/README.md): few points on the surface, most a little further from it than the
    # papers'; of the rest a third anywhere, for coarse noise alone leaves stray surfaces far away.
    "recon": SamplerConfig(),
    # BACON: noise of scale 1e-3 and 0.1 in a domain of +-0.5 with the shape within +-0.45; here the shape fills +-1, so
    # lengths are 1/0.45 times theirs. Their domain would end at +-1.11; ours, at which points wrap, ends at +-1.2.
    "bacon": SamplerConfig(
        shares=PerGroup(fine=0.5, coarse=0.5),
        weights=PerGroup(1.0, 1.0, 1e-2, 1.0),
        fine_scale=1e-3 / 0.45,
        coarse_scale=0.1 / 0.45,
        outside="wrap",
    ),
    # Neural Experts' paper: "deviations" 4e-6 and 4e-2, which are twice BACON's variances (2 b^2 of b = 1e-3 and 0.1);
    # they are read as variances: b = sqrt(var / 2). As deviations, fine points would all but lie on the surface.
    "neural-experts": SamplerConfig(
        shares=PerGroup(1 / 3, 1 / 3, 1 / 3),
        fine_scale=float(np.sqrt(4e-6 / 2)),
        coarse_scale=float(np.sqrt(4e-2 / 2)),
        outside="clip",
    ),
    # Neural Experts' code: these scales, and surface points that count twice. It folds outsiders in oddly; we clip.
    "neural-experts-code": SamplerConfig(
        shares=PerGroup(1 / 3, 1 / 3, 1 / 3), weights=PerGroup(2.0, 1.0, 1.0, 1.0), fine_scale=2e-3, outside="clip"
    ),
    "uniform": SamplerConfig(shares=PerGroup(uniform=1.0)),
    # ASMR's occupancy: 60 % anywhere, 20 % on and 20 % near the surface.
    "occupancy": SamplerConfig(shares=PerGroup(0.2, 0.2, 0.0, 0.6), fine_scale=1e-2, target="inside"),
}
"""Named settings."""


def draw(
    shape: Shape, config: SamplerConfig, n: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "n 3"], UInt8[np.ndarray, " n"]]:
    """Random points (float32) and the group of each; groups follow one another."""
    on, fine, coarse, anywhere = config.counts(n)
    points = np.concatenate(
        [
            shape.surface(on, rng)[0],
            _near(shape, config.fine_scale, config.outside, fine, rng),
            _near(shape, config.coarse_scale, config.outside, coarse, rng),
            rng.uniform(-DOMAIN, DOMAIN, (anywhere, 3)),
        ]
    )
    return points.astype(np.float32), np.repeat(np.arange(4, dtype=np.uint8), [on, fine, coarse, anywhere])


def _near(shape: Shape, scale: float, outside: str, n: int, rng: np.random.Generator) -> Float[np.ndarray, "n 3"]:
    """Surface points with Laplace noise, brought into the domain."""
    points = shape.surface(n, rng)[0] + rng.laplace(0, scale, (n, 3))
    if outside == "clip":
        return np.clip(points, -DOMAIN, DOMAIN)
    if outside == "wrap":
        return np.mod(points + DOMAIN, 2 * DOMAIN) - DOMAIN
    while (lost := np.flatnonzero((np.abs(points) > DOMAIN).any(axis=1))).size:
        points[lost] = shape.surface(len(lost), rng)[0] + rng.laplace(0, scale, (len(lost), 3))
    return points
