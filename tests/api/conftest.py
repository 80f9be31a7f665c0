"""A ball to learn, few samples to score by, and an empty working directory. Must not import `recon` at the top."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

CENTRE, RADIUS = (100.0, -5.0, 3.0), 37.0
"""Of the ball that is learned as a shape."""
SCENE_CENTRE = (3.0, 1.0, -2.0)
"""Of the ball that is seen; its radius is 0.5."""


@contextmanager
def tiny_scores() -> Iterator[None]:
    """Few samples, a coarse grid, no pictures and no 3-D views: they are tested elsewhere, at full size."""
    from recon.api import result  # noqa: PLC0415 - after the import hook
    from recon.tasks.shape import fitted, run, scores, truth  # noqa: PLC0415

    with pytest.MonkeyPatch.context() as patch:
        for module in (truth, scores, run):
            patch.setattr(module, "GRID", 32)
        patch.setattr(truth, "NEAR_SAMPLES", 4000)
        patch.setattr(scores, "SURFACE_SAMPLES", 2000)
        patch.setattr(fitted.Fitted, "pictures", lambda self, folder, mesh: {})
        patch.setattr(result, "view_of", lambda run, run_on: None)
        yield


@pytest.fixture(autouse=True)
def _tiny_scores() -> Iterator[None]:
    with tiny_scores():
        yield


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch) -> Path:
    """The working directory, empty, and no other home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECON_HOME", raising=False)
    monkeypatch.delenv("RECON_DATA", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def ball() -> trimesh.Trimesh:
    """A sphere far from the origin."""
    mesh = trimesh.creation.icosphere(subdivisions=2, radius=RADIUS)
    mesh.apply_translation(CENTRE)
    return mesh


@pytest.fixture(scope="session")
def tiny() -> Any:
    """Settings of a fit of a fraction of a second."""
    import recon  # noqa: PLC0415

    settings = recon.shape_settings("pe-mlp", preset="quick")
    field = replace(settings.field, width=24, layers=3, frequencies=1)  # pyright: ignore[reportCallIssue]
    optim = replace(settings.train.optim, rate=5e-3)
    train = replace(settings.train, batch=512, log_every=3, checkpoint_every=1000, optim=optim)
    return replace(settings, field=field, train=train, pool=4000, resolution=24)


@pytest.fixture(scope="session")
def learned(ball, tiny) -> Any:
    """A fit that has learned the ball to about a twentieth of its radius."""
    import recon  # noqa: PLC0415

    found = recon.fit_shape(ball, settings=tiny, steps=200, quiet=True)
    with tiny_scores():
        assert found.scores
    return found


@pytest.fixture(scope="session")
def kept(learned, tmp_path_factory) -> Path:
    """The learned ball's run folder."""
    import recon  # noqa: PLC0415

    with tiny_scores():
        return recon.load(learned.folder).save(tmp_path_factory.mktemp("kept") / "ball")


@pytest.fixture(scope="session")
def scene_folder(tmp_path_factory) -> Path:
    """Pictures of a ball, 20x20, with alpha: 12 to learn from, 2 held out."""
    from recon.geometry import Mesh  # noqa: PLC0415
    from recon.scenes.make import MakeSettings  # noqa: PLC0415
    from recon.tasks.scene_making import make_scene  # noqa: PLC0415

    mesh = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    mesh.apply_translation(SCENE_CENTRE)
    source = Mesh(np.array(mesh.vertices), np.array(mesh.faces, np.int64))
    folder = tmp_path_factory.mktemp("scene") / "marble"
    make_scene(source, folder, MakeSettings(views=12, test_views=2, width=20, height=20, around="sphere"), "blender")
    return folder


@pytest.fixture(scope="session")
def tiny_scene() -> Any:
    """Settings of a scene's fit of a second."""
    import recon  # noqa: PLC0415

    settings = recon.scene_settings("voxel", preset="quick")
    field = replace(settings.field, resolution=16)  # pyright: ignore[reportCallIssue]
    train = replace(settings.train, batch=256, log_every=10, checkpoint_every=1000)
    rays = replace(settings.rays, steps=24, grid=16)
    return replace(settings, field=field, train=train, rays=rays)


@pytest.fixture(scope="session")
def seen(scene_folder, tiny_scene) -> Any:
    """A fit that has learned the ball's pictures well enough to be opaque."""
    import recon  # noqa: PLC0415

    return recon.fit_scene(scene_folder, settings=tiny_scene, steps=150, quiet=True)
