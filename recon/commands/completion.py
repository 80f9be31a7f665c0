"""`recon completion bash|zsh|fish`: a script that completes commands, flags and names, without asking recon."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, get_args
from unittest import mock

import tyro

from recon.commands import COMMANDS, shells
from recon.commands.compare import TASKS
from recon.commands.flags import read_flags
from recon.commands.render import RENDERED
from recon.commands.shells import Completion, Names
from recon.data.catalogue import entries
from recon.fields import FIELDS
from recon.shapes.procedural import PROCEDURAL
from recon.shapes.sampling import SAMPLERS
from recon.studies.compare.budget import Kind
from recon.studies.tables import TABLES
from recon.tasks.nerf.settings import DEFAULT_FIELD as SCENE_FIELD
from recon.tasks.nerf.settings import PRESETS as SCENE_PRESETS
from recon.tasks.shape.settings import DEFAULT_FIELD as SHAPE_FIELD
from recon.tasks.shape.settings import PRESETS as SHAPE_PRESETS
from recon.tasks.signal.settings import DEFAULT_FIELD as SIGNAL_FIELD
from recon.tasks.signal.settings import PRESETS as SIGNAL_PRESETS

FITS = {"sdf": SHAPE_FIELD["sdf"], "occ": SHAPE_FIELD["occ"], "nerf": SCENE_FIELD, "fit": SIGNAL_FIELD["image"]}
"""Commands whose flags depend on --field, and the field that they take without it."""
TAKES_RUN = ("eval", "render", "export", "compare", "view", "report")
ONE_COLUMN = "120"
"""Columns of a terminal so wide that choices fit, and so narrow that tyro puts one box below the other."""


@dataclass(frozen=True)
class Print:
    """Print a script that completes recon's commands, flags and names in your shell."""

    shell: Annotated[Literal["bash", "zsh", "fish"], tyro.conf.Positional]
    """bash, zsh or fish."""


def main(name: str, argv: Sequence[str]) -> int:
    """Parse, look at every help, print."""
    flags = read_flags(Print, argv, f"recon {name}")
    print(shells.SCRIPTS[flags.shell](collect()))
    return 0


def collect() -> Completion:
    """Every command's flags, as its help lists them, and the names that flags and commands take."""
    pages = {path: flags_in(page(path)) for path in paths()}
    own: dict[str, Names] = {}
    for field in FIELDS:
        found = flags_in(page(f"sdf --field {field}"))
        own[field] = {flag: words for flag, words in found.items() if flag.startswith("--field.")}
    for path in FITS:
        pages[path] = {flag: words for flag, words in pages[path].items() if not flag.startswith("--field.")}
    for path, names in _named().items():
        pages[path] = {**pages[path], **names}
    summaries = {name: command.summary for name, command in COMMANDS.items()}
    return Completion(summaries, pages, own, FITS, _words(), TAKES_RUN)


def paths() -> list[str]:
    """Each command, and behind it each of its actions: "data", "data get"."""
    found = []
    for name, command in COMMANDS.items():
        actions = getattr(importlib.import_module(f"recon.commands.{command.module}"), "ACTIONS", {})
        found += [name, *(f"{name} {action}" for action in actions)]
    return found


def page(words: str) -> str:
    """What --help prints behind these words."""
    name, *rest = words.split()
    command = importlib.import_module(f"recon.commands.{COMMANDS[name].module}")
    caught = io.StringIO()
    with (
        mock.patch.dict("os.environ", COLUMNS=ONE_COLUMN),
        contextlib.redirect_stdout(caught),
        contextlib.suppress(SystemExit),
    ):
        command.main(name, [*rest, "--help"])
    return caught.getvalue()


def flags_in(text: str) -> Names:
    """Flags that a help page lists, and the words that each may take where those are known."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        if match := re.match(r"[│|] ((?:-{1,2}[\w.-]+(?:, )?)+)(?: \{([^}]*)\})?", line):
            words = tuple(word for word in (match[2] or "").split(",") if word and " " not in word)
            found |= dict.fromkeys(match[1].split(", "), words)
    return found


def _named() -> Mapping[str, Names]:
    """Flags that are taken from the line before tyro sees it, and names that it takes for any word."""
    shapes = {"--preset": SHAPE_PRESETS, "--sampler": tuple(SAMPLERS), "--shape": tuple(PROCEDURAL)}
    fields = {"--field": tuple(FIELDS), "--resume": ("latest",), "--config": ("latest",)}
    every = tuple(dict.fromkeys((*SHAPE_PRESETS, *SCENE_PRESETS)))
    return {
        "sdf": {**fields, **shapes},
        "occ": {**fields, **shapes},
        "nerf": {**fields, "--preset": SCENE_PRESETS, "--scene": ("figurines",)},
        "fit": {**fields, "--preset": SIGNAL_PRESETS},
        "compare": {
            "--fields": tuple(FIELDS),
            "--task": TASKS,
            "--budget": get_args(Kind),
            "--preset": every,
            "--shape": tuple(PROCEDURAL),
        },
        "render": {"--what": RENDERED},
    }


def _words() -> dict[str, tuple[str, ...]]:
    """What may stand behind a command that is no flag."""
    found: dict[str, tuple[str, ...]] = dict.fromkeys(TAKES_RUN, ("latest",))
    for name, actions in _actions():
        found[name] = (*found.get(name, ()), *actions)
    found |= {
        "data get": tuple(entries()),
        "tables": tuple(TABLES),
        "bench": ("all", "fields", "kernels", "steps", "extract"),
    }
    return found | {"data check": ("figurines",), "completion": ("bash", "zsh", "fish")}


def _actions() -> Iterator[tuple[str, list[str]]]:
    for path in paths():
        name, _, action = path.partition(" ")
        if action:
            yield name, [action]
