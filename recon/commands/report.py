"""`recon report`: the page of a run, or one page about several runs side by side."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from recon import runtime
from recon.commands.common import kind_of, print_json
from recon.commands.flags import read_flags
from recon.commands.machine import Machine
from recon.report.comparison import write_comparison
from recon.report.page import write_report
from recon.training.run import Run
from recon.viewer.in_report import view_of


@dataclass(frozen=True)
class Report(Machine):
    """Write the page of a run, or one page that compares several; no network is needed to read it."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional] = ("latest",)
    """Folders, names under renders/, or latest; with two or more they are compared."""
    out: Path | None = None
    """The HTML file; default report.html in the run's folder, or in a new one, renders/compare/runs/TIME."""


def main(name: str, argv: Sequence[str]) -> int:
    """Parse, write, print where it is."""
    del name
    flags = read_flags(Report, argv, "recon report")
    if flags.out is not None and flags.out.is_dir():
        raise IsADirectoryError(f"--out {flags.out} is a folder; name the file, such as {flags.out / 'report.html'}")
    runs = [Run.open(run) for run in flags.runs]
    about: dict[str, Any] = {"runs": [str(run.folder) for run in runs]}
    if len(runs) == 1:
        run_on = runtime.start(flags.device, flags.precision, 0, flags.threads, flags.malloc)
        path, notes = report_of(runs[0], run_on, flags.out), []
    else:
        path, notes = write_comparison(runs, flags.out)
    if flags.json:
        print_json({**about, "report": str(path), "bytes": path.stat().st_size, "notes": notes})
        return 0
    for note in notes:
        print(note, file=sys.stderr)
    print(f"{path} ({path.stat().st_size:,} bytes)")
    return 0


def report_of(run: Run, run_on: runtime.Runtime, out: Path | None = None) -> Path:
    """Writes the page of a run, with what was learned in 3-D where that can be shown; its path."""
    signal = kind_of(run) == "signal"
    return write_report(run, None if signal else view_of(run, run_on), out)
