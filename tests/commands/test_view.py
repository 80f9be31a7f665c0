"""`recon view`: what it finds, serves, saves and refuses."""

import socket
import threading
from pathlib import Path

import pytest

from recon.commands import showing, view
from recon.training.run import Run


@pytest.fixture
def ctrl_c(monkeypatch):
    """Ends a page as soon as it is served; tells how long each wait would have been."""
    waits = []

    def stop(seconds):
        waits.append(seconds)
        raise KeyboardInterrupt

    monkeypatch.setattr(showing.time, "sleep", stop)
    return waits


def threads() -> list[str]:
    """Names of the threads that run now, but for those that share products out: they stay for the next one."""
    return sorted(thread.name for thread in threading.enumerate() if not thread.name.startswith("recon-products"))


@pytest.fixture
def run(fit, home) -> Path:
    return Path(fit("sdf", "feature-grid", "--out", home / "here").json["run"])


def test_a_run_is_served_on_loopback_until_ctrl_c(run, recon, ctrl_c):
    before = threads()
    done = recon("view", run)
    assert done.code == 0 and done.out.startswith("http://127.0.0.1:") and len(done.out.splitlines()) == 1
    port = done.out.strip().rpartition(":")[2]
    assert f"ssh -L {port}:127.0.0.1:{port}" in done.err and "warning" not in done.err
    assert threads() == before
    assert ctrl_c == [showing.SECONDS]


def test_an_address_and_a_saved_page_are_told_as_json(ball_file, home, recon, ctrl_c):
    served = recon("view", ball_file, "--json").json
    assert served == {"address": f"http://127.0.0.1:{served['port']}", "port": served["port"]}
    saved = recon("view", ball_file, "--save", home / "page.html", "--json").json
    assert saved == {"page": str(home / "page.html"), "bytes": (home / "page.html").stat().st_size}


def test_another_host_is_warned_of(ball_file, recon, ctrl_c):
    done = recon("view", ball_file, "--host", "0.0.0.0", "--port", "0")
    assert done.code == 0
    assert "warning: served at 0.0.0.0: whoever reaches this machine over the network can look" in done.err
    assert "ssh" not in done.err


def test_a_scenes_run_and_its_folder_are_served(scene_run, ball_scene, recon, ctrl_c):
    for what in (scene_run, ball_scene):
        done = recon("view", what)
        assert done.code == 0 and done.out.startswith("http://127.0.0.1:"), done.err


@pytest.mark.parametrize("kind", ["run", "mesh", "scene"])
def test_a_page_is_saved_whole_and_nothing_is_served(kind, run, ball_scene, home, recon):
    what = {"run": run, "mesh": home / "data" / "ball.ply", "scene": ball_scene}[kind]
    done = recon("view", what, "--save", home / "page.html")
    assert done.code == 0 and done.out == f"{home / 'page.html'}\n", done.err
    text = (home / "page.html").read_text("utf-8")
    assert text.startswith("<!doctype html>") and text.rstrip().endswith("</html>")
    assert not list(home.glob(".page.html*"))


def test_a_run_that_follows_waits_for_its_first_checkpoint(run, recon, ctrl_c):
    for file in sorted((run / "checkpoint").rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    done = recon("view", run, "--follow")
    assert done.code == 0 and "waiting for the first checkpoint" in done.err


def test_names_are_looked_up_as_runs_then_shapes_then_scenes(run, home, ball_scene, monkeypatch):
    assert view.find("latest") == Run(run.resolve())
    shape = home / "datasets" / "pebble.ply"
    shape.parent.mkdir(exist_ok=True)
    shape.touch()
    (home / "datasets" / "scenes" / "quarry").mkdir(parents=True)
    assert view.find("pebble") == shape
    assert view.find("Quarry") == home / "datasets" / "scenes" / "quarry"
    assert view.find(str(ball_scene)) == ball_scene
    assert view.find("figurines") == Path("figurines")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing-of-that-name",), "no run 'nothing-of-that-name'"),
        (("gone.ply",), "there is no file, shape or scene of that name"),
        (("RUN", "--save", "page.txt"), "a name that ends in .html"),
        (("RUN", "--save", "page.html", "--follow"), "--follow is for serving a page"),
        (("RUN", "--port", "99999"), "--port must lie in 0 .. 65535"),
        (("MESH", "--follow"), "--follow is for a run that trains"),
        (("EMPTY",), "is no scene"),
        (("BARE",), "no checkpoint in"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line(words, said, run, home, recon):
    (home / "empty").mkdir()
    bare = Run.create("sdf", "ball", "siren", {}, home / "bare")
    places = {"RUN": run, "MESH": home / "data" / "ball.ply", "EMPTY": home / "empty", "BARE": bare.folder}
    done = recon("view", *(places.get(word, word) for word in words))
    assert done.code == 2 and done.out == ""
    *head, last = done.err.splitlines()
    assert last.startswith("recon: ") and said in last
    assert all(line.startswith("recon view: ") for line in head)
    assert not list(home.glob("page.*"))


def test_a_port_in_use_is_refused_in_one_line(ball_file, recon):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = recon("view", ball_file, "--port", port)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"recon: port {port} of 127.0.0.1 is in use; leave --port out to take the next free one\n"
