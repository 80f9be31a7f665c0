"""Unpacking archives of strangers: plain files and folders below one new folder, within limits, or BadArchive."""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import io
import os
import re
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

BLOCK = 1 << 18
FREE_BYTES = 1 << 20
"""Unpacked bytes to which the ratio does not apply: a short text may shrink well."""
_DEEPEST, _LONGEST = 16, 240
_LISTING_BYTES = 1024
"""Room for the listing of one member."""
_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, struct.error, NotImplementedError, RuntimeError,
    OverflowError, ValueError,
)  # fmt: skip
"""What the readers raise over damaged bytes, besides OSErrors without a number."""


class BadArchive(ValueError):
    """An archive that is damaged, hostile or beyond the limits."""


@dataclass(frozen=True)
class Limits:
    """How much an archive may become."""

    bytes: int
    files: int = 20_000
    ratio: float = 50.0
    """Unpacked bytes for each packed one; meshes and pictures stay far below."""


def unpack(archive: Path, kind: str, folder: Path, limits: Limits, name: str = "") -> None:
    """Unpack a zip, tar.gz, gz or bz2 into `folder`, which must be new; `name` is the one file of a gz or bz2.

    Refused with BadArchive: absolute and parent paths, links, devices, encrypted members, names that collide, and what
    passes the limits. Rights and times are not taken over. A full disk raises OSError."""
    folder.mkdir()
    tree = _Tree(folder, limits)
    with _damage_in_words(), open(archive, "rb") as packed:
        if kind == "zip":
            _unpack_zip(packed, tree, limits)
        elif kind == "tar.gz":
            _unpack_tar(packed, tree, limits)
        else:
            with {"gz": gzip.open, "bz2": bz2.open}[kind](packed, "rb") as stream:
                _write(stream.read, tree.file(name), _Budget(limits, packed.tell))


class _Budget:
    """Counts what was unpacked, and stops where that passes the limits."""

    def __init__(self, limits: Limits, packed: Callable[[], int]) -> None:
        self._limits, self._packed = limits, packed
        self._spent = 0

    def spend(self, count: int) -> None:
        """Take `count` more bytes."""
        self._spent += count
        if self._spent > self._limits.bytes:
            raise BadArchive(f"it unpacks to more than {self._limits.bytes:,} bytes, the most that is expected")
        if self._spent > FREE_BYTES + self._limits.ratio * self._packed():
            raise BadArchive(f"it grows more than {self._limits.ratio:g}-fold, as decompression bombs do")


class _Tree:
    """The folder that is filled: safe names, none twice, no two that differ by case alone, no file used as folder."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self._root, self._limits = root, limits
        self._seen: dict[str, str] = {}
        """Spelling by caseless name; of a folder it ends with a slash."""

    def folder(self, name: str) -> Path:
        """Make a folder, if it is not there."""
        parts = _safe_parts(name)
        for depth in range(1, len(parts) + 1):
            spelling = "/".join(parts[:depth]) + "/"
            if self._seen.setdefault(_caseless(spelling), spelling) != spelling:
                raise BadArchive(f"two of its members would be one: {self._seen[_caseless(spelling)]!r} and {name!r}")
        self._count()
        path = self._root.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def file(self, name: str) -> Path:
        """Where a new file goes; makes its folder."""
        parts = _safe_parts(name)
        if not parts:
            raise BadArchive(f"a file has no name: {name!r}")
        folder = self.folder("/".join(parts[:-1]))
        spelling = "/".join(parts)
        if self._seen.setdefault(_caseless(spelling), name) is not name:
            raise BadArchive(f"two of its members would be one: {self._seen[_caseless(spelling)]!r} and {name!r}")
        self._count()
        return folder / parts[-1]

    def _count(self) -> None:
        if len(self._seen) > self._limits.files:
            raise BadArchive(f"it holds more than {self._limits.files:,} files and folders")


def _caseless(spelling: str) -> str:
    return unicodedata.normalize("NFC", spelling).casefold().rstrip("/")


def _safe_parts(name: str) -> list[str]:
    """The parts of a member's name; BadArchive for one that could leave the folder or that a system reads otherwise."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or re.search(r'[\\:*?"<>|\x00-\x1f\x7f\ud800-\udfff]', name):
        raise BadArchive(f"a member is called {name!r}, which is no plain name below the archive's own folder")
    if len(parts) > _DEEPEST or any(len(part.encode()) > _LONGEST for part in parts):
        raise BadArchive(f"a member's name is too long or too deep: {name[:80]!r}...")
    return parts


def _unpack_zip(packed: BinaryIO, tree: _Tree, limits: Limits) -> None:
    size = packed.seek(0, os.SEEK_END)
    budget = _Budget(limits, lambda: size)
    with _Sipping(packed, limits.files * _LISTING_BYTES) as sipping, zipfile.ZipFile(sipping) as opened:
        for member in opened.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise BadArchive(f"{member.orig_filename!r} is a link or a device")
            if member.flag_bits & 0x1:
                raise BadArchive(f"{member.orig_filename!r} is encrypted")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise BadArchive(f"{member.orig_filename!r} is packed by an unusual method ({member.compress_type})")
            if member.orig_filename.endswith("/"):
                tree.folder(member.orig_filename)
            else:
                path = tree.file(member.orig_filename)
                with opened.open(member) as stream:
                    _write(stream.read, path, budget)


def _unpack_tar(packed: BinaryIO, tree: _Tree, limits: Limits) -> None:
    budget = _Budget(limits, packed.tell)
    # The stream is counted, headers included: a tar may declare a name of gigabytes, which tarfile reads whole.
    with gzip.open(packed, "rb") as stream, _Counted(stream, budget) as counted:
        with tarfile.open(fileobj=counted, mode="r|") as opened:
            for member in opened:
                if member.isdir():
                    tree.folder(member.name)
                elif member.isreg() and not member.issparse() and (source := opened.extractfile(member)):
                    _write(source.read, tree.file(member.name), None, member.size)
                else:
                    raise BadArchive(f"{member.name!r} is a link or a device")
        while counted.read(BLOCK):  # to the end, where gzip keeps its checksum
            pass


class _Sipping(io.BufferedReader):
    """A file that is read in small pieces: zipfile would take a listing of any size whole into memory."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        super().__init__(open(os.dup(file.fileno()), "rb", buffering=0))
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._most:
            raise BadArchive(f"its listing has {size:,} bytes, more than {self._most:,}")
        return super().read(size)


class _Counted(io.RawIOBase):
    """A stream whose bytes are taken from a budget."""

    def __init__(self, stream: gzip.GzipFile, budget: _Budget) -> None:
        self._stream, self._budget = stream, budget

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self._budget.spend(len(data))
        return data


def _write(read: Callable[[int], bytes], path: Path, budget: _Budget | None, size: int | None = None) -> None:
    """Copy a member to a new file that the disk has when this returns; `size` is what was declared."""
    written = 0
    with open(path, "xb") as file:
        while block := read(BLOCK):
            if budget is not None:
                budget.spend(len(block))
            written += len(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    if size is not None and written != size:
        raise BadArchive(f"{path.name!r} is cut short: {written:,} of {size:,} bytes")


@contextlib.contextmanager
def _damage_in_words() -> Iterator[None]:
    """Turns what the readers raise over damaged bytes into BadArchive; lets a full disk through."""
    try:
        yield
    except BadArchive:
        raise
    except _DAMAGE as error:
        raise BadArchive(f"it is damaged ({type(error).__name__}: {error})") from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):
            raise
        raise BadArchive(f"it is damaged ({error})") from error
