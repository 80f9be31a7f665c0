"""The log of a run: what a rollback undid is gone, and no line of it can stop a reader."""

import json
import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recon.training.log import LOG_LIMIT, read_rows

STEPS = st.integers(0, 6)
ROWS = st.one_of(
    st.fixed_dictionaries({"step": STEPS}),
    st.fixed_dictionaries({"event": st.just("rolled back"), "step": STEPS, "from_step": STEPS}),
    st.fixed_dictionaries({"step": STEPS, "from_step": STEPS}),
)


def written(path, *lines):
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
    return path


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(ROWS, max_size=12))
def test_rows_beyond_a_step_that_was_gone_back_to_are_left_out(tmp_path_factory, rows):
    rows = [{**row, "number": number} for number, row in enumerate(rows)]
    kept = []
    for row in rows:  # as it happened, one after another
        if "from_step" in row:
            kept = [old for old in kept if "event" in old or old["step"] <= row["from_step"]]
        kept.append(row)
    assert read_rows(written(tmp_path_factory.mktemp("log") / "log.jsonl", *rows)) == kept


@pytest.mark.parametrize(
    "line", [b"[" * 100_000, b'{"step": 1', b"\xff\xfe", b"[1]", b"", b'{"a":' * 5000], ids=range(6)
)
def test_a_line_that_is_no_row_is_passed_over(tmp_path, line):
    assert read_rows(written(tmp_path / "log.jsonl", {"step": 1}, line, {"step": 2})) == [{"step": 1}, {"step": 2}]


@pytest.mark.parametrize("step", ["many", None, [1], {}, 10**400], ids=lambda step: str(step)[:9])
def test_a_step_of_any_kind_is_read(tmp_path, step):
    rows = read_rows(written(tmp_path / "log.jsonl", {"step": step}, {"event": "resumed", "from_step": 5}))
    assert rows[-1] == {"event": "resumed", "from_step": 5}


def test_a_line_separator_within_a_text_does_not_end_a_row(tmp_path):
    row = {"event": "stopped", "reason": "a\u2028b\x85c"}
    assert read_rows(written(tmp_path / "log.jsonl", json.dumps(row, ensure_ascii=False).encode())) == [row]


def test_many_rollbacks_are_read_as_fast_as_many_rows(tmp_path):
    path = written(tmp_path / "log.jsonl", *[{"step": 0, "from_step": 9}] * 30_000)
    began = time.perf_counter()
    assert len(read_rows(path)) == 30_000
    assert time.perf_counter() - began < 5  # one after another it was a minute


def test_a_log_beyond_the_limit_is_refused_before_it_is_read(tmp_path):
    os.truncate(written(tmp_path / "log.jsonl", b""), LOG_LIMIT + 1)
    with pytest.raises(ValueError, match="more than the .* that are read"):
        read_rows(tmp_path / "log.jsonl")
