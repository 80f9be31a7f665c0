"""`recon view WHAT`: a run, a mesh or a scene in the browser, live from this machine or as a page of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from recon import runtime
from recon.commands.common import be_quiet, kind_of, say
from recon.commands.flags import read_flags
from recon.commands.machine import Machine
from recon.data.find import FIGURINES, find_scene, find_shape
from recon.files import atomic_write_text
from recon.shapes.load import SUFFIXES
from recon.tasks.named_scene import named_scene
from recon.training import checkpoint
from recon.training.places import is_run
from recon.training.run import Run
from recon.viewer import page
from recon.viewer.files import FileView, FolderView, fitting_downscale, read_mesh_file
from recon.viewer.follow import SECONDS, Follower
from recon.viewer.panel import Panel
from recon.viewer.scene import SceneView
from recon.viewer.serving import LOOPBACK, is_loopback
from recon.viewer.shape import ShapeView
from recon.viewer.weights import SceneRun, ShapeRun


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
    run_on = runtime.start(flags.device, flags.precision, 0, flags.threads, flags.malloc)
    if flags.save is not None:
        atomic_write_text(flags.save, _page(found, flags))
        print(flags.save)
        return 0
    if flags.follow:
        _await_checkpoint(found)
    shown = _open(found, flags, run_on)
    try:
        _announce(shown, flags)
        while True:  # one look into a folder every few seconds, where a run is followed
            time.sleep(SECONDS)
            shown.poll()
    except KeyboardInterrupt:
        return 0
    finally:
        shown.close()


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
    if flags.json:
        raise ValueError("recon view has no result to print as JSON")
    if flags.save is None:
        return
    if flags.save.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--save writes a page: a name that ends in .html, not '{flags.save.name}'")
    for name in ("follow", "port", "host"):
        if getattr(flags, name) != getattr(ViewFlags, name):
            raise ValueError(f"--{name} is for serving a page; --save writes one and serves nothing")


def _page(found: Run | Path, flags: ViewFlags) -> str:
    if isinstance(found, Run):
        return page.static_page(found, page.MOST_BYTES)
    if found.suffix.lower() in SUFFIXES and found.is_file():
        return page.file_page(read_mesh_file(found), flags.up)
    return page.folder_page(_scene(found, flags))


def _open(found: Run | Path, flags: ViewFlags, run_on: runtime.Runtime) -> Panel:
    """The page, being served."""
    voice = be_quiet if flags.quiet else say
    if isinstance(found, Path):
        if flags.follow:
            raise ValueError(f"--follow is for a run that trains; {found} is none")
        if found.is_file():
            return FileView(read_mesh_file(found), flags.host, flags.port, flags.up)
        return FolderView(_scene(found, flags), flags.host, flags.port)
    voice(f"recon view: {found.folder}, on {run_on.line()}")
    if kind_of(found) == "shape":
        shape = ShapeRun.open(found, run_on)
        shown, warnings = ShapeView(shape, flags.host, flags.port, flags.up), shape.warnings
    else:
        scene = SceneRun.open(found, run_on)
        shown, warnings = SceneView(scene, flags.host, flags.port), scene.warnings
    for text in warnings:
        say(f"warning: {text}")
    if flags.follow:
        shown.poll = Follower(shown).poll
    return shown


def _scene(folder: Path, flags: ViewFlags):
    voice: Callable[[str], None] = be_quiet if flags.quiet else say
    name = str(folder)
    return named_scene(name, 1 if name == FIGURINES else fitting_downscale(folder), voice)


def _await_checkpoint(found: Run | Path) -> None:
    """A run that has just begun has nothing to show yet."""
    if isinstance(found, Run) and not checkpoint.exists(found.checkpoints):
        say(f"waiting for the first checkpoint of {found.folder} (Ctrl-C ends)")
        while not checkpoint.exists(found.checkpoints):
            time.sleep(SECONDS)


def _announce(shown: Panel, flags: ViewFlags) -> None:
    """Where the page is, and how to reach it from elsewhere."""
    print(shown.address, flush=True)
    if is_loopback(flags.host):
        say(
            f"from another machine: ssh -L {shown.port}:127.0.0.1:{shown.port} USER@THIS-MACHINE, then the same address"
        )
    else:
        say(
            f"warning: served at {flags.host}: whoever reaches this machine over the network can look at the page and"
            " use it, without a password; leave --host out to serve to this machine alone"
        )
    say("Ctrl-C ends")
