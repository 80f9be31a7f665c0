"""Where the viewer's server can be reached from, and by whom."""

import socket
import threading
from pathlib import Path

import pytest
import viser
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from recon.viewer import serving
from recon.viewer.serving import LOOPBACK, choose_port, close_server, is_loopback, open_server

PROTOCOL = [f"viser-v{viser.__version__}"]


@pytest.fixture(scope="module")
def server():
    made = open_server(LOOPBACK, 0, "title")
    yield made
    close_server(made)


def listening(port: int) -> set[str]:
    """Addresses at which anything of this machine listens at a port, as the kernel writes them."""
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()]
    return {row[1].split(":")[0] for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")}


def test_the_server_listens_on_loopback_only(server):
    assert listening(server.get_port()) == {"0100007F"}


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1.evil.example", "null"])
def test_a_page_from_elsewhere_cannot_talk_to_the_viewer(server, origin):
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"ws://127.0.0.1:{server.get_port()}", origin=origin, subprotocols=PROTOCOL).close()


def test_the_viewers_own_page_can_even_through_a_tunnel_to_another_port(server):
    for origin in (f"http://127.0.0.1:{server.get_port()}", "http://localhost:9999"):
        connect(f"ws://127.0.0.1:{server.get_port()}", origin=origin, subprotocols=PROTOCOL).close()


def test_nobody_can_ask_for_the_page_to_be_published(server):
    from viser import _messages  # noqa: PLC0415

    assert _messages.ShareUrlRequest not in server._websock_server._incoming_handlers


def test_the_server_says_nothing_and_leaves_no_thread(capfd):
    before = set(threading.enumerate())
    close_server(open_server(LOOPBACK, 0, "title"))
    assert capfd.readouterr() == ("", "")
    assert set(threading.enumerate()) <= before


def test_without_a_wish_the_next_free_port_is_taken(monkeypatch):
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(serving, "PORT", port)
        assert port < choose_port(LOOPBACK, None) < port + serving.TRIES


def test_a_port_that_was_asked_for_and_is_in_use_is_refused():
    with socket.create_server((LOOPBACK, 0)) as taken:
        with pytest.raises(ValueError, match=f"port {taken.getsockname()[1]} of 127.0.0.1 is in use"):
            choose_port(LOOPBACK, taken.getsockname()[1])


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_number_that_is_no_port_is_refused(port):
    with pytest.raises(ValueError, match="--port must lie in 0 .. 65535"):
        choose_port(LOOPBACK, port)


def test_a_host_that_is_not_this_machines_is_refused():
    with pytest.raises(ValueError, match=r"nothing can be served at 192.0.2.1"):
        choose_port("192.0.2.1", None)  # an address for documentation


@pytest.mark.parametrize(
    ("host", "own"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.5.0.1", True), ("0.0.0.0", False), ("::", False),
     ("192.0.2.1", False), ("localhost.example", False)],
)  # fmt: skip
def test_only_loopback_counts_as_this_machine_alone(host, own):
    assert is_loopback(host) is own
