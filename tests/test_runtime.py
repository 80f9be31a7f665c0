"""Choosing device and precision, products inside, seeds, and what the machine tells."""

import inspect
import random

import numpy as np
import pytest
import torch

from recon import runtime


@pytest.fixture(autouse=True)
def untouched():
    """Global settings as they were."""
    threads, products = torch.get_num_threads(), torch.get_float32_matmul_precision()
    yield
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(products)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(runtime, "has_gpu", lambda: False)


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_the_cpu_is_taken_and_the_line_says_so():
    chosen = runtime.start(seed=3, threads=1)
    assert chosen.device == torch.device("cpu")
    assert "cpu with 1 threads (no CUDA device)" in chosen.line()
    assert "seed 3" in chosen.line()
    assert "asked for" in runtime.start(device="cpu").line()


@pytest.mark.usefixtures("no_gpu")
def test_cuda_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="--device cuda .* no CUDA device; use --device cpu"):
        runtime.start(device="cuda")


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("flags", "precision", "why"),
    [
        ({"amx_bf16", "avx512_bf16"}, "bf16-inside", "amx_bf16"),
        ({"avx512_bf16"}, "bf16-inside", "avx512_bf16"),
        ({"avx2"}, "float32", "no bf16 units"),
        (set(), "float32", "no bf16 units"),
    ],
)
def test_precision_follows_the_processor(monkeypatch, flags, precision, why):
    monkeypatch.setattr(runtime, "cpu_flags", lambda: frozenset(flags))
    chosen = runtime.start()
    assert chosen.precision == precision
    assert why in chosen.line()


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("precision", ["float32", "bf16-inside"])
def test_precision_that_is_asked_for_is_taken(precision):
    assert runtime.start(precision=precision).precision == precision


def test_products_are_exact_again_after_rough_ones():
    a, b = torch.rand(64, 64), torch.rand(64, 64)
    runtime.set_products("float32")
    exact = a @ b
    runtime.set_products("bf16-inside")
    assert torch.get_float32_matmul_precision() == "medium"
    torch.testing.assert_close(a @ b, exact, rtol=2e-2, atol=0)
    runtime.set_products("float32")
    assert torch.equal(a @ b, exact)


@pytest.mark.usefixtures("no_gpu")
def test_the_seed_decides_all_three_random_states():
    def draw():
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    runtime.start(seed=7)
    first = draw()
    runtime.start(seed=7)
    assert draw() == first
    runtime.start(seed=8)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


@pytest.mark.parametrize("seed", [0, 2**32, 2**40 + 1])
def test_seeds_beyond_numpy_s_range_are_taken(seed):
    runtime.seed_all(seed)


def test_freed_memory_is_kept_where_the_system_allows(monkeypatch):
    freed = "keeps freed blocks (for the next step)"
    answers = freed, "default (no glibc)", "default (mallopt refused)", "default (not Linux)"
    assert runtime.keep_freed_memory() in answers
    monkeypatch.setattr(runtime.platform, "system", lambda: "Darwin")
    assert runtime.keep_freed_memory() == "default (not Linux)"


@pytest.mark.usefixtures("no_gpu")
def test_the_allocator_has_a_switch_and_its_reason_is_in_the_line(monkeypatch):
    asked = []
    monkeypatch.setattr(runtime, "keep_freed_memory", lambda: asked.append(1) or "keeps freed blocks (why)")
    assert "malloc default (asked for)" in runtime.start(malloc="default").line() and not asked
    assert "malloc keeps freed blocks (why)" in runtime.start().line() and asked


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threads": -1}, "--threads must be 0"),
        ({"threads": 10**6}, "at most 1024, got 1000000"),
        ({"seed": 2**64}, "--seed must fit into 64 bits"),
        ({"seed": -(2**64)}, "--seed must fit into 64 bits"),
    ],
)
def test_numbers_that_no_machine_takes_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        runtime.start(**settings)


@pytest.mark.parametrize(
    ("flag", "value"), [("device", "gpu"), ("precision", "nan"), ("precision", "float16"), ("malloc", "jemalloc")]
)
def test_names_that_there_are_not_are_refused_with_those_that_there_are(flag, value):
    with pytest.raises(ValueError, match=f"--{flag} must be one of auto, .* got '{value}'"):
        inspect.unwrap(runtime.start)(**{flag: value})


def test_a_libc_that_is_not_glibc_costs_nothing(monkeypatch):
    def missing(_name):
        raise OSError("libc.so.6: cannot open shared object file")

    monkeypatch.setattr(runtime.platform, "system", lambda: "Linux")
    monkeypatch.setattr(runtime.ctypes, "CDLL", missing)
    assert runtime.keep_freed_memory() == "default (no glibc)"


def test_a_system_without_cpuinfo_has_no_known_flags(monkeypatch):
    def missing(*_args, **_kwargs):
        raise FileNotFoundError("/proc/cpuinfo")

    monkeypatch.setattr("builtins.open", missing)
    assert runtime.cpu_flags() == frozenset()
