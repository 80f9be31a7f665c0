"""The signal inside a run folder, so that a run stands alone: `reference.safetensors`, exact and without pickle."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from recon.files import atomic_write_bytes, check_tensors, parse_json
from recon.signals.signal import Signal

NAME = "reference.safetensors"
LIMIT = 5 * 2**30
"""Bytes of the largest stored signal that is read: more than any file that is."""
DAMAGE = (SafetensorError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError)
"""What reading facts of the wrong kind raises."""
_TYPES: dict[str, tuple[type, ...]] = {
    "name": (str,), "kind": (str,), "suffix": (str,), "rate": (int, float), "source": (str,), "source_bytes": (int,),
    "notes": (list,), "subtype": (str,),
}  # fmt: skip


def write_store(folder: Path, signal: Signal) -> None:
    """Store a signal: its values as they are, and what is known of its file."""
    about = {f.name: getattr(signal, f.name) for f in fields(signal) if f.name != "values"}
    data = save({"values": np.ascontiguousarray(signal.values)}, {"signal": json.dumps(about)})
    atomic_write_bytes(folder / NAME, data)


def read_store(folder: Path) -> Signal:
    """The stored signal. FileNotFoundError where there is none, ValueError where it is damaged."""
    path = folder / NAME
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the run can't be evaluated or resumed without its signal")
    try:
        check_tensors(path, LIMIT)
        with safe_open(path, framework="numpy") as file:
            about = _checked(parse_json((file.metadata() or {})["signal"]))
            return Signal(values=file.get_tensor("values"), **about)
    except DAMAGE as error:
        raise ValueError(f"{path} is damaged ({error}); copy it from a backup or run again") from None


def _checked(about: dict[str, Any]) -> dict[str, Any]:
    """What is told of a signal, each part of its kind; parts of later versions are passed over."""
    found = {name: about[name] for name in _TYPES}
    for name, value in found.items():
        if not isinstance(value, _TYPES[name]) or isinstance(value, bool):
            raise ValueError(f"'{name}' is a {type(value).__name__}")
    if not all(isinstance(note, str) for note in found["notes"]):
        raise ValueError("its notes are no text")
    return {**found, "rate": float(found["rate"]), "notes": tuple(found["notes"])}
