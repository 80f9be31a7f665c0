"""A radiance field as a browser's camera sees it, behind everything else: coarse in motion, sharp at rest."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import viser
from jaxtyping import Float, UInt8
from torch import Tensor

from recon.geometry import Cameras
from recon.rendering.depth_picture import colour_picture, depth_picture, normal_picture
from recon.tasks.nerf.fitted import Fitted, Picture
from recon.viewer.panel import Panel
from recon.viewer.stage import camera_at
from recon.viewer.worker import Stale, dropping

KINDS = ("colour", "depth", "normals")
COARSE_SECONDS = 0.3
"""What a picture of a moving camera may take."""
LEAST, MOST = 24 * 24, 256 * 256
"""Pixels of a coarse picture."""
REST = 0.3
"""Seconds without a move after which a camera is at rest."""
BAND = 4096
"""Rays between two looks whether a sharp picture is still wanted."""
NOWHERE = 160.0
"""Depth, in units of the view, of what is not there."""


@dataclass
class Settings:
    """What the controls say."""

    on: bool = True
    kind: str = "colour"
    side: int = 320
    """Pixels along the longer side at rest."""


class LiveField:
    """Renders for every browser that looks at a page; one kind of wish for each, so that only its newest counts."""

    def __init__(self, panel: Panel, fitted: Callable[[], Fitted], settings: Callable[[], Settings]) -> None:
        self.panel, self.fitted, self.settings = panel, fitted, settings
        self.rate = {kind: 8000.0 for kind in KINDS}
        """Rays a second, as measured."""
        self._showing: set[int] = set()
        """Browsers that have a picture."""

        @panel.server.on_client_connect
        async def _(client: viser.ClientHandle) -> None:
            @client.camera.on_update
            async def _(_: viser.CameraHandle) -> None:
                self._ask(client)

            self._ask(client)

        @panel.server.on_client_disconnect
        async def _(client: viser.ClientHandle) -> None:
            panel.worker.forget(_wish(client))

    def refresh(self) -> None:
        """Render anew for everyone."""
        for client in self.panel.server.get_clients().values():
            self._ask(client)

    def _ask(self, client: viser.ClientHandle) -> None:
        self.panel.worker.ask(_wish(client), lambda stale: self._coarse(client, stale))

    def _coarse(self, client: viser.ClientHandle, stale: Stale) -> None:
        del stale  # it is over soon, and someone who moves without a rest still wants to see something
        settings = self.settings()
        if not settings.on:
            if client.client_id in self._showing:
                self._showing.remove(client.client_id)
                client.scene.set_background_image(None)
            return
        budget = min(max(COARSE_SECONDS * self.rate[settings.kind], LEAST), MOST)
        sharp = self._camera(client, settings.side)
        coarse = self._camera(client, settings.side, budget)
        self._show(client, coarse, settings, lambda: False)
        if (coarse.height, coarse.width) != (sharp.height, sharp.width):
            self.panel.worker.ask(_wish(client), lambda stale: self._sharp(client, stale), REST)

    def _sharp(self, client: viser.ClientHandle, stale: Stale) -> None:
        settings = self.settings()
        if settings.on:
            self._show(client, self._camera(client, settings.side), settings, stale)

    def _show(self, client: viser.ClientHandle, camera: Cameras, settings: Settings, stale: Stale) -> None:
        began = time.perf_counter()
        fitted = self.fitted()
        picture = in_bands(fitted, camera, settings.kind == "normals", stale)
        took = max(time.perf_counter() - began, 1e-4)
        # Pictures differ, and so does what else the machine does: the measure follows without jumping.
        rays = camera.height * camera.width
        self.rate[settings.kind] += 0.5 * (rays / took - self.rate[settings.kind])
        depth = stage_depth(picture, camera) * self.panel.stage.frame.scale
        depth = torch.where(picture.opacity > 0.5, depth.nan_to_num(NOWHERE, NOWHERE), NOWHERE).clamp(max=NOWHERE)
        client.scene.set_background_image(
            drawn(picture, settings.kind), format="jpeg", jpeg_quality=90, depth=depth.numpy().astype(np.float64)
        )
        self._showing.add(client.client_id)
        self.panel.tell(f"{camera.width}x{camera.height} pixels in {took:.1f} s")

    def _camera(self, client: viser.ClientHandle, side: int, most: float = float("inf")) -> Cameras:
        """The browser's camera in the scene's frame: `side` pixels along the longer side, or `most` in all."""
        seen, frame = client.camera, self.panel.stage.frame
        width, height = max(1, seen.image_width), max(1, seen.image_height)
        factor = min(side / max(width, height), (most / (width * height)) ** 0.5)
        size = max(1, round(width * factor)), max(1, round(height * factor))
        return camera_at(seen.wxyz, frame.invert(seen.position[None])[0], seen.fov, *size)


def in_bands(fitted: Fitted, camera: Cameras, normals: bool, stale: Stale) -> Picture:
    """The picture of one camera, a few rows at a time. Dropped where it is no longer wanted."""
    rows = max(1, BAND // camera.width)
    parts: list[Picture] = []
    for top in range(0, camera.height, rows):
        dropping(stale)
        shift = torch.tensor([0.0, float(top)], dtype=camera.centre.dtype)
        height = min(rows, camera.height - top)
        parts.append(fitted.render(replace(camera, centre=camera.centre - shift, height=height), 0, normals))

    def joined(name: str) -> Tensor:
        return torch.cat([getattr(part, name) for part in parts])

    normal = joined("normal") if normals else None
    return Picture(joined("rgb"), joined("opacity"), joined("depth"), joined("median_depth"), normal)


def stage_depth(picture: Picture, camera: Cameras) -> Float[Tensor, "h w"]:
    """Depth along the axis of view of where half of each ray's light is stopped, in the scene's units."""
    cosine = camera.view_rays(0).direction.double() @ camera.forward()[0]
    return picture.median_depth.double() * cosine.reshape(picture.median_depth.shape)


def drawn(picture: Picture, kind: str) -> UInt8[np.ndarray, "h w 3"]:
    """A rendered picture as a person asked for it."""
    if kind == "depth":
        return depth_picture(picture.depth, picture.opacity)
    if kind == "normals" and picture.normal is not None:
        return normal_picture(picture.normal, picture.opacity)
    return colour_picture(picture.rgb)


def _wish(client: viser.ClientHandle) -> str:
    return f"render for browser {client.client_id}"
