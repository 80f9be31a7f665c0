"""From what a probe told to a line of the report."""

import pytest

from recon.diagnosis import libraries


def test_the_missing_system_libraries_of_open3d_are_named_with_what_installs_them():
    facts = {
        "absent": ["libGL.so.1", "libusb-1.0.so.0"],
        "error": "OSError: libGL.so.1: cannot open shared object file",
    }
    found = libraries.open3d(facts)
    assert found.status == "missing" and "libGL.so.1, libusb-1.0.so.0" in found.found
    assert found.advice == "Debian, Ubuntu: apt-get install -y libgl1 libusb-1.0-0"


def test_without_ldd_the_library_that_the_error_names_is_told():
    facts = {"absent": [], "error": "OSError: libX11.so.6: cannot open shared object file: No such file or directory"}
    assert "libx11-6" in libraries.open3d(facts).advice


def test_a_library_of_an_unknown_package_is_named_all_the_same():
    facts = {"absent": ["libGL.so.1", "libodd.so.3"], "error": "OSError"}
    advice = libraries.open3d(facts).advice
    assert "libgl1" in advice and "libodd.so.3" in advice


def test_open3d_that_is_not_installed_is_installed_by_pip():
    found = libraries.open3d({"error": "ModuleNotFoundError: No module named 'open3d'"})
    assert found.found == "not installed" and ".[open3d]" in found.advice and not found.required


def test_a_missing_or_crashing_package_is_required_and_named():
    found = libraries.packages({"versions": {"numpy": "2"}, "failed": {"libigl": "ImportError: no igl"}})
    assert (found.status, found.required) == ("missing", True) and "libigl: ImportError" in found.found
    crashed = libraries.packages({"error": "it crashed while loading (exit code -11)", "trying": "scipy"})
    assert "scipy: it crashed" in crashed.found


def test_torch_that_does_not_load_is_all_that_is_said_of_the_machine():
    assert [found.name for found in libraries.torch({"error": "OSError: libgomp"})] == ["torch"]


CARD = {"version": "0.5.3", "cuda": True, "lock": None, "folder": "/tmp/ext", "compiled": True}


@pytest.mark.parametrize(
    ("facts", "has_cuda", "status", "said"),
    [
        ({"error": "PackageNotFoundError: nerfacc"}, False, "limited", "not installed"),
        ({"error": "PackageNotFoundError: nerfacc"}, True, "limited", "not installed"),
        ({"version": "0.5.3", "cuda": False}, False, "limited", "not usable without CUDA"),
        ({**CARD, "lock": "/tmp/ext/lock"}, True, "limited", "not done"),
        ({**CARD, "compiled": False}, True, "limited", "not compiled yet"),
        ({**CARD, "chosen": "nerfacc 0.5.3 for rays (agrees with plain torch)"}, True, "ok", "agrees"),
        ({**CARD, "chosen": "plain torch for rays (nerfacc failed: no)"}, True, "limited", "nerfacc failed"),
        ({**CARD, "error": "it crashed"}, True, "limited", "it crashed"),
    ],
)
def test_nerfacc_is_importable_compiled_and_usable_or_it_is_said_what_it_is_not(facts, has_cuda, status, said):
    found = libraries.nerfacc(facts, has_cuda)
    assert found.status == status and said in found.found and not found.required
