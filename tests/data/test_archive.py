"""Unpacking archives of strangers: what is sound comes out byte for byte, and nothing ever leaves its folder."""

import bz2
import errno
import gzip
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recon.data import archive as module
from recon.data.archive import BadArchive, Limits, unpack

LIMITS = Limits(bytes=10_000_000, files=50)
FILES = {"Family/rgb/0_a.png": os.urandom(3000), "Family/intrinsics.txt": b"1 0 0\n", "Family/empty": b""}


def make_zip(members, method=zipfile.ZIP_DEFLATED) -> bytes:
    """Members are pairs of a name (or ZipInfo) and content."""
    with zipfile.ZipFile(buffer := io.BytesIO(), "w", method) as file:
        for name, data in members:
            file.writestr(name, data)
    return buffer.getvalue()


def make_tar(members) -> bytes:
    """Members are pairs of a name (or TarInfo) and content."""
    with tarfile.open(fileobj=(buffer := io.BytesIO()), mode="w:gz") as file:
        for name, data in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = info.size or len(data)
            file.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


MAKE = {"zip": make_zip, "tar.gz": make_tar}
both = pytest.mark.parametrize("kind", sorted(MAKE))


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def open_up(data: bytes, kind: str, out: Path, limits: Limits = LIMITS) -> dict[str, bytes]:
    """Unpack bytes; what came out, by name."""
    file = out.parent / "archive"
    file.write_bytes(data)
    unpack(file, kind, out, limits, "one.ply")
    return contents(out)


def contents(out: Path) -> dict[str, bytes]:
    return {str(file.relative_to(out)): file.read_bytes() for file in sorted(out.rglob("*")) if file.is_file()}


def refused(data: bytes, kind: str, out: Path, said: str, limits: Limits = LIMITS) -> None:
    """Refused with these words, and nothing lies beside the folder."""
    with pytest.raises(BadArchive, match=said):
        open_up(data, kind, out, limits)
    assert {path.name for path in out.parent.iterdir()} <= {"archive", "out"}
    assert not any(path.is_symlink() for path in out.rglob("*"))


@both
def test_files_come_out_as_they_went_in(kind, out):
    assert open_up(MAKE[kind](FILES.items()), kind, out) == FILES


@pytest.mark.parametrize(("kind", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress)])
def test_a_single_file_comes_out_under_the_name_it_is_given(kind, pack, out):
    assert open_up(pack(b"ply\n" * 999), kind, out) == {"one.ply": b"ply\n" * 999}


@both
def test_folders_may_be_listed_or_not_and_dots_are_nothing(kind, out):
    folder = tarfile.TarInfo("./a/")
    folder.type = tarfile.DIRTYPE
    first = folder if kind == "tar.gz" else "a/"
    assert open_up(MAKE[kind]([(first, b""), ("./a/b//c.txt", b"c"), ("a/d.txt", b"d")]), kind, out) == {
        "a/b/c.txt": b"c",
        "a/d.txt": b"d",
    }


def test_rights_of_the_archive_are_not_taken_over(out):
    info = tarfile.TarInfo("a")
    info.mode = 0o6777
    open_up(make_tar([(info, b"a")]), "tar.gz", out)
    assert not (out / "a").stat().st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IXUSR)


# --- names ---


@both
@pytest.mark.parametrize(
    "name",
    [
        "/etc/evil",
        "../evil",
        "a/../../evil",
        "a/..",
        "//evil",
        "C:/evil",
        "a\\evil",
        "..\\evil",
        "a\nb",
        "con|in",
        "a:b",
    ],
)
def test_names_that_are_no_plain_names_are_refused(kind, name, out):
    refused(MAKE[kind]([("good.txt", b"1"), (name, b"evil")]), kind, out, "no plain name")


@both
def test_names_that_no_disk_takes_are_refused(kind, out):
    refused(MAKE[kind]([("a" * 241, b"")]), kind, out, "too long or too deep")
    out.rmdir()
    refused(MAKE[kind]([("a/" * 16 + "b", b"")]), kind, out, "too long or too deep")


