"""Segments of a signal, one expert each (Neural Experts, Figure 4): who speaks when, or what lies where.

Of sounds and films: JSON, [{"start": seconds, "end": seconds, "label": name}, ...]. Of pictures: another picture of the
same size in which each colour is a segment."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int16
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from recon.files import JSON_LIMIT, atomic_write_bytes, check_tensors, parse_json
from recon.signals.read import read_signal
from recon.signals.signal import BadSignal, Signal
from recon.signals.store import DAMAGE, LIMIT

NAME = "segments.safetensors"
MOST = 256
"""Segments of one signal."""
REST = "rest"
"""What belongs to no segment is one more."""


@dataclass(frozen=True, eq=False)
class Segments:
    """The segment of each place of a signal's grid, below the number of names."""

    labels: Int16[np.ndarray, "*shape"]
    names: tuple[str, ...]


def read_segments(path: Path, signal: Signal) -> Segments:
    """Segments of this signal from a file. FileNotFoundError where there is none, BadSignal for everything else."""
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; segments are a JSON of times, or a picture of labels")
    try:
        found = _of_picture(path, signal) if signal.kind == "image" else _of_times(path, signal)
    except BadSignal as error:
        raise BadSignal(f"{path}: {error}") from None
    return found


def write_segments(folder: Path, segments: Segments) -> None:
    """Store segments in a run's folder."""
    data = save({"labels": np.ascontiguousarray(segments.labels)}, {"names": json.dumps(segments.names)})
    atomic_write_bytes(folder / NAME, data)


def stored_segments(folder: Path) -> Segments | None:
    """The stored ones, if any; ValueError where they are damaged."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        check_tensors(path, LIMIT)
        with safe_open(path, framework="numpy") as file:
            names = parse_json((file.metadata() or {})["names"])
            labels = file.get_tensor("labels")
        if labels.dtype != np.int16 or not 0 <= labels.min() <= labels.max() < len(names):
            raise ValueError("its labels are no numbers of its names")
        return Segments(labels, tuple(map(str, names)))
    except (*DAMAGE, SafetensorError) as error:
        raise ValueError(f"{path} is damaged ({error}); copy it from a backup or run again") from None


def _of_times(path: Path, signal: Signal) -> Segments:
    """Of sounds and films: a place belongs to the last segment that holds its time."""
    rows = _rows(path)
    length = signal.shape[0] / signal.rate
    within = [row for row in rows if row[0] < length]  # of a sound that was cut, later ones are no fault
    if not within:
        raise BadSignal(
            f"all segments begin at {min(rows)[0]:g} s or later, but the {signal.kind} lasts {length:.4g} s"
        )
    names = list(dict.fromkeys(name for _, _, name in within))
    if len(names) >= MOST:
        raise BadSignal(f"{len(names):,} names of segments are more than {MOST}")
    moment = (np.arange(signal.shape[0]) + 0.5) / signal.rate
    rest = names.index(REST) if REST in names else len(names)
    labels = np.full(signal.shape[0], rest, np.int16)
    for start, end, name in within:
        labels[(moment >= start) & (moment < end)] = names.index(name)
    names += [] if REST in names else [REST]
    used, labels = np.unique(labels, return_inverse=True)  # no expert for what holds no sample
    names, labels = [names[label] for label in used], labels.astype(np.int16)
    across = (1,) * (len(signal.shape) - 1)
    return Segments(np.broadcast_to(labels.reshape(-1, *across), signal.shape).copy(), tuple(names))


def _rows(path: Path) -> list[tuple[float, float, str]]:
    """Start, end and name of each segment."""
    wanted = 'segments are a list of {"start": seconds, "end": seconds, "label": name}'
    if (size := path.stat().st_size) > JSON_LIMIT:
        raise BadSignal(f"{wanted}; {size:,} bytes are more than the {JSON_LIMIT:,} that are read")
    try:
        rows = parse_json(path.read_bytes())
    except ValueError as error:
        raise BadSignal(f"{wanted}, and this is no JSON ({error})") from None
    if not isinstance(rows, list) or not rows:
        raise BadSignal(f"{wanted}; found {type(rows).__name__ if rows else 'nothing'}")
    return [_row(row, wanted) for row in rows]


def _row(row: Any, wanted: str) -> tuple[float, float, str]:
    if not isinstance(row, dict) or not {"start", "end", "label"} <= set(row):
        raise BadSignal(f"{wanted}; found {row!r:.80}")
    start, end, label = _seconds(row["start"]), _seconds(row["end"]), row["label"]
    if not 0 <= start < end:
        raise BadSignal(f"a segment ends after it begins, at 0 or later; found {start:g} to {end:g}")
    if not isinstance(label, str | int) or isinstance(label, bool):
        raise BadSignal(f"a label is a name or a whole number; found {label!r:.40}")
    return start, end, f"{label}"[:80]


def _seconds(value: Any) -> float:
    """A number of seconds as JSON may have it."""
    with contextlib.suppress(OverflowError):  # whole numbers of JSON have no end
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    raise BadSignal(f"times are numbers of seconds; found {value!r:.40}")


def _of_picture(path: Path, signal: Signal) -> Segments:
    """Of pictures: one segment for each colour, in the order of the colours."""
    found = read_signal(path)
    if found.kind != "image" or found.shape != signal.shape:
        size = " x ".join(map(str, signal.shape))
        raise BadSignal(f"segments of a picture are a picture of its size, {size}; found {found.kind} {found.shape}")
    if found.values.dtype == np.float32:
        raise BadSignal("segments of a picture are colours in 8 or 16 bits, and this one is in floats")
    code = np.zeros(found.shape, np.uint64)
    for channel in range(found.channels):
        code = (code << np.uint64(16)) | found.values[..., channel]
    _, first, labels = np.unique(code, return_index=True, return_inverse=True)
    if len(first) > MOST:
        raise BadSignal(f"{len(first):,} colours are more than {MOST} segments; is it a photograph?")
    colours = found.values.reshape(-1, found.channels)[first]
    names = tuple(" ".join(map(str, colour.tolist())) for colour in colours)
    return Segments(labels.reshape(signal.shape).astype(np.int16), names)
