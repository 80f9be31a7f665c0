"""Two tiny runs, learned once, and a page that is watched. Must not import `recon` at the top."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

HARMLESS = ("THREE.Clock", "GPU stall due to ReadPixels", "[GroupMarkerNotSet]")
"""What Chromium or the client warn of on any page, drawn in software."""


class Watched:
    """A browser's page, and what it complained of or asked the network for."""

    def __init__(self, page) -> None:
        self.page, self.complaints, self.requests = page, [], []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def _heard(self, message) -> None:
        if message.type in ("error", "warning") and not any(text in message.text for text in HARMLESS):
            self.complaints.append(message.text)

    def asked_elsewhere(self, *own: str) -> list[str]:
        """Addresses of requests other than to the page's own."""
        return [url for url in self.requests if not url.startswith(("data:", "blob:", "about:", *own))]

    def picture(self) -> np.ndarray:
        """The page as it looks now, without the controls."""
        import imageio.v3 as iio  # noqa: PLC0415

        width, height = self.page.viewport_size["width"], self.page.viewport_size["height"]
        clip = {"x": 0, "y": height // 5, "width": int(width * 0.55), "height": height * 4 // 5}
        return iio.imread(self.page.screenshot(clip=clip), extension=".png")[..., :3].astype(np.int16)

    def changes(self, before: np.ndarray | None = None, tries: int = 60, coloured: float = 0.0) -> np.ndarray:
        """The first picture that is neither empty nor like the one before, with at least a share of its pixels in
        strong colours; fails where none comes."""
        for _ in range(tries):
            now = self.picture()
            # The client fades in from white: a few grey levels are not a picture yet.
            seen = np.ptp(now) > 100 and (np.abs(now - np.median(now, axis=(0, 1))) > 40).mean() > 0.01
            seen = seen and (np.ptp(now, axis=2) > 80).mean() >= coloured
            if seen and (before is None or (np.abs(now - before) > 25).mean() > 0.004):
                return now
            self.page.wait_for_timeout(100)
        raise AssertionError("the picture is empty" if before is None else "the picture stays as it was")

    def choose(self, label: str, option: str) -> None:
        """Pick an option of a drop-down."""
        self.page.get_by_label(label, exact=True).first.click()
        self.page.get_by_role("option", name=option, exact=True).click()


@pytest.fixture
def tab(browser) -> Iterator[Watched]:
    """A page of the browser."""
    page = browser.new_page(viewport={"width": 780, "height": 480})
    page.set_default_timeout(60_000)  # the machine may be busy
    yield Watched(page)
    page.close()


@pytest.fixture(scope="session")
def settle():
    """Waits until a page has heard of all changes and its worker has done what they ask for; no error may come."""
    import asyncio  # noqa: PLC0415

    def wait(view) -> None:
        for _ in range(2):  # callbacks are tasks of the server's loop: those that were there before this one are done
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), view.server.get_event_loop()).result(60)
        assert view.worker.settle()
        assert view.errors == []

    return wait


@pytest.fixture(scope="session")
def ball() -> trimesh.Trimesh:
    """A sphere away from the origin."""
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=4.0)
    mesh.apply_translation((10.0, 0.0, 0.0))
    return mesh


@pytest.fixture(scope="session")
def shape_run(ball, tmp_path_factory):
    """A run that learned the ball with a mixture, without the scores."""
    from recon.fields.feature_grid import FeatureGridConfig  # noqa: PLC0415
    from recon.fields.neural_experts import NeuralExpertsConfig  # noqa: PLC0415
    from recon.geometry import Mesh  # noqa: PLC0415
    from recon.shapes.shape import from_mesh  # noqa: PLC0415
    from recon.tasks.bench import Bench  # noqa: PLC0415
    from recon.tasks.shape import run as runs  # noqa: PLC0415
    from recon.tasks.shape.settings import preset  # noqa: PLC0415
    from recon.viewer.weights import machine  # noqa: PLC0415

    home = tmp_path_factory.mktemp("shape")
    shape = from_mesh("ball", Mesh(np.array(ball.vertices), np.array(ball.faces, np.int64)))
    settings = preset("sdf", "quick", "neural-experts").with_steps(100)
    config = replace(settings.field, experts=3, expert_width=8, grid=FeatureGridConfig(resolutions=(8, 16)))
    assert isinstance(config, NeuralExpertsConfig)
    train = replace(settings.train, batch=1024, checkpoint_every=100)
    plan = runs.Plan("sdf", "neural-experts", "quick", replace(settings, field=config, train=train, pool=20_000))
    bench = Bench(machine(), home / "cache", lambda line: None, quiet=True)
    run = runs.start(plan, shape, bench, home / "run")
    assert runs.fit(plan, shape, run, bench)[1].status == "done"
    return run


@pytest.fixture(scope="session")
def scene_folder(ball, tmp_path_factory) -> Path:
    """Pictures of the ball, 24x24, with alpha: 12 to learn from, 2 held out."""
    from recon.geometry import Mesh  # noqa: PLC0415
    from recon.scenes.make import MakeSettings  # noqa: PLC0415
    from recon.tasks.scene_making import make_scene  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("scene") / "marble"
    source = Mesh(np.array(ball.vertices), np.array(ball.faces, np.int64))
    make_scene(source, folder, MakeSettings(views=12, test_views=2, width=24, height=24, around="sphere"), "blender")
    return folder


@pytest.fixture(scope="session")
def scene_run(scene_folder, tmp_path_factory):
    """A run that learned those pictures in voxels, without the scores."""
    from recon.fields.voxel import VoxelConfig  # noqa: PLC0415
    from recon.scenes.read import read_scene  # noqa: PLC0415
    from recon.scenes.region import space_for  # noqa: PLC0415
    from recon.tasks.bench import Bench  # noqa: PLC0415
    from recon.tasks.nerf import run as runs  # noqa: PLC0415
    from recon.tasks.nerf.settings import preset  # noqa: PLC0415
    from recon.viewer.weights import machine  # noqa: PLC0415

    home = tmp_path_factory.mktemp("scene_run")
    scene = read_scene(scene_folder)
    settings = preset("quick", "voxel").with_steps(150)
    train = replace(settings.train, batch=512, checkpoint_every=150)
    rays = replace(settings.rays, steps=24, grid=16)
    plan = runs.Plan("voxel", "quick", replace(settings, field=VoxelConfig(resolution=20), train=train, rays=rays))
    run = runs.start(plan, scene, space_for(scene), 1, home / "run")
    assert runs.fit(plan, scene, run, Bench(machine(), home, lambda line: None, quiet=True))[1].status == "done"
    return run


@pytest.fixture
def copied(shape_run, tmp_path):
    """A copy of the shape's run that a test may change."""
    from recon.training.run import Run  # noqa: PLC0415

    return Run(Path(shutil.copytree(shape_run.folder, tmp_path / "copied")))
