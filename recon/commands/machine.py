"""What commands that train or evaluate share: where they run, how a stopped run goes on, and how they end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recon import runtime

EXIT = {"done": 0, "stopped": 0, "diverged": 4, "interrupted": 130}


@dataclass(frozen=True)
class Machine:
    """Where and how a command runs."""

    device: runtime.DeviceName = "auto"
    """Where it runs; auto takes CUDA where there is one."""
    precision: runtime.PrecisionName = "auto"
    """How float32 products are computed inside; auto takes bf16 where the hardware has it, and ends in float32."""
    malloc: runtime.MallocName = "auto"
    """Memory of a CPU; auto keeps freed blocks for the next step where glibc allows, default leaves it as it is."""
    threads: int = 0
    """Threads of a CPU; 0 for torch's choice."""
    json: bool = False
    """Print exactly one JSON object on standard output."""
    quiet: bool = False
    """No progress."""


def take_run(argv: Sequence[str], flag: str) -> tuple[str | None, list[str]]:
    """The run that a flag such as --resume names, if any, and the other arguments."""
    for position, word in enumerate(argv):
        if word.startswith(f"{flag}="):
            return word.split("=", 1)[1], [*argv[:position], *argv[position + 1 :]]
        if word == flag:
            if position + 1 >= len(argv):
                raise ValueError(f"{flag} wants a run: a folder, a name under renders/, or latest")
            return argv[position + 1], [*argv[:position], *argv[position + 2 :]]
    return None, list(argv)


def check_stop(stop_after: int | None) -> None:
    """ValueError for a --stop-after that stops before the first step."""
    if stop_after is not None and stop_after < 1:
        raise ValueError(f"--stop-after must be at least 1, got {stop_after}")
