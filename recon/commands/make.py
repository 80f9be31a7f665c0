"""`recon data make`: photographs any mesh into a posed scene with exact depth and normals, without a graphics card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recon.commands.common import be_quiet, parse_size, print_json, say
from recon.commands.flags import read_flags
from recon.data.find import datasets_home, find_shape
from recon.scenes.make import MakeSettings
from recon.scenes.write import Format
from recon.shapes.procedural import PROCEDURAL
from recon.tasks.scene_making import make_scene


@dataclass(frozen=True)
class Make:
    """Render a mesh into a posed scene: pictures with alpha, cameras, exact depth and normals."""

    mesh: str
    """A mesh file (its vertex colours or texture are used), or a name as `recon sdf --shape` takes."""
    views: int = MakeSettings.views
    """Training views."""
    test_views: int = MakeSettings.test_views
    """Test views, from other directions."""
    size: str = "800x800"
    """Pixels, WIDTHxHEIGHT."""
    format: Format = "nsvf"
    """Layout of the folder."""
    out: Path | None = None
    """The new folder; default datasets/scenes/NAME, NAME being the mesh's."""
    up: Literal["y", "z"] = MakeSettings.up
    """The axis of the mesh that points up."""
    around: Literal["above", "sphere"] = MakeSettings.around
    """Cameras from a little below the horizon upwards, or on all sides."""
    seed: int = MakeSettings.seed
    """Of the cameras' places."""
    json: bool = False
    """Print exactly one JSON object on standard output."""
    quiet: bool = False
    """No progress."""


def make(argv: Sequence[str]) -> int:
    """Parse, render, print."""
    flags = read_flags(Make, argv, "recon data make")
    width, height = parse_size(flags.size)
    settings = MakeSettings(
        views=flags.views,
        test_views=flags.test_views,
        width=width,
        height=height,
        up=flags.up,
        around=flags.around,
        seed=flags.seed,
    )
    found = find_shape(flags.mesh)
    source = found if isinstance(found, Path) else PROCEDURAL[found]()
    name = found.stem.lower() if isinstance(found, Path) else found
    out = flags.out or datasets_home() / "scenes" / name
    facts = make_scene(source, out, settings, flags.format, name=name, say=be_quiet if flags.quiet else say)
    if flags.json:
        print_json({"folder": str(out), "format": flags.format, **facts})
    else:
        print(f"{out}\n  {settings.views} training and {settings.test_views} test views, {width}x{height}")
        print(f"  try: recon nerf --scene {out}")
    return 0
