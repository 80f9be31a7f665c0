"""A benchmark from its parts within a time, as the plain object that `--json` prints and a file keeps."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from recon.studies.bench import kernels, networks, steps, surfaces
from recon.studies.bench.measure import Meter
from recon.studies.bench.networks import Part
from recon.studies.bench.sizes import Sizes

BENCHES: dict[str, tuple[Callable[[Sizes], list[Part]], float]] = {
    "fields": (networks.parts, 190.0),
    "kernels": (kernels.parts, 50.0),
    "steps": (steps.parts, 140.0),
    "extract": (surfaces.parts, 100.0),
}
"""The parts of each benchmark, and the seconds that they are given: eight minutes in all."""


def measure(
    name: str,
    device: torch.device,
    seconds: float,
    sizes: Sizes | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Runs one of BENCHES: each part gets an equal share of the time that is left, and at least one measurement.

    The result has `bench`, `device`, what it ran on, and `rows` (see `measure.Row`)."""
    todo = BENCHES[name][0](sizes or Sizes.on(device))
    begin, found = time.perf_counter(), []
    # The largest parts come last in the table and run first: small ones then share what they leave.
    for index, part in enumerate(reversed(todo)):
        left = max(0.0, seconds - (time.perf_counter() - begin))
        found.append(list(part(Meter(device, left / (len(todo) - index)))))
        say(f"bench {name}: {index + 1} of {len(todo)}, {found[-1][-1].name}")
    return {
        "bench": name,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "seconds": round(time.perf_counter() - begin, 1),
        "rows": [asdict(row) for rows in reversed(found) for row in rows],
    }


def processor() -> str:
    """What the CPU calls itself."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        return next(entry.partition(":")[2].strip() for entry in text.splitlines() if entry.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
