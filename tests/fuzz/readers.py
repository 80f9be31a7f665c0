"""Every reader of files from strangers, with valid inputs to damage; and the bench on which they are tried."""

from __future__ import annotations

import gzip
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import guard
import samples
from mutate import mutate
from samples import Files
from tiny_job import TinyJob

from recon import runtime
from recon.data.archive import Limits, unpack
from recon.report.page import write_report
from recon.scenes.images import read_header, read_picture
from recon.scenes.read import read_scene
from recon.shapes.load import read
from recon.signals.read import read_signal
from recon.signals.segments import read_segments, stored_segments
from recon.signals.store import read_store
from recon.studies.compare.finished import read_finished, tabulate
from recon.studies.compare.results import as_markdown, as_text, cells
from recon.tasks.nerf import reference as scene_reference
from recon.tasks.nerf import run as scene_run
from recon.tasks.shape import reference as shape_reference
from recon.tasks.shape import run as shape_run
from recon.training.run import Run
from recon.training.session import Session


@dataclass(frozen=True)
class Reader:
    """One reader: what it does with a folder, and what such folders hold."""

    read: Callable[[Path], object]
    samples: Callable[[], list[Files]]
    fragile: tuple[str, ...] = ("",)
    """Beginnings or ends of the names of the files that are damaged."""
    words: tuple[str, ...] = ()
    """Of the format."""
    mend: Callable[[Files], Files] | None = None
    """Makes checksums right again; half of the inputs go through it."""
    slow: bool = False
    """It takes so long that the tests give it a tenth of what they give others."""
    writes: bool = False
    """It leaves files behind."""


def _mesh(folder: Path) -> object:
    return read(next(folder.glob("mesh.*")))


def _picture(folder: Path) -> object:
    path = next(folder.glob("picture.*"))
    read_header(path)
    return read_picture(path)


def _signal(folder: Path) -> object:
    return read_signal(next(folder.glob("signal*")))


def _segments(folder: Path) -> object:
    path = next(folder.glob("segments*"))
    return read_segments(path, samples.TONE if path.suffix == ".json" else samples.PATCH)


def _archive(folder: Path) -> object:
    path = next(folder.glob("archive.*"))
    kind = {".tar": "tar.gz"}.get(path.suffix, path.suffix[1:])
    if kind == "tar.gz":  # damaged within gzip's checksum
        path.write_bytes(gzip.compress(path.read_bytes(), 1))
    unpack(path, kind, folder / "out", Limits(bytes=10_000_000, files=50), "one.ply")
    for found in (folder / "out").rglob("*"):
        if found.is_symlink() or not (found.is_file() or found.is_dir()):
            raise AssertionError(f"{found} is neither file nor folder")
    if {path.name for path in folder.iterdir()} - {path.name, "out"}:
        raise AssertionError("something lies outside the folder")
    return None


def _plan(folder: Path) -> object:
    plan = scene_run.read_plan if Run(folder).read_config()["task"] == "nerf" else shape_run.read_plan
    return plan(Run(folder))


def _opened(folder: Path) -> object:
    reopen = scene_run.reopen if Run(folder).read_config()["task"] == "nerf" else shape_run.reopen
    return reopen(Run(folder), runtime.start("cpu", "float32", 0, 1, "default"))


def _compared(folder: Path) -> object:
    rows, extra, _ = tabulate(read_finished([str(folder)]))
    return as_text(cells(rows, extra)), as_markdown(cells(rows, extra))


def _reopened(folder: Path) -> object:
    return Session(TinyJob(), samples.PLAN, Run(folder / "run")).restore()


def _both(make: Callable[[], list[Files]], other: Callable[[], list[Files]]) -> list[Files]:
    return [*make(), *other()]


PLY_WORDS = ("ply", "element", "property", "list", "uchar", "double", "float", "face", "vertex", "char", "ascii", "x")
LENS_WORDS = ("fl_x", "camera_angle_x", "OPENCV", "OPENCV_FISHEYE", "SIMPLE_PINHOLE", "FOV", "frames", "mask_path")
RECORDS = ("config.json", "metrics.json", "log.jsonl")
runs = partial(_both, samples.shape_runs, samples.scene_runs)

