"""What a person sees."""

import io

import pytest

from recon.training.progress import Progress, duration, peak_memory, quantity


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(stream, quiet=False, steps=1000):
    with Progress(steps, 0, 100, quiet, stream) as progress:
        for step in range(1, steps + 1):
            progress.update(step, 1 / step)
        progress.note("warning: [bold]watch out")
    return stream.getvalue()


def test_away_from_a_terminal_the_first_step_and_every_tenth_make_a_line():
    lines = shown(io.StringIO()).splitlines()
    assert len(lines) == 12 and lines[0].startswith("step 1/1000  loss 1  ")
    assert lines[1].startswith("step 100/1000  loss 0.01  ")
    assert "points/s" in lines[0] and "left" in lines[0]


def test_few_steps_make_few_lines():
    assert len(shown(io.StringIO(), steps=3).splitlines()) == 4


def test_quiet_means_notes_only():
    assert shown(io.StringIO(), quiet=True) == shown(Terminal(), quiet=True) == "warning: [bold]watch out\n"


def test_a_terminal_gets_a_bar(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    text = shown(Terminal())
    assert "1000/1000" in text and "loss 0.001" in text and "warning: [bold]watch out" in text


def test_after_going_back_the_tenths_are_told_again():
    stream = io.StringIO()
    with Progress(10, 0, 1, stream=stream) as progress:
        progress.update(5, 1.0)
        progress.went_back(2)
        progress.update(3, 1.0)
    assert [line.split()[1] for line in stream.getvalue().splitlines()] == ["5/10", "3/10"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (59.6, "1:00 min"), (187, "3:07 min"), (7500, "2:05 h")]
)
def test_durations_read_well(seconds, text):
    assert duration(float(seconds)) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (950, "950"), (12_345, "12.3k"), (4.56e6, "4.56M"), (2e9, "2G")]
)
def test_counts_read_well(number, text):
    assert quantity(float(number)) == text


def test_memory_is_plausible():
    peak = peak_memory()
    assert peak is None or 10 * 2**20 < peak < 2**40
