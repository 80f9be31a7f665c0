"""A trained scene seen through a few of its training cameras: where rays end, and what films and exports start from."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from recon.geometry import Cameras, Rays
from recon.surfaces.points import OPAQUE
from recon.tasks.bench import Say
from recon.tasks.nerf.fitted import Fitted
from recon.tasks.nerf.reference import Reference
from recon.training.progress import duration

Item = TypeVar("Item")


@dataclass(frozen=True)
class Look:
    """Rays of some training cameras, and where they end; on the CPU."""

    rays: Rays
    median_depth: Float[Tensor, " r"]
    opacity: Float[Tensor, " r"]

    def ends(self) -> Float[Tensor, "n 3"]:
        """Where opaque rays end. ValueError where none is opaque."""
        use = (self.opacity >= OPAQUE) & self.median_depth.isfinite()
        if not use.any():
            raise ValueError(
                f"no ray of the training cameras reaches an opacity of {OPAQUE:g}: there is nothing to see yet;"
                " train longer"
            )
        return self.rays.origin[use] + self.median_depth[use, None] * self.rays.direction[use]


def look(fitted: Fitted, count: int = 16, side: int = 24) -> Look:
    """A small picture from each of `count` training cameras, seldom more than 10,000 rays in all."""
    cameras = training_cameras(fitted.reference, count, side)
    pictures = list(fitted.renders(cameras))
    rays = [cameras.view_rays(view) for view in range(len(cameras))]
    return Look(
        Rays(torch.cat([part.origin for part in rays]), torch.cat([part.direction for part in rays])),
        torch.cat([picture.median_depth.reshape(-1) for picture in pictures]),
        torch.cat([picture.opacity.reshape(-1) for picture in pictures]),
    )


def training_cameras(reference: Reference, most: int, side: int) -> Cameras:
    """At most so many of the training cameras, spread over their list, with lenses without distortion and pictures
    whose longer side has `side` pixels."""
    train = reference.splits["train"]
    count = min(most, len(train))
    cameras = reference.cameras.select([train[index * len(train) // count] for index in range(count)])
    cameras = replace(cameras, distortion=torch.zeros_like(cameras.distortion))
    factor = side / max(cameras.height, cameras.width)
    return cameras.resized(max(1, round(factor * cameras.height)), max(1, round(factor * cameras.width)))


def told(items: Iterable[Item], total: int, what: str, say: Say) -> Iterator[Item]:
    """The items, with a line after the first and each tenth of them: how many are done and how long the rest takes."""
    began = time.perf_counter()
    for done, item in enumerate(items, start=1):
        yield item
        if done == 1 or 10 * done // total > 10 * (done - 1) // total:
            left = (time.perf_counter() - began) / done * (total - done)
            say(f"{what} {done}/{total}  {duration(left)} left")
