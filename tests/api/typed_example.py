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

assert_type(recon.load("latest"), recon.ShapeResult | recon.SceneResult)
assert_type(recon.FIELDS["siren"], FieldConfig)
assert_type(recon.shape_settings("siren", preset="quick"), ShapeSettings)

recon.fit_shape("rings", preset="fast")  # pyright: ignore[reportArgumentType]
recon.fit_shape("rings", stepps=10)  # pyright: ignore[reportCallIssue]
