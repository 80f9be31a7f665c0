"""Run folders, `renders/<task>/<data>/<field>/<time>/`: making one, writing its records, and finding it again."""

from __future__ import annotations

import contextlib
import difflib
import importlib.metadata
import json
import math
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import recon
from recon.files import atomic_write_json, atomic_write_text, read_json, writing

CONFIG, METRICS, LOG, LATEST = "config.json", "metrics.json", "log.jsonl", "latest"


@dataclass(frozen=True)
class Run:
    """One run's folder; it is a run once it holds `config.json`."""

    folder: Path

    @classmethod
    def create(
        cls,
        task: str,
        data: str,
        field: str,
        settings: Mapping[str, Any],
        out: Path | None = None,
        *,
        latest: bool = True,
    ) -> Run:
        """Makes the folder (`out`, or a fresh one under `renders/`), writes `config.json`, moves the `latest` links.

        Raises before any work where the place holds something or can't be written.
        """
        folder = claim(out.absolute()) if out is not None else fresh_folder(renders() / folder_path(task, data, field))
        run = cls(folder)
        about = {"task": task, "data": data, "field": field, "created": datetime.now().isoformat(timespec="seconds")}
        atomic_write_json(folder / CONFIG, {**about, "settings": dict(settings), "versions": versions()})
        if latest and out is None:
            run.make_latest()
        elif latest:
            _point(renders() / LATEST, folder)
        return run

    @classmethod
    def open(cls, name: str | Path) -> Run:
        """The run at a folder, at a name or path under `renders/` (its newest run), or `latest`."""
        return cls(_find(str(name)))

    def make_latest(self) -> None:
        """Moves the `latest` links, that of all runs and that beside this one, to it."""
        _point(self.folder.parent / LATEST, self.folder)
        _point(renders() / LATEST, self.folder)

    @property
    def checkpoints(self) -> Path:
        """Where `recon.training.checkpoint` keeps them."""
        return self.folder / "checkpoint"

    def read_config(self) -> dict[str, Any]:
        """All of `config.json`: task, data, field, created, settings, versions."""
        config = read_json(self.folder / CONFIG)
        for key, kind in (("task", str), ("data", str), ("field", str), ("settings", dict)):
            if not isinstance(config.get(key), kind):
                raise ValueError(f"{self.folder / CONFIG} has no usable '{key}' (found {config.get(key)!r:.80})")
        return config

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        """Replaces the settings and the versions, keeping what else `config.json` says."""
        atomic_write_json(
            self.folder / CONFIG, {**self.read_config(), "settings": dict(settings), "versions": versions()}
        )

    def read_metrics(self) -> dict[str, Any]:
        """The scores of the last evaluation."""
        return read_json(self.folder / METRICS)

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Replaces `metrics.json`."""
        atomic_write_json(self.folder / METRICS, dict(metrics))

    def append_log(self, row: Mapping[str, Any]) -> None:
        """Adds one line to `log.jsonl`; numbers that JSON lacks become null."""
        line = json.dumps(_finite(row), ensure_ascii=False)
        with writing(self.folder / LOG), open(self.folder / LOG, "ab+") as file:
            if file.tell() and not _ends_line(file):  # a killed process left half a line
                line = "\n" + line
            file.write(line.encode("utf-8") + b"\n")

    def read_log(self) -> list[dict[str, Any]]:
        """Rows of `log.jsonl` that still hold: those undone by a rollback or an older checkpoint are left out."""
        rows: list[dict[str, Any]] = []
        path = self.folder / LOG
        for line in path.read_text("utf-8", errors="replace").splitlines() if path.is_file() else []:
            try:
                row = json.loads(line)
            except ValueError:
                continue  # the half line of a killed process
            if not isinstance(row, dict):
                continue
            if isinstance(back := row.get("from_step"), int):
                rows = [old for old in rows if not ("event" not in old and old.get("step", 0) > back)]
            rows.append(row)
        return rows


def overlay(defaults: Mapping[str, Any], saved: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Saved settings laid over today's defaults, and the dotted names of those that no longer fit (unknown, or of
    another kind); a setting that was not saved keeps its default."""
    merged, misfits = dict(defaults), []
    for key, value in saved.items():
        if key not in defaults:
            misfits.append(key)
        elif isinstance(defaults[key], Mapping) and isinstance(value, Mapping):
            merged[key], inner = overlay(defaults[key], value)
            misfits += [f"{key}.{name}" for name in inner]
        elif _kind(defaults[key]) in (_kind(value), "null") or value is None:
            merged[key] = value
        elif isinstance(defaults[key], float) and _kind(value) == "integer":
            merged[key] = float(value)
        else:
            misfits.append(key)
    return merged, misfits


def renders() -> Path:
    """The folder of all runs: below RECON_HOME, or below the working directory."""
    return Path(os.environ.get("RECON_HOME") or ".").absolute() / "renders"


