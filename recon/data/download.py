"""One file from an address to a disk: resumed where it stopped, never longer than promised; https only."""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from recon.files import atomic_write_json, writing

BLOCK = 1 << 18
TIMEOUT = 30.0
"""Seconds without an answer."""
TRIES = 5
"""Failures in a row, none of which brought a byte more, after which it is given up."""
PAUSE = 1.0
"""Seconds before the second try; doubled each time."""
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_LOCAL = ("127.0.0.1", "::1")
"""This machine may be asked by plain http."""

OnBytes = Callable[[int, "int | None"], None]


@dataclass(frozen=True)
class Wanted:
    """A file to bring: where it is, the most bytes that are taken, and how many it must have, where that is known."""

    url: str
    cap: int
    size: int | None = None


@dataclass(frozen=True)
class _Promise:
    """What the server said when a download began; kept beside the part, so that another run can go on."""

    url: str
    size: int | None
    validator: str
    """A strong ETag or a date, by which the server knows whether it still has the same file."""


class _Lost(Exception):
    """The connection was lost or the server is busy: worth another try."""


def probe(url: str) -> int | None:
    """Bytes that the address promises, or None where it does not say; ConnectionError where it does not answer."""
    try:
        with _open(_request(url, "HEAD")) as answer:
            return _length(answer)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (403, 405, 501):  # servers that answer nothing but GET
            return None
        raise _refusal(url, error) from None
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(f"{_host(url)} does not answer ({_reason(error)}); try again later") from None


def download(wanted: Wanted, part: Path, on_bytes: OnBytes = lambda there, size: None) -> None:
    """Bring the whole file to `part`, going on from what is there; `on_bytes` hears how much that is, and of how much.

    Raises ConnectionError where the connection fails for good (the part stays and is resumed next time), ValueError
    for a wrong length or address, FileNotFoundError where there is no such file, OSError for a full disk."""
    best, left = _size(part), TRIES
    while True:
        try:
            return _go_on(wanted, part, on_bytes)
        except _Lost as lost:
            there = _size(part)
            left = TRIES if there > best else left - 1
            best = max(best, there)
            if left == 0:
                kept = f"{there:,} bytes are kept: run the same command again to go on from there"
                advice = kept if there else "try again later"
                raise ConnectionError(f"the connection to {_host(wanted.url)} fails ({lost}); {advice}") from None
        time.sleep(PAUSE * 2 ** (TRIES - left))


def forget(part: Path) -> None:
    """Delete a part and what is known of it."""
    part.unlink(missing_ok=True)
    _promise_file(part).unlink(missing_ok=True)


def _go_on(wanted: Wanted, part: Path, on_bytes: OnBytes) -> None:
    """One connection: from what is there to the end, or _Lost."""
    promise, start = _kept(wanted.url, part)
    if promise is not None and start == (promise.size or wanted.size):
        return on_bytes(start, start)
    try:
        answer = _open(_request(wanted.url, "GET", start, promise))
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # what is there is not the beginning of what the server has
            forget(part)
        if error.code == 416 or error.code in _TRY_AGAIN:
            raise _Lost(f"status {error.code}") from None
        raise _refusal(wanted.url, error) from None
    except (OSError, http.client.HTTPException) as error:
        raise _Lost(_reason(error)) from None
    with answer:
        if answer.status == 206 and promise is not None:
            _check_range(answer, part, start, promise)
        else:  # the beginning; or the server knows no ranges; or it has another file now
            start, promise = 0, _begin(wanted, part, answer)
        _receive(answer, part, start, replace(wanted, size=promise.size or wanted.size), on_bytes)


def _begin(wanted: Wanted, part: Path, answer: http.client.HTTPResponse) -> _Promise:
    """Start a part anew, after a look at the promised length."""
    size = _length(answer)
    if size is not None and wanted.size is not None and size != wanted.size:
        raise ValueError(f"{wanted.url} has {size:,} bytes, not the {wanted.size:,} of the catalogue: another file")
    if size is not None and size > wanted.cap:
        raise ValueError(f"{wanted.url} has {size:,} bytes, more than the {wanted.cap:,} that are expected at most")
    tag = answer.headers.get("ETag") or ""
    strong = tag if tag.startswith('"') else answer.headers.get("Last-Modified") or ""
    promise = _Promise(wanted.url, size, strong)
    with writing(part):
        part.parent.mkdir(parents=True, exist_ok=True)
        forget(part)
    atomic_write_json(_promise_file(part), asdict(promise))
    return promise


