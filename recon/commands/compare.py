"""`recon compare`: fields trained on the same data within one budget, or finished runs, in one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

import tyro

from recon import runtime
from recon.commands.common import be_quiet, nearest_of, print_json, refuse_misspelt, say, take_name
from recon.commands.flags import read_flags
from recon.commands.machine import Machine
from recon.commands.report import report_of
from recon.data.find import FIGURINES, cache_home, find_signal
from recon.data.load import load
from recon.fields import FIELDS
from recon.files import printable
from recon.scenes.region import space_for
from recon.signals.prepare import Preparation, prepared
from recon.signals.read import read_signal
from recon.studies.compare.arena import Arena, Failed, Finished
from recon.studies.compare.budget import Kind, budget_of
from recon.studies.compare.contest import prepare, run_all
from recon.studies.compare.finished import read_finished, tabulate
from recon.studies.compare.plots import plot_finals
from recon.studies.compare.record import FILES, PICTURE, new_folder, write_contest, write_finished
from recon.studies.compare.results import Row, as_text, cells
from recon.studies.compare.scenes import SceneArena
from recon.studies.compare.shapes import ShapeArena
from recon.studies.compare.signals import SignalArena
from recon.tasks.bench import Bench
from recon.tasks.named_scene import named_scene
from recon.tasks.nerf.settings import PRESETS as SCENE_PRESETS
from recon.tasks.nerf.settings import preset as scene_preset
from recon.tasks.shape.settings import PRESETS as SHAPE_PRESETS
from recon.tasks.shape.settings import preset as shape_preset
from recon.tasks.signal.settings import PRESETS as SIGNAL_PRESETS

TASKS = ("sdf", "occ", "nerf", "fit")
DEFAULT_SHAPE = "idol"
FAILED, INTERRUPTED = 4, 130
"""Exit codes: a run came to nothing; a person stopped it."""


@dataclass(frozen=True)
class Compare(Machine):
    """Flags of a comparison."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Finished runs to tabulate: folders, names under renders/, or latest. Nothing is trained then."""
    fields: tuple[str, ...] = ()
    """Fields to train; the first one's preset gives all of them batch, data and steps."""
    shape: str | None = None
    """sdf, occ: a file, a name in datasets/ or the folders of RECON_DATA, or a procedural shape; default idol."""
    scene: str | None = None
    """nerf: a folder of posed pictures, a name in datasets/ or the folders of RECON_DATA; default figurines."""
    signal: str | None = None
    """fit: a picture, a sound, a film, or a name of one in datasets/ or the folders of RECON_DATA."""
    downscale: int = 1
    """nerf, fit: this many pixels of the files along each side become one."""
    voxels: Literal["on", "off"] = "off"
    """nerf: a voxel stage before every field, or before none."""
    params: float | None = None
    """Bring all fields to this many parameters; default: those of the first."""
    macs: float | None = None
    """Bring all fields to this many multiply-accumulates a point; default: those of the first."""
    seconds: float | None = None
    """Train each field about so long, whatever the steps."""
    steps: float | None = None
    """Train each field so many steps, at its preset's size; default: those of the first."""
    seeds: int = 1
    """Runs of each field."""
    out: Path | None = None
    """Folder of tables, plot and runs; default renders/compare/TASK/DATA/TIME."""


def main(name: str, argv: Sequence[str]) -> int:
    """Parse; tabulate what is there, or train and tabulate."""
    del name
    task, rest = take_name(argv, "--task", TASKS)
    kind, rest = take_name(rest, "--budget", get_args(Kind))
    preset, rest = take_name(rest, "--preset", dict.fromkeys((*SHAPE_PRESETS, *SCENE_PRESETS, *SIGNAL_PRESETS)))
    refuse_misspelt(rest, ("--task", "--budget", "--preset"))
    listed = f"--task {'|'.join(TASKS)}. --budget {'|'.join(get_args(Kind))}. --preset NAME. "
    about = f"Compare fields on the same data, or tabulate finished runs (recon compare RUN RUN ...). {listed}"
    flags = read_flags(Compare, rest, "recon compare", f"{about}Fields: {', '.join(FIELDS)}.")
    if flags.runs:
        _refuse_training_flags(flags, task, kind, preset)
        return _tabulate(flags)
    amounts: dict[Kind, float | None] = {k: getattr(flags, k) for k in get_args(Kind)}
    budget = budget_of(cast("Kind | None", kind), amounts)
    names = _field_names(flags.fields)
    task = task or ("nerf" if flags.scene is not None else "fit" if flags.signal is not None else "sdf")
    _refuse_flags_of_others(flags, task)
    voice = be_quiet if flags.quiet else say
    run_on = runtime.start(flags.device, flags.precision, 0, flags.threads, flags.malloc)

    def make_bench(quiet: bool) -> Bench:
        return Bench(run_on, cache_home(), be_quiet if quiet else voice, quiet)

    voice(f"recon compare: {', '.join(names)} on {run_on.line()}")
    device = "; ".join(run_on.reasons[:-1])  # the last is a seed, and each run has its own
    arena = _arena(task, flags, names, preset, make_bench(flags.quiet))
    contest = prepare(arena, names, budget, flags.seeds, make_bench)
    folder = new_folder((task, arena.data), flags.out)
    finished: list[Finished] = []
    failed: list[Failed] = []
    written: list[tuple[dict[str, Any], list[Row]]] = []

    def keep(done: Finished | Failed) -> None:
        if isinstance(done, Failed):
            failed.append(done)
        else:
            done.metrics["files"]["report"] = report_of(done.run, run_on).name
            done.run.write_metrics(done.metrics)
            finished.append(done)
        if finished:  # after each run: whatever happens, what is done is there
            written[:] = [write_contest(contest, finished, failed, folder, device)]

    whole = run_all(contest, folder, make_bench, flags.quiet, keep)
    if written:
        _print(flags, *written[0])
    else:
        say(f"no run came to its end; what was begun is in {folder}")
    return INTERRUPTED if not whole else FAILED if failed else 0


