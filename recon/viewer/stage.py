"""What stands in the 3-D view: meshes, clouds, boxes, cameras; given in the content's frame, shown about [-1, 1]^3.

Distances of the browser's camera, thicknesses and depths then mean the same for a coin and for a street."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
import trimesh
import viser
from jaxtyping import Float, UInt8
from torch import Tensor
from trimesh.exchange.gltf import export_glb
from viser import transforms

from recon.geometry import Box, Cameras, Mesh, Similarity
from recon.rendering.camera import View
from recon.rendering.shading import CLAY
from recon.surfaces.normals import mesh_normals

Triple = tuple[float, float, float]
Up = Literal["x", "y", "z"]
UP: dict[Up, Triple] = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
SPLIT_COLOURS = {"train": (28, 126, 214), "val": (240, 140, 0), "test": (224, 49, 49)}
FRUSTUM = 0.11
"""Size of a camera in the view."""
FIELD_OF_VIEW = 35.0
YAW = 30.0
"""Degrees from the front to where one begins to look at a shape."""
MOST_NAME = 80
_OPENCV = torch.tensor([1.0, -1.0, -1.0]).double()  # right, down, ahead from right, up, backwards
_EDGES = [(a, b) for a in range(8) for b in range(a) if bin(a ^ b).count("1") == 1]


@dataclass
class Stage:
    """The scene of a server, and how the content's frame lies in it."""

    server: viser.ViserServer
    frame: Similarity = field(default_factory=Similarity)
    """From the content's frame to the one shown."""

    # -- where one looks from -------------------------------------------------------------------------------------

    def stand(self, up: Sequence[float]) -> None:
        """Which way is up, in the content's frame."""
        self.server.scene.set_up_direction(np.asarray(up, dtype=np.float64))

    def look_around(self, points: Float[np.ndarray, "n 3"], up: Up = "y", yaw: float = YAW) -> None:
        """Begin where all points (of the content's frame) fit into the picture, left of the controls."""
        view = View(yaw=yaw, up=up, field_of_view=FIELD_OF_VIEW).framing(self.frame.apply(points), margin=1.25)
        centre = np.asarray(view.centre)
        self._begin(centre + view.axes[2] * view.distance, centre, np.radians(FIELD_OF_VIEW))
        self.stand(UP[up])

    def look_through(self, cameras: Cameras, view: int, target: Float[Tensor, "3"]) -> None:
        """Begin with the view of one of the cameras, from a little before it: its own picture would hide the rest."""
        position, at = axis_of(cameras, view, target)
        place, looked = self.frame.apply(torch.stack([position + 0.15 * (at - position), at]).numpy())
        self._begin(place, looked, fov_of(cameras, view))

    def look_on(self, cameras: Cameras, target: Float[Tensor, "3"]) -> None:
        """Begin behind the first camera, far enough to see the others around the target."""
        position = target + 1.8 * (cameras.position()[0] - target)
        place, looked = self.frame.apply(torch.stack([position, target]).numpy())
        self._begin(place, looked, np.radians(45))

    def _begin(self, position: np.ndarray, at: np.ndarray, fov: float) -> None:
        begin = self.server.initial_camera
        begin.position, begin.look_at, begin.fov = position, at, float(fov)

    # -- what is seen ---------------------------------------------------------------------------------------------

    def mesh(
        self,
        name: str,
        mesh: Mesh,
        colours: UInt8[np.ndarray, "v 3"] | None = None,
        *,
        normals: Float[np.ndarray, "v 3"] | None = None,
        shift: Triple = (0.0, 0.0, 0.0),
    ) -> None:
        """A surface by that name; what had it before is replaced. Without colours it is of clay."""
        if not len(mesh.faces):
            self.remove(name)
            return
        data = as_glb(Mesh(self.frame.apply(mesh.vertices), mesh.faces), colours, normals)
        self.server.scene.add_glb(name, data, position=shift, cast_shadow=False, receive_shadow=False)

    def veil(self, name: str, mesh: Mesh) -> None:
        """A surface that one sees through."""
        vertices = self.frame.apply(mesh.vertices)
        self.server.scene.add_mesh_simple(
            name, vertices, mesh.faces, color=(66, 99, 235), opacity=0.3, side="double", cast_shadow=False
        )

    def wires(self, name: str, mesh: Mesh) -> None:
        """The edges of all faces."""
        vertices = self.frame.apply(mesh.vertices)
        self.server.scene.add_mesh_simple(name, vertices, mesh.faces, color=(60, 60, 60), wireframe=True)

    def points(
        self, name: str, points: Float[np.ndarray, "n 3"], colours: UInt8[np.ndarray, "n 3"] | None = None
    ) -> None:
        """A cloud, with dots about as large as the way between neighbours."""
        size = float(np.clip(1.2 / max(1, len(points)) ** 0.5, 0.002, 0.02))
        self.server.scene.add_point_cloud(
            name,
            self.frame.apply(points).astype(np.float32),
            (110, 110, 120) if colours is None else colours,
            point_size=size,
            point_shape="circle",
            precision="float32",
        )

    def lines(self, name: str, ends: Float[np.ndarray, "s 2 3"], colour: tuple[int, int, int]) -> None:
        """Straight lines."""
        moved = self.frame.apply(ends.reshape(-1, 3)).reshape(-1, 2, 3)
        self.server.scene.add_line_segments(name, moved, colour, thickness=1.5, thickness_units="screen")

    def box(self, name: str, box: Box) -> None:
        """The edges of a box."""
        sides = np.array([box.low, box.high])
        corners = np.array([[sides[corner >> axis & 1, axis] for axis in range(3)] for corner in range(8)])
        self.lines(name, corners[np.array(_EDGES)], (47, 158, 68))

    def cameras(
        self,
        name: str,
        cameras: Cameras,
        pictures: Sequence[UInt8[np.ndarray, "_ _ 3"] | None],
        colour: tuple[int, int, int],
        size: float = FRUSTUM,
    ) -> list[viser.CameraFrustumHandle]:
        """Pyramids that stand for cameras, with their pictures where there are some."""
        places = self.frame.apply(cameras.position().numpy())
        return [
            self.server.scene.add_camera_frustum(
                f"{name}/{view:04d}",
                fov=fov_of(cameras, view),
                aspect=cameras.width / cameras.height,
                scale=size,
                thickness=1.0,
                thickness_units="screen",
                color=colour,
                image=pictures[view],
                jpeg_quality=80,
                wxyz=orientation(cameras, view),
                position=places[view],
                cast_shadow=False,
                receive_shadow=False,
            )
            for view in range(len(cameras))
        ]

    def label(self, name: str, text: str, place: Triple) -> None:
        """A line of text in the view, at a place of the frame shown."""
        self.server.scene.add_label(name, plain_name(text), position=place)

    def remove(self, name: str) -> None:
        """Take away what has this name, if anything has."""
        self.server.scene.remove_by_name(name)


