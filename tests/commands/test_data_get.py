"""`recon data get`: what is shown, what is asked, what is refused, and the one JSON object. Must not need a network."""

import gzip
import io
import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from recon.commands import get as command
from recon.data import catalogue, download, fetch

PLY = gzip.compress(b"ply\nformat ascii 1.0\n")


class Handler(BaseHTTPRequestHandler):
    """Serves Lucy."""

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        body = PLY if self.path == "/Lucy.ply.gz" else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture
def lucy(monkeypatch):
    """The catalogue's Lucy, at a server of ours, its size and hash unknown."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}/Lucy.ply.gz"
    entry = replace(catalogue.entries()["lucy"], format="gz", url=url, size=None, sha256="")
    use(monkeypatch, entry)
    yield entry
    server.shutdown()
    thread.join()
    server.server_close()


def use(monkeypatch, entry):
    """Make it the whole catalogue."""
    for module in (catalogue, fetch, command):
        monkeypatch.setattr(module, "entries", lambda: {entry.name: entry})


class Terminal(io.StringIO):
    """Somebody who answers."""

    def isatty(self):
        return True


def test_with_yes_a_set_is_fetched_after_all_was_shown(recon, home, lucy):
    result = recon("data", "get", "Lucy", "--yes")
    assert result.code == 0, result.err
    assert (home / "datasets/shapes/lucy.ply").read_bytes().startswith(b"ply\n")
    for text in (
        "Stanford",
        lucy.url,
        "unverified address",
        "found in",
        "no commercial use",
        f"{len(PLY)} B",
        "verified",
    ):
        assert text in result.err
    assert result.out == f"fetched: {home}/datasets/shapes/lucy.ply (1 file, 21 B, whole)\n"


def test_json_is_one_object(recon, home, lucy):
    result = recon("data", "get", "lucy", "--yes", "--json").json
    assert result["fetched"] is True and result["bytes"] == len(PLY) and len(result["sha256"]) == 64
    assert result["places"] == [str(home / "datasets/shapes/lucy.ply")] and result["terms"] == lucy.terms
    again = recon("data", "get", "lucy", "--json").json
    assert again["fetched"] is False and again["places"] == result["places"]


def test_an_address_that_has_worked_is_no_longer_called_unverified(recon, home, lucy):
    assert recon("data", "get", "lucy", "--yes").code == 0
    (home / "datasets/shapes/lucy.ply").unlink()
    result = recon("data", "get", "lucy", "--yes")
    assert result.code == 0 and "unverified" not in result.err
    assert list(json.loads((home / "datasets/.learned-hashes.json").read_text())) == [lucy.url]


@pytest.mark.parametrize("answer", ["y\n", "YES\n", "n\n", "\n", ""])
def test_a_person_is_asked(recon, lucy, monkeypatch, answer):
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    result = recon("data", "get", "lucy")
    assert "fetch it? [y/N]" in result.err
    agreed = answer[:1] in ("y", "Y")
    assert result.code == (0 if agreed else 2) and fetch.is_there(lucy) == agreed
    assert agreed or result.err.endswith("recon: nothing was fetched\n")


def test_without_a_terminal_nobody_is_asked_and_nothing_is_fetched(recon, home, lucy, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    result = recon("data", "get", "lucy")
    assert result.code == 2 and result.out == "" and not (home / "datasets").exists()
    assert "pass --yes to fetch lucy" in result.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "wants an action; actions: list, where, get, check, make"),
        (("gett",), "not gett; perhaps you meant get"),
        (("get",), "which set? recon data list tells more of them: barn"),
        (("get", "idol"), "idol needs no fetching"),
        (("get", "shapenet"), "put it at datasets/shapenet, its folders CLASS/MODEL as they are"),
        (("get", "famly"), "perhaps you meant family"),
        (("get", "asiandragon"), "perhaps you meant asian_dragon"),
    ],
)
def test_what_is_mistyped_is_answered(recon, words, said):
    result = recon("data", *words)
    assert result.code == 2 and result.out == "" and said in result.err and "Traceback" not in result.err


def test_a_set_without_an_address_says_what_to_put_where(recon, home, monkeypatch):
    use(monkeypatch, replace(catalogue.entries()["lucy"], url=""))
    result = recon("data", "get", "lucy", "--yes")
    assert result.code == 2 and "put it at datasets/shapes/lucy.ply" in result.err and not (home / "datasets").exists()


def test_an_address_that_has_gone_is_told_before_anything_is_made(recon, home, lucy, monkeypatch):
    use(monkeypatch, replace(lucy, url=lucy.url + ".old"))
    result = recon("data", "get", "lucy", "--yes")
    assert result.code == 2 and "127.0.0.1 answers 404" in result.err and not (home / "datasets").exists()
    assert "or take it from https://graphics.stanford.edu" in result.err and "put it at datasets/shapes" in result.err


def test_a_set_that_a_folder_of_recon_data_has_is_said_to_be_there(recon, home, lucy, monkeypatch):
    monkeypatch.setenv("RECON_DATA", str(home / "mine"))
    (home / "mine/shapes").mkdir(parents=True)
    (home / "mine/shapes/lucy.ply").write_bytes(b"ply\n")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert (
        f"lucy is here already, in a folder of RECON_DATA: {home}/mine/shapes/lucy.ply"
        in recon("data", "get", "lucy").err
    )


def test_a_second_time_nothing_is_asked_of_the_network(recon, home, lucy, monkeypatch):
    assert recon("data", "get", "lucy", "--yes").code == 0
    monkeypatch.setattr(download, "_open", lambda request: (_ for _ in ()).throw(AssertionError("asked")))
    result = recon("data", "get", "lucy")
    assert (result.code, result.out) == (0, f"already there: {home}/datasets/shapes/lucy.ply (1 file, 21 B, whole)\n")
    assert recon("data", "check", "lucy").out.endswith("whole: 1 file, 21 B, 1 of known SHA-256\n")


def test_progress_is_told_in_lines_where_there_is_no_terminal(recon, lucy, monkeypatch):
    monkeypatch.setattr(command, "EVERY", 0.0)
    monkeypatch.setattr(download, "BLOCK", 10)
    result = recon("data", "get", "lucy", "--yes")
    assert "10 B of " in result.err and "downloaded; now verified" in result.err


def test_help_names_actions_and_flags(recon):
    assert "get" in recon("data", "--help").out
    assert "--yes" in recon("data", "get", "--help").out
