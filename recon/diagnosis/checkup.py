"""The whole examination: probes side by side in processes of their own, then disk, memory and folders."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recon import memory
from recon.diagnosis import libraries
from recon.diagnosis.finding import Finding
from recon.diagnosis.probes import PROBES
from recon.training.places import renders

PATIENCE = 60.0
"""Seconds after which a probe is taken for hanging: a busy machine may take twenty to load torch."""
SMALL_MEMORY, SMALL_DISK = 4 * 2**30, 2**30
"""Below these, the quick presets may not fit."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OLDEST_PYTHON = (3, 10)


def examine(patience: float = PATIENCE) -> list[Finding]:
    """Everything, in the order of the report."""
    facts = probe(tuple(PROBES), patience)
    has_cuda = bool(facts["torch"].get("cuda"))
    return [
        _python(),
        libraries.packages(facts["packages"]),
        *libraries.torch(facts["torch"]),
        libraries.nerfacc(facts["nerfacc"], has_cuda),
        libraries.triton(facts["triton"], has_cuda),
        libraries.open3d(facts["open3d"]),
        libraries.ffmpeg(facts["ffmpeg"]),
        libraries.simple("viser", facts["viser"], "recon view"),
        libraries.simple("tensorboard", facts["tensorboard"], "the tb/ folder of runs"),
        _browser(),
        _memory(),
        *[
            _disk(name, folder)
            for name, folder in (("renders", renders()), ("datasets", renders().parent / "datasets"))
        ],
        *_data_folders(),
    ]


def probe(names: tuple[str, ...], patience: float) -> dict[str, Mapping[str, Any]]:
    """What each probe told last, with an error for one that crashed or did not end in time."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [_here(), os.environ.get("PYTHONPATH")]))}
    ends = time.monotonic() + patience
    with tempfile.TemporaryDirectory() as folder:
        started = {}
        for name in names:  # at once: they wait for the disk more than they compute
            with open(Path(folder) / name, "wb") as out:
                words = [sys.executable, "-m", "recon.diagnosis.probes", name]
                started[name] = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL, env=environment
                )
        try:
            return {name: _facts(process, Path(folder) / name, ends) for name, process in started.items()}
        finally:
            for process in started.values():
                if process.poll() is None:
                    process.kill()
                    process.wait()


def _here() -> str:
    """Where this `recon` was imported from, so that the probes look at the same."""
    return str(Path(__file__).parents[2])


def _facts(process: subprocess.Popen[bytes], out: Path, ends: float) -> Mapping[str, Any]:
    try:
        code, problem = process.wait(max(0.0, ends - time.monotonic())), ""
    except subprocess.TimeoutExpired:
        code, problem = 0, "it did not load in time"
    lines = out.read_text("utf-8", errors="replace").splitlines()
    facts = json.loads(lines[-1]) if lines else {}
    if code or not lines:
        problem = problem or f"it crashed while loading (exit code {code})"
    return {"error": problem, **facts} if problem else facts


# -- what needs no library -------------------------------------------------------------------------------------------


def _python() -> Finding:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        return Finding("python", "missing", found, "every command", f"install Python {wanted} or newer", required=True)
    return Finding("python", "ok", found, "every command", required=True)


def _browser() -> Finding:
    affects = "tests of pages, for developers only"
    for name in BROWSERS:
        if program := shutil.which(name):
            try:
                done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True)
            except (OSError, subprocess.SubprocessError):
                return Finding("chromium", "limited", f"{program} does not start", affects, "apt-get install chromium")
            return Finding("chromium", "ok", " ".join(done.stdout.split()[:2]), affects)
    return Finding("chromium", "limited", "not installed", affects, "apt-get install chromium, to run those tests")


def _memory() -> Finding:
    total, free, limit = memory.total_bytes(), memory.available_bytes(), memory.limit_bytes()
    found = f"{gib(free)} available of {gib(total)}"
    found += " (the container's limit)" if limit <= total else ""
    affects = "what fits: --pool, --train.batch, --resolution, --downscale"
    if free < SMALL_MEMORY:
        advice = "close other programs, or lower those: quick presets take 2 to 4 GiB"
        return Finding("memory", "limited", found, affects, advice)
    return Finding("memory", "ok", found, affects)


def _disk(name: str, folder: Path) -> Finding:
    """Free space at a folder, and whether it can be written."""
    affects = {"renders": "run folders (0.1 to 2 GiB each)", "datasets": "data that is fetched, made or cached"}[name]
    where, move = f"at {folder}", "set RECON_HOME to a folder that can be written and has room"
    place = next(path for path in (folder, *folder.parents) if path.exists())
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        return Finding(name, "missing", f"cannot write {where}", affects, move)
    free = shutil.disk_usage(place).free
    if free < SMALL_DISK:
        return Finding(name, "limited", f"{gib(free)} free {where}", affects, f"free some space, or {move}")
    return Finding(name, "ok", f"{gib(free)} free {where}", affects)


def _data_folders() -> list[Finding]:
    roots = [root for root in os.environ.get("RECON_DATA", "").split(os.pathsep) if root]
    affects = "names that --shape and --scene find"
    findings = []
    for root in roots:
        if Path(root).is_dir():
            findings.append(Finding("RECON_DATA", "ok", root, affects))
        else:
            findings.append(Finding("RECON_DATA", "missing", f"no folder {root}", affects, "correct RECON_DATA"))
    return findings


def gib(size: float | int) -> str:
    """Bytes for a person."""
    return f"{size / 2**30:.1f} GiB"
