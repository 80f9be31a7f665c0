"""The live page of a scene's run: the field as one looks around, its surface, its cameras, held-out views and truth."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import viser
from jaxtyping import Float, UInt8

from recon.geometry import Box, Cameras
from recon.metrics.image import psnr
from recon.rendering.depth_picture import colour_picture, error_heat
from recon.rendering.paths import focus_point, up_direction
from recon.rendering.picture import contact_sheet
from recon.scenes.images import read_picture, shrink
from recon.surfaces.points import Points
from recon.tasks.nerf.export import SceneMesh, content_box, level_mesh, point_cloud
from recon.tasks.nerf.fitted import Fitted
from recon.tasks.nerf.look import look
from recon.tasks.nerf.reference import Reference
from recon.viewer.panel import SLIDING, Panel
from recon.viewer.render import KINDS, LiveField, Settings, in_bands
from recon.viewer.stage import SPLIT_COLOURS, Stage, axis_of, fov_of, framing, plain_name
from recon.viewer.weights import SceneRun
from recon.viewer.worker import Stale, dropping

RESOLUTION = 96
MOST_CAMERAS = 200
"""Training cameras that are drawn."""
THUMBNAIL = 96
"""Pixels along the longer side of a camera's picture."""
COMPARED = 320
"""The same of a held-out view that is rendered beside its truth, at most."""
CLOUD_VIEWS, CLOUD_SIDE = 24, 96
TURN = 0.2
"""Seconds of reading pictures after which others have their turn."""
NONE = "none"


