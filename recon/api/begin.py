"""What fits of shapes and scenes share: their folder, how they end, and signals that are for the whole program."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from recon.api.places import Temporary
from recon.api.voice import warn
from recon.tasks.bench import Bench
from recon.training.loop import Outcome


@contextlib.contextmanager
def place_for(out: str | os.PathLike[str] | None) -> Iterator[tuple[Path, Temporary | None]]:
    """The folder of a run: the one asked for, or a temporary one, which goes if the fit fails."""
    if out is not None:
        yield Path(out).expanduser(), None
        return
    temporary = Temporary()
    try:
        yield temporary.folder / "run", temporary
    except BaseException:
        temporary.discard()
        raise


def tell_end(outcome: Outcome, of: int, bench: Bench) -> None:
    """Say how a training ended, where it isn't as planned."""
    if outcome.status == "diverged":
        warn(f"the fit diverged ({outcome.reason}); the result is the last good state, step {outcome.step} of {of}")
    elif outcome.status != "done":
        bench.say(f"{outcome.status} at step {outcome.step} of {of}; the result is what was learned until then")


def pass_on(outcome: Outcome) -> None:
    """Ctrl-C ends the fit and no more; SIGTERM is for the whole program, and reaches it once the fit is safe."""
    if outcome.signal == signal.SIGTERM:
        signal.raise_signal(signal.SIGTERM)
