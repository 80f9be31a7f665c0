"""What the probes of libraries found, as findings: what each is for, and how to get what is missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from recon.diagnosis.finding import Finding, Status

Facts = Mapping[str, Any]

DEBIAN = {
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libudev.so.1": "libudev1",
    "libusb-1.0.so.0": "libusb-1.0-0",
    "libEGL.so.1": "libegl1",
    "libidn2.so.0": "libidn2-0",
    "libgomp.so.1": "libgomp1",
    "libstdc++.so.6": "libstdc++6",
}
"""Packages of Debian and Ubuntu that have the system libraries which Open3D wants."""
REINSTALL = "pip install -c constraints.txt -e ."


def packages(facts: Facts) -> Finding:
    """The required packages but torch."""
    failed, versions = dict(facts.get("failed", {})), facts.get("versions", {})
    if "error" in facts:
        failed[facts.get("trying") or "python"] = facts["error"]
    if not failed:
        shown = ", ".join(f"{name} {versions[name]}" for name in ("numpy", "trimesh", "libigl") if name in versions)
        return Finding("packages", "ok", f"all {len(versions)}: {shown}, ...", "every command", required=True)
    what = "; ".join(f"{name}: {why}" for name, why in failed.items())
    return Finding("packages", "missing", what, "every command", REINSTALL, required=True)


def torch(facts: Facts) -> list[Finding]:
    """torch, the device, the precision units and the allocator."""
    if "error" in facts:
        return [Finding("torch", "missing", facts["error"], "every command that trains", REINSTALL, required=True)]
    return [
        Finding("torch", "ok", facts["version"], "every command that trains", required=True),
        _device(facts),
        _precision(facts),
        _allocator(str(facts.get("malloc", ""))),
    ]


def _device(facts: Facts) -> Finding:
    affects = "how long training takes"
    if cards := facts.get("cuda"):
        found = ", ".join(f"{card['name']} ({card['bytes'] / 2**30:.0f} GiB)" for card in cards)
        return Finding("device", "ok", f"CUDA: {found}", affects)
    found = f"CPU, {facts['threads']} threads; no CUDA device that torch can use"
    advice = "quick presets are made for this; paper presets take days"
    if "+cpu" in facts["version"]:
        advice += "; for a GPU, install torch's CUDA build"
    return Finding("device", "limited", found, affects, advice)


def _precision(facts: Facts) -> Finding:
    affects = "speed of large networks; --precision"
    if facts.get("precision") == "bf16-inside":
        return Finding("precision", "ok", str(facts["why"]), affects)
    advice = "nothing: products run in float32, which is exact and slower"
    return Finding("precision", "limited", "no bf16 units in this processor", affects, advice)


def _allocator(malloc: str) -> Finding:
    affects = "up to 6x of a CPU step's time; --malloc"
    if malloc.startswith("keeps"):
        return Finding("allocator", "ok", f"glibc {malloc}", affects)
    advice = "nothing on this system; a Linux with glibc trains faster"
    return Finding("allocator", "limited", malloc or "unknown", affects, advice)


def nerfacc(facts: Facts, has_cuda: bool) -> Finding:
    """The accelerator of rays on CUDA: never needed."""
    affects = "recon nerf on CUDA: marching rays"
    install = "pip install -e .[cuda]" if has_cuda else "nothing: it is only for CUDA, and plain torch does the same"
    if "version" not in facts:
        status: Status = "limited" if not has_cuda or _is_absent(facts) else "missing"
        found = "not installed" if _is_absent(facts) else f"does not load: {facts.get('error', '')}"
        return Finding("nerfacc", status, found, affects, install)
    found = f"{facts['version']}, importable"
    chosen = str(facts.get("chosen", ""))
    if chosen.startswith("nerfacc"):
        return Finding("nerfacc", "ok", f"{found}, compiled, agrees with plain torch", affects)
    if "error" in facts:
        found = f"{facts['version']}, fails: {facts['error']}"
    elif not facts.get("cuda"):
        found = f"{found}; not usable without CUDA"
    elif facts.get("lock"):
        found = f"{found}; its compilation was begun and is not done"
        install = f"if nothing is compiling now, delete {facts['folder']}"
    elif not facts.get("compiled"):
        found = f"{found}; not compiled yet"
        install = "nothing: recon nerf compiles it at its first run, which takes minutes and wants nvcc"
    else:
        found, install = f"{found}; {chosen}", f"delete {facts['folder']} to compile it again"
    return Finding("nerfacc", "limited", found, affects, install)


def triton(facts: Facts, has_cuda: bool) -> Finding:
    """The compiler of our own kernels on CUDA."""
    affects = "mixtures and tiled fields on CUDA: grouped kernels"
    if "version" in facts and "error" not in facts:
        usable = "" if has_cuda else "; not used without CUDA"
        return Finding("triton", "ok" if has_cuda else "limited", f"{facts['version']}{usable}", affects)
    advice = "pip install triton" if has_cuda else "nothing: it is only for CUDA"
    return Finding("triton", "limited", _why(facts), affects, advice)


def open3d(facts: Facts) -> Finding:
    """Open3D, and which system library keeps it from loading."""
    affects = "--method tsdf of recon export; the mesh doctor's second opinion"
    if "error" not in facts:
        return Finding("open3d", "ok", facts["version"], affects)
    if absent := lacking(facts):
        return Finding("open3d", "missing", f"installed, but {', '.join(absent)} is not", affects, apt_line(absent))
    advice = "pip install -e .[open3d]" if _is_absent(facts) else "pip install --force-reinstall open3d-cpu"
    return Finding("open3d", "missing", _why(facts), affects, advice)


def lacking(facts: Facts) -> list[str]:
    """The shared libraries that are absent: as ldd listed them, or at least the one that the error names."""
    if facts.get("absent"):
        return list(facts["absent"])
    named = re.findall(r"(lib[\w.+-]+\.so[.\d]*)", str(facts.get("error", "")))
    return named[:1] if "cannot open shared object" in str(facts.get("error", "")) else []


def apt_line(absent: list[str]) -> str:
    """What installs these libraries on Debian and Ubuntu."""
    known = [DEBIAN[name] for name in absent if name in DEBIAN]
    other = [name for name in absent if name not in DEBIAN]
    line = f"Debian, Ubuntu: apt-get install -y {' '.join(known)}" if known else ""
    rest = f"install what has {', '.join(other)} (apt-file search NAME tells)" if other else ""
    return "; ".join(part for part in (line, rest) if part)


def ffmpeg(facts: Facts) -> Finding:
    """The program that writes films."""
    affects = "the films of recon render and of the report"
    advice = "pip install --force-reinstall imageio-ffmpeg"
    if "error" in facts:
        return Finding("ffmpeg", "missing", facts["error"], affects, advice)
    if not facts.get("h264"):
        return Finding("ffmpeg", "limited", f"{facts['version']}, without libx264", affects, advice)
    return Finding("ffmpeg", "ok", facts["version"], affects)


def simple(name: str, facts: Facts, affects: str) -> Finding:
    """A package that only has to load."""
    if "error" in facts:
        return Finding(name, "missing", _why(facts), affects, REINSTALL)
    return Finding(name, "ok", facts["version"], affects)


def _is_absent(facts: Facts) -> bool:
    return str(facts.get("error", "")).startswith(("ModuleNotFoundError", "PackageNotFoundError"))


def _why(facts: Facts) -> str:
    return "not installed" if _is_absent(facts) else f"does not load: {facts['error']}"
