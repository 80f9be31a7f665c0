"""Sound files to samples [n c] as 32-bit floats, and back with the numbers that the file stored: WAV, FLAC and OGG."""

from __future__ import annotations

import struct
from pathlib import Path
from types import ModuleType

import numpy as np
from jaxtyping import Float32

from recon.signals.signal import CHANNELS, BadSignal

MOST_SAMPLES = 2**27
"""Samples, of all channels together, of the longest sound that is read."""
_BLOCK = 2**16
_WHOLE = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
"""Bits of whole numbers."""
_FORMATS = {"wav": "WAV", "flac": "FLAC", "ogg": "OGG"}
_MOST_RATE = {"wav": 2**31 - 1, "flac": 655_350, "ogg": 200_000}
"""Samples a second that the formats hold. Of more, libsndfile's Vorbis does not complain: it ends the process."""
_OPUS_RATES = (8000, 12_000, 16_000, 24_000, 48_000)
_STREAMED = (0, 0xFFFFFFFF, 0x7FFFF000)
"""Lengths that programs write which do not know it yet."""


def read_sound(path: Path, name: str) -> tuple[Float32[np.ndarray, "n c"], float, str, list[str]]:
    """Samples, their rate, how they are stored, and notes; BadSignal says what is wrong, without the path."""
    soundfile = _soundfile()
    if name == "wav":
        _check_whole(path)
    try:
        with soundfile.SoundFile(str(path)) as file:
            if not file.format.startswith((_FORMATS[name], "RF64")):
                raise BadSignal(f"its content is {file.format}; WAV, FLAC and OGG are read: convert it")
            _check_header(file.frames, file.channels, file.samplerate)
            values = _samples(file)
            rate, subtype = float(file.samplerate), str(file.subtype)
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        text = " ".join(str(error).replace(str(path), "it").split())[:120]
        raise BadSignal(f"it is damaged, or of a kind that is not read ({text}); convert it to WAV") from None
    notes = [{1: "mono", 2: "stereo"}.get(values.shape[1], f"{values.shape[1]} channels")]
    if subtype in ("PCM_32", "DOUBLE"):
        notes.append(f"{subtype} was rounded to 32-bit floats")
    if not values.any():
        notes.append("it is silent")
    return values, rate, subtype, notes


def write_sound(path: Path, values: Float32[np.ndarray, "n c"], name: str, rate: float, subtype: str) -> None:
    """Writes samples in the format of this name; whole numbers come back as they were."""
    check_rate(round(rate), name, subtype)
    soundfile = _soundfile()
    bits = _WHOLE.get(subtype)
    stored = values if bits is None else _whole(values, bits)
    format_ = "WAVEX" if name == "wav" and values.shape[1] > 2 and subtype != "PCM_S8" else _FORMATS[name]
    subtype = subtype if soundfile.check_format(format_, subtype) else soundfile.default_subtype(format_)
    try:
        with soundfile.SoundFile(str(path), "w", round(rate), values.shape[1], subtype, format=format_) as file:
            for at in range(0, len(stored), _BLOCK):
                file.write(stored[at : at + _BLOCK])
    except soundfile.SoundFileError as error:
        raise OSError(f"the sound could not be written ({error})") from None


def check_rate(rate: int, name: str, subtype: str) -> None:
    """BadSignal for a rate that the format of this name can't hold."""
    most = _MOST_RATE[name]
    if subtype == "OPUS" and rate not in _OPUS_RATES:
        raise BadSignal(f"Opus holds {', '.join(f'{one:,}' for one in _OPUS_RATES)} samples a second, not {rate:,}")
    if not 1 <= rate <= most:
        raise BadSignal(f"{_FORMATS[name]} holds 1 to {most:,} samples a second, not {rate:,}")
    if name == "flac" and rate > 2**16 - 1 and rate % 10:
        raise BadSignal(f"FLAC holds rates above {2**16 - 1:,} in tens, not {rate:,} samples a second")


def _whole(values: Float32[np.ndarray, "n c"], bits: int) -> np.ndarray:
    """Whole numbers at the top of 16 or 32 bits, as libsndfile takes them; its own scaling of floats is not the way
    back of its reading."""
    kind, width = (np.int16, 16) if bits <= 16 else (np.int32, 32)
    most = 2 ** (bits - 1)
    # 32-bit floats cannot hold 2^31 - 1
    exact = np.clip(np.rint(values.astype(np.float64) * most), -most, most - 1)
    return (exact * 2 ** (width - bits)).astype(kind)


def _samples(file) -> Float32[np.ndarray, "n c"]:  # noqa: ANN001 (a SoundFile, whose module is loaded late)
    """All samples, in blocks: a header that promises more than there is takes no memory."""
    blocks, wanted = [], file.frames
    while wanted:
        block = file.read(min(_BLOCK, wanted), dtype="float32", always_2d=True)
        if not len(block):
            raise BadSignal(f"it is cut short: {file.frames - wanted:,} of {file.frames:,} samples; copy it again")
        blocks.append(block)
        wanted -= len(block)
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _check_header(samples: int, channels: int, rate: int) -> None:
    if samples < 1:
        raise BadSignal("the sound has no samples; there is nothing to fit")
    if channels > CHANNELS["sound"]:
        raise BadSignal(f"{channels} channels are more than the {CHANNELS['sound']} that are read; mix it down")
    if rate < 1:
        raise BadSignal(f"a rate of {rate} samples a second; save it with the right one")
    if samples * channels > MOST_SAMPLES:
        raise BadSignal(
            f"{samples:,} samples of {channels} channels are more than the {MOST_SAMPLES:,} that are read; cut the "
            "sound or resample it"
        )


def _check_whole(path: Path) -> None:
    """BadSignal where a WAV holds less than its header says: libsndfile reads what there is, and says nothing."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(12)
        order = ">" if head[:4] == b"RIFX" else "<"
        while len(head := file.read(8)) == 8:
            (length,) = struct.unpack(order + "I", head[4:])
            if head[:4] == b"data":
                if length not in _STREAMED and file.tell() + length > size:
                    raise BadSignal(
                        f"it is cut short: {size - file.tell():,} of {length:,} bytes of sound are there; copy it again"
                    )
                return
            file.seek(length + length % 2, 1)


def _soundfile() -> ModuleType:
    try:
        import soundfile  # noqa: PLC0415
    except (ImportError, OSError) as error:
        raise ImportError(f"sounds are read by libsndfile, missing here ({error}): pip install soundfile") from None
    return soundfile
