"""A stored signal comes back exactly, and one that was damaged is refused with its file's name."""

import json

import numpy as np
import pytest
from safetensors.numpy import save

from recon.signals.signal import Signal
from recon.signals.store import NAME, read_store, write_store

ABOUT = {"name": "a", "kind": "image", "suffix": ".png", "rate": 0.0, "source": "", "source_bytes": 3, "notes": [],
         "subtype": ""}  # fmt: skip
VALUES = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_is_stored_comes_back(dtype, tmp_path):
    kept = Signal(
        "é", "video", np.arange(24).reshape(2, 2, 2, 3).astype(dtype), ".gif", 12.5, "/a", 7, ("n",), "folder"
    )
    write_store(tmp_path, kept)
    found = read_store(tmp_path)
    np.testing.assert_array_equal(found.values, kept.values)
    assert found.content_hash() == kept.content_hash()
    for name in ("name", "kind", "suffix", "rate", "source", "source_bytes", "notes", "subtype"):
        assert getattr(found, name) == getattr(kept, name)


def test_a_slice_that_is_not_contiguous_is_stored_right(tmp_path):
    values = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)[::2, ::-1]
    write_store(tmp_path, Signal("a", "image", values, ".png"))
    np.testing.assert_array_equal(read_store(tmp_path).values, values)


def test_a_missing_store_is_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError, match=NAME):
        read_store(tmp_path)


@pytest.mark.parametrize(
    ("values", "about"),
    [
        (VALUES, {"kind": "smell"}),
        (VALUES, {"kind": "video", "rate": 1.0}),
        (VALUES, {"rate": float("inf")}),
        (VALUES, {"rate": True}),
        (VALUES, {"name": 3}),
        (VALUES, {"notes": [1]}),
        (VALUES, {"notes": "abc"}),
        (VALUES, None),
        (VALUES.astype(np.int64), {}),
        (np.full((2, 2, 1), np.nan, np.float32), {}),
        (VALUES[:0], {}),
        (None, {}),
    ],
)
def test_what_makes_no_sense_is_refused(values, about, tmp_path):
    tensors = {} if values is None else {"values": values}
    text = {} if about is None else {"signal": json.dumps({**ABOUT, **about})}
    (tmp_path / NAME).write_bytes(save(tensors, text))
    with pytest.raises(ValueError, match="is damaged") as caught:
        read_store(tmp_path)
    assert str(tmp_path / NAME) in str(caught.value)


def test_half_a_store_is_refused(tmp_path):
    write_store(tmp_path, Signal("a", "image", VALUES, ".png"))
    whole = (tmp_path / NAME).read_bytes()
    for cut in (0, 4, 8, 20, len(whole) - 1):
        (tmp_path / NAME).write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="is damaged"):
            read_store(tmp_path)
