"""Scenes and flags that cannot work: one clear line, exit code 2 (3: not installed), and nothing half-written."""

import json
import runpy
import shutil
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

RIG = Path(__file__).parents[1] / "scenes" / "conftest.py"
TINY = ("--field", "voxel", "--field.resolution", "12", "--steps", "2", "--rays.steps", "16", "--rays.grid", "8")
TINY += ("--train.batch", "64", "--threads", "1")


@pytest.fixture(scope="session")
def shelf(tmp_path_factory) -> Path:
    """The ball in three layouts, to be copied and spoilt."""
    folder, rig = tmp_path_factory.mktemp("shelf"), runpy.run_path(str(RIG))["make_rig"](8)
    for layout in ("nsvf", "blender", "ngp", "llff", "colmap_text"):
        rig.write(layout, folder / layout)
    return folder


@pytest.fixture(autouse=True)
def _one_gigabyte(monkeypatch):
    """A machine on which it is cheap to ask for too much."""
    from recon import memory  # noqa: PLC0415

    monkeypatch.setattr(memory, "total_bytes", lambda: 2.0**30)


def refused(result, *said, code=2):
    """As a person sees it: nothing on standard output, no traceback, and the last line says what is wrong."""
    assert result.code == code, result.err
    assert result.out == "" and "Traceback" not in result.err
    last = result.err.strip().splitlines()[-1]
    assert last.startswith("recon: ")
    for text in said:
        assert text in last, last


def edit(path, change):
    facts = json.loads(path.read_text())
    change(facts)
    path.write_text(json.dumps(facts))


def pose_of(folder, change):
    """Changes the pose of NSVF's third view."""
    path = sorted((folder / "pose").iterdir())[2]
    pose = np.loadtxt(path)
    np.savetxt(path, change(pose))


