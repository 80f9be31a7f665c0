"""What a type checker must know of `import recon`. Pyright reads this in .ci/run; nothing runs it."""
# pyright: reportUnnecessaryTypeIgnoreComment=true

import numpy as np
import torch
import trimesh
from PIL import Image
from typing_extensions import assert_type

import recon
from recon.fields import FieldConfig
from recon.fields.siren import SirenConfig
from recon.tasks.nerf.settings import NerfSettings
from recon.tasks.shape.settings import ShapeSettings
from recon.tasks.signal.settings import SignalSettings

shape = recon.fit_shape(trimesh.creation.icosphere(), field=SirenConfig(width=128), steps=10, quiet=True)
assert_type(shape, recon.ShapeResult)
assert_type(shape.settings, ShapeSettings)
assert_type(shape.mesh(64), trimesh.Trimesh)
assert_type(shape.render(), Image.Image)
assert_type(shape.scores["iou"], float | None)
assert_type(shape.signed_distance(torch.zeros(1, 3)), torch.Tensor)
distance: np.ndarray = shape.signed_distance(np.zeros((1, 3)))
inside: np.ndarray = shape.inside(np.zeros((1, 3)))
losses: np.ndarray = shape.history["loss"]

scene = recon.fit_scene("figurines", "loe", preset="quick")
assert_type(scene, recon.SceneResult)
assert_type(scene.settings, NerfSettings)
assert_type(scene.cameras, recon.Cameras)
view = scene.render(np.eye(4), size=(640, 480), fov=50.0)
assert_type(view, recon.Picture)
depth: np.ndarray = view.depth

signal = recon.fit_signal(np.zeros((8, 8, 3)), "siren", kind="image", steps=10)
assert_type(signal, recon.SignalResult)
assert_type(signal.settings, SignalSettings)
assert_type(signal.image(size=(16, 16)), Image.Image)
assert_type(signal.at(torch.zeros(1, 2)), torch.Tensor)
values: np.ndarray = signal.values((16, 16))
between: np.ndarray = signal.at(np.zeros((1, 2)))
recon.fit_signal(torch.zeros(100), kind="sound", rate=8000)
recon.fit_signal(Image.new("L", (8, 8)))
recon.fit_signal("bikes", frames=4)

assert_type(recon.load("latest"), recon.ShapeResult | recon.SceneResult | recon.SignalResult)
assert_type(recon.FIELDS["siren"], FieldConfig)
assert_type(recon.shape_settings("siren", preset="quick"), ShapeSettings)
assert_type(recon.signal_settings("siren", preset="quick", kind="sound"), SignalSettings)

recon.fit_shape("rings", preset="fast")  # pyright: ignore[reportArgumentType]
recon.fit_shape("rings", stepps=10)  # pyright: ignore[reportCallIssue]
recon.fit_signal([[0.0]], kind="image")  # pyright: ignore[reportArgumentType]
recon.fit_signal(np.zeros(8), kind="music")  # pyright: ignore[reportArgumentType]
