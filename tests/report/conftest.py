"""Runs of these tests leave no links outside their own folder."""

import pytest


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("RECON_HOME", str(tmp_path))
