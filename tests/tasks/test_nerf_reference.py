"""The scene in a run folder is the scene that was learned, bit for bit; anything else is refused."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from recon.geometry import Box, Space
from recon.tasks.nerf.reference import NAME, read_reference, read_truths, reference_of, write_reference

FRAME = (0.6, 0.8, 0.0, 1.0, -0.8, 0.6, 0.0, 2.0, 0.0, 0.0, 1.0, 1 / 3)
NDC = Space("ndc", Box((-1.0, -0.5, -9.0), (1.5, 0.5, -1.0)), 0.9, FRAME)


@pytest.fixture
def written(ball, space, tmp_path):
    write_reference(tmp_path, reference_of(ball, space, 2))
    return tmp_path


def test_a_scene_comes_back_bit_for_bit(ball, space, tmp_path):
    bent = torch.linspace(0.01, 0.2, 40).double().reshape(10, 4)
    for inside in (space, Space("contracted", space.box, near=0.1), NDC):
        for images in (ball.images, ball.images[..., :3]):
            scene = replace(ball, images=images, notes=("one", "zwei ü"), name="Bäll")
            scene = replace(scene, cameras=replace(ball.cameras, distortion=bent))
            scene = replace(scene, splits={"train": (0, 1, 2), "val": (3,), "test": (9, 4)})
            write_reference(tmp_path, reference_of(scene, inside, 4))
            found = read_reference(tmp_path)
            assert (found.name, found.folder, found.downscale) == ("Bäll", Path("/nowhere/ball"), 4)
            assert (found.files, found.splits, found.notes) == (scene.files, scene.splits, scene.notes)
            assert found.space == inside and found.test == (9, 4)
            assert torch.equal(found.test_images, images[[9, 4]])
            assert (found.cameras.height, found.cameras.width) == (16, 16)
            for name in ("pose", "focal", "centre", "distortion"):
                assert torch.equal(getattr(found.cameras, name), getattr(scene.cameras, name))


def test_the_truth_is_the_picture_on_a_background(ball, space, written):
    behind = torch.tensor([0.25, 0.5, 1.0])
    torch.testing.assert_close(read_reference(written).truth(1, behind), ball.image(9, behind))
    plain = reference_of(replace(ball, images=ball.images[..., :3]), space, 1)
    assert torch.equal(plain.truth(0, behind), ball.images[8, ..., :3].float() / 255)


def test_single_truths_are_read_without_the_rest(ball, written):
    found = read_truths(written, [1])
    truth = read_reference(written).truth(1, torch.ones(3)) * 255
    assert list(found) == [1] and found[1].shape == (16, 16, 3)
    torch.testing.assert_close(torch.from_numpy(found[1]).float(), truth, atol=0.51, rtol=0)
    assert read_truths(written, [0], grey=0.0)[0][0, 0].tolist() == [0, 0, 0]  # nothing there, on black
    with pytest.raises(ValueError, match="no picture 2 .* among 2"):
        read_truths(written, [2])
    (written / NAME).write_bytes(b"{" * 99)
    with pytest.raises(ValueError, match="can't be read"):
        read_truths(written, [0])


def test_only_held_out_pictures_are_kept(written):
    assert read_reference(written).test_images.shape == (2, 16, 16, 4)


def test_a_missing_reference_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=NAME):
        read_reference(tmp_path)


def test_writing_again_leaves_one_whole_file(written, ball, space):
    write_reference(written, reference_of(ball, space, 1))
    assert [path.name for path in written.iterdir()] == [NAME]


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_reference_is_one_clear_error_or_still_a_scene(written, seed):
    rng = random.Random(seed)
    data = bytearray((written / NAME).read_bytes())
    head = int.from_bytes(data[:8], "little") + 8
    for _ in range(rng.choice([0, 1, 3])):
        data[rng.randrange(head if rng.random() < 0.9 else len(data))] = rng.randrange(256)
    cut = rng.choice([0, 0, 1, 100, len(data) - 5, len(data)])
    (written / NAME).write_bytes(bytes(data[: len(data) - cut]))
    try:
        assert len(read_reference(written).cameras) == 10
    except ValueError as error:
        assert NAME in str(error) and "damaged" in str(error)


def edited(place, tensors, facts):
    """Writes the file again with other tensors and facts."""
    with safe_open(place / NAME, framework="pt") as file:
        about = json.loads(file.metadata()["scene"])
    kept = {**load_file(place / NAME), **(tensors or {})}
    save_file(kept, place / NAME, {"scene": json.dumps({**about, **facts})})


BOX = {"low": [-1, -1, -1], "high": [1, 1, 1]}
FACTS = {
    "another format": {"format": "scene 99"},
    "no list of files": {"files": 3},
    "too few files": {"files": ["a.png"]},
    "splits in a list": {"splits": [[0, 1], [2]]},
    "no test": {"splits": {"train": [0]}},
    "no train": {"splits": {"test": [8, 9]}},
    "empty train": {"splits": {"train": [], "test": [8, 9]}},
    "other test": {"splits": {"train": [0], "test": [8]}},
    "views beyond": {"splits": {"train": [10], "test": [8, 9]}},
    "views before": {"splits": {"train": [-1], "test": [8, 9]}},
    "views of no number": {"splits": {"train": ["many"], "test": [8, 9]}},
    "infinite height": {"height": float("inf")},
    "other height": {"height": 15},
    "height in words": {"height": "tall"},
    "no space": {"space": None},
    "a space in a list": {"space": []},
    "unknown space": {"space": {"kind": "hyperbolic", "box": BOX, "near": 0, "frame": [0] * 12}},
    "flat box": {"space": {"kind": "box", "box": {**BOX, "high": [1, 1, -1]}, "near": 0, "frame": [0] * 12}},
    "short corner": {"space": {"kind": "box", "box": {**BOX, "high": [1, 1]}, "near": 0, "frame": [0] * 12}},
    "short frame": {"space": {"kind": "box", "box": BOX, "near": 0, "frame": [0] * 11}},
    "near of nan": {"space": {"kind": "box", "box": BOX, "near": float("nan"), "frame": [0] * 12}},
    "frame of nan": {"space": {"kind": "ndc", "box": BOX, "near": 1, "frame": [float("nan")] * 12}},
    "ndc without near": {"space": {"kind": "ndc", "box": BOX, "near": 0, "frame": [0] * 12}},
    "folder in numbers": {"folder": 7},
    "notes in numbers": {"notes": 7},
}
TENSORS = {
    "poses of nan": lambda t: {"pose": torch.full_like(t["pose"], torch.nan)},
    "short poses": lambda t: {"pose": t["pose"][:, :2].contiguous()},
    "flat poses": lambda t: {"pose": torch.zeros(())},
    "poses in single precision": lambda t: {"pose": t["pose"].float()},
    "fewer cameras": lambda t: {"pose": t["pose"][:5].contiguous()},
    "fewer focal lengths": lambda t: {"focal": t["focal"][:5].contiguous()},
    "focal lengths of zero": lambda t: {"focal": t["focal"] * 0},
    "infinite centre": lambda t: {"centre": t["centre"] / 0},
    "distortion of nan": lambda t: {"distortion": t["distortion"] * torch.nan},
    "pictures of another kind": lambda t: {"test_images": t["test_images"].float()},
    "pictures of two channels": lambda t: {"test_images": t["test_images"][..., :2].contiguous()},
    "flat pictures": lambda t: {"test_images": t["test_images"].flatten()},
    "pictures of another size": lambda t: {"test_images": t["test_images"][:, :8].contiguous()},
}


@pytest.mark.parametrize("name", [*FACTS, *TENSORS])
def test_a_hostile_reference_is_refused(written, name):
    tensors = TENSORS[name](load_file(written / NAME)) if name in TENSORS else None
    edited(written, tensors, FACTS.get(name, {}))
    with pytest.raises(ValueError, match="damaged.*train it again"):
        read_reference(written)


@pytest.mark.parametrize("scene", [None, "", "[]", "7", "[" * 100_000, '{"format": "scene 1"}'])
def test_a_file_that_tells_nothing_or_too_deeply_is_refused(written, scene):
    save_file(load_file(written / NAME), written / NAME, None if scene is None else {"scene": scene})
    with pytest.raises(ValueError, match="damaged"):
        read_reference(written)


@pytest.mark.parametrize("key", ["pose", "focal", "centre", "distortion", "test_images"])
def test_each_tensor_is_needed(written, key):
    with safe_open(written / NAME, framework="pt") as file:
        about = file.metadata()
    save_file({name: value for name, value in load_file(written / NAME).items() if name != key}, written / NAME, about)
    with pytest.raises(ValueError, match="damaged"):
        read_reference(written)
