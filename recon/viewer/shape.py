"""The live page of a shape's run: its surface by colour, the truth, and a slice of the field that moves."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from viser import transforms

from recon.geometry import DOMAIN, Mesh
from recon.rendering.camera import View
from recon.rendering.picture import categorical_colors, diverging_colors
from recon.shapes.shape import Shape
from recon.surfaces.normals import field_normals
from recon.tasks.shape.fitted import Fitted, error_limit
from recon.tasks.shape.settings import LOGIT_SCALE
from recon.viewer.panel import SLIDING, Panel, error_legend, expert_legend
from recon.viewer.stage import YAW, Stage, Triple, Up
from recon.viewer.weights import ShapeRun
from recon.viewer.worker import Stale, dropping

RESOLUTION = 128
MOST_FACES = 2_000_000
"""Of a surface that is sent to a browser; a truth with more is shown as points."""
POINTS = 200_000
SLICE = 256
"""Points along a side of the slice."""
_PLANES: dict[str, tuple[Triple, Triple, Triple]] = {  # right, up and normal of a slice across each axis
    "x": ((0, 0, -1), (0, 1, 0), (1, 0, 0)),
    "y": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "z": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
}


@dataclass(frozen=True)
class Surface:
    """A surface that was extracted, in the normalised frame, with all that its colours may show."""

    mesh: Mesh
    normals: Float[np.ndarray, "v 3"]
    resolution: int
    seconds: float


class ShapeView(Panel):
    """Serves a run of a shape."""

    def __init__(self, shown: ShapeRun, host: str, port: int | None, up: Up = "y") -> None:
        super().__init__(shown.title, host, port)
        self.shown, self.surface = shown, None
        self._colours: dict[str, tuple[UInt8[np.ndarray, "v 3"] | None, str]] = {}
        self._build(up)
        self.stage.look_around(corners_of(shown.fitted.shape), up)
        self.refresh()

    def refresh(self) -> None:
        """Show what the run has learned by now."""
        fitted = self.shown.fitted
        count = sum(p.numel() for p in fitted.field.parameters())
        self.head([self.shown.title, f"step {self.shown.step:,}; {count:,} parameters"])
        self._ask_surface()
        self._ask_slice()

    # -- the controls ---------------------------------------------------------------------------------------------

    def _build(self, up: Up) -> None:
        gui, fitted = self.server.gui, self.shown.fitted
        options = ["plain", "signed error", *(["expert"] if fitted.expert_count else [])]
        with gui.add_folder("Surface"):
            self.colour = gui.add_dropdown("Colour", options, initial_value="plain")
            self.legend = gui.add_html("")
            self.resolution = gui.add_slider("Resolution", 32, 512, 16, RESOLUTION, hint="grid points an axis")
            self.truth = gui.add_dropdown("Truth", ("hidden", "beside", "over it", "alone"))
            self.up = gui.add_dropdown("Up", ("x", "y", "z"), initial_value=up)
        with gui.add_folder("Slice"):
            self.slice = gui.add_checkbox("Show", False)
            self.axis = gui.add_dropdown("Across", ("x", "y", "z"), initial_value="z")
            self.place = gui.add_slider("Position", -DOMAIN, DOMAIN, 0.01, 0.0)
            self.cut = gui.add_checkbox("Cut the surface", True, hint="leave out what stands in front of the slice")
        self.on(self.colour, self._ask_colour)
        self.on(self.resolution, lambda: self._ask_surface(SLIDING))
        self.on(self.truth, lambda: self.worker.ask("truth", self._draw_truth))
        self.on(self.up, lambda: self.stage.look_around(corners_of(self.shown.fitted.shape), self.up.value))
        for control in (self.slice, self.axis, self.place, self.cut):
            self.on(control, self._ask_slice)

    def _ask_surface(self, delay: float = 0.0) -> None:
        self.worker.ask("surface", self._extract, delay)

    def _ask_colour(self) -> None:
        self.worker.ask("colour", self._draw_surface)

    def _ask_slice(self) -> None:
        self.worker.ask("slice", self._draw_slice)

    # -- what the worker does -------------------------------------------------------------------------------------

    def _extract(self, stale: Stale) -> None:
        resolution = self.resolution.value
        self.tell(f"extracting the surface at {resolution}³ ...")
        self.surface = extract(self.shown.fitted, resolution, stale)
        self._colours = {}
        faces, seconds = len(self.surface.mesh.faces), self.surface.seconds
        if not faces:
            self.tell("the field has no surface yet")
        elif faces > MOST_FACES:
            self.tell(f"{faces:,} faces: more than a browser is given ({MOST_FACES:,}); lower the resolution")
        else:
            self.tell(f"{faces:,} faces at {resolution}³, extracted in {seconds:.1f} s")
        self._draw_surface(stale)

    def _draw_surface(self, stale: Stale) -> None:
        del stale
        found = self.surface
        if found is None:
            return
        mesh = found.mesh
        if len(mesh.faces) > MOST_FACES or self.truth.value == "alone":
            mesh = Mesh(mesh.vertices, mesh.faces[:0])
        colours, legend = self._coloured(found, self.colour.value)
        self.legend.content = legend
        self.stage.mesh("/surface", self._uncut(mesh), colours, normals=found.normals)

    def _uncut(self, mesh: Mesh) -> Mesh:
        """What does not stand before the slice."""
        if not (self.slice.value and self.cut.value):
            return mesh
        middle = mesh.vertices[:, "xyz".index(self.axis.value)][mesh.faces].mean(axis=1)
        return Mesh(mesh.vertices, mesh.faces[middle <= self.place.value])

    def _coloured(self, found: Surface, by: str) -> tuple[UInt8[np.ndarray, "v 3"] | None, str]:
        """Colours of the surface and their legend, worked out once."""
        if by not in self._colours:
            self._colours[by] = coloured(self.shown.fitted, found.mesh, by)
        return self._colours[by]

    def _draw_truth(self, stale: Stale) -> None:
        del stale
        how, shape, stage = self.truth.value, self.shown.fitted.shape, self.stage
        for name in ("/truth", "/veil"):
            stage.remove(name)
        if how == "over it" and shape.mesh is not None and len(shape.mesh.faces) <= MOST_FACES:
            stage.veil("/veil", shape.mesh)
        elif how != "hidden":
            draw_truth(stage, shape, beside=how == "beside")
        self._draw_surface(lambda: False)

    def _draw_slice(self, stale: Stale) -> None:
        self._draw_surface(stale)
        if not self.slice.value:
            self.stage.remove("/slice")
            return
        axis, place = self.axis.value, float(self.place.value)
        picture = slice_picture(self.shown.fitted, axis, place, stale)
        right, up, normal = (np.array(part, dtype=np.float64) for part in _PLANES[axis])
        turn = transforms.SO3.from_matrix(np.stack([right, up, normal], axis=1)).wxyz
        self.server.scene.add_image(
            "/slice", picture, 2 * DOMAIN, 2 * DOMAIN, format="png", wxyz=turn, position=place * normal,
            cast_shadow=False, receive_shadow=False,
        )  # fmt: skip


# -- parts that the page without a server has as well ------------------------------------------------------------------


def extract(fitted: Fitted, resolution: int, stale: Stale = lambda: False) -> Surface:
    """The learned surface, with normals by the field. Dropped where it is no longer wanted."""
    began = time.perf_counter()
    mesh = fitted.extract(resolution, progress=lambda done, total: dropping(stale)).mesh
    few = 0 < len(mesh.faces) <= MOST_FACES
    normals = field_normals(fitted.smooth_values, mesh) if few else np.zeros_like(mesh.vertices)
    return Surface(mesh, normals, resolution, time.perf_counter() - began)


def coloured(fitted: Fitted, mesh: Mesh, by: str) -> tuple[UInt8[np.ndarray, "v 3"] | None, str]:
    """Colours of a surface's vertices, and a legend in HTML; none for plain, and where there are no vertices."""
    if by == "signed error" and len(mesh.vertices):
        error = fitted.signed_error(mesh)
        limit = error_limit(error)
        unit = f"where the longest side of the shape is 2 ({2 / fitted.shape.transform.scale:.4g} in its file)"
        return diverging_colors(error, limit), error_legend(limit, unit)
    labels = fitted.experts(mesh) if by == "expert" and len(mesh.vertices) else None
    if labels is None:
        return None, ""
    shares = np.bincount(labels, minlength=fitted.expert_count) / len(labels)
    return categorical_colors(labels, fitted.expert_count), expert_legend(shares.tolist())


