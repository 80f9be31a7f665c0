"""The one training loop: it knows a `Job`, and leaves a run that survives stops, kills and divergence."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass
from types import FrameType
from typing import Any, Literal

from recon.training.job import Job, OnStep
from recon.training.plan import TrainConfig
from recon.training.progress import Progress
from recon.training.recorder import Recorder
from recon.training.run import Run
from recon.training.session import NonFinite, Session


@dataclass(frozen=True)
class Outcome:
    """How training ended; all but "done" can be resumed."""

    status: Literal["done", "interrupted", "stopped", "diverged"]
    step: int
    """Updates done, over all sittings."""
    seconds: float
    """Time spent, over all sittings."""
    reason: str = ""
    warnings: tuple[str, ...] = ()
    """Damaged checkpoints that were passed over, rollbacks."""
    signal: int = 0
    """The number of the signal that interrupted it, if one did."""


def train(
    job: Job,
    config: TrainConfig,
    run: Run,
    *,
    resume: bool = False,
    stop_after: int | None = None,
    on_step: OnStep | None = None,
    quiet: bool = False,
) -> Outcome:
    """Trains until done, `stop_after` updates in all, Ctrl-C (or SIGTERM), or a second non-finite loss or gradient.

    However it ends, the newest checkpoint holds the last good state; on the CPU, resuming from it gives bit for bit
    what one sitting would have given. The first non-finite step goes back to the last checkpoint, at half the rate.
    """
    session = Session(job, config, run)
    if resume:
        session.restore()
    else:
        session.begin()
    progress = Progress(config.steps, session.step, job.points_per_step, quiet)
    recorder = Recorder(run, session.step, config, job)
    with session, Interrupts() as interrupts, progress, recorder:
        for text in session.warnings:
            progress.note(f"warning: {text}")
        last = config.steps if stop_after is None else min(stop_after, config.steps)
        reason = _run(session, last, interrupts, progress, recorder, on_step=on_step)
    status = "diverged" if reason else "done"
    if not reason and session.step < config.steps:
        status = "stopped" if session.step >= last else "interrupted"
    run.append_log({"event": status, "step": session.step, "seconds": session.seconds, "reason": reason})
    return Outcome(status, session.step, session.seconds, reason, tuple(session.warnings), interrupts.requested)


def _run(
    session: Session,
    last: int,
    interrupts: Interrupts,
    progress: Progress,
    recorder: Recorder,
    *,
    on_step: OnStep | None,
) -> str:
    """Steps until `last`, an interruption or a divergence, whose reason it returns (else "")."""
    while True:
        try:
            if session.step >= last or interrupts.requested:
                session.checkpoint()
                return ""
            losses = session.advance()
            recorder.record(session, losses)
            if session.step % session.config.checkpoint_every == 0:
                session.checkpoint()
        except NonFinite as problem:
            if not session.roll_back(problem):
                return str(problem)
            progress.note(f"warning: {session.warnings[-1]}")
            progress.went_back(session.step)
            continue
        progress.update(session.step, session.loss)
        if on_step is not None:
            on_step(session.step - 1, losses)


class Interrupts:
    """Turns the first Ctrl-C or SIGTERM into a request to stop after the step at hand; the second aborts at once."""

    def __init__(self) -> None:
        self.requested = 0
        """The signal's number, once there was one."""
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python lets nobody listen
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = number