class SceneView(Panel):
    """Serves a run of a scene."""

    def __init__(self, shown: SceneRun, host: str, port: int | None) -> None:
        super().__init__(shown.title, host, port)
        self.shown = shown
        reference = shown.fitted.reference
        self.box = region(shown.fitted)
        self.stage.frame = framing(self.box)
        self.stage.stand(up_of(reference))
        self.stage.look_through(reference.cameras, reference.test[0], torch.tensor(self.box.centre).double())
        self._mesh: SceneMesh | None = None
        self._points: Points | None = None
        self._build()
        self.live = LiveField(self, lambda: self.shown.fitted, self._settings)
        self.worker.ask("cameras", self._draw_cameras)
        self.refresh()

    def refresh(self) -> None:
        """Show what the run has learned by now."""
        radiance = self.shown.fitted.lit.radiance
        count = sum(p.numel() for p in radiance.parameters())
        self.head([self.shown.title, f"step {self.shown.step:,}; {count:,} parameters; {radiance.space.kind} space"])
        self._mesh = self._points = None
        self._show()
        self._ask_compared()

    # -- the controls ---------------------------------------------------------------------------------------------

    def _build(self) -> None:
        gui, reference = self.server.gui, self.shown.fitted.reference
        with gui.add_folder("Content"):
            self.content = gui.add_dropdown("Show", ("field", "mesh", "points", "nothing"))
            self.kind = gui.add_dropdown("Picture", KINDS)
            self.side = gui.add_slider("Pixels", 64, 1024, 32, 320, hint="longer side of the picture at rest")
            self.resolution = gui.add_slider("Resolution", 32, 256, 16, RESOLUTION, hint="of the mesh", visible=False)
        with gui.add_folder("Cameras"):
            self.training = gui.add_checkbox("Training cameras", True)
            self.held_out = gui.add_checkbox("Held-out cameras", True)
            self.boxed = gui.add_checkbox("Box", True)
        names = [f"{index}: {plain_name(reference.files[view])}" for index, view in enumerate(reference.test)]
        with gui.add_folder("Held-out views"):
            self.view = gui.add_dropdown("View", (NONE, *names))
            self.compared = gui.add_image(np.full((2, 2, 3), 255, np.uint8), format="png", visible=False)
            self.look = gui.add_button("Look from there", visible=False)
        self.on(self.content, self._show)
        for control in (self.kind, self.side):
            self.on(control, self.live_refresh)
        self.on(self.resolution, self._resize)
        for control in (self.training, self.held_out, self.boxed):
            self.on(control, lambda: self.worker.ask("cameras", self._draw_cameras))
        self.on(self.view, self._ask_compared)
        self.look.on_click(self._look_from)

    def live_refresh(self) -> None:
        """Render anew for everyone."""
        self.live.refresh()

    def _settings(self) -> Settings:
        return Settings(self.content.value == "field", self.kind.value, int(self.side.value))

    def _show(self) -> None:
        content = self.content.value
        self.kind.visible = self.side.visible = content == "field"
        self.resolution.visible = content == "mesh"
        self.live.refresh()
        self.worker.ask("content", self._draw_content)

    def _resize(self) -> None:
        self._mesh = None
        self.worker.ask("content", self._draw_content, SLIDING)

    def _ask_compared(self) -> None:
        self.worker.ask("compared", self._compare)

    async def _look_from(self, event: viser.GuiEvent) -> None:
        """Bring the browser that asks to the held-out view that is chosen."""
        index, reference = self._chosen(), self.shown.fitted.reference
        if event.client is None or index is None:
            return
        view, camera = reference.test[index], event.client.camera
        ends = axis_of(reference.cameras, view, torch.tensor(self.box.centre).double())
        place, target = self.stage.frame.apply(torch.stack(ends).numpy())
        self.held_out.value = False  # else one would look at the back of the view's own picture
        with event.client.atomic():
            camera.position, camera.look_at, camera.fov = place, target, fov_of(reference.cameras, view)

    def _chosen(self) -> int | None:
        """Place of the held-out view that is chosen, in the order of the split."""
        return None if self.view.value == NONE else int(self.view.value.partition(":")[0])

    # -- what the worker does -------------------------------------------------------------------------------------

    def _draw_content(self, stale: Stale) -> None:
        content, fitted = self.content.value, self.shown.fitted
        for name in ("mesh", "points"):
            if name != content:
                self.stage.remove(f"/{name}")

        def say(line: str) -> None:
            dropping(stale)
            self.tell(line)

        if content == "mesh":
            found = self._mesh = self._mesh or level_mesh(fitted, int(self.resolution.value), say)
            self.stage.mesh("/mesh", found.mesh, found.colours, normals=found.normals)
            self.tell(f"{len(found.mesh.faces):,} faces; {found.facts['note']}")
        elif content == "points":
            cloud = self._points = self._points or point_cloud(fitted, say, views=CLOUD_VIEWS, side=CLOUD_SIDE)
            self.stage.points("/points", cloud.position, cloud.colour)
            self.tell(f"{len(cloud.position):,} points that {CLOUD_VIEWS} training cameras see, at most")

    def _draw_cameras(self, stale: Stale) -> None:
        del stale
        reference = self.shown.fitted.reference
        for name in ("/train", "/test", "/box"):
            self.stage.remove(name)
        if self.boxed.value:
            self.stage.box("/box", self.box)
        if self.held_out.value:
            draw_held_out(self.stage, reference)
        if self.training.value:
            views = spread(reference.splits["train"], MOST_CAMERAS)
            cameras = reference.cameras.select(views)
            frusta = self.stage.cameras("/train", cameras, [None] * len(views), SPLIT_COLOURS["train"])
            self._ask_pictures(list(zip(views, frusta, strict=True)))

    def _ask_pictures(self, left: list[tuple[int, viser.CameraFrustumHandle]]) -> None:
        """Pictures of training cameras, where the scene is still there, a few at a time."""
        reference = self.shown.fitted.reference

        def read(stale: Stale) -> None:
            until = time.perf_counter() + TURN
            while left and time.perf_counter() < until:
                dropping(stale)
                view, frustum = left.pop(0)
                picture = training_picture(reference, view)
                if picture is None:  # the scene is gone: so are the others
                    return
                frustum.image = picture
            if left:
                self.worker.ask("pictures", read)

        if left:
            self.worker.ask("pictures", read)

    def _compare(self, stale: Stale) -> None:
        index = self._chosen()
        self.compared.visible = self.look.visible = index is not None
        if index is None:
            return
        found = compare(self.shown.fitted, index, stale)
        self.compared.image = found.picture
        self.tell(f"held-out view {index}: {found.psnr:.2f} dB, {found.size[0]}x{found.size[1]} pixels")


