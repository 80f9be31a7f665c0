"""A small scene, a ball seen by cameras around it, drawn by its closed form and written in every layout by hand."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

RADIUS = 0.5
WIDTH, HEIGHT, FOCAL, CX, CY = 32, 24, 40.0, 16.5, 11.5


@dataclass
class Rig:
    """v cameras at distance 2 to 3 from the origin, looking at it; poses in OpenGL's axes."""

    poses: np.ndarray
    pictures: list[np.ndarray]

    def names(self) -> list[str]:
        return [f"view_{view:02d}" for view in range(len(self.poses))]

    def save(self, folder: Path, names: list[str], alpha: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, picture in zip(names, self.pictures, strict=True):
            Image.fromarray(picture if alpha else picture[..., :3].copy()).save(folder / f"{name}.png")

    def matrices(self) -> list[list[list[float]]]:
        return [[*pose.tolist(), [0.0, 0.0, 0.0, 1.0]] for pose in self.poses]

    def write(self, layout: str, folder: Path) -> Path:
        getattr(self, layout)(folder)
        return folder

    def nsvf(self, folder: Path) -> None:
        prefix = [f"{int(view % 8 == 0)}_{name}" for view, name in enumerate(self.names())]
        self.save(folder / "rgb", prefix)
        (folder / "pose").mkdir()
        for name, matrix in zip(prefix, self.matrices(), strict=True):
            np.savetxt(folder / "pose" / f"{name}.txt", np.array(matrix) @ np.diag([1.0, -1.0, -1.0, 1.0]))
        np.savetxt(folder / "intrinsics.txt", [[FOCAL, 0, CX, 0], [0, FOCAL, CY, 0], [0, 0, 1, 0], [0, 0, 0, 1]])

    def blender(self, folder: Path) -> None:
        self.save(folder / "pictures", self.names())
        for split, chosen in (("train", False), ("test", True)):
            frames = [
                {"file_path": f"./pictures/{name}", "transform_matrix": matrix}
                for view, (name, matrix) in enumerate(zip(self.names(), self.matrices(), strict=True))
                if (view % 8 == 0) == chosen
            ]
            facts = {"camera_angle_x": 2 * np.arctan(WIDTH / 2 / FOCAL), "cx": CX, "cy": CY, "frames": frames}
            (folder / f"transforms_{split}.json").write_text(json.dumps(facts))

    def ngp(self, folder: Path, **facts: object) -> None:
        self.save(folder / "images", self.names())
        frames = [
            {"file_path": f"images/{name}.png", "transform_matrix": matrix}
            for name, matrix in zip(self.names(), self.matrices(), strict=True)
        ]
        shared = {"fl_x": FOCAL, "fl_y": FOCAL, "cx": CX, "cy": CY, "w": WIDTH, "h": HEIGHT, **facts}
        (folder / "transforms.json").write_text(json.dumps({**shared, "frames": frames}))

    def llff(self, folder: Path) -> None:
        self.save(folder / "images", self.names())
        right, up, back, position = np.moveaxis(self.poses, 2, 0)
        hwf = np.broadcast_to([HEIGHT, WIDTH, FOCAL], position.shape)
        camera = np.stack([-up, right, back, position, hwf], axis=2).reshape(-1, 15)
        bounds = np.broadcast_to([1.0, 9.0], (len(camera), 2))
        np.save(folder / "poses_bounds.npy", np.concatenate([camera, bounds], axis=1))

    def world_to_camera(self) -> list[tuple[list[float], list[float]]]:
        """Quaternions (w, x, y, z) and shifts, as COLMAP states them."""
        found = []
        for pose in self.poses:
            rotation = (pose[:, :3] * [1, -1, -1]).T
            found.append((quaternion(rotation), (-rotation @ pose[:, 3]).tolist()))
        return found

    def colmap_text(self, folder: Path, model: str = "sparse/0") -> None:
        self.save(folder / "images", self.names())
        top = folder / model
        top.mkdir(parents=True)
        (top / "cameras.txt").write_text(f"# cameras\n3 PINHOLE {WIDTH} {HEIGHT} {FOCAL} {FOCAL} {CX} {CY}\n")
        lines = ["# images"]
        for number, (name, (q, t)) in enumerate(zip(self.names(), self.world_to_camera(), strict=True)):
            lines += [" ".join(map(repr, [number, *q, *t, 3])) + f" {name}.png", "" if number % 2 else "1.5 2.5 7"]
        (top / "images.txt").write_text("\n".join(lines) + "\n")
        points = ball_points(50)
        rows = [f"{i} {x!r} {y!r} {z!r} 1 2 3 0.5 1 2" for i, (x, y, z) in enumerate(points.tolist())]
        (top / "points3D.txt").write_text("\n".join(rows))

    def colmap_binary(self, folder: Path, model: str = "sparse/0", count: int | None = None) -> None:
        self.save(folder / "images", self.names())
        top = folder / model
        top.mkdir(parents=True)
        lens = struct.pack("<QiiQQ4d", 1, 3, 1, WIDTH, HEIGHT, FOCAL, FOCAL, CX, CY)
        (top / "cameras.bin").write_bytes(lens)
        views = list(zip(self.names(), self.world_to_camera(), strict=True))[:count]
        data = struct.pack("<Q", len(views))
        for number, (name, (q, t)) in enumerate(views):
            data += struct.pack("<i7di", number, *q, *t, 3) + f"{name}.png".encode() + b"\0"
            data += struct.pack("<Q", 1) + struct.pack("<ddq", 1.5, 2.5, 7)
        (top / "images.bin").write_bytes(data)
        data = struct.pack("<Q", 50)
        for number, (x, y, z) in enumerate(ball_points(50).tolist()):
            data += struct.pack("<Q3d3BdQii", number, x, y, z, 1, 2, 3, 0.5, 1, 2, 0)
        (top / "points3D.bin").write_bytes(data)


def ball_points(n: int) -> np.ndarray:
    x = np.random.default_rng(3).normal(size=(n, 3))
    return RADIUS * x / np.linalg.norm(x, axis=1, keepdims=True)


def quaternion(rotation: np.ndarray) -> list[float]:
    """From the eigenvector of Bar-Itzhack's matrix: not the formula of the reader."""
    (a, b, c), (d, e, f), (g, h, i) = rotation.tolist()
    matrix = np.array(
        [
            [a - e - i, b + d, c + g, h - f],
            [b + d, e - a - i, f + h, c - g],
            [c + g, f + h, i - a - e, d - b],
            [h - f, c - g, d - b, a + e + i],
        ]
    )
    x, y, z, w = np.linalg.eigh(matrix / 3)[1][:, -1].tolist()
    return [w, x, y, z]


def looking_at_origin(position: np.ndarray) -> np.ndarray:
    back = position / np.linalg.norm(position)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(back, right), back, position], axis=1)