def bomb(path):
    """A valid PNG header of 60000 x 60000 pixels, and next to nothing behind it."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)


def first(folder):
    return sorted(folder.rglob("*.png"))[0]


SPOILT = {
    "a missing picture": ("blender", lambda f: first(f).unlink(), ["view_00"]),
    "no pictures": ("nsvf", lambda f: [path.unlink() for path in (f / "rgb").iterdir()], []),
    "only missing pictures": ("ngp", lambda f: shutil.rmtree(f / "images"), []),
    "fewer pictures than poses": ("llff", lambda f: first(f).unlink(), ["7", "8"]),
    "an unreadable picture": (
        "nsvf",
        lambda f: first(f).write_text("shall I compare thee"),
        ["not a readable picture"],
    ),
    "an empty picture": ("nsvf", lambda f: first(f).write_bytes(b""), ["empty (zero bytes)"]),
    "half a picture": ("nsvf", lambda f: first(f).write_bytes(first(f).read_bytes()[:200]), ["damaged or cut short"]),
    "a decompression bomb": ("ngp", lambda f: bomb(first(f)), ["decompression bomb", "3600000000 pixels"]),
    "another size": ("ngp", lambda f: Image.new("RGBA", (24, 32)).save(first(f)), ["different sizes", "24 x 32"]),
    "a pose of NaN": ("nsvf", lambda f: pose_of(f, lambda pose: pose * np.nan), ["NaN"]),
    "an infinite pose": (
        "nsvf",
        lambda f: pose_of(f, lambda pose: np.where(pose == pose[0, 3], np.inf, pose)),
        ["infinity"],
    ),
    "a pose with scale": ("nsvf", lambda f: pose_of(f, lambda pose: pose @ np.diag([2, 2, 2, 1])), ["not rigid"]),
    "a pose with shear": ("nsvf", lambda f: pose_of(f, lambda p: p + np.eye(4, k=1) * [1, 1, 0, 0]), ["not rigid"]),
    "a mirrored pose": ("nsvf", lambda f: pose_of(f, lambda p: p @ np.diag([-1, 1, 1, 1])), ["mirrored"]),
    "half a pose": ("nsvf", lambda f: pose_of(f, lambda pose: pose[:2]), ["pose"]),
    "no focal length": (
        "nsvf",
        lambda f: (f / "intrinsics.txt").write_text("0 0 16 0\n0 0 12 0\n0 0 1 0\n0 0 0 1"),
        [],
    ),
    "an angle of zero": (
        "blender",
        lambda f: edit(f / "transforms_train.json", lambda facts: facts.update(camera_angle_x=0)),
        [],
    ),
    "a focal length of NaN": (
        "ngp",
        lambda f: edit(f / "transforms.json", lambda facts: facts.update(fl_x=float("nan"))),
        [],
    ),
    "no frames to learn from": (
        "blender",
        lambda f: edit(f / "transforms_train.json", lambda facts: facts.update(frames=[])),
        ["train"],
    ),
    "no frames at all": ("ngp", lambda f: edit(f / "transforms.json", lambda facts: facts.update(frames=[])), []),
    "one picture": (
        "ngp",
        lambda f: edit(f / "transforms.json", lambda facts: facts.update(frames=facts["frames"][:1])),
        ["one picture only"],
    ),
    "a box that no ray meets": (
        "nsvf",
        lambda f: (f / "bbox.txt").write_text("900 900 900 901 901 901 0.1"),
        ["no ray", "meets the box"],
    ),
    "a box inside out": ("nsvf", lambda f: (f / "bbox.txt").write_text("1 1 1 -1 -1 -1 0.1"), []),
    "a poem for JSON": (
        "ngp",
        lambda f: (f / "transforms.json").write_text("shall I compare thee"),
        ["transforms.json"],
    ),
    "a poem for poses": ("llff", lambda f: (f / "poses_bounds.npy").write_text("shall I"), ["poses_bounds.npy"]),
    "cameras of no picture": (
        "colmap_text",
        lambda f: (f / "sparse/0/images.txt").write_text("# none\n"),
        [],
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_scene_is_told_in_one_line_and_nothing_is_written(recon, home, shelf, name):
    layout, spoil, said = SPOILT[name]
    folder = Path(shutil.copytree(shelf / layout, home / "ball"))
    spoil(folder)
    before = sorted(folder.rglob("*"))
    refused(recon("nerf", "--scene", "ball", *TINY, "--json"), *said)
    assert sorted(folder.rglob("*")) == before
    assert not (home / "renders").exists() and not (home / "datasets").exists()


@pytest.mark.parametrize("space", ["ndc"])
def test_a_space_that_does_not_suit_the_cameras_is_refused(recon, home, shelf, space):
    for layout in ("llff", "blender"):
        refused(recon("nerf", "--scene", shelf / layout, *TINY, "--space", space), "ndc needs", "contracted")
    assert not (home / "renders").exists()


def test_a_picture_whose_codec_is_missing_is_a_missing_dependency(recon, home, shelf, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    folder = Path(shutil.copytree(shelf / "ngp", home / "ball"))
    first(folder).rename(folder / "images" / "view_00.heic")
    path = folder / "transforms.json"
    path.write_text(path.read_text().replace("view_00.png", "view_00.heic"))
    refused(recon("nerf", "--scene", "ball", *TINY), "pip install pillow-heif", code=3)
    assert not (home / "renders").exists()


@pytest.mark.parametrize("name", ["family", "Family", "barn"])
def test_a_set_that_can_be_fetched_is_offered(recon, home, name):
    refused(recon("nerf", "--scene", name), f"recon data get {name.lower()}", "http")
    assert not (home / "renders").exists() and not (home / "datasets").exists()


@pytest.mark.parametrize(
    "scene, said",
    [
        ("figurine", ["no scene 'figurine'"]),
        ("famly", ["no scene 'famly'", "family"]),
        ("marbel", ["no scene 'marbel'", "marble"]),
        ("nowhere/at/all", ["no folder nowhere/at/all"]),
        ("poem.txt", ["is a file"]),
        ("empty", ["is no scene", "transforms.json", "nothing"]),
        ("", []),
    ],
)
def test_a_scene_that_is_not_there_is_answered_with_the_nearest(recon, home, shelf, scene, said):
    (home / "poem.txt").write_text("shall I")
    (home / "empty").mkdir()
    shutil.copytree(shelf / "ngp", home / "datasets" / "scenes" / "marble")
    refused(recon("nerf", "--scene", scene, *TINY), *said)
    assert not (home / "renders").exists()


@pytest.mark.parametrize(
    "words, said",
    [
        (("--field", "neural-experts"), "its loss weighs each expert's error at a point"),
        (("--field", "leo"), "perhaps you meant loe"),
        (("--field", "nerf-mlp"), "is unknown"),
        (("--preset", "quik"), "perhaps you meant quick"),
        (("--preset", "small"), "known: quick, best, paper"),
        (("--feild", "loe"), "perhaps you meant --field"),
        (("--field",), "--field wants a name"),
        (("--steps", "0"), "--steps must be at least 1"),
        (("--stop-after", "0"), "--stop-after must be at least 1"),
        (("--downscale", "0"), "--downscale must be 1 or more"),
        (("--downscale", "100"), "leaves nothing of pictures of 32 x 24"),
        (("--lpips-weights", "none.safetensors"), "no file with LPIPS weights"),
        (("--field", "voxel", "--field.resolution", "400"), "GiB of memory"),
        (("--field", "voxel", "--rays.grid", "2000"), "GiB of memory"),
        (("--field", "pe-mlp", "--voxels.resolution", "400"), "GiB of memory"),
    ],
)
def test_a_wrong_setting_is_refused_before_a_run_begins(recon, home, shelf, words, said):
    refused(recon("nerf", "--scene", shelf / "ngp", *words), said)
    assert not (home / "renders").exists() and not (home / "datasets").exists()


@pytest.mark.parametrize(
    "words, said",
    [
        (("--stepps", "3"), "--stepps"),
        (("--rays.step", "3"), "--rays.steps"),
        (("--space", "round"), "round"),
        (("--background", "pink"), "pink"),
        (("--downscale", "half"), "half"),
        (("--rays.opacity", "2"), "opacity must lie in (0, 1)"),
        (("--voxels.share", "1"), "share in [0, 1)"),
        (("--voxels.resolution", "2"), "at least 8"),
        (("--samples", "0"), "samples must be at least 1"),
        (("--entropy", "nan"), "entropy must be zero or more"),
        (("--field.width", "0"), "width"),
        (("--train.optim.rate", "-1"), "rate must be positive"),
    ],
)
def test_a_flag_that_the_parser_refuses_is_named(recon, home, shelf, words, said):
    result = recon("nerf", "--scene", shelf / "ngp", "--field", "loe", *words)
    assert result.code == 2 and result.out == "" and "Traceback" not in result.err
    assert said in " ".join(result.err.split()) and not (home / "renders").exists()


def test_out_must_be_a_new_or_empty_folder(recon, home, shelf):
    (home / "full").mkdir()
    (home / "full" / "thing").write_text("mine")
    refused(recon("nerf", "--scene", shelf / "ngp", *TINY, "--out", "full"), "full")
    assert [path.name for path in (home / "full").iterdir()] == ["thing"]


def test_a_lens_that_folds_its_picture_is_refused(recon, home, shelf):
    folder = Path(shutil.copytree(shelf / "ngp", home / "ball"))
    edit(folder / "transforms.json", lambda facts: facts.update(k1=-9.0))
    refused(recon("nerf", "--scene", "ball", *TINY), "distortion cannot be undone")
    assert not (home / "renders").exists()
