"""Showing what `recon view` has found: a page that is served until Ctrl-C, or one that is written."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from recon import runtime
from recon.commands.common import be_quiet, print_json, say, shape_or_scene
from recon.commands.view import ViewFlags
from recon.data.find import FIGURINES
from recon.files import atomic_write_text
from recon.scenes.scene import Scene
from recon.shapes.load import SUFFIXES
from recon.tasks.named_scene import named_scene
from recon.training import checkpoint
from recon.training.run import Run
from recon.viewer import page
from recon.viewer.files import FileView, FolderView, fitting_downscale, read_mesh_file
from recon.viewer.follow import SECONDS, Follower
from recon.viewer.panel import Panel
from recon.viewer.scene import SceneView
from recon.viewer.serving import is_loopback
from recon.viewer.shape import ShapeView
from recon.viewer.weights import SceneRun, ShapeRun


def save(found: Run | Path, flags: ViewFlags) -> int:
    """Write the page and say where it is."""
    assert flags.save is not None
    atomic_write_text(flags.save, _page(found, flags, _start(flags)))
    if flags.json:
        print_json({"page": str(flags.save), "bytes": flags.save.stat().st_size})
    else:
        print(flags.save)
    return 0


def serve(found: Run | Path, flags: ViewFlags) -> int:
    """Serve the page until Ctrl-C."""
    try:
        if flags.follow:
            _await_checkpoint(found)
        shown = _open(found, flags, _start(flags))
        try:
            _announce(shown, flags)
            while True:  # one look into a folder every few seconds, where a run is followed
                time.sleep(SECONDS)
                shown.poll()
        finally:
            shown.close()
    except KeyboardInterrupt:
        return 0


def _start(flags: ViewFlags) -> runtime.Runtime:
    return runtime.start(flags.device, flags.precision, 0, flags.threads, flags.malloc)


def _page(found: Run | Path, flags: ViewFlags, run_on: runtime.Runtime) -> str:
    if isinstance(found, Run):
        shape_or_scene(found, "look at its report.html")
        return page.static_page(found, run_on, most_bytes=page.MOST_BYTES, up=flags.up)
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
    kind = shape_or_scene(found, "look at its report.html")
    voice(f"recon view: {found.folder}, on {run_on.line()}")
    if kind == "shape":
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


def _scene(folder: Path, flags: ViewFlags) -> Scene:
    voice = be_quiet if flags.quiet else say
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
    if flags.json:
        print_json({"address": shown.address, "port": shown.port})
        sys.stdout.flush()
    else:
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
