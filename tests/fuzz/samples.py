"""Small valid files of every kind that recon reads, made in memory, to be damaged."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import io
import json
import math
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from PIL import Image
from tiny_job import TinyJob

from recon.fields import FIELDS
from recon.geometry import Box, Mesh, Space
from recon.scenes.read import read_scene
from recon.shapes.load import PointCloud
from recon.shapes.shape import from_mesh, from_points
from recon.signals import store
from recon.signals.segments import Segments, write_segments
from recon.signals.signal import Signal
from recon.signals.write import write_signal
from recon.tasks.nerf import reference as scene_reference
from recon.tasks.nerf.job import build_lit
from recon.tasks.nerf.settings import NerfSettings
from recon.tasks.nerf.settings import preset as scene_preset
from recon.tasks.shape import reference as shape_reference
from recon.tasks.shape.settings import preset as shape_preset
from recon.training import checkpoint
from recon.training.loop import train
from recon.training.plan import TrainConfig
from recon.training.run import Run
from recon.training.settings import to_plain

Files = dict[str, bytes]
"""A valid input: contents by path."""
CUBE = Box((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))
VIEWS, WIDTH, HEIGHT, FOCAL = 3, 8, 6, 9.0
SMALL: dict[str, dict[str, Any]] = {
    "siren": {"width": 8, "layers": 2},
    "hash-grid": {"levels": 2, "table_log2": 6, "coarsest": 2, "finest": 4, "width": 4},
    "neural-experts": {"expert_width": 4, "encoder_width": 8, "manager_width": 4, "manager_encoder_width": 4},
    "loe": {"width": 4, "layers": 3, "frequencies": 2, "tiles": (2, 2, 2)},
}
PLAN = TrainConfig(steps=4, batch=16, checkpoint_every=2)


def files_of(write: Callable[[Path], object]) -> Files:
    """What a function writes into an empty folder."""
    with tempfile.TemporaryDirectory() as name:
        write(Path(name))
        return {str(p.relative_to(name)): p.read_bytes() for p in sorted(Path(name).rglob("*")) if p.is_file()}


# -- meshes and clouds ------------------------------------------------------------------------------------------------

BOX = trimesh.creation.box(extents=(1, 2, 3))


def mesh(suffix: str, **options: Any) -> list[Files]:
    """A box in one of trimesh's formats."""
    data = BOX.export(file_type=suffix, **options)
    return [{f"mesh.{suffix.split('_', maxsplit=1)[0]}": data if isinstance(data, bytes) else data.encode()}]


def gltf() -> list[Files]:
    """A box as one .gltf, its numbers inside, and a scene of two nodes."""
    scene = trimesh.Scene()
    scene.add_geometry(BOX, node_name="a", geom_name="box")
    scene.graph.update(frame_to="b", matrix=np.diag([-1.0, 2, 1, 1]), geometry="box")
    parts = scene.export(file_type="gltf")
    root = json.loads(parts["model.gltf"])
    for buffer in root["buffers"]:
        buffer["uri"] = "data:application/octet-stream;base64," + _base64(parts[buffer["uri"]])
    return [{"mesh.gltf": json.dumps(root).encode()}]


def glb() -> list[Files]:
    """Two nodes of one box."""
    scene = trimesh.Scene()
    scene.add_geometry(BOX, node_name="a", geom_name="box")
    scene.graph.update(frame_to="b", matrix=np.diag([-1.0, 2, 1, 1]), geometry="box")
    return [{"mesh.glb": scene.export(file_type="glb")}]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def ply(order: str) -> list[Files]:
    """A cube of mixed polygons with extra columns, and a cloud."""
    corners = [[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    faces = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7], [1, 7, 3]]
    found = []
    for polygons in (faces, [f for f in faces if len(f) == 4]):
        head = f"ply\nformat {order} 1.0\ncomment made\nelement vertex 8\n"
        head += "".join(f"property float {axis}\n" for axis in "xyz") + f"element face {len(polygons)}\n"
        head += "property uchar flags\nproperty list uchar int vertex_indices\nend_header\n"
        if order == "ascii":
            rows = [" ".join(map(str, row)) for row in corners] + [
                f"7 {len(p)} {' '.join(map(str, p))}" for p in polygons
            ]
            body = ("\n".join(rows) + "\n").encode()
        else:
            way = "<" if "little" in order else ">"
            body = np.array(corners, way + "f4").tobytes()
            body += b"".join(struct.pack(f"{way}BB{len(p)}i", 7, len(p), *p) for p in polygons)
        found.append({"mesh.ply": head.encode() + body})
    return [*found, _cloud(order)]


