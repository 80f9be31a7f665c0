"""One thread for all that takes time: the newest wish of each kind is fulfilled, those that it replaces are dropped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

Stale = Callable[[], bool]
"""Asked by a job on its way: whether a newer wish of its kind, or the end, makes the rest of it useless."""
Job = Callable[[Stale], None]


class Dropped(Exception):
    """Raised by a job that has stopped because it was stale."""


@dataclass(frozen=True)
class _Wish:
    job: Job
    due: float
    number: int


class Worker:
    """Runs jobs one at a time. A wish of a kind replaces the one that waits, and tells the one that runs to stop.

    What a job raises goes to `on_error`, on the worker's thread: nothing of one picture may end all others."""

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self._on_error = on_error
        self._wishes: dict[str, _Wish] = {}
        self._changed = threading.Condition()
        self._count, self._running, self._ended = 0, False, False
        self._thread = threading.Thread(target=self._work, name="recon-viewer", daemon=True)
        self._thread.start()

    def ask(self, kind: str, job: Job, delay: float = 0.0) -> None:
        """Have `job` done, `delay` seconds from now at the earliest."""
        with self._changed:
            if not self._ended:
                self._count += 1
                self._wishes[kind] = _Wish(job, time.monotonic() + delay, self._count)
                self._changed.notify_all()

    def forget(self, kind: str) -> None:
        """Drop what waits of a kind."""
        with self._changed:
            self._wishes.pop(kind, None)

    def settle(self, seconds: float = 60.0) -> bool:
        """Wait until nothing waits and nothing runs; False where that took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._wishes and not self._running, seconds)

    def close(self) -> None:
        """Drop what waits, stop what runs, and end the thread."""
        with self._changed:
            self._ended = True
            self._wishes.clear()
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            kind, job = taken
            try:
                job(lambda kind=kind: self._ended or kind in self._wishes)
            except Dropped:
                pass
            except Exception as error:
                if not self._ended:
                    self._on_error(error)
            with self._changed:
                self._running = False
                self._changed.notify_all()

    def _next(self) -> tuple[str, Job] | None:
        """What is due first, once it is; None at the end."""
        with self._changed:
            while not self._ended:
                if not self._wishes:
                    self._changed.wait()
                    continue
                kind, wish = min(self._wishes.items(), key=lambda item: (item[1].due, item[1].number))
                left = wish.due - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                del self._wishes[kind]
                self._running = True
                return kind, wish.job
            return None


def dropping(stale: Stale) -> None:
    """Raises Dropped where a job is stale: for the calls that long work makes on its way."""
    if stale():
        raise Dropped
