"""Fixtures shared by all tests. Must not import `recon` at the top: jaxtyping's import hook comes first."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator

import pytest

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox --use-angle=swiftshader --enable-unsafe-swiftshader --disable-background-networking"
    " --disable-component-update --disable-sync --no-first-run --disable-quic"
)


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """Chromium, drawing in software: one for all tests, for a process can hold only one Playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("there is no chromium here (Debian: apt install chromium)")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield started
        started.close()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """A test that fails fails again: what it draws does not depend on the tests before it."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