def _cloud(order: str) -> Files:
    rows = np.array([[0, 0, 0, 0, 0, 1], [1, 1, 1, 0, 2, 0]], "<f4" if "little" in order else ">f4")
    head = f"ply\nformat {order} 1.0\nelement vertex 2\n"
    head += "".join(f"property float {name}\n" for name in ("x", "y", "z", "nx", "ny", "nz")) + "end_header\n"
    body = rows.tobytes() if order != "ascii" else "\n".join(" ".join(map(str, r)) for r in rows.tolist()).encode()
    return {"mesh.ply": head.encode() + body}


def off() -> list[Files]:
    """The header's two forms."""
    data = BOX.export(file_type="off").encode()
    return [
        {"mesh.off": data},
        {
            "mesh.off": b"OFF8 2 0\n"
            + b"".join(b"%d %d %d\n" % (n & 1, n >> 1 & 1, n >> 2) for n in range(8))
            + b"4 0 1 2 3 255 0 0\n3 4 5 6\n# end\n"
        },
    ]


def obj() -> list[Files]:
    """A box, and faces with seams, references and negative indices."""
    text = "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nf 1/1 2/1 3/1\nv 0 0 1\nusemtl b\nf -1/2/ -3//1 -4/1/1\n"
    return [*mesh("obj"), {"mesh.obj": text.encode()}]


def xyz() -> list[Files]:
    """Rows of a cloud."""
    return [{"mesh.xyz": b"# x y z nx ny nz\n0 0 0  0 0 2\n1,0,0, 0,3,0\n0 1 0  1 0 0  255 255 255\n"}]


# -- scenes -----------------------------------------------------------------------------------------------------------


def poses() -> np.ndarray:
    """Some cameras around the origin, looking at it."""
    turns = np.arange(VIEWS) * 1.3
    back = np.stack([np.cos(turns) * 0.8, np.sin(turns) * 0.8, np.full(VIEWS, 0.6)], axis=1)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    return np.stack([right, np.cross(back, right), back, 2.5 * back], axis=2)


def picture(kind: str = "PNG", mode: str = "RGBA", **options: Any) -> bytes:
    """A small picture of some kind."""
    values = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
    image = Image.fromarray(values)
    if mode == "I;16":
        image = Image.fromarray(values[..., 0].astype(np.uint16) * 257)
    (image if mode == "I;16" else image.convert(mode)).save(buffer := io.BytesIO(), kind, **options)
    return buffer.getvalue()


def pictures(folder: str, names: list[str]) -> Files:
    """The same picture under several names."""
    return {f"{folder}/{name}.png": picture(mode="RGB") for name in names}


NAMES = [f"v{view}" for view in range(VIEWS)]


def _frames(form: str) -> list[dict[str, Any]]:
    square = [[*pose, [0.0, 0.0, 0.0, 1.0]] for pose in poses().tolist()]
    return [{"file_path": form.format(n), "transform_matrix": m} for n, m in zip(NAMES, square, strict=True)]


def blender() -> list[Files]:
    """Two views to train, one to test."""
    found = pictures("pictures", NAMES)
    for split, frames in (("train", _frames("./pictures/{}")[1:]), ("test", _frames("./pictures/{}")[:1])):
        angle = 2 * math.atan(WIDTH / 2 / FOCAL)
        found[f"transforms_{split}.json"] = json.dumps({"camera_angle_x": angle, "frames": frames}).encode()
    return [found]


