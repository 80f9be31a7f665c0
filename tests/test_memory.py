"""Memory limits of containers, from files as the kernel writes them."""

import math

import pytest

from recon import memory

GIB = 2**30


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A made-up /proc and /sys: 16 GiB, of which 10 are available, and no limit until one is written."""
    for name, file in (("CGROUPS", "sys"), ("OWN_GROUP", "cgroup"), ("MEMINFO", "meminfo")):
        monkeypatch.setattr(memory, name, tmp_path / file)
    monkeypatch.setattr(memory, "_machine_bytes", lambda: 16.0 * GIB)
    (tmp_path / "meminfo").write_text(f"MemTotal: {16 * 2**20} kB\nMemAvailable: {10 * 2**20} kB\n")

    def write(folder, **files):
        place = tmp_path / "sys" / folder
        place.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (place / name.replace("__", ".")).write_text(f"{text}\n")

    return tmp_path, write


def test_without_a_limit_the_machine_is_all_there_is(system):
    assert memory.total_bytes() == 16 * GIB and memory.available_bytes() == 10 * GIB
    assert memory.limit_bytes() == math.inf


def test_a_limit_of_a_container_counts_and_so_does_what_it_uses(system):
    folder, write = system
    (folder / "cgroup").write_text("0::/box\n")
    write("box", memory__max=4 * GIB, memory__current=3 * GIB, memory__stat=f"anon 5\ninactive_file {GIB}")
    assert memory.total_bytes() == 4 * GIB
    assert memory.available_bytes() == 2 * GIB  # a GiB of what it uses are files, which the kernel drops


def test_a_limit_of_an_outer_group_or_of_version_1_counts_too(system):
    folder, write = system
    (folder / "cgroup").write_text("7:cpu:/\n4:memory:/outer/inner\n0::/\n")
    write("memory/outer/inner", memory__limit_in_bytes=9223372036854771712, memory__usage_in_bytes=GIB)
    write("memory/outer", memory__limit_in_bytes=6 * GIB, memory__usage_in_bytes=5 * GIB)
    assert memory.total_bytes() == 6 * GIB and memory.available_bytes() == GIB


def test_a_group_without_a_limit_says_max_and_means_it(system):
    folder, write = system
    (folder / "cgroup").write_text("0::/box\n")
    write("box", memory__max="max", memory__current=GIB)
    assert memory.total_bytes() == 16 * GIB


def test_this_process_holds_some_memory():
    assert 2**24 < memory.own_bytes() < memory.total_bytes()
