"""Settings as plain JSON and back: frozen dataclasses to dicts, and saved dicts laid over today's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any, TypeVar

from recon.runtime import MOST_THREADS, Precision
from recon.training.run import overlay

T = TypeVar("T")
MOST_LAYERS = 1000
"""Layers, or levels of a grid, of the deepest network that a file may ask for: making a billion of them takes hours."""


def to_plain(settings: Any) -> dict[str, Any]:
    """A dataclass of settings as nested dicts, lists, numbers and words."""
    return _plain(asdict(settings))


def from_plain(default: T, saved: Mapping[str, Any]) -> tuple[T, list[str]]:
    """`default` with the saved values laid over it, and the dotted names of those that no longer fit.

    Raises ValueError where a value fits in kind but is refused by the settings themselves."""
    merged, misfits = overlay(to_plain(default), saved)
    _check_layers(merged)
    return _rebuild(default, merged), misfits


def machine_of(saved: dict[str, Any]) -> tuple[Precision, int]:
    """Takes precision and number of threads out of saved settings; today's defaults where they make no sense."""
    inside, threads = saved.pop("precision", None), saved.pop("threads", None)
    usable = isinstance(threads, int) and not isinstance(threads, bool) and 0 <= threads <= MOST_THREADS
    return "bf16-inside" if inside == "bf16-inside" else "float32", threads if usable else 0


def inputs_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed of a run's data, as its config tells; nothing of runs that are older than that."""
    return dict(inputs) if isinstance(inputs := config.get("inputs"), Mapping) else {}


def misfits_in_words(config: Mapping[str, Any], misfits: list[str]) -> list[str]:
    """The warning about settings that no longer fit, if any."""
    versions = config.get("versions")
    made = versions.get("recon", "another version") if isinstance(versions, Mapping) else "another version"
    listed = ", ".join(misfits)
    return [f"settings of recon {made} that no longer fit, and were left out: {listed}"] if misfits else []


def _check_layers(settings: Mapping[str, Any]) -> None:
    """ValueError for a network that is deeper than any; how wide it may be is known where it is built."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            _check_layers(value)
        elif key.endswith(("layers", "levels")) and isinstance(value, int) and value > MOST_LAYERS:
            raise ValueError(f"{key} must be at most {MOST_LAYERS:,}, got {value:,}")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _rebuild(default: Any, value: Any) -> Any:
    if is_dataclass(default) and not isinstance(default, type):
        if not isinstance(value, Mapping):
            raise ValueError(f"a {type(default).__name__} needs its settings by name, found {value!r:.80}")
        # A row of a list comes as it was saved: what that version lacked keeps the default, what only it had goes.
        names = [field.name for field in fields(default) if field.name in value]
        return replace(default, **{name: _rebuild(getattr(default, name), value[name]) for name in names})
    if isinstance(default, tuple) and isinstance(value, list):
        # rows of one kind (stages): the first default shows which
        pattern = default[0] if default else None
        return tuple(_rebuild(pattern, item) for item in value)
    return tuple(_rebuild(None, item) for item in value) if isinstance(value, list) else value