def transforms() -> list[Files]:
    """As instant-ngp writes it, and as nerfstudio does, with its own lists, masks and a split."""
    lens = {"fl_x": FOCAL, "fl_y": FOCAL, "cx": 4.0, "cy": 3.0, "w": WIDTH, "h": HEIGHT, "k1": 0.01, "p2": 0.001}
    shots = pictures("images", NAMES)
    ngp = {**lens, "camera_angle_x": 0.8, "aabb_scale": 4, "frames": _frames("images/{}.png")}
    names = [f"images/{name}.png" for name in NAMES]
    studio = {
        **lens,
        "camera_model": "OPENCV",
        "applied_transform": poses()[0].tolist(),
        "ply_file_path": "sparse_pc.ply",
        "train_filenames": names[1:],
        "test_filenames": names[:1],
        "frames": [{**f, "mask_path": "masks/m.png", "colmap_im_id": 1} for f in _frames("images/{}.png")],
    }
    split = {"train": names[1:], "test": names[:1]}
    one = {**shots, "transforms.json": json.dumps(ngp).encode()}
    return [
        {**one, "split.json": json.dumps(split).encode()},
        {**shots, **pictures("masks", ["m"]), "transforms.json": json.dumps(studio).encode()},
    ]


def nsvf() -> list[Files]:
    """Poses of OpenCV's axes, intrinsics in two forms, a box."""
    found = pictures("rgb", [f"{int(view == 0)}_{name}" for view, name in enumerate(NAMES)])
    for view, pose in enumerate(poses()):
        square = np.eye(4)
        square[:3] = pose * [1, -1, -1, 1]
        rows = "\n".join(" ".join(map(repr, row)) for row in square.tolist())
        found[f"pose/{int(view == 0)}_{NAMES[view]}.txt"] = rows.encode()
    found["bbox.txt"] = b"-1 -1 -1 1 1 1 0.1\n"
    square = f"{FOCAL} 0 4 0\n0 {FOCAL} 3 0\n0 0 1 0\n0 0 0 1\n".encode()
    return [{**found, "intrinsics.txt": square}, {**found, "intrinsics.txt": f"{FOCAL} 4. 3. 0.\n0. 0. 0.\n".encode()}]


def llff() -> list[Files]:
    """poses_bounds.npy in both precisions."""
    right, up, back, position = np.moveaxis(poses(), 2, 0)
    size = np.broadcast_to([HEIGHT, WIDTH, FOCAL], position.shape)
    camera = np.stack([-up, right, back, position, size], axis=2).reshape(-1, 15)
    rows = np.concatenate([camera, np.broadcast_to([1.0, 9.0], (VIEWS, 2))], axis=1)
    found = []
    for kind in (np.float64, np.float32):
        np.save(buffer := io.BytesIO(), rows.astype(kind))
        found.append({**pictures("images", NAMES), "poses_bounds.npy": buffer.getvalue()})
    return found


def _world_to_camera() -> list[list[float]]:
    """Quaternion and shift, of cameras that look along their own axes: rotations about z, to keep this short."""
    turns = [0.0, 0.5, 1.0]
    return [[math.cos(t), 0.0, 0.0, math.sin(t), 0.1 * t, 0.2, 3.0] for t in turns]


def colmap_binary() -> list[Files]:
    """A model of some pictures and thirty points."""
    cameras = struct.pack("<QiiQQ4d", 1, 3, 1, WIDTH, HEIGHT, FOCAL, FOCAL, 4.0, 3.0)
    views = struct.pack("<Q", VIEWS)
    for number, (name, row) in enumerate(zip(NAMES, _world_to_camera(), strict=True)):
        views += struct.pack("<i7di", number, *row, 3) + f"{name}.png".encode() + b"\0"
        views += struct.pack("<Qddq", 1, 1.5, 2.5, 7)
    points = struct.pack("<Q", 30)
    for number in range(30):
        points += struct.pack("<Q3d3BdQii", number, number % 3 * 0.1, 0.2, 0.01 * number, 1, 2, 3, 0.5, 1, 2, 0)
    model = {"cameras": cameras, "images": views, "points3D": points}
    return [{**pictures("images", NAMES), **{f"sparse/0/{stem}.bin": data for stem, data in model.items()}}]


