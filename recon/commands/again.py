"""`--config RUN`: a new run with everything that an old one was made with, but for the flags beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from recon.training.places import is_run
from recon.training.run import Run, overlay, read_config
from recon.training.settings import misfits_in_words


def read_again(task: str, name: str) -> tuple[dict[str, Any], Path]:
    """The config that a person means, a run or a JSON file, and the folder it was found in.

    ValueError where it is that of another task."""
    path = Path(name)
    if path.is_file() and not is_run(path):
        config, folder = read_config(path), path.absolute().parent
    else:
        run = Run.open(name)
        config, folder = run.read_config(), run.folder
    if config["task"] != task:
        other = config["task"]
        raise ValueError(f"{name} is a run of recon {other}; run it again with: recon {other} --config {name}")
    return config, folder


def refuse_other_kind(name: str, old: Mapping[str, Any], typed: Mapping[str, str | None]) -> None:
    """ValueError where a field or a preset is typed that is not the old run's: its settings would not fit them."""
    for flag, value in typed.items():
        if value is not None and value != old[flag]:
            raise ValueError(
                f"--config {name} has {flag} {old[flag]}, and its settings are no settings of --{flag} {value}; leave"
                " one of the two out"
            )


def flags_again(
    config: Mapping[str, Any], inputs: Mapping[str, Any], flags: type[Any], data: str
) -> tuple[dict[str, Any], list[str]]:
    """Flags of the data as the old run had them (of one that did not note them, the name of its data), and a warning
    about those that no longer fit."""
    hints = get_type_hints(flags)
    defaults = {name: getattr(flags, name) for name in inputs if name in hints}
    found, misfits = overlay(defaults, inputs)
    for name in defaults:
        if get_origin(hints[name]) is Literal and found[name] not in get_args(hints[name]):
            misfits.append(name)
    given = {data: config["data"], **{name: value for name, value in found.items() if name not in misfits}}
    return given, misfits_in_words(config, [f"inputs.{name}" for name in misfits])


def lasting(name: str) -> str:
    """What was typed of data so that it is found again from any folder: paths whole, names as they are."""
    path = Path(name).expanduser()
    return str(path.absolute()) if path.exists() else name
