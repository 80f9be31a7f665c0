"""`recon tables [NAME]`: a table of a paper, run again in whole or in part, its numbers beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from recon import runtime
from recon.commands.common import be_quiet, nearest_of, print_json, say
from recon.commands.flags import read_flags
from recon.commands.machine import Machine
from recon.data.find import cache_home
from recon.files import printable
from recon.report.page import write_report
from recon.studies.compare.results import as_text
from recon.studies.tables import TABLES
from recon.studies.tables.order import Order, Recipe, chosen_data, chosen_rows, is_here
from recon.studies.tables.run import Done, run_all
from recon.studies.tables.write import lines, write
from recon.tasks.bench import Bench
from recon.training.places import renders
from recon.training.run import Run

FAILED, INTERRUPTED = 4, 130
"""Exit codes: a run came to nothing; a person stopped it."""


@dataclass(frozen=True)
class Tables(Machine):
    """Run a table of a paper, or (without a name) list all of them. The same command goes on where it was stopped."""

    table: Annotated[str, tyro.conf.Positional] = ""
    """neural-experts-N, loe-N or asmr-N."""
    steps_scale: float = 1.0
    """Times the paper's steps, pretraining and schedules included: 0.01 for a look on a CPU."""
    rows: tuple[str, ...] = ()
    """Networks of the table; all where none is named."""
    data: tuple[str, ...] = ()
    """Data of the table, or files of your own; all that are here where none is named."""
    recipe: Recipe = "paper"
    """Optimiser and learning rates: the paper's, made for its number of steps, or those of the quick presets, made for
    few."""
    downscale: int = 1
    """Pictures, films, scenes: so many pixels along each side become one, beside what the paper shrinks."""
    seed: int = 0
    """Of weights and batches."""
    out: Path | None = None
    """Folder of the table and its runs; default renders/tables/NAME/LENGTH."""

    def __post_init__(self) -> None:
        if not 0 < self.steps_scale < float("inf"):
            raise ValueError(f"--steps-scale must be positive, got {self.steps_scale}")
        if self.downscale < 1:
            raise ValueError(f"--downscale must be 1 or more, got {self.downscale}")


def main(name: str, argv: Sequence[str]) -> int:
    """Parse; list, or run and write."""
    del name
    flags = read_flags(Tables, argv, "recon tables", f"Tables: {', '.join(TABLES)}.")
    if not flags.table:
        return _list(flags)
    order, missing = _order(flags)
    voice = be_quiet if flags.quiet else say
    run_on = runtime.start(flags.device, flags.precision, flags.seed, flags.threads, flags.malloc)
    device = "; ".join(run_on.reasons[:-1])
    count = sum(1 for _ in order.cells())
    voice(f"recon tables: {order.name} ({order.table.title}), {count} runs, on {run_on.line()}")
    if missing:
        voice(f"not here: {', '.join(missing)}")
    done: list[Done] = []
    written: dict[str, Any] = {}

    def keep(one: Done, run: Run) -> None:
        done.append(one)
        if one.metrics is not None and "report" not in one.metrics["files"]:
            one.metrics["files"]["report"] = write_report(run).name
            run.write_metrics(one.metrics)
        written.update(write(order, done, missing, device))  # after each run: what is done is there

    whole = run_all(order, lambda: Bench(run_on, cache_home(), voice, flags.quiet), keep)
    if written:
        _print(flags, order, written)
    return INTERRUPTED if not whole else FAILED if any(one.reason for one in done) else 0


def _order(flags: Tables) -> tuple[Order, list[str]]:
    if flags.table not in TABLES:
        raise ValueError(f"there is no table '{flags.table}'; {nearest_of(flags.table, list(TABLES))}")
    table = TABLES[flags.table]
    if flags.downscale > 1 and table.task in ("sdf", "occ"):
        raise ValueError(f"--downscale is for pictures, films and scenes; {flags.table} is about shapes")
    rows = chosen_rows(table, _words(flags.rows))
    data, missing = chosen_data(table, _words(flags.data))
    length = f"steps-{flags.steps_scale:g}" + ("-quick" if flags.recipe == "quick" else "")
    length += f"-downscale-{flags.downscale}" * (flags.downscale > 1) + f"-seed-{flags.seed}" * (flags.seed != 0)
    folder = (flags.out or renders() / "tables" / flags.table / length).absolute()
    how = {"scale": flags.steps_scale, "recipe": flags.recipe, "downscale": flags.downscale, "seed": flags.seed}
    how["threads"] = flags.threads
    return Order(flags.table, table, rows, data, folder, **how), missing


def _words(given: Sequence[str]) -> list[str]:
    """Names as people type them, by spaces or commas."""
    return [name for text in given for name in text.split(",") if name]


def _print(flags: Tables, order: Order, result: dict[str, Any]) -> None:
    if flags.json:
        print_json(result)
        return
    for column in order.table.columns:
        print(column.heading)
        print(printable(as_text(lines(result, column))))
    for note in result["notes"]:
        print(printable(f"  {note}"))
    for name, file in result["files"].items():
        print(f"  {name:<10} {Path(result['folder']) / file}")


def _list(flags: Tables) -> int:
    """All tables, with their networks and data, and which of these are here."""
    found = []
    for name, table in TABLES.items():
        here = [datum.name for datum in table.data if is_here(table.task, datum)]
        rows = [row.name for row in table.rows]
        found.append({"table": name, "title": table.title, "task": table.task, "rows": rows, "data": here,
                      "missing": [datum.name for datum in table.data if datum.name not in here]})  # fmt: skip
    if flags.json:
        print_json({"tables": found})
        return 0
    for one in found:
        print(f"{one['table']:<18} {one['title']}\n{'':<18} rows: {', '.join(one['rows'])}")
        print(f"{'':<18} data: {', '.join(one['data']) or 'none is here'}"
              + (f" (not here: {', '.join(one['missing'])})" if one["missing"] else ""))  # fmt: skip
    return 0
