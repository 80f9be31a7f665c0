"""What a file is, told by its first bytes: names lie now and then, and no decoder should guess."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recon.signals.signal import BadSignal, Kind

HEAD = 64
"""Bytes of a file that tell its format."""


@dataclass(frozen=True)
class Format:
    """A format of files."""

    kind: Kind
    title: str
    suffixes: tuple[str, ...]
    """The first is the one to write."""


FORMATS: dict[str, Format] = {
    "png": Format("image", "PNG", (".png",)),
    "jpeg": Format("image", "JPEG", (".jpg", ".jpeg", ".jpe", ".jfif")),
    "tiff": Format("image", "TIFF", (".tif", ".tiff")),
    "exr": Format("image", "EXR", (".exr",)),
    "hdr": Format("image", "HDR", (".hdr", ".pic", ".rgbe")),
    "bmp": Format("image", "BMP", (".bmp", ".dib")),
    "webp": Format("image", "WebP", (".webp",)),
    "wav": Format("sound", "WAV", (".wav", ".wave")),
    "flac": Format("sound", "FLAC", (".flac",)),
    "ogg": Format("sound", "OGG", (".ogg", ".oga", ".opus")),
    "mp4": Format("video", "MP4", (".mp4", ".m4v")),
    "mov": Format("video", "MOV", (".mov", ".qt")),
    "mkv": Format("video", "MKV", (".mkv",)),
    "webm": Format("video", "WebM", (".webm",)),
    "gif": Format("video", "GIF", (".gif",)),
    "avi": Format("video", "AVI", (".avi",)),
}
"""What is read and written."""
BY_SUFFIX = {suffix: name for name, one in FORMATS.items() for suffix in one.suffixes}
STILLS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1")
"""Brands of pictures in the container of MP4."""
_STARTS = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
    b"v/1\x01": "exr",
    b"#?": "hdr",
    b"BM": "bmp",
    b"fLaC": "flac",
    b"OggS": "ogg",
    b"GIF8": "gif",
}
_RIFF = {b"WEBP": "webp", b"WAVE": "wav", b"AVI ": "avi"}
_ATOMS = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
"""What a MOV of old begins with."""


def sniff(head: bytes) -> str | None:
    """Name of the format whose files begin like this; None for no format of ours."""
    for start, name in _STARTS.items():
        if head.startswith(start):
            return name
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp" and head[8:12] not in STILLS:
        return "mov" if head[8:12] == b"qt  " else "mp4"
    if head[4:8] in _ATOMS:
        return "mov"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "webm" if b"webm" in head else "mkv"
    return None


def titles() -> str:
    """All formats, for people."""
    return ", ".join(one.title for one in FORMATS.values())


def format_of(path: Path, head: bytes) -> tuple[str, list[str]]:
    """Name of a file's format, and a note where its suffix tells another; ValueError where nothing of ours is in it."""
    found, claimed = sniff(head), BY_SUFFIX.get(path.suffix.lower())
    if found is None:
        wanted = f", and no {FORMATS[claimed].title}" if claimed else ""
        raise BadSignal(f"{_looks(head)}{wanted}; convert it to a format that is read ({titles()})")
    if claimed is None or claimed == found or {claimed, found} <= {"mp4", "mov"} or {claimed, found} <= {"mkv", "webm"}:
        return (claimed or found), []
    return found, [f"the name ends in {path.suffix}, the content is {FORMATS[found].title}: read as that"]


def _looks(head: bytes) -> str:
    if head[4:8] == b"ftyp":
        return "it holds an AVIF or HEIF picture"
    try:
        # a character may be cut at the end of what was read
        head[:-3].decode("utf-8")
    except UnicodeDecodeError:
        return "it holds unknown bytes"
    return "it holds text" if b"\0" not in head else "it holds unknown bytes"