READERS: dict[str, Reader] = {
    "ply-text": Reader(_mesh, lambda: samples.ply("ascii"), words=PLY_WORDS),
    "ply-binary": Reader(
        _mesh, lambda: samples.ply("binary_little_endian") + samples.ply("binary_big_endian"), words=PLY_WORDS
    ),
    "obj": Reader(_mesh, samples.obj, words=("v", "vt", "f", "mtllib", "usemtl", "/", "call", "o", "g")),
    "off": Reader(_mesh, samples.off, words=("OFF", "COFF", "NOFF", "STOFF", "4OFF")),
    "stl-text": Reader(
        _mesh, lambda: samples.mesh("stl_ascii"), words=("solid", "facet", "vertex", "loop", "endsolid")
    ),
    "stl-binary": Reader(_mesh, lambda: samples.mesh("stl")),
    "glb": Reader(_mesh, samples.glb),
    "gltf": Reader(_mesh, samples.gltf),
    "xyz": Reader(_mesh, samples.xyz),
    "blender": Reader(read_scene, samples.blender, fragile=("transforms",), words=LENS_WORDS),
    "transforms": Reader(read_scene, samples.transforms, fragile=("transforms", "split"), words=LENS_WORDS),
    "nsvf": Reader(read_scene, samples.nsvf, fragile=("pose/", "intrinsics", "bbox")),
    "llff": Reader(read_scene, samples.llff, fragile=("poses_bounds",), words=("descr", "shape", "True", "|O", "<f8")),
    "colmap-binary": Reader(read_scene, samples.colmap_binary, fragile=("sparse/",)),
    "colmap-text": Reader(read_scene, samples.colmap_text, fragile=("sparse/",), words=LENS_WORDS),
    "pictures": Reader(_picture, samples.pictures_alone),
    "signal-png": Reader(
        _signal, lambda: samples.signal_images(".png"), words=("IHDR", "IDAT", "tRNS", "eXIf", "acTL")
    ),
    "signal-tiff": Reader(_signal, lambda: samples.signal_images(".tif")),
    "signal-exr": Reader(_signal, lambda: samples.signal_images(".exr"), words=("dataWindow", "channels", "chlist")),
    "signal-hdr": Reader(_signal, lambda: samples.signal_images(".hdr"), words=("-Y", "+X", "FORMAT=", "99999999")),
    "signal-wav": Reader(
        _signal, lambda: samples.sounds(".wav"), words=("RIFF", "WAVE", "fmt ", "data", "RF64", "LIST")
    ),
    "signal-flac": Reader(_signal, lambda: samples.sounds(".flac")),
    "signal-ogg": Reader(_signal, lambda: samples.sounds(".ogg")),
    "signal-film": Reader(_signal, samples.films, words=("moov", "stsd", "avc1", "mdat", "dref", "url "), slow=True),
    "signal-frames": Reader(_signal, samples.frames),
    "signal-reference": Reader(read_store, samples.signal_references),
    "segments-times": Reader(_segments, samples.segment_times, words=("start", "end", "label", "1e999", "-1", "NaN")),
    "segments-picture": Reader(_segments, samples.segment_pictures, fragile=("segments",)),
    "segments-stored": Reader(stored_segments, samples.segments_stored),
    "zip": Reader(_archive, lambda: samples.archives("zip"), writes=True),
    "tar": Reader(_archive, lambda: samples.archives("tar"), writes=True),
    "gz": Reader(_archive, lambda: samples.archives("gz"), writes=True),
    "bz2": Reader(_archive, lambda: samples.archives("bz2"), writes=True),
    "checkpoint": Reader(_reopened, samples.trained, fragile=("run/checkpoint/",), mend=samples.repaired, writes=True),
    "run": Reader(
        _opened, samples.trained_runs, fragile=("config.json", "config.json", "checkpoint/"), mend=samples.repaired
    ),
    "shape-reference": Reader(shape_reference.read_reference, samples.shape_references),
    "scene-reference": Reader(scene_reference.read_reference, samples.scene_references),
    "config": Reader(_plan, runs, fragile=("config.json",)),
    "metrics": Reader(_compared, runs, fragile=("metrics.json",)),
    "log": Reader(lambda folder: Run(folder).read_log(), runs, fragile=("log.jsonl",)),
    "report": Reader(
        lambda folder: write_report(Run(folder)),
        runs,
        fragile=(*RECORDS, "reference", "images"),
        slow=True,
        writes=True,
    ),
}


class Bench:
    """Lays damaged inputs of one reader into a folder, one after another, and judges each."""

    def __init__(self, name: str, seed: int, folder: Path) -> None:
        self.name, self.seed, self.folder = name, seed, folder
        self.reader = READERS[name]
        self.samples = self.reader.samples()
        self._laid: int | None = None
        self._damaged: Files = {}

    def judge(self, index: int) -> guard.Verdict:
        """The verdict on input number `index`."""
        self.lay(index)
        verdict = guard.judge(lambda: self.reader.read(self.folder))
        if self.reader.writes:
            self._laid = None
        return verdict

    def judge_sample(self, number: int) -> guard.Verdict:
        """The verdict on a valid input."""
        self._laid = None
        self._lay_sample(number)
        verdict = guard.judge(lambda: self.reader.read(self.folder))
        self._laid = None
        return verdict

    def lay(self, index: int) -> None:
        """Write input number `index`: a sample with one of its files, now and then two, damaged."""
        rng = random.Random(f"{self.name} {self.seed} {index}")
        number = rng.randrange(len(self.samples))
        self._lay_sample(number)
        for name, data in self.input(index).items():
            if data != self.samples[number][name]:
                (self.folder / name).write_bytes(data)
                self._damaged[name] = data

    def input(self, index: int) -> Files:
        """The files of input number `index`."""
        rng = random.Random(f"{self.name} {self.seed} {index}")
        files = self.samples[rng.randrange(len(self.samples))]
        names = [name for name in files if name.startswith(self.reader.fragile) or name.endswith(self.reader.fragile)]
        found = dict(files)
        for name in rng.sample(names, min(len(names), rng.choice((1, 1, 1, 2)))):
            others = [other[name] for other in self.samples if name in other]
            found[name] = mutate(name, files[name], rng, others, self.reader.words)
        if self.reader.mend is not None and rng.random() < 0.7:
            found = self.reader.mend(found)
        return found

    def _lay_sample(self, number: int) -> None:
        """A sample as it is: written anew only where another lies there."""
        sample = self.samples[number]
        if self._laid != number:
            shutil.rmtree(self.folder, ignore_errors=True)
            for name, data in sample.items():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / name).write_bytes(data)
        else:
            for name in self._damaged:
                (self.folder / name).write_bytes(sample[name])
        self._laid, self._damaged = number, {}
