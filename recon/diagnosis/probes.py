"""What is tried in a process of its own, for it may crash or hang: `python -m recon.diagnosis.probes NAME`."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

REQUIRED = {
    "numpy": "numpy",
    "scipy": "scipy",
    "trimesh": "trimesh",
    "igl": "libigl",
    "pykdtree.kdtree": "pykdtree",
    "mcubes": "PyMCubes",
    "networkx": "networkx",
    "imageio": "imageio",
    "PIL": "pillow",
    "matplotlib": "matplotlib",
    "tyro": "tyro",
    "rich": "rich",
    "safetensors": "safetensors",
    "jaxtyping": "jaxtyping",
}
"""Modules without which no command works, and the packages that have them."""


Tell = Callable[..., None]
"""Takes facts by name; the last ones that arrive are what is known, also after a crash."""


def packages(tell: Tell) -> None:
    """Every required package but torch."""
    versions: dict[str, str] = {}
    failed: dict[str, str] = {}
    for module, package in REQUIRED.items():
        tell(versions=versions, failed=failed, trying=package)
        try:
            importlib.import_module(module)
            versions[package] = importlib.metadata.version(package)
        except Exception as error:  # a broken installation may raise anything
            failed[package] = first_line(error)
    tell(versions=versions, failed=failed)


def torch(tell: Tell) -> None:
    """torch, and what this machine can do with it."""
    import torch as library  # noqa: PLC0415 - what is tried

    from recon import runtime  # noqa: PLC0415 - it imports torch

    facts: dict[str, Any] = {"version": library.__version__, "threads": library.get_num_threads()}
    tell(**facts)
    (library.ones(64, 64) @ library.ones(64, 64)).sum().item()
    facts |= {"cuda": [], "units": [unit for unit in runtime.BF16_UNITS if unit in runtime.cpu_flags()]}
    if runtime.has_gpu():
        for number in range(library.cuda.device_count()):
            about = library.cuda.get_device_properties(number)
            facts["cuda"].append({"name": about.name, "bytes": about.total_memory})
        library.ones(8, device="cuda").sum().item()
    chosen = runtime.start()
    tell(**facts, precision=chosen.precision, why=chosen.reasons[1], malloc=runtime.keep_freed_memory())


def nerfacc(tell: Tell) -> None:
    """nerfacc: whether it is there, compiled, and agrees with plain torch on this machine."""
    version = importlib.metadata.version("nerfacc")
    from recon import runtime  # noqa: PLC0415 - heavy
    from recon.rendering import accelerated  # noqa: PLC0415 - heavy

    facts: dict[str, Any] = {"version": version, "cuda": runtime.has_gpu()}
    importlib.import_module("nerfacc")
    lock = accelerated.build_lock()
    folder = Path(accelerated.build_folder())
    facts |= {"compiled": any(folder.glob("nerfacc_cuda*.so")), "folder": str(folder), "lock": lock}
    tell(**facts)
    if facts["cuda"] and facts["compiled"] and lock is None:
        chosen = accelerated.accelerate(runtime.start().device, lambda line: None)
        tell(**facts, chosen=chosen)


def open3d(tell: Tell) -> None:
    """Open3D, and the system libraries that it wants and does not find."""
    spec = importlib.util.find_spec("open3d")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'open3d'")
    absent = unresolved(Path(spec.origin).parent)
    tell(absent=absent, error="it crashed while loading")
    try:
        library = importlib.import_module("open3d")
        scene = library.t.geometry.RaycastingScene()
        box = library.t.geometry.TriangleMesh.from_legacy(library.geometry.TriangleMesh.create_box())
        scene.add_triangles(box)
    except Exception as error:  # OSError, ImportError, and what its own loader raises
        tell(absent=absent, error=first_line(error))
    else:
        tell(version=library.__version__, absent=[])


def unresolved(folder: Path) -> list[str]:
    """Shared libraries that a package's compiled modules want and the system lacks, as `ldd` sees it."""
    found: set[str] = set()
    for module in sorted(folder.rglob("pybind*.so"))[:4]:
        try:
            done = subprocess.run(["ldd", str(module)], capture_output=True, text=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return []
        found |= {line.split()[0] for line in done.stdout.splitlines() if line.strip().endswith("not found")}
    return sorted(found)


def ffmpeg(tell: Tell) -> None:
    """The program that writes films."""
    import imageio_ffmpeg  # noqa: PLC0415 - what is tried

    program = imageio_ffmpeg.get_ffmpeg_exe()
    done = subprocess.run([program, "-hide_banner", "-encoders"], capture_output=True, text=True, check=True)
    tell(version=imageio_ffmpeg.get_ffmpeg_version(), program=program, h264="libx264" in done.stdout)


def plain(module: str) -> Callable[[Tell], None]:
    """A module that only has to load."""

    def probe(tell: Tell) -> None:
        importlib.import_module(module)
        tell(version=importlib.metadata.version(module))

    return probe


PROBES: dict[str, Callable[[Tell], None]] = {
    "packages": packages,
    "torch": torch,
    "nerfacc": nerfacc,
    "triton": plain("triton"),
    "open3d": open3d,
    "ffmpeg": ffmpeg,
    "viser": plain("viser"),
    "tensorboard": plain("tensorboard"),
}
"""What each tries; it tells facts, or raises."""


def first_line(error: BaseException) -> str:
    """An error in one line that is not too long."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]


def main(name: str) -> None:
    """Run one probe; what it raises is a fact too. What libraries print goes to standard error."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(**facts: Any) -> None:
        out.write(json.dumps(facts) + "\n")
        out.flush()

    try:
        PROBES[name](tell)
    except Exception as error:  # what a broken installation raises
        tell(error=first_line(error), module=getattr(error, "name", None))
    os._exit(0)  # a library that hangs while it is taken down has answered already


if __name__ == "__main__":
    main(sys.argv[1])
