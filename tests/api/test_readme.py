"""The examples of Python in the README and on the pages run as they stand, with fewer steps on a smaller scene."""

import re
import runpy
from dataclasses import replace
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
PAGE = README.parent / "docs" / "pages" / "python.md"


def example_of(text: Path) -> str:
    """A text's Python block that imports recon by itself."""
    blocks = re.findall(r"```python\n(.*?)```", text.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [block for block in blocks if re.search(r"^import recon$", block, re.MULTILINE)]
    return found


@pytest.fixture
def example() -> str:
    return example_of(README)


@pytest.fixture
def _small_presets(monkeypatch):
    """The presets with fewer points, rays and cells; what the example says stays as it is."""
    from recon.api import scene, shape  # noqa: PLC0415 - after the import hook

    shapes, scenes = shape.settings_of, scene.settings_of

    def small_shape(*names):
        settings = shapes(*names)
        return replace(settings, pool=9000, resolution=24, train=replace(settings.train, batch=512))

    def small_scene(*names):
        settings = scenes(*names)
        voxels = replace(settings.voxels, resolution=12, batch=128)
        rays = replace(settings.rays, steps=16, grid=8)
        return replace(settings, voxels=voxels, rays=rays, train=replace(settings.train, batch=128))

    monkeypatch.setattr(shape, "settings_of", small_shape)
    monkeypatch.setattr(scene, "settings_of", small_scene)


@pytest.mark.filterwarnings("ignore:.*mesh.*:UserWarning")
def test_the_example_of_the_readme_runs(example, _small_presets, scene_folder, place, capsys):
    assert '"figurines"' in example and "steps=" in example
    small = example.replace('"figurines"', repr(str(scene_folder)))
    small = re.sub(r"steps=\d+", "steps=4", re.sub(r"resolution=\d+", "resolution=24", small))
    script = place / "example.py"
    script.write_text(small, encoding="utf-8")
    runpy.run_path(str(script))
    said = capsys.readouterr().out
    assert "inside both solids" in said and "(20, 20, 3)" in said
    assert (place / "rings_by_siren" / "report.html").is_file() and (place / "view.png").is_file()


def test_the_example_of_signals_on_the_pages_runs(place, capsys):
    script = place / "example.py"
    script.write_text(re.sub(r"steps=\d+", "steps=4", example_of(PAGE)), encoding="utf-8")
    runpy.run_path(str(script))
    said = capsys.readouterr().out
    assert "(8000, 1)" in said and "tensor" in said
    assert (place / "picture_by_asmr" / "report.html").is_file() and (place / "larger.png").is_file()