def colmap_text() -> list[Files]:
    """The same in words."""
    lines = ["# images"]
    for number, (name, row) in enumerate(zip(NAMES, _world_to_camera(), strict=True)):
        lines += [" ".join(map(repr, [number, *row, 3])) + f" {name}.png", "" if number % 2 else "1.5 2.5 7"]
    points = [f"{i} {i % 3 * 0.1!r} 0.2 {0.01 * i!r} 1 2 3 0.5 1 2" for i in range(30)]
    model = {"cameras": f"# cameras\n3 OPENCV {WIDTH} {HEIGHT} {FOCAL} {FOCAL} 4.0 3.0 0.01 0 0 0\n"}
    model |= {"images": "\n".join(lines) + "\n", "points3D": "\n".join(points)}
    return [{**pictures("images", NAMES), **{f"sparse/0/{k}.txt": text.encode() for k, text in model.items()}}]


def pictures_alone() -> list[Files]:
    """One file of every kind that is decoded, each with what its kind can hold."""
    kinds = [("png", "PNG", "RGBA"), ("png", "PNG", "P"), ("png", "PNG", "I;16"), ("jpg", "JPEG", "RGB")]
    kinds += [("jpg", "JPEG", "CMYK"), ("webp", "WEBP", "RGBA"), ("bmp", "BMP", "RGB"), ("tif", "TIFF", "RGB")]
    kinds += [("tif", "TIFF", "I;16"), ("ppm", "PPM", "RGB"), ("avif", "AVIF", "RGB")]
    found = [{f"picture.{suffix}": picture(kind, mode)} for suffix, kind, mode in kinds]
    packed = {"picture.tif": picture("TIFF", "RGB", compression="tiff_lzw")}
    return [*found, packed, {"picture.ppm": b"P3\n2 2\n255\n" + b"1 2 3 " * 4}]


# -- signals ----------------------------------------------------------------------------------------------------------


def _noise(kind: str, *shape: int) -> np.ndarray:
    values = np.random.default_rng(0).random(shape, np.float32)
    return values if kind == "float32" else (values * np.iinfo(kind).max).astype(kind)


def _signal(name: str, like: Signal) -> Files:
    return files_of(lambda folder: write_signal(folder / name, like.values, like))


def signal_images(suffix: str) -> list[Files]:
    """Images of every kind of number that a format holds."""
    kinds = {".png": ("uint8", "uint16"), ".tif": ("uint8", "uint16", "float32")}.get(suffix, ("float32",))
    channels = (3,) if suffix == ".hdr" else (1, 3, 4)
    images = [Signal("a", "image", _noise(kind, 8, 9, c), suffix) for kind in kinds for c in channels]
    return [_signal(f"signal{suffix}", image) for image in images]


def sounds(suffix: str) -> list[Files]:
    """Short sounds, by how they are stored."""
    kinds = {".wav": ("PCM_16", "PCM_24", "FLOAT", "ULAW"), ".flac": ("PCM_16", "PCM_24"), ".ogg": ("VORBIS",)}[suffix]
    made = [Signal("a", "sound", _noise("float32", 400, 2), suffix, 8000.0, subtype=kind) for kind in kinds]
    return [_signal(f"signal{suffix}", sound) for sound in made]


def films() -> list[Files]:
    """Two frames in some containers."""
    made = [Signal("a", "video", _noise("uint8", 2, 16, 16, 3), end, 10.0) for end in (".mp4", ".mkv", ".gif", ".avi")]
    return [_signal(f"signal{film.suffix}", film) for film in made]


def frames() -> list[Files]:
    """A folder of three frames."""
    return [_signal("signal", Signal("a", "video", _noise("uint16", 3, 6, 5, 3), ".png", 24.0, subtype="folder"))]