def plain_name(text: str) -> str:
    """A name from a file as one short line of printable characters."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= MOST_NAME else f"...{line[3 - MOST_NAME :]}"


def orientation(cameras: Cameras, view: int) -> Float[np.ndarray, "4"]:
    """The quaternion (w, x, y, z) of a camera with OpenCV's axes."""
    return transforms.SO3.from_matrix((cameras.pose[view, :, :3] * _OPENCV).numpy()).wxyz


def camera_at(
    wxyz: Float[np.ndarray, "4"], position: Float[np.ndarray, "3"], fov: float, width: int, height: int
) -> Cameras:
    """The camera of a browser, its place given in the content's frame."""
    turn = torch.from_numpy(transforms.SO3(np.asarray(wxyz, dtype=np.float64)).as_matrix()) * _OPENCV
    pose = torch.cat([turn, torch.from_numpy(np.asarray(position, dtype=np.float64))[:, None]], dim=1)[None]
    focal = height / 2 / float(np.tan(fov / 2))
    return Cameras(
        pose,
        torch.full((1, 2), focal).double(),
        torch.tensor([[width / 2, height / 2]]).double(),
        torch.zeros(1, 4).double(),
        height,
        width,
    )


def as_glb(
    mesh: Mesh, colours: UInt8[np.ndarray, "v 3"] | None = None, normals: Float[np.ndarray, "v 3"] | None = None
) -> bytes:
    """A mesh as binary glTF, with the mesh's own normals where no better ones are given."""
    shown = trimesh.Trimesh(
        mesh.vertices.astype(np.float32),
        mesh.faces,
        vertex_normals=mesh_normals(mesh) if normals is None else normals,
        vertex_colors=np.broadcast_to(np.array(CLAY, np.uint8), mesh.vertices.shape) if colours is None else colours,
        process=False,
    )
    data = export_glb(trimesh.Scene({"surface": shown}), include_normals=True)
    assert isinstance(data, bytes)
    return data


def framing(box: Box) -> Similarity:
    """The transform that brings a box into [-1, 1]^3."""
    return Similarity(box.centre, 1 / max(box.half))


def axis_of(cameras: Cameras, view: int, target: Float[Tensor, "3"]) -> tuple[Float[Tensor, "3"], Float[Tensor, "3"]]:
    """A camera's place, and the point on its axis that is as far ahead as the target."""
    position, ahead = cameras.position()[view], cameras.forward()[view]
    return position, position + max(float((target - position) @ ahead), 1e-6) * ahead


def fov_of(cameras: Cameras, view: int) -> float:
    """Angle from the top to the bottom of a camera's pictures."""
    return 2 * float(torch.atan(cameras.height / 2 / cameras.focal[view, 1]))
