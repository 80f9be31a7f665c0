"""What several commands share: names picked before flags are parsed, and how results are printed."""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from recon.commands.flags import nearest_of, read_flags
from recon.files import printable
from recon.training.run import Run

KEY_SCORES = (
    "iou",
    "iou_grid",
    "trimap_iou_0.01",
    "trimap_iou_0.001",
    "chamfer_l1",
    "f_score_0.005",
    "normal_consistency",
)


def take_name(argv: Sequence[str], flag: str, known: Iterable[str]) -> tuple[str | None, list[str]]:
    """The value of `flag` (which picks a set of further flags) and the other arguments.

    Raises ValueError with the nearest known names where the value is none of them."""
    rest, value, taken = [], None, False
    for position, word in enumerate(argv):
        if taken:
            taken = False
        elif word == flag:
            if position + 1 >= len(argv):
                raise ValueError(f"{flag} wants a name: {', '.join(known)}")
            value, taken = argv[position + 1], True
        elif word.startswith(f"{flag}="):
            value = word.split("=", 1)[1]
        else:
            rest.append(word)
    names = list(known)
    if value is not None and value not in names:
        raise ValueError(f"{flag} {value} is unknown; {nearest_of(value, names)}")
    return value, rest


def parse_settings(
    argv: Sequence[str],
    flags: type[Any],
    settings: Any,
    *,
    prog: str,
    names: Mapping[str, Iterable[str]],
    whose: str,
    given: Mapping[str, Any] | None = None,
) -> tuple[Any, Any]:
    """What was typed as an object of `flags`, and `settings` with what was typed of them, the seed and the steps.

    For the help: the names that were taken from the line before, and the ones whose settings these are. `given` are
    flags that have another default than usual."""
    listed = "".join(f"--{name} NAME: {', '.join(known)}. " for name, known in names.items())
    about = f"{listed}--resume RUN goes on with a run, --config RUN begins it again. Below: the flags of {whose}."
    own = ("settings", Annotated[type(settings), tyro.conf.arg(name="")], field(default=settings))
    both = make_dataclass("Flags", [own], bases=(flags,), frozen=True)
    default: Any = both(**given or {})
    typed = read_flags(both, argv, prog, about, default)
    found = replace(typed.settings, train=replace(typed.settings.train, seed=typed.seed))
    if typed.steps is not None:
        if typed.steps < 1:
            raise ValueError(f"--steps must be at least 1, got {typed.steps}")
        found = found.with_steps(typed.steps)
    return typed, found


def refuse_misspelt(argv: Sequence[str], flags: Sequence[str]) -> None:
    """Raise ValueError for a word that is nearly one of the flags that `take_name` takes: tyro does not know them."""
    for word in argv:
        near = difflib.get_close_matches(word.split("=", 1)[0], flags, n=1, cutoff=0.8) if word[:2] == "--" else []
        if near:
            raise ValueError(f"there is no flag {word}; perhaps you meant {near[0]}")


def parse_size(text: str) -> tuple[int, int]:
    """Width and height of a size as people type it, 800x600."""
    match = re.fullmatch(r"(\d{1,6})[x*](\d{1,6})", text.strip().lower())
    if not match:
        raise ValueError(f"--size wants WIDTHxHEIGHT in pixels, such as 800x600; got '{text}'")
    return int(match[1]), int(match[2])


def kind_of(run: Run) -> Literal["shape", "scene", "signal"]:
    """What a run has learned. ValueError for what no command here knows."""
    task = run.read_config()["task"]
    kinds: dict[str, Literal["shape", "scene", "signal"]] = {"sdf": "shape", "occ": "shape"}
    kinds |= {"nerf": "scene", "fit": "signal"}
    if task not in kinds:
        raise ValueError(f"{run.folder} is a run of '{task}', not of a shape, a scene or a signal")
    return kinds[task]


def shape_or_scene(run: Run, instead: str) -> Literal["shape", "scene"]:
    """What a run has learned; ValueError for one of a signal, which is told what to do instead."""
    kind = kind_of(run)
    if kind == "signal":
        raise ValueError(f"{run.folder} learned a signal (recon fit), not a shape or a scene; {instead}")
    return kind


def refuse_flags(flags: Any, names: Iterable[str], run: Run, kind: str, others: str = "") -> None:
    """ValueError where a flag was given (differs from its default) that makes no sense for this kind of run, but for
    `others`."""
    others = others or {"shape": "a scene", "scene": "a shape"}.get(kind, "others")
    for name in names:
        if getattr(flags, name) != getattr(type(flags), name):
            raise ValueError(f"--{name.replace('_', '-')} is for runs of {others}; {run.folder} is one of a {kind}")


def say(line: str) -> None:
    """A line on standard error."""
    print(printable(line), file=sys.stderr, flush=True)


def be_quiet(line: str) -> None:
    """No voice, but for warnings."""
    if line.startswith("warning"):
        say(line)


def print_json(result: dict[str, Any]) -> None:
    """The one object that --json puts on standard output."""
    print(json.dumps(result, indent=2, allow_nan=False))


def print_scores(scores: dict[str, float | None], names: Sequence[str] = KEY_SCORES) -> None:
    """The main scores as a person reads them."""
    for name in names:
        if name in scores:
            value = scores[name]
            print(f"  {name:<20} {'-' if value is None else f'{value:.4g}'}")


def print_files(folder: Path, files: dict[str, Any]) -> None:
    """Where to find what was made."""
    for name, where in files.items():
        if isinstance(where, dict):
            print(printable(f"  {name:<20} {folder / name}/ ({', '.join(where)})"))
        elif where:
            print(printable(f"  {name:<20} {folder / where}"))
