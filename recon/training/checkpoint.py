"""Checkpoints without pickle: a folder a step, written to a temporary name and renamed, hashed, and read with doubt.

    checkpoint/step-000200/model.safetensors      weights, buffers and whatever else the job calls its state
                           optimizer.safetensors  moments ("optimizer/...") and random states ("random/...")
                           state.json             step, seconds, rate factor, sizes and hashes of the two files
    checkpoint/best.json                          names the folder with the best quick score

The last two and the best are kept. A second save of one step is `step-000200-2`: nothing good is ever overwritten.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from recon.files import atomic_write_json, read_json, sync_folder, write_and_sync, writing
from recon.training.saved import (
    BEST,
    MODEL,
    OPTIMIZER,
    STATE,
    STATE_LIMIT,
    checksum,
    newest_first,
    read_state,
    verified,
)

HEADER_LIMIT = 16 * 2**20
"""Bytes of the largest safetensors header that is parsed (about 100,000 tensors)."""
KEEP = 2
TEMPORARY, DAMAGED = ".tmp-", "damaged-"


@dataclass(frozen=True)
class Checkpoint:
    """Everything that training needs to go on, on the CPU."""

    step: int
    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    random: dict[str, Tensor]
    state: dict[str, Any]
    name: str = ""
    warnings: list[str] = field(default_factory=list)
    """What had to be passed over to find this one."""


def save(
    folder: Path,
    model: Mapping[str, Tensor],
    optimizer: Mapping[str, Tensor],
    random: Mapping[str, Tensor],
    state: Mapping[str, Any],
    *,
    best: bool = False,
) -> Path:
    """Writes one checkpoint into `folder` (a run's `checkpoint/`), then drops those no longer kept; its place.

    `state` is plain JSON and holds `step`. On any failure (a full disk: OSError) the earlier ones are untouched.
    """
    named = {f"optimizer/{key}": value for key, value in optimizer.items()}
    named |= {f"random/{key}": value for key, value in random.items()}
    payload = {MODEL: safetensors.torch.save(_plain(model)), OPTIMIZER: safetensors.torch.save(_plain(named))}
    files = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in payload.items()}
    about = {**state, "files": files}
    about["checksum"] = checksum(about)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(f"{TEMPORARY}*"):
            shutil.rmtree(leftover)
        target = _free_name(folder, int(state["step"]))
        temporary = folder / f"{TEMPORARY}{target.name}"
        try:
            temporary.mkdir()
            for name, data in payload.items():
                write_and_sync(temporary / name, data)
            write_and_sync(temporary / STATE, json.dumps(about, indent=2, allow_nan=False).encode())
            sync_folder(temporary)
            os.rename(temporary, target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(folder)
        if best:
            atomic_write_json(folder / BEST, {"name": target.name, "step": state["step"]})
        _prune(folder)
    return target


def load(folder: Path, best: bool = False) -> Checkpoint:
    """The newest checkpoint (or the best one) that is whole; `warnings` names damaged ones and the one used instead.

    FileNotFoundError where there is none at all, ValueError where all are damaged.
    """
    candidates = newest_first(folder)
    if not candidates:
        raise FileNotFoundError(
            f"no checkpoint in {folder}: the run was stopped before its first one; --resume begins it again"
        )
    if best and (name := _best_name(folder)):
        candidates.sort(key=lambda place: place.name != name)
    damage: list[str] = []
    for place in candidates:
        try:
            found = _read(place)
        except (OSError, ValueError) as error:
            damage.append(f"checkpoint {place.name} is damaged ({error})")
            continue
        found.warnings.extend(f"{text}; used {place.name} instead" for text in damage)
        return found
    raise ValueError(f"no readable checkpoint in {folder}: {'; '.join(damage)}")


def exists(folder: Path) -> bool:
    """Whether a run's `checkpoint/` holds any, whole or not."""
    return bool(newest_first(folder))


def newest(folder: Path) -> str | None:
    """The name of a run's newest checkpoint, whole or not, without reading it; none where there is none."""
    places = newest_first(folder)
    return places[0].name if places else None


def set_aside_newer(folder: Path, used: str) -> None:
    """Renames what is newer than the checkpoint in use: it was found damaged, and must not displace a good one."""
    for place in newest_first(folder):
        if place.name == used:
            return
        aside = place.with_name(f"{DAMAGED}{place.name}")
        with writing(aside):
            if aside.exists():
                shutil.rmtree(aside)
            os.rename(place, aside)


def _read(place: Path) -> Checkpoint:
    """One checkpoint, every byte checked against its hash before it is parsed."""
    state, files = read_state(place)
    step = state["step"]
    tensors = {name: _parse(verified(place / name, files[name]), name) for name in (MODEL, OPTIMIZER)}
    parts: dict[str, dict[str, Tensor]] = {"optimizer": {}, "random": {}}
    for key, value in tensors[OPTIMIZER].items():
        kind, _, name = key.partition("/")
        if kind not in parts:
            raise ValueError(f"{OPTIMIZER} holds '{key}', which is neither optimiser nor random state")
        parts[kind][name] = value
    return Checkpoint(step, tensors[MODEL], parts["optimizer"], parts["random"], state, place.name)


def _parse(data: bytes, name: str) -> dict[str, Tensor]:
    """Tensors of a safetensors file, its header's length checked first."""
    header = int.from_bytes(data[:8], "little")
    if len(data) < 8 or header > min(HEADER_LIMIT, len(data) - 8):
        raise ValueError(f"{name} has an impossible header of {header} bytes")
    try:
        return safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{name} is no safetensors file ({error})") from None


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the host and contiguous, with memory of its own where two share it: safetensors asks for that."""
    plain: dict[str, Tensor] = {}
    owners: set[int] = set()
    for key, value in tensors.items():
        tensor = value.detach().cpu().contiguous()
        memory = tensor.untyped_storage().data_ptr()
        plain[key] = tensor.clone() if memory in owners else tensor
        owners.add(memory)
    return plain


def _free_name(folder: Path, step: int) -> Path:
    name, count = f"step-{step:06d}", 1
    while (place := folder / (name if count == 1 else f"{name}-{count}")).exists():
        count += 1
    return place


def _best_name(folder: Path) -> str | None:
    with contextlib.suppress(OSError, ValueError):
        return read_json(folder / BEST, STATE_LIMIT).get("name")
    return None


def _prune(folder: Path) -> None:
    """Drops all but the last two and the best; each is renamed first, so that a kill leaves no half checkpoint."""
    best = _best_name(folder)
    for place in newest_first(folder)[KEEP:]:
        if place.name != best:
            dropped = place.with_name(f"{TEMPORARY}{place.name}")
            os.rename(place, dropped)
            shutil.rmtree(dropped)
