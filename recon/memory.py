"""How much memory this process may use: of the machine, or of the container that it runs in (Linux: cgroups)."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")
OWN_PAGES = Path("/proc/self/statm")
MEMINFO = Path("/proc/meminfo")
NO_LIMIT = 1 << 60
"""cgroups of version 1 write a number near 2^63 where there is no limit."""


def total_bytes() -> float:
    """Memory of the machine, or the container's limit where that is less; infinite where the system does not tell."""
    return min(_machine_bytes(), limit_bytes())


def available_bytes() -> float:
    """What can still be taken without swapping; infinite where the system does not tell."""
    free = _meminfo("MemAvailable")
    rest = [limit - used for limit, used in _groups()]
    return max(0.0, min([free if free is not None else total_bytes(), *rest]))


def own_bytes() -> float:
    """What this process holds now; 0 where the system does not tell."""
    words = _read(OWN_PAGES).split()
    return float(words[1]) * os.sysconf("SC_PAGE_SIZE") if len(words) > 1 else 0.0


def limit_bytes() -> float:
    """The container's limit; infinite where there is none."""
    return min((limit for limit, _ in _groups()), default=math.inf)


def _machine_bytes() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return math.inf


def _meminfo(name: str) -> float | None:
    for line in _read(MEMINFO).splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1]) * 1024
    return None


def _groups() -> list[tuple[float, float]]:
    """Limit and use of each control group that this process is in and that has a limit, from the innermost out."""
    found = []
    for folder, limit, used in _places():
        try:
            most = int(_read(folder / limit))
        except ValueError:  # no such file, or "max"
            continue
        if most < NO_LIMIT:
            found.append((float(most), _used(folder, used)))
    return found


def _places() -> list[tuple[Path, str, str]]:
    """Folders of control groups, with the names of their two files. A container may see its own group as the root."""
    places = []
    for line in _read(OWN_GROUP).splitlines():
        number, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        if number == "0":
            root, names = CGROUPS, ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            root, names = CGROUPS / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        own = root / path.lstrip("/")
        places += [(folder, *names) for folder in (own, *own.parents) if folder.is_relative_to(root)]
    return places


def _used(folder: Path, name: str) -> float:
    """Bytes in use, but for files' pages that the kernel drops when memory is wanted."""
    try:
        used = int(_read(folder / name))
    except ValueError:
        return 0.0
    stat = dict(line.split()[:2] for line in _read(folder / "memory.stat").splitlines() if len(line.split()) >= 2)
    return float(max(0, used - int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))))


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii", errors="replace")
    except OSError:
        return ""
