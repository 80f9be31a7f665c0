"""From the name that a person typed to a scene, for all who take one."""

from __future__ import annotations

from pathlib import Path

from recon.data.find import FIGURINES, cache_home, datasets_home, find_scene
from recon.scenes.read import read_scene
from recon.scenes.scene import Scene
from recon.tasks.bench import Say
from recon.tasks.scene_making import make_figurines


def named_scene(name: str, downscale: int, say: Say, cache: Path | None = None) -> Scene:
    """The scene of a folder or a name, with what its reader did said aloud; `cache` takes pictures that were shrunk."""
    if name.lower() == FIGURINES:
        folder = make_figurines(datasets_home() / "scenes" / FIGURINES, say)
    else:
        folder = find_scene(name)
    scene = read_scene(folder, downscale=downscale, cache=cache or cache_home())
    for note in scene.notes:
        say(f"scene: {note}")
    return scene
