"""Judges a reader on one input: what may come of it is a value or an error for people, soon, and in little memory."""

from __future__ import annotations

import resource
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

SECONDS = 5.0
"""Longest time that a processor may spend on one input,"""
WAITED = 60.0
"""and longest time on the clock: other programs may want the processor."""
MEMORY = 2 * 2**30
"""Bytes that one input may add to the process."""
ALARMS = (signal.SIGPROF, signal.SIGALRM)
FOR_PEOPLE = (ValueError, OSError, ImportError)
"""What the command line answers with one line; a MemoryError is none: limits are checked before memory is taken."""


@dataclass(frozen=True)
class Verdict:
    """What came of one input."""

    outcome: str
    """accepted, refused, or what is wrong: escaped, memory, slow."""
    seconds: float
    """Of a processor."""
    said: str = ""

    @property
    def failed(self) -> bool:
        """Whether the reader has to be mended."""
        return self.outcome not in ("accepted", "refused")


class TooSlow(BaseException):
    """The time is over; no reader catches this."""


def judge(read: Callable[[], object]) -> Verdict:
    """Calls a reader within the limits of time and memory."""
    began = time.process_time()
    outcome, said = "accepted", ""
    try:
        with _limits(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read()
    except TooSlow:
        outcome, said = "slow", traceback.format_exc(limit=-12)
    except FOR_PEOPLE as error:
        out_of_memory = any(isinstance(cause, MemoryError) for cause in _causes(error))
        outcome, said = "memory" if out_of_memory else "refused", str(error)
        if out_of_memory:
            said = traceback.format_exc(limit=-12)
    except MemoryError:
        outcome, said = "memory", traceback.format_exc(limit=-12)
    except Exception:  # whatever it is, it must not have come here
        outcome, said = "escaped", traceback.format_exc(limit=-12)
    return Verdict(outcome, time.process_time() - began, said)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@contextmanager
def _limits() -> Iterator[None]:
    """An alarm, and a limit of address space where the system has one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    alarmed = threading.current_thread() is threading.main_thread()
    before = [signal.signal(number, _ring) for number in ALARMS] if alarmed else []
    try:
        if sys.platform == "linux":
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, hard))
        if alarmed:
            signal.setitimer(signal.ITIMER_PROF, SECONDS, 1.0)  # again, should the first be swallowed
            signal.setitimer(signal.ITIMER_REAL, WAITED, 1.0)
        yield
    finally:
        if alarmed:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in zip(ALARMS, before, strict=True):
                signal.signal(number, handler)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _ring(number: int, frame: FrameType | None) -> None:
    raise TooSlow