def versions() -> dict[str, str]:
    """What a run was made with."""
    return {
        "recon": recon.__version__,
        "torch": importlib.metadata.version("torch"),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


# --- making a folder --------------------------------------------------------------------------------------------------


def folder_path(*parts: str) -> Path:
    """Names of any kind as folder names."""
    return Path(*(re.sub(r"[^\w.+-]+", "-", part).strip("-.") or "unnamed" for part in parts))


def fresh_folder(parent: Path) -> Path:
    """A new folder named by the time; a second run within the second gets `-2`."""
    stamp, count = datetime.now().strftime("%Y-%m-%d_%H%M%S"), 1
    with writing(parent):
        parent.mkdir(parents=True, exist_ok=True)
        while True:
            folder = parent / (stamp if count == 1 else f"{stamp}-{count}")
            try:
                folder.mkdir()
                return folder
            except FileExistsError:
                count += 1


def claim(folder: Path) -> Path:
    """The folder that a person asked for: new, or empty."""
    if is_run(folder):
        raise FileExistsError(f"{folder} holds a run already; resume it, or choose a new folder")
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; the output must be a new or an empty folder")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty and is no run ({_holds(folder)}); choose a new or empty folder")
    return folder


def _point(link: Path, target: Path) -> None:
    """Moves a link in one step; a text file where there are no symbolic links. A convenience: it never stops a run."""
    relative = os.path.relpath(target, link.parent)
    temporary = link.with_name(f".{link.name}.{os.getpid()}.link")
    with contextlib.suppress(OSError):
        link.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.unlink(missing_ok=True)
            os.symlink(relative, temporary)
        except (OSError, NotImplementedError):
            atomic_write_text(link, relative + "\n")
        else:
            os.replace(temporary, link)


# --- finding a folder -------------------------------------------------------------------------------------------------


def is_run(folder: Path) -> bool:
    """Whether a folder holds a run."""
    return (folder / CONFIG).is_file()


def list_runs() -> list[Path]:
    """Folders of all runs under `renders/`, oldest first (their names are their times)."""
    found = {path.parent for path in renders().glob(f"*/*/*/*/{CONFIG}") if path.parent.name != LATEST}
    return sorted(found, key=lambda folder: [int(number) for number in re.findall(r"\d+", folder.name)])


def _find(name: str) -> Path:
    """The folder that a person meant, with every link followed."""
    if name == LATEST and (newest := _follow(renders() / LATEST)):
        return newest
    for place in (Path(name), renders() / name):
        if found := _follow(place) or _follow(place / LATEST):
            return found
    runs = list_runs()
    if name == LATEST and runs:
        return runs[-1]
    below = [run.relative_to(renders()) for run in runs]
    matches = [path for path in below if _contains(path.parts, Path(name).parts)]
    if len({path.parent for path in matches}) == 1:
        return renders() / matches[-1]
    if matches:
        raise ValueError(f"'{name}' could be any of {_some(matches)}; say which, with more of the path")
    if Path(name).is_dir():
        raise FileNotFoundError(f"{name} is a folder but no run: it has no {CONFIG} ({_holds(Path(name))})")
    if not runs:
        raise FileNotFoundError(f"no run '{name}': there is no such folder, and there are no runs under {renders()}")
    known = [*map(str, below), *{part for path in below for part in path.parts}, LATEST]
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"perhaps you meant {_some(close)}" if close else f"the newest is {below[-1]}"
    raise FileNotFoundError(f"no run '{name}' here or under {renders()}; {hint}")


def _follow(place: Path) -> Path | None:
    """The run at a folder, a symbolic link or a text file that names a folder; None where there is none."""
    with contextlib.suppress(OSError, ValueError):
        if place.is_file() and place.name == LATEST:
            place = place.parent / place.read_text("utf-8")[:4096].strip()
        if is_run(place):
            return place.resolve()
    return None


def _contains(parts: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Whether some of a path's parts, side by side, are the wanted ones."""
    count = len(wanted)
    return count > 0 and any(parts[start : start + count] == wanted for start in range(len(parts) - count + 1))


def _some(names: list[Any]) -> str:
    return ", ".join(map(str, names[:5])) + (", ..." if len(names) > 5 else "")


def _holds(folder: Path) -> str:
    return f"it holds {_some(sorted(entry.name for entry in folder.iterdir()) or ['nothing'])}"


# --- small parts of the records ---------------------------------------------------------------------------------------


def _kind(value: Any) -> str:
    """What a setting is, as JSON sees it."""
    for kind, types in (("null", type(None)), ("bool", bool), ("integer", int), ("number", float), ("text", str)):
        if isinstance(value, types):
            return kind
    return "object" if isinstance(value, Mapping) else "list"


def _finite(value: Any) -> Any:
    """The same, with null for numbers that JSON lacks."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _ends_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
