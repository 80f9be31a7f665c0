"""Libraries that crash or hang, full disks, and places that can't be written."""

import os
import sys
from collections import namedtuple

import pytest

from recon.diagnosis import checkup
from recon.diagnosis.probes import unresolved


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Puts a package of this name in front of the installed one."""

    def put(name, source):
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    return put


@pytest.mark.parametrize(
    ("source", "patience", "said"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 60.0, "crashed while loading"),
        ("import time; time.sleep(600)", 1.0, "did not load in time"),
        ("import ctypes; ctypes.CDLL('libnone.so.1')", 60.0, "libnone.so.1: cannot open shared object"),
    ],
)
def test_a_library_that_breaks_or_hangs_breaks_only_its_own_probe(package, source, patience, said):
    package("viser", source)
    assert said in checkup.probe(("viser",), patience)["viser"]["error"]


def test_what_a_library_prints_does_not_get_between_the_facts(package):
    package("viser", "print('hello from a chatty library')")
    assert "version" in checkup.probe(("viser",), patience=60.0)["viser"]


def test_little_room_and_no_permission_are_said(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(checkup.shutil, "disk_usage", lambda place: usage(10, 5, 2**20))
    assert checkup._disk("renders", tmp_path / "renders").status == "limited"
    monkeypatch.setattr(checkup.os, "access", lambda place, mode: False)
    found = checkup._disk("renders", tmp_path / "renders")
    assert found.status == "missing" and "RECON_HOME" in found.advice


def test_a_folder_of_RECON_DATA_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("RECON_DATA", os.pathsep.join([str(tmp_path), str(tmp_path / "gone")]))
    first, second = checkup._data_folders()
    assert (first.status, second.status) == ("ok", "missing") and "gone" in second.found


@pytest.mark.skipif(sys.platform != "linux", reason="ldd is Linux's")
def test_ldd_names_the_libraries_that_a_module_lacks(tmp_path, monkeypatch):
    fake = tmp_path / "ldd"
    fake.write_text("#!/bin/sh\necho '  libGL.so.1 => not found'\necho '  libc.so.6 => /lib/libc.so.6 (0x1)'\n")
    fake.chmod(0o755)
    (tmp_path / "pybind.cpython-311.so").write_bytes(b"")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert unresolved(tmp_path) == ["libGL.so.1"]
