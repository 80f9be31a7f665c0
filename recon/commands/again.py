"""`--config RUN`: a new run with everything that an old one was made with, but for the flags beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recon.training.places import is_run
from recon.training.run import Run, overlay, read_config


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


def flags_again(config: Mapping[str, Any], inputs: Mapping[str, Any], flags: type[Any], data: str) -> dict[str, Any]:
    """Flags of the data as the old run had them; of a run that did not note them, the name of its data."""
    names = [name for name in flags.__dataclass_fields__ if name in inputs]
    found, _ = overlay({name: getattr(flags, name) for name in names}, inputs)
    return {data: config["data"], **found}


def lasting(name: str) -> str:
    """What was typed of data so that it is found again from any folder: paths whole, names as they are."""
    path = Path(name).expanduser()
    return str(path.absolute()) if path.exists() else name