def signal_references() -> list[Files]:
    """An image, a sound and a video, stored in a run."""
    image = Signal("a", "image", _noise("uint16", 3, 4, 3), ".png", 0.0, "/data/a.png", 99, ("a note",))
    sound = Signal("b", "sound", _noise("float32", 50, 1), ".wav", 8000.0, subtype="PCM_16")
    video = Signal("c", "video", _noise("uint8", 2, 3, 4, 3), ".mp4", 25.0)
    return [files_of(lambda folder, s=s: store.write_store(folder, s)) for s in (image, sound, video)]


TONE = Signal("b", "sound", np.zeros((50, 1), np.float32), ".wav", 100.0)
PATCH = Signal("a", "image", np.zeros((3, 4, 3), np.uint8), ".png")


def segment_times() -> list[Files]:
    """Who speaks when."""
    rows = [{"start": 0.1, "end": 0.25, "label": 1}, {"start": 0.25, "end": 4, "label": "two"}]
    return [{"segments.json": json.dumps(rows).encode()}]


def segment_pictures() -> list[Files]:
    """What lies where."""
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4, 1) % 3 * np.ones(3, np.uint8)
    return [_signal("segments.png", Signal("s", "image", labels, ".png"))]


def segments_stored() -> list[Files]:
    """Both, stored in a run."""
    kept = Segments(np.arange(12, dtype=np.int16).reshape(3, 4) % 3, ("a", "b", "rest"))
    return [files_of(lambda folder: write_segments(folder, kept))]


# -- runs -------------------------------------------------------------------------------------------------------------


def log() -> bytes:
    """Rows as training writes them, with a rollback."""
    rows: list[dict[str, Any]] = [
        {
            "step": step,
            "stage": "all",
            "loss": 1 / step,
            "rate": 1e-3,
            "losses": {"sdf": 1 / step},
            "peak_memory": 10**9,
        }
        for step in (1, 20, 40)
    ]
    rows += [{"event": "rolled back", "step": 40, "from_step": 20, "reason": "a loss"}, {"step": 30, "loss": 0.1}]
    return b"".join(json.dumps(row).encode() + b"\n" for row in [*rows, {"event": "done", "step": 60, "reason": ""}])


def metrics(task: str) -> dict[str, Any]:
    """Scores of a finished run."""
    about = {"task": task, "data": "box", "field": "siren", "preset": "quick", "params": 1000, "macs": 900, "steps": 60}
    about |= {"seconds": 9.0, "status": "done", "device": "cpu", "protocol": "default", "resolution": 32}
    about |= {"files": {"mesh": "mesh.ply", "images": {"views": "images/views.png"}}, "timings": {"training": 3.0}}
    if task == "nerf":
        rows = [{"file": "rgb/1.png", "split": "test", "psnr": 20.0 + n, "ssim": 0.8, "lpips": None} for n in range(3)]
        return {**about, "scores": {"psnr": 21.0, "ssim": 0.8, "lpips": None}, "rows": rows, "views": 3}
    return {
        **about,
        "scores": {"iou": 0.9, "chamfer_l1": 1e-3},
        "definitions": {"iou": "shared volume"},
        "warnings": ["w"],
    }


def run(task: str, reference: Files) -> Files:
    """A run's records, its reference and one picture; without weights."""
    settings = to_plain(scene_preset("quick", "loe") if task == "nerf" else shape_preset("sdf", "quick", "siren"))
    config = {
        "task": task,
        "data": "box",
        "field": "loe" if task == "nerf" else "siren",
        "created": "2026-01-01T00:00:00",
    }
    config |= {"settings": {**settings, "preset": "quick", "precision": "float32"}, "versions": {"recon": "0.1"}}
    records = {"config.json": config, "metrics.json": metrics(task)}
    found = {name: json.dumps(data).encode() for name, data in records.items()}
    return {
        **found,
        "log.jsonl": log(),
        "images/views.png": picture(),
        "images/training/20.png": picture(),
        **reference,
    }


def shape_references() -> list[Files]:
    """A mesh with the doctor's report, and a cloud."""
    corners = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    solid = from_mesh("box", Mesh(corners, np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])))
    cloud = from_points("cloud", PointCloud(corners, corners / np.sqrt(3)))
    return [files_of(lambda folder, s=s: shape_reference.write_reference(folder, s)) for s in (solid, cloud)]


