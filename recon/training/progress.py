"""What a person sees of training: a bar on a terminal or in a notebook, else a line at first and every tenth."""

from __future__ import annotations

import importlib.util
import io
import sys
import time
from typing import Any

from recon.files import printable


class Progress:
    """Shows step, loss, points a second and time left; `note` says one thing above it. A context manager."""

    def __init__(
        self, steps: int, start: int, points_per_step: int, quiet: bool = False, stream: io.TextIOBase | None = None
    ) -> None:
        self._steps, self._start, self._points = steps, start, points_per_step
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._began = self._drawn = time.perf_counter()
        self._tenth = 10 * start // steps - 1  # so that the first step is told
        self._last: tuple[int, float] | None = None
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        if not self._quiet and (self._stream.isatty() or in_notebook()):
            self._bar = _bar(self._stream)
            self._task = self._bar.add_task("training", total=self._steps, completed=self._start, facts="")
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            if self._last is not None:
                self._draw(*self._last)
            self._bar.stop()

    def update(self, step: int, loss: float) -> None:
        """Tells that `step` updates are done; cheap enough to call after each."""
        self._last = step, loss
        tenth = 10 * step // self._steps
        if self._bar is not None and time.perf_counter() - self._drawn > 0.2:
            self._draw(step, loss)
        elif self._bar is None and not self._quiet and tenth > self._tenth:
            self._tenth = tenth
            self._say(f"step {step}/{self._steps}  {self._facts(step, loss)}")

    def went_back(self, step: int) -> None:
        """Starts counting again from an earlier step."""
        self._start, self._began = step, time.perf_counter()
        self._tenth = 10 * step // self._steps - 1

    def note(self, text: str) -> None:
        """One line that stays, also when quiet: warnings and what was done about them."""
        text = printable(text)
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            self._say(text)

    def _draw(self, step: int, loss: float) -> None:
        self._drawn = time.perf_counter()
        self._bar.update(self._task, completed=step, facts=self._facts(step, loss))

    def _facts(self, step: int, loss: float) -> str:
        per_second = max(step - self._start, 1) / max(time.perf_counter() - self._began, 1e-9)
        left = duration((self._steps - step) / per_second)
        return f"loss {loss:.4g}  {quantity(per_second * self._points)} points/s  {left} left"

    def _say(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def in_notebook() -> bool:
    """Whether a bar can be shown below the cell of a notebook, for which Rich needs ipywidgets."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return type(shell).__name__ == "ZMQInteractiveShell" and importlib.util.find_spec("ipywidgets") is not None


def duration(seconds: float) -> str:
    """Seconds for a person: 42 s, 3:07 min, 2:05 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60}:{whole % 60:02d} min" if whole < 3600 else f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def quantity(number: float) -> str:
    """A count for a person: 950, 12.3k, 4.56M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.0f}"


def peak_memory() -> int | None:
    """Bytes of memory that this process has held at most; None where the system does not tell."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _bar(stream: Any) -> Any:
    # Rich takes 0.1 s to load, and only a terminal needs it.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn  # noqa: PLC0415
    from rich.progress import Progress as RichProgress  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[facts]}"))
    return RichProgress(*columns, console=Console(file=stream), refresh_per_second=4)
