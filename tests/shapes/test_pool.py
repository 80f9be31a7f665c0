"""The pool: exact targets, every point once a pass, the same batches after a resume, and a cache that heals itself."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from recon.geometry import Mesh
from recon.shapes.pool import Pool, build_pool
from recon.shapes.sampling import SAMPLERS, PerGroup, SamplerConfig
from recon.shapes.shape import from_mesh

SOURCE = trimesh.creation.icosphere(subdivisions=2)
SHAPE = from_mesh("ball", Mesh(np.asarray(SOURCE.vertices, np.float64), np.asarray(SOURCE.faces, np.int64)))
CONFIG = SamplerConfig(PerGroup(1 / 3, 1 / 3, 2 / 9, 1 / 9), PerGroup(2.0, 1.0, 0.5, 1.0))


def pool_of(size: int, config: SamplerConfig = CONFIG, seed: int = 0) -> Pool:
    return build_pool(SHAPE, config, size, seed)


def rows(batch) -> list[tuple[float, ...]]:
    return [tuple(row) for row in torch.cat([batch.points, batch.distance[:, None]], dim=1).tolist()]


def test_targets_are_exact_and_zero_on_the_surface():
    pool = pool_of(600)
    truth = SHAPE.signed_distance(pool.points.astype(np.float64))
    np.testing.assert_allclose(pool.distance, truth, atol=1e-6)
    assert (pool.distance[pool.group == 0] == 0).all()
    assert pool.distance.dtype == np.float32


def test_the_target_inside_is_a_sign():
    pool = pool_of(600, SAMPLERS["occupancy"])
    off = pool.group > 0
    assert set(np.unique(pool.distance[off])) == {-1, 1} and (pool.distance[~off] == 0).all()
    np.testing.assert_array_equal(pool.distance[off] < 0, SHAPE.inside(pool.points[off].astype(np.float64)))


def test_batches_hold_shares_and_weights():
    batch = pool_of(900).batch(0, 90)
    assert batch.points.shape == (90, 3) and batch.points.dtype == batch.distance.dtype == torch.float32
    assert batch.weight.tolist() == [2.0] * 30 + [1.0] * 30 + [0.5] * 20 + [1.0] * 10


@settings(max_examples=20, deadline=None)
@given(st.integers(20, 80), st.integers(1, 50), st.integers(0, 3))
def test_each_pass_holds_every_point_once_and_in_a_new_order(size, batch, seed):
    config = SamplerConfig(shares=PerGroup(uniform=1.0))
    pool = pool_of(size, config, seed)
    walk = [row for step in range(-(-2 * size // batch)) for row in rows(pool.batch(step, batch))]
    first, second = walk[:size], walk[size : 2 * size]
    everything = sorted(map(tuple, np.column_stack([pool.points, pool.distance]).tolist()))
    assert sorted(first) == sorted(second) == everything
    assert first != second


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 200), st.integers(1, 64))
def test_a_resumed_run_sees_the_batches_of_an_uninterrupted_one(step, size):
    pool, fresh = pool_of(150), pool_of(150)
    for earlier in range(max(0, step - 3), step):
        pool.batch(earlier, size)
    assert rows(pool.batch(step, size)) == rows(fresh.batch(step, size))


def test_other_seeds_draw_and_walk_otherwise():
    assert rows(pool_of(60).batch(0, 30)) != rows(pool_of(60, seed=1).batch(0, 30))


def test_a_batch_may_be_larger_than_the_pool():
    assert len(rows(pool_of(10, SamplerConfig(shares=PerGroup(uniform=1.0))).batch(1, 35))) == 35


def test_a_pool_too_small_for_a_group_says_so():
    with pytest.raises(ValueError, match="make it larger"):
        pool_of(1).batch(0, 100)
    with pytest.raises(ValueError, match="at least one point"):
        pool_of(0)


def test_batches_are_fast():
    rng = np.random.default_rng(0)
    points = rng.random((1_000_000, 3), np.float32)
    pool = Pool(points, points[:, 0].copy(), np.repeat(np.arange(4, dtype=np.uint8), 250_000), CONFIG, 0)
    times = []
    pool.batch(0, 16_384)
    for step in range(1, 12):
        start = time.perf_counter()
        pool.batch(step, 16_384)
        times.append(time.perf_counter() - start)
    assert np.median(times) < 5e-3  # 0.2 ms alone; other work may share the machine


def test_progress_is_told_to_the_end():
    heard: list[tuple[int, int]] = []
    build_pool(SHAPE, CONFIG, 300, 0, progress=lambda done, total: heard.append((done, total)))
    assert heard[-1] == (200, 200)


def count_makes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    made: list[int] = []
    answer = SHAPE.signed_distance
    monkeypatch.setattr(SHAPE, "signed_distance", lambda x: made.append(len(x)) or answer(x))
    return made


def test_the_cache_serves_the_same_pool_without_computing(tmp_path, monkeypatch):
    made = count_makes(monkeypatch)
    first = build_pool(SHAPE, CONFIG, 300, 0, tmp_path)
    second = build_pool(
        SHAPE, replace(CONFIG, weights=PerGroup(1.0, 1.0, 1.0, 1.0)), 300, 0, tmp_path
    )  # weights are no part of it
    assert len(made) == 1
    np.testing.assert_array_equal(first.points, second.points)
    np.testing.assert_array_equal(first.distance, second.distance)
    build_pool(SHAPE, CONFIG, 300, 1, tmp_path)
    build_pool(SHAPE, replace(CONFIG, fine_scale=1e-2), 300, 0, tmp_path)
    assert len(made) == 3
    assert len(list(tmp_path.iterdir())) == 3  # and no temporary file is left


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 0x40
    path.write_bytes(bytes(data))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip, empty])
def test_a_damaged_cache_is_made_again_with_a_warning(tmp_path, damage):
    whole = build_pool(SHAPE, CONFIG, 300, 0, tmp_path)
    (path,) = tmp_path.iterdir()
    damage(path)
    with pytest.warns(UserWarning, match="damaged"):
        again = build_pool(SHAPE, CONFIG, 300, 0, tmp_path)
    np.testing.assert_array_equal(whole.points, again.points)
    build_pool(SHAPE, CONFIG, 300, 0, tmp_path)  # whole again: no warning, which would be an error


def test_a_cache_that_cannot_be_written_costs_only_a_warning(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(UserWarning, match="could not be cached"):
        assert len(build_pool(SHAPE, CONFIG, 30, 0, tmp_path / "file")) == 30
