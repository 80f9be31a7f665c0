"""Downloading from a server with faults: what arrives is whole, or the message says why and the part can be resumed."""

import builtins
import errno
import json
import random
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recon.data import download as module
from recon.data.download import Wanted, check_address, download, probe

BODY = random.Random(0).randbytes(5000)


@pytest.fixture
def part(tmp_path):
    return tmp_path / "downloads" / "a.part"


def ranges(server):
    return [asked[2] for asked in server.asked]


def test_a_file_arrives_whole_and_its_growth_is_told(server, part):
    server.serve(BODY)
    told = []
    download(Wanted(server.url(), 10_000), part, lambda there, size: told.append((there, size)))
    assert part.read_bytes() == BODY
    assert told[0] == (0, 5000) and told[-1] == (5000, 5000)


def test_a_file_that_is_there_is_not_asked_for_again(server, part):
    server.serve(BODY)
    download(Wanted(server.url(), 10_000), part)
    download(Wanted(server.url(), 10_000), part)
    assert len(server.asked) == 1


def test_a_cut_connection_is_resumed_where_it_broke(server, part):
    server.serve(BODY, cut=[1000, 500, 0, 1])
    download(Wanted(server.url(), 10_000), part)
    assert part.read_bytes() == BODY
    assert ranges(server) == [None, "bytes=1000-", "bytes=1500-", "bytes=1500-", "bytes=1501-"]


def test_a_later_run_goes_on_from_what_an_earlier_one_brought(server, part):
    server.serve(BODY, cut=[1000, 0, 0, 0])
    with pytest.raises(ConnectionError, match="1,000 bytes are kept: run the same command again"):
        download(Wanted(server.url(), 10_000), part)
    server.asked.clear()
    server.served["/a.zip"].cut.clear()
    download(Wanted(server.url(), 10_000), part)
    assert part.read_bytes() == BODY
    assert server.asked == [("GET", "/a.zip", "bytes=1000-", '"one"')]


@given(cuts=st.lists(st.integers(1, 3000), max_size=5))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_wherever_it_breaks_the_file_is_the_same(server, part, cuts):
    module.forget(part)
    server.serve(BODY, cut=list(cuts))
    download(Wanted(server.url(), 10_000), part)
    assert part.read_bytes() == BODY


def test_a_server_without_ranges_begins_anew(server, part):
    server.serve(BODY, ranges=False, cut=[1000])
    download(Wanted(server.url(), 10_000), part)
    assert part.read_bytes() == BODY


def test_a_server_that_never_gets_further_is_given_up(server, part):
    server.serve(BODY, ranges=False, cut=[1000] * 9)
    with pytest.raises(ConnectionError, match=r"ended after 1,000 of 5,000 bytes"):
        download(Wanted(server.url(), 10_000), part)
    assert len(server.asked) == 4


@pytest.mark.parametrize("heeds", [True, False])
def test_a_part_of_another_file_is_not_gone_on_from(server, part, heeds):
    """The server says so where it compares tags; else the length betrays it."""
    server.serve(BODY, cut=[1000, 0, 0, 0])
    with pytest.raises(ConnectionError):
        download(Wanted(server.url(), 10_000), part)
    server.serve(BODY[::-1] + b"!", etag='"two"', heeds_if_range=heeds)
    download(Wanted(server.url(), 10_000), part)
    assert part.read_bytes() == BODY[::-1] + b"!"


def test_a_part_longer_than_the_file_is_dropped(server, part):
    server.serve(BODY, etag=None, length=None)
    part.parent.mkdir()
    part.write_bytes(BODY * 2)
    part.with_suffix(".json").write_text(json.dumps({"url": server.url(), "size": None, "validator": "x"}))
    download(Wanted(server.url(), 10_000), part)
    assert part.read_bytes() == BODY


@pytest.mark.parametrize("note", ["", "{", "[]", '{"url": 1}', '{"url": "x", "size": 5000, "validator": ""}'])
def test_a_part_without_a_sound_note_is_begun_anew(server, part, note):
    server.serve(BODY)
    part.parent.mkdir()
    part.write_bytes(b"?" * 100)
    part.with_suffix(".json").write_text(note)
    download(Wanted(server.url(), 10_000), part)
    assert part.read_bytes() == BODY and ranges(server) == [None]


def test_a_file_of_another_length_than_the_catalogue_says_is_refused_and_the_part_is_kept(server, part):
    server.serve(BODY, cut=[1000, 0, 0, 0])
    with pytest.raises(ConnectionError):
        download(Wanted(server.url(), 10_000, 5000), part)
    server.serve(b"please log in", etag='"portal"')
    with pytest.raises(ValueError, match="13 bytes, not the 5,000 of the catalogue"):
        download(Wanted(server.url(), 10_000, 5000), part)
    assert part.read_bytes() == BODY[:1000]


def test_a_file_beyond_the_cap_is_refused_before_it_comes(server, part):
    server.serve(BODY)
    with pytest.raises(ValueError, match="5,000 bytes, more than the 4,999"):
        download(Wanted(server.url(), 4999), part)
    assert not part.exists()


@pytest.mark.parametrize("wanted", [{"cap": 4999}, {"cap": 10_000, "size": 4999}])
def test_a_server_that_promises_nothing_and_sends_more_is_cut(server, part, wanted):
    server.serve(BODY, length=None)
    with pytest.raises(ValueError, match="sends more than the 4,999 bytes"):
        download(Wanted(server.url(), **wanted), part)
    assert not part.exists()