def _arena(task: str, flags: Compare, names: list[str], preset: str | None, bench: Bench) -> Arena:
    """The data, read; ValueError for a preset or a field that the task does not have, before that."""
    known = {"nerf": SCENE_PRESETS, "fit": SIGNAL_PRESETS}.get(task, SHAPE_PRESETS)
    chosen: Any = preset or (("small" if known is SHAPE_PRESETS else "best") if runtime.has_gpu() else "quick")
    if chosen not in known:
        raise ValueError(f"--preset {chosen} is unknown for {task}; {nearest_of(chosen, known)}")
    if task == "nerf":
        for name in names:
            scene_preset(chosen, name)  # refuses, before pictures are read, what can't learn from pixels
        scene = named_scene(flags.scene or FIGURINES, flags.downscale, bench.say)
        return SceneArena(chosen, scene, space_for(scene, "auto"), flags.downscale, flags.voxels == "on")
    if task == "fit":
        path = find_signal(flags.signal or "")
        return SignalArena(chosen, prepared(read_signal(path), Preparation(downscale=flags.downscale)))
    shape_task: Any = task
    shape = load(flags.shape or DEFAULT_SHAPE, centre=shape_preset(shape_task, chosen, names[0]).centre)
    for line in shape.report.warnings() if shape.report else []:
        say(f"warning: {line}")
    return ShapeArena(shape_task, chosen, shape, bench.cache)


def _tabulate(flags: Compare) -> int:
    """Finished runs in one table, and in one plot where they can be ranked."""
    found = read_finished(flags.runs)
    rows, extra, notes = tabulate(found)
    folder = new_folder(("runs",), flags.out)
    about: dict[str, Any] = {"runs": [str(run.folder) for run, _ in found], "notes": notes, "files": FILES}
    if notes:
        about["files"] = {name: file for name, file in FILES.items() if name != "plot"}
    else:
        first = found[0][1]
        plot_finals(folder / PICTURE, rows, f"{first['task']} of {first['data']}", next(iter(rows[0].scores), ""))
    _print(flags, write_finished(rows, cells(rows, extra), about, folder), rows, extra)
    return 0


def _print(flags: Compare, result: dict[str, Any], rows: list[Row], extra: dict[str, list[str]] | None = None) -> None:
    if flags.json:
        print_json(result)
        return
    print(printable(as_text(cells(rows, extra))))
    for note in result["notes"]:
        print(printable(f"  {note}"))
    for name, file in result["files"].items():
        print(f"  {name:<10} {Path(result['folder']) / file}")


# -- flags that do not go together -------------------------------------------------------------------------------------


def _field_names(given: Sequence[str]) -> list[str]:
    """Fields as people type them, by spaces or commas; ValueError with the nearest name for one that is none."""
    names = [name for text in given for name in text.split(",") if name]
    for name in names:
        if name not in FIELDS:
            raise ValueError(f"--fields {name} is unknown; {nearest_of(name, list(FIELDS))}")
    if not names:
        raise ValueError("nothing to compare: name fields (--fields siren loe asmr), or finished runs")
    return names


def _refuse_flags_of_others(flags: Compare, task: str) -> None:
    """ValueError for flags of shapes with a scene, and the other way round; before data is read or made."""
    if flags.downscale < 1:
        raise ValueError(f"--downscale must be 1 or more, got {flags.downscale}")
    own = {"nerf": ("scene", "downscale", "voxels"), "fit": ("signal", "downscale")}.get(task, ("shape",))
    for name in ("shape", "scene", "signal", "downscale", "voxels"):
        if name not in own and getattr(flags, name) != getattr(Compare, name):
            takes = ", ".join(f"--{flag}" for flag in own)
            raise ValueError(f"--{name} is not for --task {task}, which takes {takes}")
    if task == "fit" and flags.signal is None:
        raise ValueError("--task fit wants --signal: a picture, a sound or a film")


def _refuse_training_flags(flags: Compare, *names: str | None) -> None:
    """ValueError for flags of training beside finished runs."""
    plain = Compare()
    own = ("fields", "shape", "scene", "signal", "downscale", "voxels", "params", "macs", "seconds", "steps", "seeds")
    if any(names) or any(getattr(flags, name) != getattr(plain, name) for name in own):
        raise ValueError(
            f"finished runs ({', '.join(flags.runs)}) are tabulated as they are, and take no flags of training; to"
            " train, name fields behind --fields"
        )
