"""Time and memory of alternatives: run in turn (a b a b ...) in one process, medians compared, until a time is up."""

from __future__ import annotations

import ctypes
import gc
import math
import platform
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

MOST_ROUNDS = 200
"""A median is no better for more."""


@dataclass(frozen=True)
class Way:
    """One of several ways to the same values."""

    run: Callable[[], object]
    points: int | None = None
    """Points that its seconds stand for."""
    factor: float = 1.0
    """Its seconds are multiplied by this, where it runs on a part of the points."""
    macs: float | int | None = None
    """Multiply-accumulates per point."""
    note: str = ""


@dataclass(frozen=True)
class Aim:
    """A figure to reach: at most or at least a number."""

    what: str
    least: float | None = None
    most: float | None = None

    def words(self) -> str:
        bounds = {">=": self.least, "<=": self.most}
        return " ".join([self.what, *(f"{sign} {bound:g}" for sign, bound in bounds.items() if bound is not None)])

    def met(self, figure: float) -> bool:
        return (self.least is None or figure >= self.least) and (self.most is None or figure <= self.most)


@dataclass(frozen=True)
class Row:
    """What was measured of one way; None where a figure makes no sense."""

    name: str
    seconds: float | None = None
    """Median of a call."""
    ratio_plain: float | None = None
    """Seconds over those of the plain reference, which `plain` names."""
    ratio_mlp: float | None = None
    """Seconds over those of a ReLU network as wide and as deep."""
    points_per_second: float | None = None
    peak_mb: float | None = None
    """Memory of the first call beyond what was there before it, in MB: of a step with the moments that it makes."""
    plain: str | None = None
    batch: int | None = None
    """Points of a call."""
    width: int | None = None
    macs: float | int | None = None
    """Multiply-accumulates per point."""
    repeats: int | None = None
    aim: str | None = None
    figure: float | None = None
    """What the aim speaks of."""
    met: bool | None = None
    note: str = ""

    def judged(self, aim: Aim, figure: float) -> Row:
        """This row with an aim and the figure found."""
        return replace(self, aim=aim.words(), figure=figure, met=aim.met(figure))


@dataclass
class Meter:
    """Measures on one device, within the seconds that it is given."""

    device: torch.device
    seconds: float
    begin: float = field(default_factory=time.perf_counter)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return max(0.0, self.begin + self.seconds - time.perf_counter())

    @property
    def on_cpu(self) -> bool:
        return self.device.type == "cpu"

    def compare(
        self,
        title: str,
        ways: Mapping[str, Way],
        *,
        plain: str | None = None,
        mlp: str | None = None,
        width: int | None = None,
    ) -> dict[str, Row]:
        """A row for each way, by its name; ratios are to the ways that `plain` and `mlp` name."""
        peaks = {name: self.peak_mb(way.run) for name, way in ways.items()}  # this warms up as well
        taken = self.interleave({name: way.run for name, way in ways.items()})
        medians = {name: statistics.median(times) * ways[name].factor for name, times in taken.items()}
        return {
            name: Row(
                name=f"{title}: {name}" if title else name,
                seconds=seconds,
                ratio_plain=None if plain is None else seconds / medians[plain],
                ratio_mlp=None if mlp is None else seconds / medians[mlp],
                points_per_second=None if (points := ways[name].points) is None else points / seconds,
                peak_mb=peaks[name],
                plain=plain,
                batch=ways[name].points,
                width=width,
                macs=ways[name].macs,
                repeats=len(taken[name]),
                note=ways[name].note,
            )
            for name, seconds in medians.items()
        }

    def interleave(self, works: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
        """Seconds of each call, in turn: once at least, and until the time is up."""
        taken: dict[str, list[float]] = {name: [] for name in works}
        with quiet_collector():
            for _ in range(MOST_ROUNDS):
                for name, work in works.items():
                    taken[name].append(self.time(work))
                if not self.left:
                    break
        return taken

    def time(self, work: Callable[[], object]) -> float:
        """Seconds of one call, the device's work included."""
        self._settle()
        start = time.perf_counter()
        work()
        self._settle()
        return max(time.perf_counter() - start, 1e-9)

    def peak_mb(self, work: Callable[[], object]) -> float | None:
        """Memory that this call takes beyond what was there before; None where the system does not tell."""
        if not self.on_cpu:
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
            work()
            self._settle()
            return (torch.cuda.max_memory_allocated(self.device) - before) / 1e6
        give_back_freed_memory()
        before = _reset_peak()
        work()
        after = _status("VmHWM")
        return None if before is None or after is None else max(0, after - before) / 1e3

    def _settle(self) -> None:
        if not self.on_cpu:
            torch.cuda.synchronize(self.device)


@contextmanager
def quiet_collector() -> Iterator[None]:
    """Python collects no garbage within: that would fall on whoever runs."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def give_back_freed_memory() -> None:
    """glibc keeps what was freed (see `runtime.keep_freed_memory`): a peak would not be seen above it."""
    if platform.system() == "Linux":
        try:
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        except (OSError, AttributeError):  # no glibc: then nothing was kept
            return


def _reset_peak() -> float | None:
    """Makes Linux forget this process's peak; the memory in use now, in kB. None on other systems."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return None
    return _status("VmRSS")


def _status(name: str) -> float | None:
    """A figure of /proc/self/status, in kB."""
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    except (OSError, UnicodeDecodeError):
        return None
    return float(found[1]) if found else None


def agree(what: str, a: torch.Tensor, b: torch.Tensor, bound: float) -> str:
    """Words on how far two ways differ, relative to the largest value. RuntimeError where that is beyond the bound."""
    scale = max(float(b.detach().abs().max()), 1e-12)
    off = float((a.detach() - b.detach()).abs().max()) / scale
    if not off <= bound or not math.isfinite(off):
        raise RuntimeError(f"{what}: the ways to compare disagree by {off:.1e} (relative; bound {bound:.0e})")
    return f"values agree to {off:.0e}"
