"""A viser server that binds where it is told, answers only pages of its own, and says nothing on standard output."""

from __future__ import annotations

import contextlib
import functools
import io
import ipaddress
import re
import socket
from collections.abc import Iterator

import viser
import websockets.asyncio.server
from viser import _messages

LOOPBACK = "127.0.0.1"
PORT = 8080
TRIES = 100
"""Ports that are tried, one after the other, where none is asked for."""
_OWN_PAGES = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine can reach a server there."""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def choose_port(host: str, port: int | None) -> int:
    """The port asked for, or the first free one from PORT on. ValueError where it is taken, or the host is not ours."""
    if port is not None and not 0 <= port < 2**16:
        raise ValueError(f"--port must lie in 0 .. 65535, got {port}")
    for candidate in [port] if port is not None else range(PORT, PORT + TRIES):
        try:
            with socket.create_server((host, candidate), family=_family(host)):
                return candidate
        except OSError as error:
            if not isinstance(error, socket.gaierror) and _taken(host, candidate):
                continue
            raise ValueError(f"nothing can be served at {host} port {candidate}: {error.strerror or error}") from None
    if port is not None:
        raise ValueError(f"port {port} of {host} is in use; leave --port out to take the next free one")
    raise ValueError(f"the ports {PORT} to {PORT + TRIES - 1} of {host} are all in use; give a --port")


def open_server(host: str, port: int, label: str) -> viser.ViserServer:
    """A server with an empty scene. At loopback, pages from elsewhere that a browser shows cannot talk to it."""
    serve = websockets.asyncio.server.serve
    try:
        if is_loopback(host):
            # A browser lets any page open a socket to loopback: the origin it must name is what tells them apart.
            # viser has no setting for it, so the call that it makes in its constructor is given one.
            websockets.asyncio.server.serve = functools.partial(serve, origins=[_OWN_PAGES, None])
        with _silence():
            server = viser.ViserServer(host, port, verbose=False)
    finally:
        websockets.asyncio.server.serve = serve
    # A client's message would make viser publish the page through a server of its makers.
    for message in (_messages.ShareUrlRequest, _messages.ShareUrlDisconnect):
        server._websock_server.unregister_handler(message)
    server.gui.configure_theme(show_logo=False, show_share_button=False, control_width="medium")
    server.gui.set_panel_label(label)
    return server


def close_server(server: viser.ViserServer) -> None:
    """Ends the server and its threads."""
    with _silence():
        server.stop()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """viser prints where it listens and that it stopped; standard output is for results."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _taken(host: str, port: int) -> bool:
    """Whether a refusal is about the port: at another one the host can be served."""
    try:
        with socket.create_server((host, 0), family=_family(host)):
            return port != 0
    except OSError:
        return False
