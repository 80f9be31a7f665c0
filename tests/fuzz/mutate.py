"""Damage to files, from a seed: what a careless disk does, and what a stranger would try."""

from __future__ import annotations

import json
import random
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

NUMBERS = (
    *("0", "-0", "1", "-1", "2", "3", "7", "255", "256", "65535", "65536", "2147483647", "2147483648", "4294967295"),
    *("4294967296", "-2147483648", "9223372036854775807", "-9223372036854775808", "18446744073709551615"),
    *("1000000000000", "99999999999999999999999", "1e308", "-1e308", "1e309", "1e-320", "1e39", "0.5", "-0.5"),
    *("nan", "NaN", "inf", "-inf", "Infinity", "-Infinity", "", "1_000", "0x10", "1,5", "+5", "9" * 5000, "1e99999"),
)
"""Words in the place of a number."""
WORDS = (
    *(b"\0", b"\n", b"\r\n", b" ", b"\t", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\x1b[2J"),
    *(b"../", b"/etc/passwd", b"..\\", b"file:///etc/passwd", b"//", b"~", b"-", b"#", b"\\\n", b"%s%n", b"A" * 5000),
)
"""Bytes that some reader somewhere stumbles over."""
VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2,
        255,
        2**31,
        2**32,
        2**63,
        2**64,
        -(2**63),
        10**12,
        10**400,
        1e308,
        -1e308,
        1e-320,
    ),
    *(
        float("nan"),
        float("inf"),
        -float("inf"),
        0.5,
        "",
        "0",
        "nan",
        "../x",
        "/etc/passwd",
        "a\0b",
        "\ud800",
        "x" * 5000,
    ),
    *([], {}, [[]], [None], {"": None}, [0] * 1000, "\x1b[2J\x1b]0;x\x07", "<script>alert(1)</script>", "step-000001"),
)
"""Values in the place of one of JSON's."""
DEEP = (3, 60, 900, 5000, 100_000)
"""How deep brackets are nested."""
LARGEST = 2**21
"""Bytes of a damaged file at most: what large ones cost is measured by itself."""
MOST = 20_000
"""Bytes of a text in which a word is looked for."""
STRUCTURED = {".glb": 12, ".safetensors": 0}
"""Files that hold JSON, and where its length is written."""


def mutate(
    name: str, data: bytes, rng: random.Random, others: Sequence[bytes] = (), words: Sequence[str] = ()
) -> bytes:
    """The content of the file `name`, damaged; the same from an `rng` of the same state.

    `others`: further valid contents, to splice with. `words`: of its format."""
    kinds: list[Callable[[bytes], bytes]] = [lambda d: _bytes(d, rng, others)]
    if name.endswith((".json", ".gltf", ".jsonl")):
        kinds += [lambda d: _json_file(d, rng), lambda d: _json_file(d, rng), lambda d: _text(d, rng, words)]
    elif (suffix := "." + name.rpartition(".")[2]) in STRUCTURED:
        kinds += [lambda d: _embedded(d, rng, STRUCTURED[suffix])] * 3
    elif name.endswith(".png"):
        kinds += [lambda d: _png(d, rng)] * 2
    elif _is_text(data):
        kinds += [lambda d: _text(d, rng, words)] * 3
    else:
        kinds += [lambda d: _text_head(d, rng, words), lambda d: _integers(d, rng), lambda d: _integers(d, rng)]
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 6))):
        data = rng.choice(kinds)(data)[:LARGEST]
    return data


def _is_text(data: bytes) -> bool:
    return not any(byte < 9 or 13 < byte < 32 for byte in data[:2000])


