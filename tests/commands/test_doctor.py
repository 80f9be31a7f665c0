"""`recon doctor` as a person and a program see it."""

import json

import pytest

from recon.commands import doctor
from recon.diagnosis.finding import Finding

PYTHON = Finding("python", "ok", "3.11 on Linux", "every command", required=True)
CARD = Finding("device", "limited", "CPU", "how long training takes", "a GPU is faster")
OPEN3D = Finding("open3d", "missing", "libGL.so.1 is not there", "tsdf", "apt-get install -y libgl1")
TORCH = Finding("torch", "missing", "not installed", "every command that trains", "pip install", required=True)


@pytest.fixture
def examined(monkeypatch):
    def put(*findings):
        monkeypatch.setattr(doctor, "examine", lambda: list(findings))

    return put


def test_each_line_says_how_it_is_what_it_touches_and_what_to_do(examined, recon):
    examined(PYTHON, CARD, OPEN3D)
    found = recon("doctor")
    assert found.code == 0 and found.err == ""
    for words in (
        "ok       python",
        "limited  device",
        "missing  open3d",
        "affects tsdf",
        "-> apt-get install -y libgl1",
    ):
        assert words in found.out
    assert found.out.endswith("recon works here; without: open3d\n")
    assert all(len(line) <= 80 for line in found.out.splitlines()) and "\x1b" not in found.out


def test_a_required_package_that_is_missing_has_the_exit_code_of_a_missing_dependency(examined, recon):
    examined(PYTHON, TORCH, OPEN3D)
    found = recon("doctor")
    assert found.code == 3 and found.out.endswith("recon can't work here: torch\n")
    assert recon("doctor", "--json").code == 3


def test_json_has_every_finding(examined, recon):
    examined(PYTHON, OPEN3D)
    facts = json.loads(recon("doctor", "--json").out)
    assert facts["works"] is True and [row["name"] for row in facts["findings"]] == ["python", "open3d"]
    assert facts["findings"][1]["advice"] == "apt-get install -y libgl1"


def test_this_machine_is_examined_and_can_run_these_tests(recon):
    facts = json.loads(recon("doctor", "--json").out)
    found = {row["name"]: row for row in facts["findings"]}
    assert facts["works"] and found["torch"]["status"] == "ok" and "numpy" in found["packages"]["found"]
    assert {"device", "precision", "allocator", "nerfacc", "triton", "open3d", "ffmpeg", "viser"} <= found.keys()
    assert {"chromium", "memory", "renders", "datasets"} <= found.keys()
