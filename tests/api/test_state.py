"""What belongs to the caller is as it was: random states, precision, threads, signals; however the fit is called."""

import random
import signal
import threading

import numpy as np
import pytest
import torch

import recon
from recon.api.state import asking, fitting
from recon.tasks.shape.job import ShapeJob


@pytest.fixture
def brief(ball, tiny):
    """A fit of two steps."""
    return lambda **options: recon.fit_shape(ball, settings=tiny, **{"steps": 2, "quiet": True, **options})


def first_weight(result: recon.ShapeResult) -> torch.Tensor:
    return next(result.field.parameters()).detach()


def test_a_fit_leaves_the_callers_random_states_and_settings_alone(brief):
    torch.manual_seed(11), np.random.seed(12)
    expected = torch.rand(3), np.random.rand(3)
    torch.manual_seed(11), np.random.seed(12)
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    torch.set_default_dtype(torch.float64)
    try:
        found = brief(threads=1 if threads > 1 else 2, precision="bf16-inside")
        found.mesh(resolution=16)
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.get_default_dtype() == torch.float64
        assert torch.get_num_threads() == threads
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.rand(3), expected[0].float())
    assert (np.random.rand(3) == expected[1]).all()


def test_pythons_random_state_is_put_back():
    random.seed(13)  # a fit itself is no test of this: under pytest, checks of types draw from it too
    expected = random.random()
    random.seed(13)
    with fitting():
        random.seed(1)
    assert random.random() == expected


def test_a_fit_that_fails_leaves_them_alone_too(tiny):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    with pytest.raises(FileNotFoundError):
        recon.fit_shape("nothing.ply", settings=tiny, quiet=True)
    assert torch.equal(torch.rand(3), expected)


def test_fits_train_whatever_the_mode_of_gradients_is(brief):
    expected = first_weight(brief())
    with torch.no_grad():
        assert torch.equal(first_weight(brief()), expected)
        assert not torch.is_grad_enabled()
    with torch.inference_mode():
        found = brief()
        assert found.signed_distance(torch.zeros(2, 3)).shape == (2,)
    assert torch.equal(first_weight(found), expected)


def test_a_thread_fits_the_same_as_the_main_one(brief):
    found = []
    threads = [threading.Thread(target=lambda: found.append(brief())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = first_weight(brief())
    assert len(found) == 2 and all(torch.equal(first_weight(result), expected) for result in found)


def test_settings_come_back_when_the_last_has_left():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    first, second = fitting(), asking()
    try:
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert torch.get_float32_matmul_precision() == "highest"  # the second still asks
        second.__exit__(None, None, None)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_products_set_by_torchs_newer_way_come_back_too():
    backend = torch.backends.cuda.matmul
    before, legacy = backend.fp32_precision, torch.get_float32_matmul_precision()
    try:
        backend.fp32_precision = "tf32"  # from here on, torch refuses to read the older setting
        with asking():
            assert backend.fp32_precision == "ieee"
        assert backend.fp32_precision == "tf32"
    finally:
        torch.set_float32_matmul_precision(legacy)
        assert backend.fp32_precision in (before, "ieee")


@pytest.fixture
def signal_at_step_three(monkeypatch):
    """Sends this process a signal within step 3 of a fit."""

    def arm(number: int) -> None:
        loss = ShapeJob.loss
        monkeypatch.setattr(
            ShapeJob, "loss", lambda self, step: (signal.raise_signal(number) if step == 3 else 0, loss(self, step))[1]
        )

    return arm


def test_an_interrupted_fit_gives_what_was_learned_until_then(brief, signal_at_step_three, place):
    signal_at_step_three(signal.SIGINT)
    found = brief(steps=9, out=place / "run")
    assert (found.status, found.steps) == ("interrupted", 4)
    assert found.signed_distance(np.zeros((1, 3))).shape == (1,)
    kept = recon.load(place / "run")
    assert (kept.status, kept.steps) == ("interrupted", 4)


def test_a_program_that_is_told_to_end_hears_of_it_when_the_fit_is_safe(brief, signal_at_step_three):
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        signal_at_step_three(signal.SIGTERM)
        assert brief(steps=9).steps == 4
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
