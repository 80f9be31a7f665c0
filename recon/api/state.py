"""The settings of torch and of random numbers that belong to the caller: ours while we work, theirs afterwards.

One thing stays: the allocator (`runtime.keep_freed_memory`). glibc can't go back to choosing its thresholds by itself,
and its first ones would leave the caller slower than before; `malloc="default"` never touches it.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator

import numpy as np
import torch

from recon import runtime

_FITTING = threading.Lock()
"""Held by the fit at hand: weights are drawn from torch's one global random state."""
_COUNTING = threading.Lock()


class _Shared:
    """Settings of the whole process: kept by the first that comes and put back by the last that goes."""

    def __init__(self) -> None:
        self.users = 0
        self.stack = contextlib.ExitStack()

    def enter(self) -> None:
        with _COUNTING:
            if not self.users:
                self.stack.enter_context(_kept_products())
                self.stack.callback(torch.set_num_threads, torch.get_num_threads())
                self.stack.callback(torch.set_default_dtype, torch.get_default_dtype())
                torch.set_default_dtype(torch.float32)
            self.users += 1

    def leave(self) -> None:
        with _COUNTING:
            self.users -= 1
            if not self.users:
                self.stack.close()


_SHARED = _Shared()


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """For questions to a result: exact products, float32, gradients possible; all of it put back."""
    _SHARED.enter()
    try:
        runtime.set_products("float32")
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        _SHARED.leave()


@contextlib.contextmanager
def fitting() -> Iterator[None]:
    """For a fit: as `asking`, with all random states put back too. A second fit of the process waits for the first."""
    with _FITTING, asking(), _kept_random_states():
        yield


@contextlib.contextmanager
def _kept_random_states() -> Iterator[None]:
    ours, numbers = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(range(torch.cuda.device_count()) if runtime.has_gpu() else []):
        try:
            yield
        finally:
            random.setstate(ours)
            np.random.set_state(numbers)


@contextlib.contextmanager
def _kept_products() -> Iterator[None]:
    """Torch has two ways to set how products are rounded, and reading one raises where the other was used."""
    backends = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # pyright: ignore[reportAttributeAccessIssue]
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:
        before = None
    each = [backend.fp32_precision for backend in backends]
    try:
        yield
    finally:
        if before is not None:
            torch.set_float32_matmul_precision(before)
        else:
            for backend, value in zip(backends, each, strict=True):
                backend.fp32_precision = value
