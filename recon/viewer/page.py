"""Pages that hold their 3-D content: one HTML file each, without a server and without the internet."""

from __future__ import annotations

import html
from collections.abc import Callable

import numpy as np
import torch

from recon.rendering.picture import diverging_colors
from recon.runtime import Runtime
from recon.scenes.scene import Scene
from recon.tasks.nerf.export import level_mesh
from recon.tasks.shape.fitted import error_limit
from recon.training.run import Run
from recon.viewer.files import MeshFile, draw_file, draw_scene
from recon.viewer.scene import draw_held_out, region, spread, up_of
from recon.viewer.serving import LOOPBACK, close_server, open_server
from recon.viewer.shape import beside_of, corners_of, draw_truth
from recon.viewer.stage import SPLIT_COLOURS, Stage, Up, framing, plain_name
from recon.viewer.weights import SceneRun, ShapeRun, machine

MOST_BYTES = 60_000_000
"""Of a page that is saved on its own."""
FINEST = 320
"""Grid points an axis of a shape's surface on a page, at most; half as many of a scene's."""
_COARSEST = 24
_BYTES_A_FACE = 20
"""Of a page: three numbers of four bytes, and half a vertex."""
# What the client's code does in a page of its own, and nothing else: no address can be reached.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' data: blob:; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data: blob:; worker-src data: blob:; connect-src data: blob:"
)


def static_page(
    run: Run, run_on: Runtime | None = None, *, most_bytes: int = 6_000_000, finest: int = FINEST, up: Up = "y"
) -> str:
    """The run's 3-D content as a page of at most so many characters: a shape's surface coloured by its signed error,
    beside the truth; a scene's surface, box and cameras, those held out with their pictures. The coarser, the sooner.

    Only what the run's folder itself holds is on it: such pages are given away, and a run from a stranger names files
    of this machine as its training pictures. Works in `<iframe sandbox="allow-scripts" srcdoc=...>`. ValueError or
    OSError where the run has nothing to show."""
    run_on = run_on or machine()
    if run.read_config()["task"] == "nerf":
        return _scene_page(SceneRun.open(run, run_on), most_bytes, finest // 2)
    return _shape_page(ShapeRun.open(run, run_on), most_bytes, finest, up)


def file_page(shown: MeshFile, up: Up = "y") -> str:
    """A mesh or a cloud as a page."""
    return page_of(shown.name, lambda stage: draw_file(stage, shown, up))


def folder_page(scene: Scene) -> str:
    """A scene's cameras, box and points as a page."""
    return page_of(scene.name, lambda stage: draw_scene(stage, scene))


def page_of(title: str, draw: Callable[[Stage], None]) -> str:
    """What `draw` puts on a stage, as one HTML page."""
    # viser writes down what a server would have sent: one is there for that moment, at a port that nobody knows.
    server = open_server(LOOPBACK, 0, title)
    try:
        draw(Stage(server))
        page = server.get_scene_serializer().as_html()
    finally:
        close_server(server)
    name = html.escape(plain_name(title))
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    return page.replace("<head>", f"<head>{policy}", 1).replace("<title>Viser</title>", f"<title>{name}</title>", 1)


# -- surfaces that fit ------------------------------------------------------------------------------------------------


def fitting(draw: Callable[[int], str], finest: int, most_bytes: int) -> str:
    """The page of the finest surface that is small enough. `draw` takes grid points an axis."""
    resolution = finest
    while True:
        page = draw(resolution)
        if len(page) <= most_bytes:
            return page
        if resolution <= _COARSEST:
            raise ValueError(f"a page of the run takes {len(page):,} bytes at least, and {most_bytes:,} are allowed")
        # A surface grows with the square of the resolution; the rest of the page does not grow.
        shrunk = 0.95 * resolution * (most_bytes / len(page)) ** 0.5
        resolution = max(_COARSEST, min(int(shrunk), resolution - 8))


def _shape_page(shown: ShapeRun, most_bytes: int, finest: int, up: Up) -> str:
    fitted = shown.fitted
    shape = fitted.shape
    below = float(corners_of(shape)[:, 1].min()) - 0.12

    def draw(resolution: int) -> str:
        mesh = fitted.extract(resolution).mesh
        error = fitted.signed_error(mesh) if len(mesh.vertices) else np.zeros(0)
        limit = error_limit(error)

        def place(stage: Stage) -> None:
            corners = corners_of(shape)
            stage.mesh("/surface", mesh, diverging_colors(error, limit))
            stage.label("/colours", f"red: {limit:.3g} outside, blue: {limit:.3g} inside", (0.0, below, 0.0))
            shift = beside_of(shape)
            draw_truth(stage, shape, beside=True, most_faces=most_bytes // 3 // _BYTES_A_FACE)
            stage.label("/input", "truth", (shift[0], below, shift[2]))
            stage.look_around(np.concatenate([corners, corners + np.array(shift)]), up)

        return page_of(shown.title, place)

    return fitting(draw, min(shown.plan.settings.resolution, finest), most_bytes)


def _scene_page(shown: SceneRun, most_bytes: int, finest: int) -> str:
    fitted, reference = shown.fitted, shown.fitted.reference
    box = region(fitted)
    cameras = 100 if most_bytes > 4_000_000 else 25

    def draw(resolution: int) -> str:
        try:
            found = level_mesh(fitted, resolution, lambda line: None)
        except ValueError:  # nothing is opaque yet: cameras and box are there all the same
            found = None

        def place(stage: Stage) -> None:
            stage.frame = framing(box)
            stage.stand(up_of(reference))
            if found is not None:
                stage.mesh("/mesh", found.mesh, found.colours, normals=found.normals)
            stage.box("/box", box)
            draw_held_out(stage, reference, cameras // 4)
            views = spread(reference.splits["train"], cameras)
            stage.cameras("/train", reference.cameras.select(views), [None] * len(views), SPLIT_COLOURS["train"])
            stage.look_on(reference.cameras, torch.tensor(box.centre).double())

        return page_of(shown.title, place)

    return fitting(draw, finest, most_bytes)
