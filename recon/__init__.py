"""Neural rendering and 3D reconstruction with coordinate networks. Importing `recon` loads neither torch nor Open3D.

The names below come from `recon.api` when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon.api import (
        FIELDS,
        Cameras,
        Picture,
        PointCloud,
        SceneResult,
        ShapeResult,
        SignalResult,
        fit_scene,
        fit_shape,
        fit_signal,
        load,
        scene_settings,
        shape_settings,
        signal_settings,
    )

__version__ = "0.1.0"

__all__ = [
    "FIELDS",
    "Cameras",
    "Picture",
    "PointCloud",
    "SceneResult",
    "ShapeResult",
    "SignalResult",
    "fit_scene",
    "fit_shape",
    "fit_signal",
    "load",
    "scene_settings",
    "shape_settings",
    "signal_settings",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'recon' has no attribute '{name}'")
    value = globals()[name] = getattr(importlib.import_module("recon.api"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
