"""What a command runs on: device, precision, allocator, threads, seeds. The only file that asks for CUDA."""

from __future__ import annotations

import ctypes
import platform
import random
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch

DeviceName = Literal["auto", "cpu", "cuda"]
PrecisionName = Literal["auto", "float32", "bf16-inside"]
Precision = Literal["float32", "bf16-inside"]
MallocName = Literal["auto", "default"]

BF16_UNITS = ("amx_bf16", "avx512_bf16")
"""A processor's flags that make bf16 worth it."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc, malloc.h
_GIB = 1 << 30
MOST_THREADS = 1024
"""More would be a slip of the keyboard."""


@dataclass(frozen=True)
class Runtime:
    """What was chosen, and why, in words."""

    device: torch.device
    precision: Precision
    reasons: tuple[str, ...]

    def line(self) -> str:
        """One line for the head of a command."""
        return "; ".join(self.reasons)


def start(
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
    seed: int = 0,
    threads: int = 0,
    malloc: MallocName = "auto",
) -> Runtime:
    """Choose and set device, precision, allocator and threads, and seed every random state.

    Raises ValueError for names that there are not, for numbers out of range, and where `cuda` is asked for and there
    is none."""
    _check_name("device", device, get_args(DeviceName))
    _check_name("precision", precision, get_args(PrecisionName))
    _check_name("malloc", malloc, get_args(MallocName))
    if not 0 <= threads <= MOST_THREADS:
        raise ValueError(f"--threads must be 0 (torch's choice) or at most {MOST_THREADS}, got {threads}")
    if not -(2**63) <= seed < 2**64:
        raise ValueError(f"--seed must fit into 64 bits, got {seed}")
    has_cuda = has_gpu()
    if device == "cuda" and not has_cuda:
        raise ValueError("--device cuda was asked for, but torch sees no CUDA device; use --device cpu or auto")
    chosen = torch.device("cuda" if has_cuda and device != "cpu" else "cpu")
    if threads > 0:
        torch.set_num_threads(threads)
    if chosen.type == "cuda":
        where = f"cuda ({torch.cuda.get_device_name()})"
    else:
        why = "asked for" if device == "cpu" else "no CUDA device"
        where = f"cpu with {torch.get_num_threads()} threads ({why})"
    inside, why = _choose_precision(chosen, precision)
    kept = keep_freed_memory() if malloc == "auto" else "default (asked for)"
    reasons = (where, f"{inside} products ({why})", f"malloc {kept}", f"seed {seed}")
    seed_all(seed)
    return Runtime(chosen, inside, reasons)


def _check_name(flag: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"--{flag} must be one of {', '.join(known)}, got {value!r}")


def has_gpu() -> bool:
    """Whether torch can use a CUDA device."""
    return torch.cuda.is_available()


def _choose_precision(device: torch.device, precision: PrecisionName) -> tuple[Precision, str]:
    if precision != "auto":
        return precision, "asked for"
    if device.type == "cuda":
        return "bf16-inside", "tensor cores; fits finish in float32"
    units = [unit for unit in BF16_UNITS if unit in cpu_flags()]
    if units:
        return "bf16-inside", f"{units[0]}; fits finish in float32"
    return "float32", "no bf16 units"


def free_bytes(device: torch.device) -> float | None:
    """Memory of a CUDA device that nothing holds; None for a CPU, whose memory is the machine's."""
    return float(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else None


def wait_for(device: torch.device) -> None:
    """Until everything that was asked of a device is done; a CPU never lags behind."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def set_products(precision: Precision) -> None:
    """From here on: how float32 matrix products are computed inside (float32 in and out either way)."""
    torch.set_float32_matmul_precision("medium" if precision == "bf16-inside" else "highest")


def keep_freed_memory() -> str:
    """Make glibc keep large freed blocks: else each step maps and faults its activations anew (up to 6x slower)."""
    if platform.system() != "Linux":
        return "default (not Linux)"
    try:
        libc = ctypes.CDLL("libc.so.6")
        # mallopt answers 1 when it took the value.
        done = libc.mallopt(_M_MMAP_THRESHOLD, _GIB) and libc.mallopt(_M_TRIM_THRESHOLD, _GIB)
    except (OSError, AttributeError):
        return "default (no glibc)"
    return "keeps freed blocks (for the next step)" if done else "default (mallopt refused)"


def seed_all(seed: int) -> None:
    """Seed Python's, numpy's and torch's global random states."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def cpu_flags() -> frozenset[str]:
    """The processor's feature flags, where the system tells them (Linux); else none."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("flags"):
                    return frozenset(line.split(":", 1)[1].split())
    except OSError:
        pass
    return frozenset()
