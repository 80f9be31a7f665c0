"""Rows of a run's `log.jsonl` that still hold; a log may be cut, or be a stranger's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recon.files import parse_json

LOG_LIMIT = 32 * 2**20
"""Bytes of the largest log that is read: a hundred thousand rows of ours, ten times what a long training writes."""


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows but for those undone by a rollback or an older checkpoint; none where there is no log.

    Lines that are no rows are passed over: a killed process leaves half a line. ValueError for a log beyond the limit.
    """
    if not path.is_file():
        return []
    if (size := path.stat().st_size) > LOG_LIMIT:
        raise ValueError(f"{path} has {size:,} bytes, more than the {LOG_LIMIT:,} that are read; keep its last lines")
    # From the end: a row holds unless some later one went back to before its step.
    kept, back = [], math.inf
    for row in reversed(list(_rows(path.read_bytes()))):
        if "event" in row or _step(row) <= back:
            kept.append(row)
        if isinstance(row.get("from_step"), int):
            back = min(back, row["from_step"])
    return kept[::-1]


def _rows(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.split(b"\n"):
        try:
            row = parse_json(line.decode("utf-8", "replace"))
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row


def _step(row: dict[str, Any]) -> int | float:
    step = row.get("step")
    return step if isinstance(step, int | float) else 0