def _bytes(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Damage that knows nothing of the format: what lies between two places is replaced, and now and then the rest."""
    at, end = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
    short = min(len(data), at + rng.randint(0, 16))
    kind = rng.choice(("bit", "cut", "drop", "drop", "insert", "repeat", "splice", "word", "swap", "zeros", "empty"))
    if kind == "bit" and short > at:
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    other = rng.choice([data, *others])
    middle, rest = {
        "cut": (b"", b""),
        "drop": (b"", data[rng.choice((end, short)) :]),
        "insert": (rng.randbytes(rng.randint(1, 16)), data[rng.choice((at, short)) :]),
        "repeat": (data[at:end] * rng.choice((2, 2, 3, 50)), data[end:]),
        "splice": (other[rng.randint(0, len(other)) :], b""),
        "word": (rng.choice(WORDS), data[rng.choice((at, short)) :]),
        "zeros": (bytes(short - at), data[short:]),
    }.get(kind, (b"", data[end:]))
    if kind == "empty" and rng.random() < 0.3:
        return b""
    return rest + data[:at] if kind == "swap" else data[:at] + middle + rest


def _integers(data: bytes, rng: random.Random) -> bytes:
    """A number of a binary file made absurd, most often near the beginning, where sizes are."""
    width = rng.choice((1, 2, 4, 8))
    limit = max(len(data) - width, 0)
    at = rng.randint(0, limit if rng.random() < 0.4 else min(limit, 100))
    bits = 8 * width
    value = rng.choice(
        (0, 1, 2**bits - 1, 2 ** (bits - 1), 2 ** (bits - 1) - 1, 2 ** (bits // 2), rng.getrandbits(bits))
    )
    packed = value.to_bytes(width, rng.choice(("little", "big")))
    if width == 8 and rng.random() < 0.4:
        packed = struct.pack("<d", rng.choice((float("nan"), float("inf"), -float("inf"), 1e308, 1e-320, 0.0, -1.0)))
    return data[:at] + packed + data[at + width :]


def _text(data: bytes, rng: random.Random, words: Sequence[str]) -> bytes:
    """A number, a word or a line of a text file changed."""
    kind = rng.randrange(4)
    if kind == 0 and (found := list(re.finditer(rb"[-+]?\d[\d.eE+-]*", data[:MOST]))):
        one = rng.choice(found)
        return data[: one.start()] + rng.choice(NUMBERS).encode() + data[one.end() :]
    if kind == 1 and (found := list(re.finditer(rb"[A-Za-z_]+", data[:MOST]))):
        one = rng.choice(found)
        return data[: one.start()] + rng.choice([*words, *NUMBERS, "x"]).encode() + data[one.end() :]
    lines = data.split(b"\n")
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    if kind == 2:
        lines[at], lines[other] = lines[other], lines[at]
    elif rng.random() < 0.5:
        del lines[at]
    else:
        lines[at:at] = [lines[other]] * rng.choice((1, 1, 200))
    return b"\n".join(lines)


def _text_head(data: bytes, rng: random.Random, words: Sequence[str]) -> bytes:
    """The text with which a binary file begins."""
    end = next((at for at, byte in enumerate(data) if byte < 9 or byte > 126), len(data))
    return _text(data[:end], rng, words) + data[end:]


def _json_file(data: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.1:
        return _nested(data, rng)
    try:
        lines = data.splitlines() if b'"step"' in data[:100] else [data]  # a log has an object on each line
        at = rng.randrange(len(lines))
        lines[at] = _dump(_json(json.loads(lines[at]), rng))
        return b"\n".join(lines)
    except (ValueError, RecursionError, IndexError):
        return _text(data, rng, ())


def _nested(data: bytes, rng: random.Random) -> bytes:
    """Brackets within brackets, in the place of some value or of everything."""
    depth = rng.choice(DEEP)
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    deep = opening * depth + b"1" + closing * rng.choice((0, depth))
    colons = [match.end() for match in re.finditer(rb":", data)]
    if not colons or rng.random() < 0.3:
        return deep
    at = rng.choice(colons)
    return data[:at] + deep + data[at:].lstrip(b' 0123456789.-"')


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _json(root: Any, rng: random.Random) -> Any:
    """One place of a parsed file changed."""
    holders = list(_holders(root))
    if not holders:
        return rng.choice(VALUES)
    holder = rng.choice(holders)
    key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    kind, value = rng.randrange(8), holder[key]
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder += [value] * rng.choice((1, 1, 1000))
    elif kind == 2:
        holder[key] = {"a": value} if rng.random() < 0.5 else [value]
    elif kind == 3 and isinstance(holder, dict):
        holder[rng.choice(list(holder))], holder[key] = value, holder[rng.choice(list(holder))]
    elif isinstance(value, str) and value[:1] == "{" and rng.random() < 0.8:
        holder[key] = (
            _dump(_json(json.loads(value), rng)).decode() if rng.random() < 0.9 else _nested(b"", rng).decode()
        )
    else:
        holder[key] = rng.choice(VALUES)
    return root


def _holders(value: Any) -> Any:
    """Every list and object that holds something."""
    if isinstance(value, list | dict) and value:
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _holders(inner)


def _embedded(data: bytes, rng: random.Random, at: int) -> bytes:
    """The JSON inside a binary file changed, its length made right again."""
    width = 4 if at else 8
    length = int.from_bytes(data[at : at + width], "little")
    start = 20 if at else 8
    if length > len(data) - start or rng.random() < 0.1:
        return data[: start + length] + _integers(data[start + length :], rng)
    changed = _metadata(data[start : start + length], rng) or _json_file(data[start : start + length], rng)
    changed += b" " * (-len(changed) % 8)
    body = (
        data[:at] + len(changed).to_bytes(width, "little") + data[at + width : start] + changed + data[start + length :]
    )
    return body[:8] + len(body).to_bytes(4, "little") + body[12:] if at else body


def _metadata(header: bytes, rng: random.Random) -> bytes:
    """The JSON that a safetensors file carries as a text within its header, changed; nothing where there is none."""
    try:
        root = json.loads(header)
        texts = [key for key, value in root["__metadata__"].items() if value[:1] == "{"]
        if not texts or rng.random() < 0.3:
            return b""
        key = rng.choice(texts)
        inner = root["__metadata__"][key]
        root["__metadata__"][key] = _json_file(inner.encode("utf-8", "surrogatepass"), rng).decode("utf-8", "replace")
        return _dump(root)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return b""


def _png(data: bytes, rng: random.Random) -> bytes:
    """A chunk of a PNG changed, its checksum made right again."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    if not chunks:
        return _integers(data, rng)
    place = rng.randrange(len(chunks))
    kind, body = chunks[place]
    if rng.random() < 0.3:
        chunks.insert(
            rng.randrange(len(chunks)), (rng.choice((b"IHDR", b"tRNS", b"PLTE", b"iCCP", b"zTXt", b"eXIf")), body)
        )
    else:
        chunks[place] = (kind, _integers(body, rng) if body else rng.randbytes(20))
    return data[:8] + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
