"""`recon bench [fields|kernels|steps|extract]`: how fast the networks are, as ratios, against the aims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from recon import runtime
from recon.commands.common import be_quiet, print_json, say
from recon.commands.flags import read_flags
from recon.files import atomic_write_bytes, atomic_write_json
from recon.studies.bench import table
from recon.studies.bench.plot import picture
from recon.studies.bench.run import BENCHES, measure
from recon.training.places import renders


@dataclass(frozen=True)
class Bench:
    """Measure networks, kernels, training steps and extraction: alternatives in turn, medians, ratios.

    Seconds of one machine say little; quote ratios, and measure on a machine that does nothing else."""

    what: Annotated[Literal["all", "fields", "kernels", "steps", "extract"], tyro.conf.Positional] = "all"
    """Which benchmark; all four take eight minutes on two CPU cores."""
    seconds: float | None = None
    """Time for all that is measured (a minimum is measured in any case); default eight minutes for all four."""
    device: runtime.DeviceName = "auto"
    """Where it runs; auto takes CUDA where there is one."""
    threads: int = 0
    """Threads of a CPU; 0 for torch's choice."""
    json: bool = False
    """Print exactly one JSON object on standard output: {bench, device, rows, ...}, or of all four {benches: [...]}."""
    quiet: bool = False
    """No progress."""
    out: Path | None = None
    """Folder of the plots and figures; default renders/bench."""

    def __post_init__(self) -> None:
        if self.seconds is not None and not 0 <= self.seconds < float("inf"):
            raise ValueError(f"--seconds must be zero or more, got {self.seconds}")
        if self.threads < 0:
            raise ValueError(f"--threads must be zero or more, got {self.threads}")


def main(name: str, argv: Sequence[str]) -> int:
    """Parse, measure, draw, print."""
    flags = read_flags(Bench, argv, f"recon {name}")
    machine = runtime.start(flags.device, "float32", threads=flags.threads)
    voice = be_quiet if flags.quiet else say
    voice(f"recon {name}: {machine.line()}")
    runtime.set_products(machine.precision)
    names = list(BENCHES) if flags.what == "all" else [flags.what]
    folder, usual = flags.out or renders() / "bench", sum(BENCHES[one][1] for one in names)
    results = []
    for one in names:
        seconds = BENCHES[one][1] * (1.0 if flags.seconds is None else flags.seconds / usual)
        results.append(measure(one, machine.device, seconds, say=voice))
        _keep(folder, results[-1])
        if not flags.json:
            print("\n".join([*table.lines(results[-1]), ""]), flush=True)
    if flags.json:
        print_json(results[0] if flags.what != "all" else {"benches": results})
    else:
        print("\n".join([*(table.aims(results) or ["no aims here"]), f"plots and figures: {folder}"]))
    return 0


def _keep(folder: Path, result: dict[str, Any]) -> None:
    """The figures and the plot of one benchmark."""
    atomic_write_json(folder / f"{result['bench']}.json", result)
    atomic_write_bytes(folder / f"{result['bench']}.png", picture(result))
