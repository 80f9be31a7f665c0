"""A network as a run's settings ask for it, once it is known to be the one of its checkpoint: a stranger wrote both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

M = TypeVar("M", bound=nn.Module)


def rebuilt(build: Callable[[], M], saved: Mapping[str, Tensor], run: Path) -> M:
    """What `build` makes, with the saved weights; ValueError where they do not belong together.

    It is built without memory first: a width of a billion, or as many layers, is refused before it is taken."""
    try:
        with torch.device("meta"), _at_most(len(saved)):
            wanted = {name: tuple(value.shape) for name, value in build().state_dict().items()}
        if odd := sorted(name for name in wanted.keys() | saved.keys() if wanted.get(name) != _shape(saved.get(name))):
            some = ", ".join(odd[:3]) + (", ..." if len(odd) > 3 else "")
            raise RuntimeError(f"{len(odd)} of its tensors have other names or shapes: {some}")
        built = build()
        built.load_state_dict(saved)
    except RuntimeError as error:
        raise ValueError(f"the checkpoint of {run} does not fit its config.json: {str(error)[:500]}") from None
    return built


def _shape(value: Tensor | None) -> tuple[int, ...] | None:
    return None if value is None else tuple(value.shape)


@contextmanager
def _at_most(count: int) -> Iterator[None]:
    """Within the block, modules may take so many parameters in all, and no more."""
    left = count

    def take(module: nn.Module, name: str, value: object) -> None:
        nonlocal left
        left -= value is not None
        if left < 0:
            raise RuntimeError(f"its settings ask for more than the {count} tensors that the checkpoint holds")

    handle = register_module_parameter_registration_hook(take)
    try:
        yield
    finally:
        handle.remove()