def test_a_server_that_promises_nothing_is_believed_when_it_ends(server, part):
    server.serve(BODY, length=None)
    download(Wanted(server.url(), 10_000), part)
    assert part.read_bytes() == BODY


def test_a_promise_that_is_not_kept_is_a_lost_connection(server, part):
    server.serve(BODY, length=6000, etag=None)
    with pytest.raises(ConnectionError, match="fails"):
        download(Wanted(server.url(), 10_000), part)


def test_a_busy_server_is_asked_again(server, part):
    server.serve(BODY, status=[503, 500])
    download(Wanted(server.url(), 10_000), part)
    assert part.read_bytes() == BODY


def test_a_server_that_stays_broken_is_named(server, part):
    server.serve(BODY, status=[500] * 9)
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1 fails \(status 500\); try again later"):
        download(Wanted(server.url(), 10_000), part)


@pytest.mark.parametrize(("code", "kind"), [(404, FileNotFoundError), (410, FileNotFoundError), (403, ConnectionError)])
def test_a_refusal_is_passed_on_at_once(server, part, code, kind):
    server.serve(BODY, status=[code] * 2)
    with pytest.raises(kind, match=f"is not to be had: 127.0.0.1 answers {code}"):
        download(Wanted(server.url(), 10_000), part)
    assert len(server.asked) == 1


def test_a_server_that_says_nothing_is_given_up(server, part, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    server.serve(BODY, silent=1.0)
    with pytest.raises(ConnectionError, match="timed out"):
        download(Wanted(server.url(), 10_000), part)


# --- addresses ---


@pytest.mark.parametrize(
    ("url", "before", "allowed"),
    [
        ("https://example.org/a.zip", "", True),
        ("https://example.org/a.zip", "https://example.com", True),
        ("http://127.0.0.1:1/a.zip", "", True),
        ("http://127.0.0.1:1/a.zip", "http://127.0.0.1:2", True),
        ("http://127.0.0.1:1/a.zip", "https://example.org", False),
        ("http://example.org/a.zip", "", False),
        ("http://example.org/a.zip", "http://127.0.0.1:1", False),
        ("http://127.0.0.1.example.org/a.zip", "", False),
        ("http://127.0.0.1@example.org/a.zip", "", False),
        ("http://localhost/a.zip", "", False),
        ("file:///etc/passwd", "", False),
        ("ftp://example.org/a.zip", "", False),
        ("https:///a.zip", "", False),
        ("a.zip", "", False),
    ],
)
def test_only_https_is_asked_and_http_on_this_machine(url, before, allowed):
    if allowed:
        check_address(url, before)
    else:
        with pytest.raises(ValueError, match="is not https; nothing is fetched"):
            check_address(url, before)


def test_a_redirect_is_followed_and_resumed_through(server, part):
    server.serve(b"", "/moved.zip", redirect=server.url())
    server.serve(BODY, cut=[1000])
    download(Wanted(server.url("/moved.zip"), 10_000), part)
    assert part.read_bytes() == BODY
    assert ranges(server)[-1] == "bytes=1000-"
    assert probe(server.url("/moved.zip")) == 5000
    assert [asked[0] for asked in server.asked[-2:]] == ["HEAD", "HEAD"]


@pytest.mark.parametrize("target", ["http://example.org/a.zip", "file:///etc/passwd", "ftp://example.org/a.zip"])
def test_a_redirect_away_from_https_is_refused(server, part, target):
    server.serve(b"", redirect=target)
    for ask in (lambda: download(Wanted(server.url(), 10_000), part), lambda: probe(server.url())):
        with pytest.raises((ValueError, ConnectionError), match=f"leads to {target}, which is not https|not allowed"):
            ask()
    assert not part.exists()


def test_redirects_in_a_circle_end(server, part):
    server.serve(b"", redirect="/a.zip")
    with pytest.raises(ConnectionError, match="answers 302"):
        download(Wanted(server.url(), 10_000), part)


# --- asking for the size ---


def test_the_size_is_what_the_server_promises(server):
    server.serve(BODY)
    assert probe(server.url()) == 5000
    server.serve(BODY, length=None)
    assert probe(server.url()) is None
    server.serve(BODY, head=False)
    assert probe(server.url()) is None


def test_asking_a_server_that_is_not_there_or_has_nothing(server):
    with pytest.raises(FileNotFoundError, match="answers 404"):
        probe(server.url("/gone.zip"))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionError, match="does not answer"):
            probe(f"http://127.0.0.1:{unused.getsockname()[1]}/a.zip")


# --- the disk ---


class FullDisk:
    """A file on a disk that takes 2000 bytes."""

    def __init__(self, file):
        self.file, self.room = file, 2000

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, data):
        self.file.write(data[: self.room])
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_told_and_what_came_is_gone_on_from(server, part, monkeypatch):
    server.serve(BODY)
    with monkeypatch.context() as patch:
        patch.setattr(module, "open", lambda *words: FullDisk(builtins.open(*words)), raising=False)
        with pytest.raises(OSError, match="free some space, then go on") as caught:
            download(Wanted(server.url(), 10_000), part)
    assert caught.value.errno == errno.ENOSPC and str(part) in str(caught.value)
    assert part.read_bytes() == BODY[:2000]
    download(Wanted(server.url(), 10_000), part)
    assert part.read_bytes() == BODY and ranges(server) == [None, "bytes=2000-"]
