"""A server on this machine that does to a download what networks do. Must not import `recon` at the top."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Served:
    """One address: its content, and its faults, each list used up one request at a time."""

    body: bytes
    etag: str | None = '"one"'
    ranges: bool = True
    heeds_if_range: bool = True
    length: int | None = -1
    """Promised bytes: -1 tells the truth, None promises nothing."""
    cut: list[int] = field(default_factory=list)
    """Bytes after which the connection is dropped."""
    status: list[int] = field(default_factory=list)
    redirect: str = ""
    head: bool = True
    silent: float = 0.0
    """Seconds without an answer."""


class Server(ThreadingHTTPServer):
    """Knows what it serves and what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.served: dict[str, Served] = {}
        self.asked: list[tuple[str, str, str | None, str | None]] = []
        self.stop = threading.Event()

    def url(self, path: str = "/a.zip") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def serve(self, body: bytes, path: str = "/a.zip", **faults) -> Served:
        self.served[path] = Served(body, **faults)
        return self.served[path]

    def handle_error(self, request, client_address) -> None:
        """A client that goes away is nothing to print."""


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(False)

    def do_GET(self) -> None:
        self.answer(True)

    def answer(self, whole: bool) -> None:
        self.server.asked.append((self.command, self.path, self.headers["Range"], self.headers["If-Range"]))
        served = self.server.served.get(self.path)
        if served is None:
            return self.send_error(404)
        if served.silent:
            self.server.stop.wait(served.silent)
        if not whole and not served.head:
            return self.send_error(405)
        if served.redirect:
            self.send_response(302)
            self.send_header("Location", served.redirect)
            return self.end_headers()
        if whole and served.status:
            code = served.status.pop(0)
            if code != 200:
                return self.send_error(code)
        start = self.start(served)
        if start > len(served.body) or (start and start == len(served.body)):
            return self.send_error(416)
        self.send(served, start, whole)

    def start(self, served: Served) -> int:
        asked, tag = self.headers["Range"], self.headers["If-Range"]
        if not asked or not served.ranges or (served.heeds_if_range and tag is not None and tag != served.etag):
            return 0
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def send(self, served: Served, start: int, whole: bool) -> None:
        rest = served.body[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(served.body) - 1}/{len(served.body)}")
        if served.length is not None:
            self.send_header("Content-Length", str(len(rest) if served.length == -1 else served.length))
        if served.etag:
            self.send_header("ETag", served.etag)
        self.end_headers()
        if whole:
            self.wfile.write(rest[: served.cut.pop(0)] if served.cut else rest)


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    """A server, and downloads that lose no time over it."""
    from recon.data import download  # noqa: PLC0415 - after the import hook

    monkeypatch.setattr(download, "PAUSE", 0.0)
    monkeypatch.setattr(download, "TRIES", 3)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    with contextlib.closing(server.socket):
        yield server
        server.stop.set()
        server.shutdown()
        thread.join()