def scene_references() -> list[Files]:
    """A scene in a box."""

    def write(folder: Path) -> None:
        for name, data in nsvf()[0].items():
            (folder / "scene" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "scene" / name).write_bytes(data)
        scene = read_scene(folder / "scene")
        stored = scene_reference.reference_of(scene, Space("box", scene.box or CUBE), 1)
        scene_reference.write_reference(folder, replace(stored, folder=Path("/data/scene")))

    return [{scene_reference.NAME: files_of(write)[scene_reference.NAME]}]


def shape_runs() -> list[Files]:
    """Records of a shape's run."""
    return [run("sdf", shape_references()[0])]


def scene_runs() -> list[Files]:
    """Records of a scene's run."""
    return [run("nerf", scene_references()[0])]


def trained() -> list[Files]:
    """A run with two checkpoints of a tiny job."""

    def write(folder: Path) -> None:
        run = Run(folder / "run")
        run.folder.mkdir()
        config = {"task": "sdf", "data": "tiny", "field": "siren", "settings": {}}
        (run.folder / "config.json").write_text(json.dumps(config))
        train(TinyJob(), PLAN, run, quiet=True)

    # What tells times is left out: it differs from one making to the next, and inputs must not.
    found = {
        name: data for name, data in files_of(write).items() if "checkpoint" in name or name.endswith("config.json")
    }
    for name in list(found):
        if name.endswith(checkpoint.STATE):
            found[name] = json.dumps({**json.loads(found[name]), "seconds": 1.0}).encode()
    return [repaired(found)]


def trained_runs() -> list[Files]:
    """Runs of small networks, with weights: three of a shape, one of a scene."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return [_trained_run(name, small) for name, small in SMALL.items()]


def _trained_run(name: str, small: dict[str, Any]) -> Files:
    config = replace(FIELDS[name], **small)
    task, reference = ("nerf", scene_references()[0]) if name == "loe" else ("sdf", shape_references()[0])
    settings = replace(
        scene_preset("quick", name) if task == "nerf" else shape_preset("sdf", "quick", name), field=config
    )
    if isinstance(settings, NerfSettings):
        settings = replace(settings, rays=replace(settings.rays, grid=4))
        space = Space("box", CUBE)
        state = {f"lit.{key}": value for key, value in build_lit(settings, space).state_dict().items()}
    else:
        state = config.build(3, 1).state_dict()
    weights = files_of(lambda folder, s=state: checkpoint.save(folder / "checkpoint", s, {}, {}, {"step": 3}))
    about = {"task": task, "data": "box", "field": name, "settings": {**to_plain(settings), "preset": "quick"}}
    return {"config.json": json.dumps(about).encode(), **weights, **reference}


def repaired(files: Files) -> Files:
    """Hashes of checkpoints made right again, as whoever forges one would."""
    found = dict(files)
    for name in [name for name in files if name.endswith(checkpoint.STATE)]:
        folder = name.rpartition("/")[0]
        try:
            state = json.loads(files[name])
            for part in (checkpoint.MODEL, checkpoint.OPTIMIZER):
                data = files[f"{folder}/{part}"]
                state["files"][part] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            state.pop("checksum", None)
            state["checksum"] = hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
            found[name] = json.dumps(state).encode()
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
    return found


# -- archives ---------------------------------------------------------------------------------------------------------


def archives(kind: str) -> list[Files]:
    """Two files in folders, or one alone."""
    members = {"a/b.txt": b"hello " * 40, "a/c.bin": bytes(range(256)), "d": b""}
    text = b"ply\n" * 50
    if kind in ("gz", "bz2"):
        return [{f"archive.{kind}": gzip.compress(text, mtime=0) if kind == "gz" else bz2.compress(text)}]
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in members.items():
                file.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        return [{"archive.zip": buffer.getvalue()}]
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return [{"archive.tar": buffer.getvalue()}]
