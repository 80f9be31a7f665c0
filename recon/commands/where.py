"""`recon data where [NAME]`: the folders that are searched, or the path that a name means."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from recon.commands.common import print_json, say
from recon.commands.flags import read_flags
from recon.data.catalogue import entries, plain
from recon.data.find import FIGURINES, datasets_home, find_shape, home, roots, scene_folders, shape_folders
from recon.data.listing import SIGNAL_FOLDERS, found, made, places
from recon.files import printable
from recon.shapes.names import PROCEDURAL_NAMES


@dataclass(frozen=True)
class Where:
    """The folders that are searched for data, in their order; with a name, the path that it means."""

    name: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """family, lego, lucy, asian dragon, 03001627/MODEL ... (exit code 2 if it is not here)."""
    json: bool = False
    """Print exactly one JSON object on standard output."""


def where(argv: Sequence[str]) -> int:
    """Look, print."""
    flags = read_flags(Where, argv, "recon data where")
    if flags.name:
        return _one(" ".join(flags.name), flags.json)
    folders = {
        "shapes": shape_folders(),
        "scenes": scene_folders(),
        **{folder: [root / folder for root in roots()] for folder in SIGNAL_FOLDERS},
    }
    if flags.json:
        listed = {what: [{"path": str(f), "exists": f.is_dir()} for f in paths] for what, paths in folders.items()}
        settings = {name: os.environ.get(name) for name in ("RECON_HOME", "RECON_DATA")}
        print_json({"home": str(home()), "datasets": str(datasets_home()), "settings": settings, "folders": listed})
        return 0
    for name, unset in (("RECON_HOME", f"not set: the working directory, {Path.cwd()}"), ("RECON_DATA", "not set")):
        print(f"{name}  {os.environ.get(name) or unset}")
    for what, paths in folders.items():
        print(f"\n{what}, the first hit wins")
        for path in paths:
            print(f"  {'+' if path.is_dir() else '-'} {path}{'' if path.is_dir() else '  (not there)'}")
    return 0


def _one(name: str, json: bool) -> int:
    """Where one name leads, or how to get it."""
    known = [{"kind": row.kind, "path": str(row.path), "hidden": row.hidden_by is not None} for row in places(name)]
    if "/" in name and not known:
        known = [{"kind": "shape", "path": str(find_shape(name)), "hidden": False}]
    own = [thing for thing in made() if thing.name == name.lower() and not known]
    if not known and not own:
        raise FileNotFoundError(_how_to_get(name))
    if json:
        print_json({"name": name, "found": known, "made": bool(own)})
        return 0
    for thing in own:
        say(f"{thing.name}: {thing.about}")
        print(datasets_home() / "scenes" / FIGURINES if thing.name == FIGURINES else "made at each use, no file")
    _print_known(known)
    return 0


def _print_known(known: list[dict[str, Any]]) -> None:
    """The paths that count on standard output, the others as remarks."""
    for hit in known:
        if hit["hidden"]:
            say(f"also, but searched later: {hit['path']}")
        else:
            print(printable(hit["path"]))


def _how_to_get(name: str) -> str:
    entry = entries().get(plain(name))
    if entry is not None:
        return f"{entry.name} is not here; {entry.offer()}"
    names = [*dict.fromkeys([*entries(), *PROCEDURAL_NAMES, FIGURINES, *(row.name for row in found())])]
    near = difflib.get_close_matches(name.lower(), names, n=1)
    hint = f"perhaps you meant {near[0]}" if near else "recon data list shows what there is"
    return f"nothing is called '{name}'; {hint}"
