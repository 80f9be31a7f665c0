"""The viewer's one thread: what it does, what it drops, and that it ends."""

import threading
import time

import pytest

from recon.viewer.worker import Dropped, Worker, dropping


@pytest.fixture
def worker():
    errors: list[Exception] = []
    made = Worker(errors.append)
    made.errors = errors
    yield made
    made.close()


def test_of_many_wishes_of_a_kind_only_the_newest_is_fulfilled(worker):
    started, go, done = threading.Event(), threading.Event(), []
    worker.ask("first", lambda stale: (started.set(), go.wait(10)))
    assert started.wait(10)
    for number in range(20):
        worker.ask("picture", lambda stale, number=number: done.append(number))
    go.set()
    assert worker.settle()
    assert done == [19]


def test_a_job_that_runs_hears_that_a_newer_one_has_replaced_it(worker):
    started, done = threading.Event(), []

    def long(stale):
        started.set()
        while True:
            dropping(stale)
            time.sleep(0.001)

    worker.ask("picture", long)
    assert started.wait(10)
    worker.ask("picture", lambda stale: done.append("newer"))
    assert worker.settle()
    assert done == ["newer"] and worker.errors == []


def test_another_kind_leaves_a_running_job_alone(worker):
    started, go, seen = threading.Event(), threading.Event(), []
    worker.ask("picture", lambda stale: (started.set(), go.wait(10), seen.append(stale())))
    assert started.wait(10)
    worker.ask("mesh", lambda stale: None)
    go.set()
    assert worker.settle()
    assert seen == [False]


def test_a_delayed_wish_waits_its_time_and_lets_others_pass(worker):
    order, asked = [], time.monotonic()
    worker.ask("sharp", lambda stale: order.append(("sharp", time.monotonic() - asked)), delay=0.2)
    worker.ask("coarse", lambda stale: order.append(("coarse", time.monotonic() - asked)))
    assert worker.settle()
    assert [name for name, _ in order] == ["coarse", "sharp"]
    assert order[1][1] >= 0.2


def test_what_is_forgotten_is_not_done(worker):
    done = []
    worker.ask("sharp", lambda stale: done.append(1), delay=0.05)
    worker.forget("sharp")
    time.sleep(0.1)
    assert worker.settle() and done == []


def test_an_error_is_told_and_the_next_job_is_done(worker):
    done = []

    def fail(stale):
        raise ValueError("no surface")

    worker.ask("a", fail)
    worker.ask("b", lambda stale: done.append(1))
    assert worker.settle()
    assert [str(error) for error in worker.errors] == ["no surface"] and done == [1]


def test_closing_stops_what_runs_and_ends_the_thread():
    worker, started, ended = Worker(lambda error: None), threading.Event(), []

    def long(stale):
        started.set()
        try:
            while True:
                dropping(stale)
                time.sleep(0.001)
        except Dropped:
            ended.append(1)
            raise

    worker.ask("picture", long)
    assert started.wait(10)
    worker.ask("never", ended.append)
    worker.close()
    assert ended == [1]
    assert not [thread for thread in threading.enumerate() if thread.name == "recon-viewer"]