def _receive(answer: http.client.HTTPResponse, part: Path, start: int, wanted: Wanted, on_bytes: OnBytes) -> None:
    """Append the answer to the part."""
    most = wanted.cap if wanted.size is None else wanted.size
    on_bytes(start, wanted.size)
    with writing(part), open(part, "ab" if start else "wb") as file:
        while start <= most and (block := _block(answer)):
            start += len(block)
            if start <= most:
                file.write(block)
                on_bytes(start, wanted.size)
    if start > most:
        forget(part)
        raise ValueError(f"{_host(wanted.url)} sends more than the {most:,} bytes that are expected at most")
    if wanted.size is not None and start < wanted.size:
        raise _Lost(f"it ended after {start:,} of {wanted.size:,} bytes")


def _block(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _Lost(_reason(error)) from None


def _kept(url: str, part: Path) -> tuple[_Promise | None, int]:
    """What an earlier run brought, if it can be gone on from: the same address, and a length or date to compare."""
    try:
        promise = _Promise(**json.loads(_promise_file(part).read_text(encoding="utf-8")))
        there = part.stat().st_size
    except (OSError, ValueError, TypeError):
        return None, 0
    fits = promise.size is None or there <= promise.size
    known = promise.size is not None or bool(promise.validator)
    return (promise, there) if promise.url == url and fits and known else (None, 0)


def _check_range(answer: http.client.HTTPResponse, part: Path, start: int, promise: _Promise) -> None:
    """The piece must be the one that was asked for, of a file as long as before."""
    said = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", answer.headers.get("Content-Range", "").strip())
    total = None if said is None or said[3] == "*" else int(said[3])
    if said is None or int(said[1]) != start or (promise.size or total) != total:
        forget(part)
        raise _Lost("the server sent another piece than asked for")


def _promise_file(part: Path) -> Path:
    return part.with_suffix(".json")


def _request(url: str, method: str, start: int = 0, promise: _Promise | None = None) -> urllib.request.Request:
    headers = {"User-Agent": "recon", "Accept-Encoding": "identity"}
    if start and promise is not None:
        headers["Range"] = f"bytes={start}-"
        if promise.validator:
            headers["If-Range"] = promise.validator
    check_address(url)
    return urllib.request.Request(url, headers=headers, method=method)


def check_address(url: str, before: str = "") -> None:
    """ValueError unless it is https, or http on this machine; `before` is the address that led there."""
    parts = urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in _LOCAL
    if not (parts.scheme == "https" and parts.hostname) and not (local and not before.startswith("https:")):
        led = f"{before} leads to {url}, which" if before else f"{url}"
        raise ValueError(f"{led} is not https; nothing is fetched from there")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https alone, five at most."""

    max_redirections = 5

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:  # noqa: PLR0917
        check_address(newurl, req.full_url)
        following = super().redirect_request(req, fp, 307 if code == 308 else code, msg, headers, newurl)
        if following is not None and req.get_method() == "HEAD":
            following.method = "HEAD"
        return following

    http_error_308 = urllib.request.HTTPRedirectHandler.http_error_302  # Python 3.10 knows it not


def _open(request: urllib.request.Request) -> Any:
    return urllib.request.build_opener(_Redirects).open(request, timeout=TIMEOUT)


def _length(answer: http.client.HTTPResponse) -> int | None:
    text = (answer.headers.get("Content-Length") or "").strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _refusal(url: str, error: urllib.error.HTTPError) -> OSError:
    kind = FileNotFoundError if error.code in (404, 410) else ConnectionError
    return kind(f"{url} is not to be had: {_host(url)} answers {error.code} {error.reason}")


def _reason(error: BaseException) -> str:
    return str(getattr(error, "reason", "") or error) or type(error).__name__


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
