"""The live pages of a mesh or point cloud in a file, and of a folder of posed pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Float, UInt8
from trimesh.visual import ColorVisuals

from recon.geometry import Box, Mesh, Similarity
from recon.rendering.paths import up_direction
from recon.scenes.images import read_header
from recon.scenes.read import LAYOUTS, detect
from recon.scenes.region import choose_space, looked_at
from recon.scenes.scene import Scene
from recon.shapes.load import PointCloud, read
from recon.shapes.shape import from_mesh, normalise
from recon.viewer.panel import Panel
from recon.viewer.scene import MOST_CAMERAS, spread, thumbnail
from recon.viewer.shape import MOST_FACES, POINTS
from recon.viewer.stage import SPLIT_COLOURS, Stage, Up, plain_name
from recon.viewer.worker import Stale

PICTURES = 400
"""Pixels along the longer side to which a scene's pictures are shrunk as they are read, about."""


@dataclass(frozen=True)
class MeshFile:
    """What a file holds, in its own coordinates."""

    name: str
    shape: Mesh | PointCloud
    colours: UInt8[np.ndarray, "v 3"] | None
    """Of the vertices, where the file has some."""

    @property
    def points(self) -> Float[np.ndarray, "n 3"]:
        """Vertices, or the cloud's points."""
        return self.shape.vertices if isinstance(self.shape, Mesh) else self.shape.points

    def facts(self) -> list[str]:
        """What it is, in lines."""
        low, high = self.points.min(axis=0), self.points.max(axis=0)
        kind = f"{len(self.points):,} points"
        if isinstance(self.shape, Mesh):
            kind = f"{len(self.points):,} vertices, {len(self.shape.faces):,} faces"
        ends = [f"({', '.join(f'{value:.5g}' for value in corner)})" for corner in (low, high)]
        return [plain_name(self.name), kind, f"from {ends[0]} to {ends[1]}"]


def read_mesh_file(path: Path) -> MeshFile:
    """The file's mesh or cloud; ValueError or FileNotFoundError as its reader has them."""
    shape = read(path)
    colours = _vertex_colours(path, shape) if isinstance(shape, Mesh) else None
    return MeshFile(path.name, shape, colours)


def _vertex_colours(path: Path, mesh: Mesh) -> UInt8[np.ndarray, "v 3"] | None:
    """Colours of the file's vertices. They are an extra: a file whose colours can't be read, or belong to other
    vertices than the mesh has, is shown without."""
    try:
        loaded = trimesh.load_mesh(path, process=False)
        assert isinstance(loaded, trimesh.Trimesh)
        visual = loaded.visual
        if not isinstance(visual, ColorVisuals) or visual.kind != "vertex":
            return None
        if len(loaded.vertices) != len(mesh.vertices) or not np.allclose(loaded.vertices, mesh.vertices):
            return None
        return np.ascontiguousarray(visual.vertex_colors[:, :3], dtype=np.uint8)
    except Exception:  # the reader of another library on a file that nobody vouches for
        return None


def draw_file(stage: Stage, shown: MeshFile, up: Up = "y") -> None:
    """The whole file, framed."""
    points = shown.points
    stage.frame = normalise(points)
    stage.look_around(points, up)
    if isinstance(shown.shape, PointCloud):
        pick = np.random.default_rng(0).permutation(len(points))[: 5 * POINTS]
        stage.points("/points", points[pick])
    elif len(shown.shape.faces) > MOST_FACES:
        sampled, _ = from_mesh(shown.name, shown.shape).surface(5 * POINTS, np.random.default_rng(0))
        stage.points("/points", stage.frame.invert(sampled))
    else:
        stage.mesh("/mesh", shown.shape, shown.colours)