def picture_of_ball(pose: np.ndarray) -> np.ndarray:
    """A ball around the origin, coloured by its normals, alpha 0 around it."""
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    local = np.stack([(x - CX) / FOCAL, -(y - CY) / FOCAL, -np.ones_like(x)], axis=-1)
    direction = local @ pose[:, :3].T
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    origin = pose[:, 3]
    along = -direction @ origin
    inside = along**2 - origin @ origin + RADIUS**2
    depth = along - np.sqrt(np.maximum(inside, 0))
    normal = (origin + depth[..., None] * direction) / RADIUS
    colour = np.where(inside[..., None] > 0, 127.5 * (normal + 1), 0)
    return np.concatenate([colour, np.where(inside > 0, 255, 0)[..., None]], axis=-1).astype(np.uint8)


def make_rig(views: int = 16, seed: int = 0) -> Rig:
    rng = np.random.default_rng(seed)
    positions = rng.normal(size=(views, 3))
    positions *= rng.uniform(2, 3, size=(views, 1)) / np.linalg.norm(positions, axis=1, keepdims=True)
    poses = np.stack([looking_at_origin(position) for position in positions])
    return Rig(poses, [picture_of_ball(pose) for pose in poses])


@pytest.fixture(scope="session")
def rig() -> Rig:
    return make_rig()


@pytest.fixture(scope="session")
def rig_of():
    return make_rig