# -- parts that the page without a server has as well ------------------------------------------------------------------


@dataclass(frozen=True)
class Compared:
    """A held-out view against the truth."""

    picture: UInt8[np.ndarray, "_ _ 3"]
    psnr: float
    size: tuple[int, int]


def compare(fitted: Fitted, index: int, stale: Stale = lambda: False) -> Compared:
    """A held-out view rendered, beside its truth and above its error, at COMPARED pixels at most."""
    reference = fitted.reference
    camera = reference.cameras.select([reference.test[index]])
    factor = -(-max(camera.height, camera.width) // COMPARED)
    height, width = max(1, camera.height // factor), max(1, camera.width // factor)
    rgb = in_bands(fitted, camera.resized(height, width), False, stale).rgb
    truth = reference.truth(index, fitted.background).permute(2, 0, 1)[None]
    truth = torch.nn.functional.interpolate(truth, (height, width), mode="area")[0].permute(1, 2, 0)
    pictures = [colour_picture(truth), colour_picture(rgb), error_heat(rgb, truth)]
    enlarge = max(1, 200 // max(height, width))
    pictures = [picture.repeat(enlarge, axis=0).repeat(enlarge, axis=1) for picture in pictures]
    score = psnr(rgb, truth)
    return Compared(contact_sheet(pictures, 2, ["truth", f"{score:.2f} dB", "error"]), score, (width, height))


def region(fitted: Fitted) -> Box:
    """The box that is drawn and fills the view: that of the space, or (ndc) around what is seen there."""
    space, cameras = fitted.lit.radiance.space, fitted.reference.cameras
    if space.kind != "ndc":
        return space.box
    try:
        return content_box(space, look(fitted))
    except ValueError:  # nothing is opaque yet
        x, y, z = focus_point(cameras).tolist()
        half = max(float((cameras.position() - focus_point(cameras)).norm(dim=1).median()), 1e-6) / 2
        return Box((x - half, y - half, z - half), (x + half, y + half, z + half))


def up_of(reference: Reference) -> list[float]:
    """Where up is in the scene, from how its cameras were held."""
    return up_direction(reference.cameras).tolist()


def spread(views: Sequence[int], most: int) -> list[int]:
    """At most so many of the views, spread over their list."""
    count = min(most, len(views))
    return [views[index * len(views) // count] for index in range(count)]


def draw_held_out(stage: Stage, reference: Reference, most: int = MOST_CAMERAS) -> None:
    """The held-out cameras with their pictures, which every run keeps, as `/test`."""
    order = spread(range(len(reference.test)), most)
    cameras: Cameras = reference.cameras.select([reference.test[index] for index in order])
    pictures = [thumbnail(reference.test_images[index].numpy()) for index in order]
    stage.cameras("/test", cameras, pictures, SPLIT_COLOURS["test"])


def training_picture(reference: Reference, view: int) -> UInt8[np.ndarray, "_ _ 3"] | None:
    """A training view in small, if the scene's folder still holds it; a name that leads out of the folder does not."""
    folder = reference.folder.resolve()
    path = (folder / reference.files[view]).resolve()
    if not path.is_relative_to(folder) or not path.is_file():
        return None
    try:
        return thumbnail(read_picture(path))
    except (OSError, ValueError, ImportError):
        return None


def thumbnail(picture: UInt8[np.ndarray, "h w c"], side: int = THUMBNAIL) -> UInt8[np.ndarray, "_ _ 3"]:
    """A small picture; what alpha leaves out is white."""
    small = shrink(picture, max(1, -(-max(picture.shape[:2]) // side)))
    if small.shape[2] == 3:
        return small
    alpha = small[..., 3:].astype(np.float32) / 255
    mixed: Float[np.ndarray, "_ _ 3"] = small[..., :3] * alpha + 255 * (1 - alpha)
    return mixed.round().astype(np.uint8)
