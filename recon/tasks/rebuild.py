"""A network as a run's settings ask for it, if it is the one of its checkpoint: strangers may have written both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

M = TypeVar("M", bound=nn.Module)

SLACK = 10_000_000
"""Numbers beyond those of the checkpoint that building may hold at a time, for tables that are not saved."""
SIZED = {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn}
"""What makes tensors from their sizes alone,"""
OTHERS = {torch.full, torch.arange, torch.linspace}
"""and from more than those."""


def rebuilt(build: Callable[[], M], saved: Mapping[str, Tensor], run: Path) -> M:
    """What `build` makes, with the saved weights; ValueError where they do not belong together.

    A width of a billion, or as many layers, is refused before memory and time are spent: the checkpoint bounds both."""
    try:
        with _NoLarger(saved):
            built = build()
        built.load_state_dict(saved)
    except RuntimeError as error:
        raise ValueError(f"the checkpoint of {run} does not fit its config.json: {str(error)[:1000]}") from None
    return built


class _NoLarger(TorchFunctionMode):
    """Within the block modules take no more parameters than a checkpoint holds tensors, and no larger ones.

    torch's meta device would answer the same, but loads torch's compiler on the way: seconds for each command."""

    def __init__(self, saved: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._left, self._most = len(saved), sum(value.numel() for value in saved.values()) + SLACK

    def __enter__(self) -> _NoLarger:
        self._hook = register_module_parameter_registration_hook(self._take)
        return super().__enter__()

    def __exit__(self, *exception: Any) -> None:
        self._hook.remove()
        super().__exit__(*exception)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in SIZED or func in OTHERS:
            sizes = {key: value for key, value in kwargs.items() if key not in ("device", "generator")}
            wanted = (func if func in OTHERS else torch.empty)(*args, **sizes, device="meta").numel()
            if wanted > self._most:
                raise RuntimeError(f"its settings ask for {wanted:,} numbers at a time, the checkpoint holds fewer")
        return func(*args, **kwargs)

    def _take(self, module: nn.Module, name: str, value: object) -> None:
        self._left -= value is not None
        if self._left < 0:
            raise RuntimeError("its settings ask for more parameters than the checkpoint holds")
