"""Whether a run will fit, before it begins: memory, disk and time, from a try of its own network on a few points."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from recon import memory, runtime
from recon.tasks.bench import Bench
from recon.training.places import renders
from recon.training.progress import duration

LEAST_PER_PARAMETER = 16
"""Bytes: weight, gradient and two moments in float32."""
PER_PARAMETER = 52
"""Bytes at the peak: those, the state to fall back to, the one that is being saved, and its file."""
KEPT_PER_PARAMETER = 48
"""Bytes on the disk: weight and two moments in the last two checkpoints, the best one, and one being written."""
ACTIVATIONS = 2.0
"""Times what the backward pass is kept for: gradients of it, and blocks that are free but of the wrong size."""
OPTIMISER = 6.0
"""A step of Adam takes so many times as long as one multiplication of all weights, which reads and writes them once."""
UNSURE = 1.5
"""What is estimated of memory may be so many times too large or too small (measured; see the README)."""
UNSURE_OF_TIME = 2.0
TIGHT = 0.8
"""Share of what is available from which a run is warned of."""
TRIED = (512, 2048)
"""Points that the network is tried on: twice, for what a point costs and for what a step costs whatever it has."""

PASSES, LONG = 3, 0.5
"""Passes that are timed, and seconds of one after which no other is."""


@dataclass(frozen=True)
class Cost:
    """What a step costs: once, and for each point."""

    seconds: float
    seconds_per_point: float
    bytes_per_point: float

    def step(self, points: float | int) -> float:
        """Seconds of a step."""
        return self.seconds + self.seconds_per_point * points


@dataclass(frozen=True)
class Needs:
    """What a run will take."""

    memory: float
    """Bytes that the process holds at its peak, with what it holds now."""
    disk: float
    """Bytes in its folder and in the cache."""
    seconds: float
    """Of training."""
    lower: str
    """Flags that make it smaller."""
    on_device: float | None = None
    """Bytes on a GPU."""

    def line(self, available: float, free: float) -> str:
        """For a person."""
        low, high = duration(self.seconds / UNSURE_OF_TIME), duration(self.seconds * UNSURE_OF_TIME)
        card = "" if self.on_device is None else f", {_gib(self.on_device)} on the GPU"
        held = f"memory about {_gib(self.memory)} ({_gib(available)} available){card}"
        return f"needs: {held}; disk {_gib(self.disk)} ({_gib(free)} free); training {low} to {high}"


def refuse_impossible(parts: Sequence[nn.Module]) -> None:
    """ValueError where the weights alone, with their gradients and moments, are more than the memory that there is.

    The parts may be on torch's meta device, which takes none."""
    needed = LEAST_PER_PARAMETER * _count(parts) + sum(b.nbytes for part in parts for b in part.buffers())
    if needed > (there := memory.total_bytes()):
        wants, has = needed / 2**30, there / 2**30
        raise ValueError(f"training this field takes {wants:,.0f} GiB of memory, and {has:,.0f} are here")


def foresee(needs: Needs, bench: Bench, out: Path | None = None) -> None:
    """Say what a run in `out`, by default under renders/, will take, warn where that is tight, and refuse (ValueError)
    what clearly can't fit."""
    place = renders() if out is None else out.absolute()
    available, free = memory.available_bytes() + memory.own_bytes(), free_disk(place)
    bench.say(needs.line(available, free))
    on_card = runtime.free_bytes(bench.run_on.device)
    places = [("memory", needs.memory, available, "close other programs, or lower")]
    if on_card is not None and needs.on_device is not None:
        places.append(("GPU memory", needs.on_device, on_card, "free the GPU, or lower"))
    places.append(("disk", needs.disk, free, f"make room at {place}, or lower"))
    for what, wanted, there, advice in places:
        if wanted / (1.0 if what == "disk" else UNSURE) > there:  # files are counted, not estimated
            raise ValueError(
                f"this run takes about {_gib(wanted)} of {what} and {_gib(there)} is available; {advice} {needs.lower}"
            )
        if wanted > TIGHT * there:
            bench.say(f"warning: {what} is tight (about {_gib(wanted)} of {_gib(there)}); {advice} {needs.lower}")


def try_out(parameters: Sequence[nn.Parameter], loss: Callable[[int], Tensor], device: torch.device) -> Cost:
    """What `loss` of so many points costs with its backward pass and a step of Adam; changes no random state."""
    with torch.random.fork_rng(devices=[]):
        (few, first), (many, second) = ((n, _try(parameters, loss, n, device)) for n in TRIED)
    slope = (second[0] - first[0]) / (many - few)
    each = slope if slope > 0 else second[0] / many
    kept = max(0.0, (second[1] - first[1]) / (many - few))
    return Cost(max(0.0, first[0] - each * few) + _step_of_adam(parameters, device), each, kept)


def try_step(
    parameters: Sequence[nn.Parameter], loss: Callable[[int], Tensor], points: int, device: torch.device
) -> Cost:
    """The same of a whole step, whose points share work and can't be counted one by one."""
    with torch.random.fork_rng(devices=[]):
        seconds, kept = _try(parameters, loss, points, device)
    return Cost(seconds + _step_of_adam(parameters, device), 0.0, kept / points)


def _step_of_adam(parameters: Sequence[nn.Parameter], device: torch.device) -> float:
    began = time.perf_counter()
    with torch.no_grad():
        for parameter in parameters:
            parameter.mul_(1.0)
    runtime.wait_for(device)
    return OPTIMISER * (time.perf_counter() - began)


def peak_of_training(parts: Sequence[nn.Module], kept: float | int) -> float:
    """Bytes beyond what the process holds now: weights with all their copies, buffers, and a batch's activations."""
    buffers = sum(b.nbytes for part in parts for b in part.buffers())
    return float(PER_PARAMETER * _count(parts) + buffers + ACTIVATIONS * kept)


def checkpoints(parts: Sequence[nn.Module]) -> float:
    """Bytes of a run's checkpoints."""
    return float(KEPT_PER_PARAMETER * _count(parts))


def free_disk(folder: Path) -> float:
    """Bytes free where a folder is or will be; infinite where the system does not tell."""
    place = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    try:
        return float(shutil.disk_usage(place).free)
    except OSError:
        return math.inf


def _try(
    parameters: Sequence[nn.Parameter], loss: Callable[[int], Tensor], points: int, device: torch.device
) -> tuple[float, float]:
    """Seconds of a loss and its backward pass, the best of a few after one that only warms up, and bytes that were
    kept between both."""
    own = {parameter.untyped_storage().data_ptr() for parameter in parameters}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        total = loss(points)
    total.backward()
    runtime.wait_for(device)
    seconds = math.inf
    for _ in range(PASSES):
        began = time.perf_counter()
        loss(points).backward()
        runtime.wait_for(device)
        seconds = min(seconds, time.perf_counter() - began)
        if seconds > LONG:
            break
    for parameter in parameters:
        parameter.grad = None
    return seconds, float(sum(kept.values()))


def _count(parts: Sequence[nn.Module]) -> int:
    return sum(p.numel() for part in parts for p in part.parameters())


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB" if math.isfinite(size) else "unknown"
