"""What lies in a run's `checkpoint/`, by name and hash: read without torch, and with doubt."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recon.files import read_json

MODEL, OPTIMIZER, STATE, BEST = "model.safetensors", "optimizer.safetensors", "state.json", "best.json"
STATE_LIMIT = 2**20
COUNTERS = ("seconds", "rate_factor", "rollbacks", "best_score")
"""Of a state: numbers, where they are there."""


def newest_first(folder: Path) -> list[Path]:
    """Folders of checkpoints, whole or not."""
    numbered = [
        ((int(match[1]), int(match[2] or 1)), place)
        for place in folder.glob("step-*")
        if (match := re.fullmatch(r"step-(\d{1,15})(?:-(\d{1,9}))?", place.name)) and place.is_dir()
    ]
    return [place for _, place in sorted(numbered, reverse=True)]


def read_state(place: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A checkpoint's state, and the sizes and hashes of its files; ValueError where it was changed."""
    state = read_json(place / STATE, STATE_LIMIT)
    if state.pop("checksum", None) != checksum(state):
        raise ValueError(f"{STATE} was changed")
    files, step = state.pop("files", None), state.get("step")
    if not (isinstance(files, dict) and {MODEL, OPTIMIZER} <= files.keys() and isinstance(step, int) and step >= 0):
        raise ValueError(f"{STATE} lacks a step or the list of files")
    for key in COUNTERS:
        found = state.get(key, 0)
        fits = isinstance(found, int | float) and -1e300 < found < 1e300  # NaN is not less
        if not (fits or found is None and key == "best_score"):
            raise ValueError(f"{STATE} has no usable '{key}' (found {found!r:.80})")
    return state, files


def verified(path: Path, expected: Any) -> bytes:
    """A file's bytes, if they are those that were written."""
    if not (isinstance(expected, dict) and {"bytes", "sha256"} <= expected.keys()):
        raise ValueError(f"{STATE} lacks the size or hash of {path.name}")
    if (found := path.stat().st_size) != expected["bytes"]:  # before reading: a wrong file may be of any size
        raise ValueError(f"{path.name} has {found} bytes instead of {expected['bytes']}")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != expected["sha256"]:
        raise ValueError(f"{path.name} was changed: its hash differs")
    return data


def checksum(state: Mapping[str, Any]) -> str:
    """The hash of a state without its own."""
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()
