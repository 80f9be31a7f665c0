"""What training leaves for later: a line of `log.jsonl` and TensorBoard's events, every so many steps."""

from __future__ import annotations

import time
from typing import Any

from torch import Tensor

from recon.training.job import Job
from recon.training.plan import TrainConfig
from recon.training.progress import peak_memory
from recon.training.run import Run
from recon.training.session import Session


class Recorder:
    """Writes losses, rate, points per second and memory. A context manager: it holds TensorBoard's file open."""

    def __init__(self, run: Run, start: int, config: TrainConfig, job: Job) -> None:
        self._run, self._config, self._job = run, config, job
        self._start = self._step = start
        self._time = time.perf_counter()
        self._board: Any = None

    def __enter__(self) -> Recorder:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - 0.3 s that only training should pay

        # The step to purge hides what a killed sitting wrote beyond the checkpoint that this one starts from.
        self._board = SummaryWriter(str(self._run.folder / "tb"), purge_step=self._start or None)
        self._time = time.perf_counter()
        return self

    def __exit__(self, *exception: object) -> None:
        self._board.close()

    def record(self, session: Session, losses: dict[str, Tensor]) -> None:
        """Writes a row after the first step, every `log_every` steps, and after the last."""
        step = session.step
        if step % self._config.log_every and step not in (self._start + 1, self._config.steps):
            return
        session.look()
        now = time.perf_counter()
        speed = max(step - self._step, 1) * self._job.points_per_step / max(now - self._time, 1e-9)
        self._step, self._time = step, now
        facts = {"loss": session.loss, "rate": session.rate, "points_per_second": speed}
        named = {name: value.item() for name, value in losses.items()}
        measures = self._job.measures()
        row = {"step": step, "stage": session.stage, "seconds": session.seconds, "peak_memory": peak_memory()}
        self._run.append_log({**row, **facts, "losses": named, "measures": measures})
        for prefix, numbers in (("", facts), ("losses/", named), ("measures/", measures)):
            for name, value in numbers.items():
                self._board.add_scalar(prefix + name, value, step)
