"""One process at a time works on a run, and a death frees it."""

import os
import signal

import pytest

from recon.training import lock
from recon.training.lock import holding, is_held


def child_that_holds(folder):
    """A process that holds the folder until it is killed."""
    ready, tell = os.pipe()
    if not (child := os.fork()):
        lock._HELD.clear()
        with holding(folder):
            os.write(tell, b"!")
            signal.pause()
    os.read(ready, 1)
    return child


def test_a_run_is_held_by_one_process_until_that_ends_however_it_ends(tmp_path):
    assert not is_held(tmp_path)
    child = child_that_holds(tmp_path)
    assert is_held(tmp_path)
    with pytest.raises(ValueError, match="another process is at work on"), holding(tmp_path):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert not is_held(tmp_path)
    with holding(tmp_path):
        pass


def test_who_holds_a_run_may_hold_it_again_and_frees_it_at_the_end(tmp_path):
    with holding(tmp_path):
        with holding(tmp_path):
            assert is_held(tmp_path)
        assert is_held(tmp_path)
    assert not is_held(tmp_path) and not os.listdir(tmp_path)


def test_a_disk_that_knows_no_locks_does_not_stop_a_run(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with holding(tmp_path):
        assert not is_held(tmp_path)


def test_where_there_are_no_locks_at_all_nobody_is_seen_at_work(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "fcntl", None)
    with holding(tmp_path):
        assert not is_held(tmp_path)