def draw_truth(stage: Stage, shape: Shape, *, beside: bool, most_faces: int = MOST_FACES) -> None:
    """The shape that was learned, as `/truth`; as points where it has more faces than are wanted, or none."""
    shift = beside_of(shape) if beside else (0.0, 0.0, 0.0)
    if shape.mesh is not None and len(shape.mesh.faces) <= most_faces:
        stage.mesh("/truth", shape.mesh, np.full(shape.mesh.vertices.shape, 190, np.uint8), shift=shift)
        return
    points, _ = shape.surface(min(POINTS, most_faces), np.random.default_rng(0))
    stage.points("/truth", points + np.array(shift))


def beside_of(shape: Shape) -> Triple:
    """By how much the truth is moved to stand at the surface's left, as seen from where a person begins to look."""
    right = View(yaw=YAW).axes[0]
    width = float(np.ptp(corners_of(shape) @ right))
    x, y, z = (-1.1 * width * right).tolist()
    return x, y, z


def slice_picture(
    fitted: Fitted, axis: str, place: float, stale: Stale = lambda: False, side: int = SLICE
) -> UInt8[np.ndarray, "n n 3"]:
    """The field across one axis of the domain: blue inside, red outside, a line each 0.1, the surface in black.

    Of an occupancy, whose values are no distances: inside and outside, and the surface."""
    right, up, normal = (np.array(part, dtype=np.float64) for part in _PLANES[axis])
    along = np.linspace(-DOMAIN, DOMAIN, side)
    points = along[None, :, None] * right + along[::-1][:, None, None] * up + place * normal
    rows = [part for part in torch.from_numpy(points.reshape(-1, 3).astype(np.float32)).split(1 << 15)]
    found = []
    for part in rows:
        dropping(stale)
        found.append(fitted.values(part).cpu())
    values = torch.cat(found).numpy().astype(np.float64).reshape(side, side)
    if fitted.task == "occ":
        return _with_lines(diverging_colors(np.tanh(values * (LOGIT_SCALE / 2)).ravel(), 1.5), values, None)
    return _with_lines(diverging_colors(values.ravel(), 0.8), values, 0.1)


def _with_lines(
    colours: UInt8[np.ndarray, "m 3"], values: Float[np.ndarray, "n n"], spacing: float | None
) -> UInt8[np.ndarray, "n n 3"]:
    """A picture of values with lines where they pass multiples of the spacing, and a bold one where they pass 0."""
    picture = colours.reshape(*values.shape, 3).copy()
    if spacing:
        picture[_steps(np.floor(values / spacing))] //= 2
    bold = _steps(values < 0)
    bold[1:] |= bold[:-1].copy()
    bold[:, 1:] |= bold[:, :-1].copy()
    picture[bold] = 0
    return picture


def _steps(regions: np.ndarray) -> np.ndarray:
    """Where a value differs from the one to the right or below."""
    found = np.zeros(regions.shape, bool)
    found[:, :-1] |= regions[:, :-1] != regions[:, 1:]
    found[:-1] |= regions[:-1] != regions[1:]
    return found


def corners_of(shape: Shape) -> Float[np.ndarray, "n 3"]:
    """All points of the shape's geometry."""
    if shape.mesh is not None:
        return shape.mesh.vertices
    assert shape.cloud is not None
    return shape.cloud.points