class FileView(Panel):
    """Serves a mesh or a point cloud."""

    def __init__(self, shown: MeshFile, host: str, port: int | None, up: Up = "y") -> None:
        super().__init__(shown.name, host, port)
        self.shown = shown
        self.head(shown.facts())
        draw_file(self.stage, shown, up)
        gui, mesh = self.server.gui, shown.shape
        plain = ("file's", "plain") if shown.colours is not None else ("plain",)
        self.colour = gui.add_dropdown("Colour", plain, visible=shown.colours is not None)
        self.wires = gui.add_checkbox("Wireframe", False, visible=isinstance(mesh, Mesh))
        self.boxed = gui.add_checkbox("Box", False)
        self.up = gui.add_dropdown("Up", ("x", "y", "z"), initial_value=up)
        if isinstance(mesh, Mesh) and len(mesh.faces) > MOST_FACES:
            self.wires.visible = False
            self.tell(f"more than {MOST_FACES:,} faces: shown as points on them")
        for control in (self.colour, self.wires, self.boxed):
            self.on(control, lambda: self.worker.ask("draw", self._draw))
        self.on(self.up, lambda: self.stage.look_around(shown.points, self.up.value))

    def _draw(self, stale: Stale) -> None:
        del stale
        mesh, stage = self.shown.shape, self.stage
        for name in ("/wires", "/box"):
            stage.remove(name)
        if self.boxed.value:
            stage.box("/box", _bounds(self.shown.points))
        if not isinstance(mesh, Mesh) or len(mesh.faces) > MOST_FACES:
            return
        stage.mesh("/mesh", mesh, self.shown.colours if self.colour.value == "file's" else None)
        if self.wires.value:
            stage.wires("/wires", mesh)


def _bounds(points: Float[np.ndarray, "n 3"]) -> Box:
    """A box around points, with some thickness where they are flat."""
    low, high = points.min(axis=0), points.max(axis=0)
    high = np.maximum(high, low + 1e-6 * float((high - low).max()))
    (a, b, c), (d, e, f) = low.tolist(), high.tolist()
    return Box((a, b, c), (d, e, f))


# -- folders of posed pictures ----------------------------------------------------------------------------------------


def fitting_downscale(folder: Path) -> int:
    """By how much a scene's pictures are shrunk for the small ones that are shown."""
    first = LAYOUTS[detect(folder)][1](folder).files[0]
    header = read_header(first)
    return max(1, max(header.width, header.height) // PICTURES)


AROUND = 3.0
"""How far a scene's cameras stand from what they look at, in the view."""


def draw_scene(stage: Stage, scene: Scene, most: int = MOST_CAMERAS) -> None:
    """Cameras by split with their pictures, the box, and points where there are some; framed."""
    space, target, distance = choose_space(scene), *looked_at(scene.cameras)[:2]
    x, y, z = target.tolist()
    stage.frame = Similarity((x, y, z), AROUND / max(distance, 1e-9))
    stage.stand(up_direction(scene.cameras).tolist())
    if space.kind != "ndc":
        stage.box("/box", space.box)
    for split, views in scene.splits.items():
        chosen = spread(views, most)
        pictures = [thumbnail(scene.images[view].numpy()) for view in chosen]
        stage.cameras(f"/{split}", scene.cameras.select(chosen), pictures, SPLIT_COLOURS[split])
    if scene.points is not None and len(scene.points):
        pick = torch.randperm(len(scene.points), generator=torch.Generator().manual_seed(0))[:POINTS]
        stage.points("/points", scene.points[pick].double().numpy())
    stage.look_on(scene.cameras, target)


class FolderView(Panel):
    """Serves a scene: cameras, pictures, box, points."""

    def __init__(self, scene: Scene, host: str, port: int | None) -> None:
        super().__init__(scene.name, host, port)
        draw_scene(self.stage, scene)
        counts = ", ".join(f"{split} {len(views)}" for split, views in scene.splits.items())
        size = f"{scene.cameras.width}x{scene.cameras.height} pixels, as read"
        self.head([f"{plain_name(scene.name)}: {scene.layout}", f"views: {counts}; {size}"])
        gui = self.server.gui
        names = [f"{view}: {plain_name(file)}" for view, file in enumerate(scene.files)]
        self.scene = scene
        self.view = gui.add_dropdown("Picture", ("none", *names))
        self.picture = gui.add_image(np.full((2, 2, 3), 255, np.uint8), visible=False)
        self.on(self.view, lambda: self.worker.ask("picture", self._draw))

    def _draw(self, stale: Stale) -> None:
        del stale
        self.picture.visible = self.view.value != "none"
        if self.picture.visible:
            view = int(self.view.value.partition(":")[0])
            self.picture.image = thumbnail(self.scene.images[view].numpy(), side=PICTURES)
