"""`recon data check SCENE`: what there is to know and to fear about a scene before it is learned; fetched sets anew."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from recon.commands.common import be_quiet, print_json, say
from recon.commands.flags import read_flags
from recon.commands.verify import check_set, facts_of, line_of, report_set
from recon.files import printable
from recon.rendering.picture import write_png
from recon.scenes.check import check_scene
from recon.scenes.overview import scene_picture
from recon.scenes.region import Kind, choose_space
from recon.tasks.named_scene import named_scene
from recon.training.places import renders


@dataclass(frozen=True)
class Check:
    """Describe a scene, draw its cameras and its box, and warn of what makes it hard or impossible to learn.

    Of a set of the catalogue, all files are counted and compared with their known hashes, too."""

    scene: Annotated[str, tyro.conf.Positional]
    """A folder of posed pictures, a name in datasets/ or the folders of RECON_DATA, or figurines; or any fetched set,
    such as lucy or kodak."""
    downscale: int = 1
    """Average this many pixels of the files along each side into one."""
    space: Kind = "auto"
    """What the field would cover: a box, a contraction of all space, or a forward-facing frustum (ndc)."""
    json: bool = False
    """Print exactly one JSON object on standard output."""
    quiet: bool = False
    """No progress."""
    out: Path | None = None
    """The picture (PNG); default renders/check_NAME.png."""


def check(argv: Sequence[str]) -> int:
    """Parse, look, draw, print."""
    flags = read_flags(Check, argv, "recon data check")
    if flags.out is not None and flags.out.suffix.lower() != ".png":
        raise ValueError(f"--out is written as .png, '{flags.out.name}' has the suffix '{flags.out.suffix}'")
    verdict = check_set(flags.scene)
    if verdict is not None and verdict.entry.kind != "scene":
        return report_set(verdict, flags.json)
    scene = named_scene(flags.scene, flags.downscale, be_quiet if flags.quiet else say)
    space = choose_space(scene, flags.space)  # a box that no view sees is for the report to tell
    report = check_scene(scene, space)
    for text in report.warnings:
        say(f"warning: {text}")
    name = re.sub(r"[^\w.-]+", "-", scene.name)
    path = flags.out or renders() / f"check_{name}.png"
    if flags.out is None:
        path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, scene_picture(scene, space))
    if flags.json:
        about = {"folder": str(scene.folder), "picture": str(path), "set": verdict and facts_of(verdict)}
        print_json({**about, **report.as_dict()})
    else:
        if verdict is not None:
            print(line_of(verdict))
        first, *rest = report.lines()
        lines = [first, *rest, f"{len(report.warnings) or 'no'} warnings", f"picture: {path}"]
        print(printable("\n  ".join(lines)))
    return 0
