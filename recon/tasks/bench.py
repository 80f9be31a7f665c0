"""Where a run works, whatever its task: machine, cache, voice, and where its time went."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recon.runtime import Runtime

Say = Callable[[str], None]
"""Told what happens, a line at a time."""


@dataclass
class Bench:
    """Machine, cache, voice, and what a run has taken so far."""

    run_on: Runtime
    cache: Path
    say: Say
    quiet: bool = False

    def __post_init__(self) -> None:
        self.timings: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Book the time since the last lap."""
        now = time.perf_counter()
        self.timings[name] = round(self.timings.get(name, 0.0) + now - self._last, 3)
        self._last = now
