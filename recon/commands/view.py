"""`recon view WHAT`: a run, a mesh or a scene in the browser, live from this machine or as a page of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from recon.commands.flags import read_flags
from recon.commands.machine import Machine
from recon.data.find import FIGURINES, find_scene, find_shape
from recon.training.places import is_run
from recon.training.run import Run

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class ViewFlags(Machine):
    """Look at a run, a mesh, a point cloud or a scene in a browser. Ends with Ctrl-C."""

    what: Annotated[str, tyro.conf.Positional] = "latest"
    """A run (folder, name under renders/, latest), a mesh or point cloud file, a scene's folder, or the name of a shape
    or a scene."""
    host: str = LOOPBACK
    """Address to serve at. With another than loopback everyone who reaches this machine can look, and use the page."""
    port: int | None = None
    """Port to serve at; default 8080, or the next free one."""
    follow: bool = False
    """While a run trains: show each new checkpoint."""
    save: Path | None = None
    """Write a page (html) that opens without a server and without the internet, and serve nothing."""
    up: Literal["x", "y", "z"] = "y"
    """The axis of a shape or a mesh that points up. Scenes know theirs from their cameras."""


def main(name: str, argv: Sequence[str]) -> int:
    """Parse, find, then serve until Ctrl-C, or write the page."""
    del name
    flags = read_flags(ViewFlags, argv, "recon view")
    _check(flags)
    found = find(flags.what)
    from recon.commands import showing  # noqa: PLC0415 (viser takes a second to load, which no help should)

    return showing.save(found, flags) if flags.save is not None else showing.serve(found, flags)


def find(what: str) -> Run | Path:
    """What a person meant: a run, else the file of a shape, else the folder of a scene."""
    place = Path(what).expanduser()
    if place.is_file():
        return place
    if place.is_dir() and not is_run(place) and not is_run(place / "latest"):
        return find_scene(what)
    try:
        return Run.open(what)
    except FileNotFoundError as error:
        missing = error
    if what.lower() == FIGURINES:
        return Path(FIGURINES)
    for look in (find_shape, find_scene):
        try:
            found = look(what)
        except FileNotFoundError:
            continue
        if isinstance(found, Path):
            return found
    raise FileNotFoundError(f"{missing}; and there is no file, shape or scene of that name")


def _check(flags: ViewFlags) -> None:
    """ValueError for flags that do not go together."""
    if flags.save is None:
        return
    if flags.save.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--save writes a page: a name that ends in .html, not '{flags.save.name}'")
    for name in ("follow", "port", "host"):
        if getattr(flags, name) != getattr(ViewFlags, name):
            raise ValueError(f"--{name} is for serving a page; --save writes one and serves nothing")