@both
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.txt", "a.txt"),
        ("a.txt", "A.TXT"),
        ("rgb/a", "RGB/b"),
        ("a", "a/b"),
        ("a/b", "a"),
        ("\u00e9", "e\u0301"),
        ("ß", "SS"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_collide_on_some_disk_are_refused(kind, first, second, out):
    refused(MAKE[kind]([(first, b"1"), (second, b"2")]), kind, out, "two of its members would be one")


# --- kinds ---


@pytest.mark.parametrize(
    "type_", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(type_, out):
    info = tarfile.TarInfo("link")
    info.type, info.linkname = type_, "/etc/passwd"
    if type_ == tarfile.CONTTYPE:  # an old word for a plain file
        assert open_up(make_tar([(info, b"1")]), "tar.gz", out) == {"link": b"1"}
    else:
        refused(make_tar([(info, b"")]), "tar.gz", out, "is a link or a device")


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_in_a_zip_are_refused(mode, out):
    info = zipfile.ZipInfo("link")
    info.external_attr = (mode | 0o777) << 16
    refused(make_zip([(info, b"/etc/passwd")]), "zip", out, "is a link or a device")


def test_a_folder_that_is_a_link_leads_nowhere(out):
    link = tarfile.TarInfo("a")
    link.type, link.linkname = tarfile.SYMTYPE, ".."
    refused(make_tar([(link, b""), ("a/evil", b"evil")]), "tar.gz", out, "is a link or a device")


def test_an_encrypted_zip_is_refused(out):
    data = bytearray(make_zip([("a.txt", b"secret")]))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    refused(bytes(data), "zip", out, "is encrypted")


def test_a_zip_packed_by_an_unusual_method_is_refused(out):
    refused(make_zip([("a.txt", b"a" * 100)], zipfile.ZIP_LZMA), "zip", out, "unusual method")


def test_a_sparse_file_is_refused(out):
    info = tarfile.TarInfo("sparse")
    info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.map": "0,1", "GNU.sparse.size": "99999999999"}
    refused(make_tar([(info, b"1")]), "tar.gz", out, "link or a device|cut short|damaged|more than")


# --- limits ---


@both
def test_too_many_files_are_refused(kind, out):
    assert len(open_up(MAKE[kind]([(f"{i}", b"") for i in range(50)]), kind, out)) == 50
    for path in out.iterdir():
        path.unlink()
    out.rmdir()
    refused(MAKE[kind]([(f"{i}", b"") for i in range(51)]), kind, out, "more than 50 files")


def test_a_zip_whose_listing_would_fill_the_memory_is_refused(out):
    refused(make_zip([(f"{i}/" + "a" * 200, b"") for i in range(5)]), "zip", out, "its listing has", Limits(10**7, 1))


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "gz", "bz2"])
def test_a_bomb_is_stopped_long_before_it_is_unpacked(kind, out):
    zeros = bytes(20_000_000)
    pack = {"zip": lambda: make_zip([("one.ply", zeros)]), "tar.gz": lambda: make_tar([("one.ply", zeros)])}
    data = pack[kind]() if kind in pack else {"gz": gzip.compress, "bz2": bz2.compress}[kind](zeros)
    refused(data, kind, out, "as decompression bombs do", Limits(bytes=10**9))
    assert sum(file.stat().st_size for file in out.iterdir()) < 8_000_000


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "gz", "bz2"])
def test_more_than_is_expected_is_refused(kind, out):
    noise = os.urandom(30_000)
    pack = {"zip": lambda: make_zip([("one.ply", noise)]), "tar.gz": lambda: make_tar([("one.ply", noise)])}
    data = pack[kind]() if kind in pack else {"gz": gzip.compress, "bz2": bz2.compress}[kind](noise)
    refused(data, kind, out, "more than 20,000 bytes", Limits(bytes=20_000))


def test_a_tar_that_declares_a_name_of_gigabytes_is_stopped(out):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 8 * 10**9
    stream = gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(30_000_000))
    refused(stream, "tar.gz", out, "as decompression bombs do", Limits(bytes=10**10))


# --- damage ---


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "gz", "bz2"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_archive_is_refused(kind, share, out):
    noise = os.urandom(30_000)
    pack = {"zip": lambda: make_zip([("one.ply", noise)]), "tar.gz": lambda: make_tar([("one.ply", noise)])}
    data = pack[kind]() if kind in pack else {"gz": gzip.compress, "bz2": bz2.compress}[kind](noise)
    if share == 0.0 and kind in ("gz", "bz2"):
        data = data[:5]
    refused(data[: int(share * len(data))] if share else data[:5], kind, out, "damaged|cut short")


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "gz", "bz2"])
def test_what_is_no_archive_is_refused(kind, out):
    refused(b"<html>please log in</html>" * 100, kind, out, "is damaged")


@both
def test_a_flipped_bit_is_noticed_by_the_checksum(kind, out):
    noise = os.urandom(3000)
    data = bytearray(MAKE[kind]([("a", noise)]))
    data[data.index(noise[:16]) + 1000 if noise[:16] in data else len(data) // 2] ^= 1
    refused(bytes(data), kind, out, "damaged|cut short")


def seeds() -> dict[str, bytes]:
    members = [("a/b.txt", b"hello " * 40), ("a/c.bin", bytes(range(256))), ("d", b"")]
    return {
        "zip": make_zip(members),
        "tar.gz": make_tar(members),
        "gz": gzip.compress(b"ply\n" * 50),
        "bz2": bz2.compress(b"ply\n" * 50),
    }


def damage(data: bytearray, hits) -> bytes:
    for where, value in hits:
        data[where % len(data)] = value
    return bytes(data)


hits = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=6)


@pytest.mark.parametrize("kind", ["bz2", "gz", "inner tar", "tar.gz", "zip"])
@given(hits=hits, cut=st.integers(0, 2**16))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_whatever_the_damage_it_is_refused_or_harmless(kind, tmp_path_factory, hits, cut):
    folder = tmp_path_factory.mktemp("fuzz")
    if kind == "inner tar":  # behind gzip's checksum, where damage reaches the tar itself
        kind, data = "tar.gz", gzip.compress(damage(bytearray(gzip.decompress(seeds()["tar.gz"])), hits))
    else:
        data = damage(bytearray(seeds()[kind]), hits)
        data = data[: cut % len(data)] if cut % 3 == 0 else data
    try:
        open_up(data, kind, folder / "out")
    except BadArchive:
        pass
    assert {path.name for path in folder.iterdir()} == {"archive", "out"}
    for path in (folder / "out").rglob("*"):
        assert not path.is_symlink() and (path.is_file() or path.is_dir())


# --- the disk ---


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "gz", "bz2"])
def test_a_full_disk_is_no_damage(kind, out, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OSError) as caught:
        open_up(seeds()[kind], kind, out)
    assert caught.value.errno == errno.ENOSPC


def test_a_folder_that_is_there_is_not_unpacked_into(out):
    out.mkdir()
    with pytest.raises(FileExistsError):
        open_up(seeds()["zip"], "zip", out)
