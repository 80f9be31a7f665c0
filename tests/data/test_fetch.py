"""A set arrives whole or not at all: after every fault finished sets are as they were, and nothing half-done shows."""

import errno
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import zipfile
from dataclasses import replace

import pytest

from recon.data import archive, fetch
from recon.data.archive import BadArchive
from recon.data.catalogue import Entry, Piece
from recon.data.fetch import Incomplete, check_room, get, is_there
from recon.data.find import datasets_home
from recon.data.record import LEARNED, is_verified, learned, place_of

NOISE = random.Random(1)
POSE = b"1 0 0 0\n"


def scene(views: int = 3, poses: int | None = None) -> dict[str, bytes]:
    """Files of a tiny scene in NSVF's layout."""
    rgb = {f"rgb/0_{view}.png": NOISE.randbytes(500) for view in range(views)}
    pose = {f"pose/0_{view}.txt": POSE for view in range(views if poses is None else poses)}
    return {**rgb, **pose, "intrinsics.txt": b"1"}


def zipped(**scenes: dict[str, bytes]) -> bytes:
    """Scenes in one archive, below a folder of its own."""
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as file:
        for name, members in scenes.items():
            for member, data in members.items():
                file.writestr(f"TanksAndTemple/{name}/{member}", data)
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Where datasets/ lies, with a finished set in it."""
    monkeypatch.setenv("RECON_HOME", str(tmp_path))
    finished = datasets_home() / "TanksAndTemple" / "Truck"
    finished.mkdir(parents=True)
    (finished / "mine.txt").write_text("finished long ago")
    return tmp_path


@pytest.fixture
def family(server, monkeypatch) -> Entry:
    """Two scenes that share an archive."""
    entry = Entry(
        name="family", title="Family", kind="scene", collection="tests", licence="none", terms="none",
        source="a test", format="zip", cap=10**6, unpacked=10**6, by_hand="nowhere",
        place="TanksAndTemple/Family", member="Family", url=server.url("/scenes.zip"),
        files={"rgb/*.png": [2, 9], "intrinsics.txt": [1, 1]}, paired=("rgb/*.png", "pose/*.txt"),
    )  # fmt: skip
    barn = replace(entry, name="barn", place="TanksAndTemple/Barn", member="Barn")
    truck = replace(entry, name="truck", place="TanksAndTemple/Truck", member="Truck")
    monkeypatch.setattr(fetch, "entries", lambda: {"barn": barn, "family": entry, "truck": truck})
    return entry


def shown() -> set[str]:
    """What a person sees in datasets/, and that the finished set is as it was."""
    assert (datasets_home() / "TanksAndTemple/Truck/mine.txt").read_text() == "finished long ago"
    files = [file for file in datasets_home().rglob("*") if file.is_file()]
    parts = [file.relative_to(datasets_home()) for file in files]
    assert not [part for part in parts if any(name.endswith(".unpacking") for name in part.parts)]
    return {str(part.parent) for part in parts if not any(name.startswith(".") for name in part.parts)}


NOTHING_NEW = {"TanksAndTemple/Truck"}


def bring(entry: Entry) -> fetch.Fetched:
    return get(entry, said.append)


said: list[str] = []


@pytest.fixture(autouse=True)
def _quiet():
    said.clear()


def fails(entry: Entry, kind: type[Exception], message: str) -> None:
    """The fetch fails with these words and nothing has changed."""
    with pytest.raises(kind, match=message):
        bring(entry)
    assert shown() == NOTHING_NEW


def test_a_set_and_its_siblings_arrive_and_finished_ones_stay(server, family):
    members = scene()
    body = zipped(Family=members, Barn=scene(), Truck=scene())
    server.serve(body, "/scenes.zip")
    fetched = bring(family)
    assert [path.name for path in fetched.places] == ["Family", "Barn"]
    assert (fetched.size, fetched.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    assert {
        str(file.relative_to(place_of(family))): file.read_bytes() for file in place_of(family).rglob("*.*")
    } == members
    assert shown() >= {"TanksAndTemple/Family", "TanksAndTemple/Barn", "TanksAndTemple/Truck"}
    assert is_there(family) and not list((datasets_home() / ".downloads").glob("*.part"))


@pytest.mark.parametrize("top", ["TanksAndTemple/Family/", "family/", "", "a/b/FAMILY/"])
def test_the_folders_around_a_set_do_not_matter(server, family, top, monkeypatch):
    monkeypatch.setattr(fetch, "entries", lambda: {"family": family})
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as file:
        for member, data in scene().items():
            file.writestr(top + member, data)
    server.serve(buffer.getvalue(), "/scenes.zip")
    bring(family)
    assert is_there(family)


def test_an_archive_of_several_sets_is_not_one_of_them(server, family):
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as file:
        for member, data in scene().items():
            file.writestr(member, data)
    server.serve(buffer.getvalue(), "/scenes.zip")
    fails(family, Incomplete, "there is no Family in it")


def test_a_broken_sibling_is_left_out_and_named(server, family):
    server.serve(zipped(Family=scene(), Barn=scene(1)), "/scenes.zip")
    assert [path.name for path in bring(family).places] == ["Family"]
    assert "barn, from the same archive, is left out: 1 x rgb/*.png instead of 2 to 9" in said[0]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (scene(1), r"1 x rgb/\*.png instead of 2 to 9"),
        (scene(3, poses=2), r"3 x rgb/\*.png but 2 x pose/\*.txt"),
        ({}, "there is no Family in it"),
    ],
)
def test_an_archive_without_what_the_catalogue_names_is_refused_and_kept(server, family, members, message):
    server.serve(zipped(Family=members, Barn=scene()), "/scenes.zip")
    fails(family, Incomplete, message)
    assert len(list((datasets_home() / ".downloads").glob("*.part"))) == 1
    assert learned() == {}


def hostile(name: str) -> bytes:
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as file:
        for member, data in scene().items():
            file.writestr(f"Family/{member}", data)
        file.writestr(name, b"evil")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "body",
    [hostile("../evil"), hostile("/tmp/evil"), b"<html>", zipped(Family=scene())[:-300], b""],
    ids=["parent", "absolute", "page", "cut", "nothing"],
)
def test_a_hostile_or_damaged_archive_leaves_nothing(server, family, home, body):
    server.serve(body, "/scenes.zip")
    fails(family, BadArchive, "is refused: .*; nothing was changed")
    assert not list(home.rglob("evil")) and not list((datasets_home() / ".downloads").glob("*.part"))


def test_a_lost_connection_leaves_a_part_that_is_gone_on_from(server, family):
    body = zipped(Family=scene())
    server.serve(body, "/scenes.zip", cut=[500, 0, 0, 0])
    fails(family, ConnectionError, "500 bytes are kept")
    server.served["/scenes.zip"].cut.clear()
    bring(family)
    assert is_there(family) and server.asked[-1][2] == "bytes=500-"


# --- hashes ---


def test_the_hash_is_learned_at_first_and_enforced_afterwards(server, family):
    server.serve(body := zipped(Family=scene()), "/scenes.zip")
    assert not is_verified(family)
    bring(family)
    assert is_verified(family) and learned()[family.url]["size"] == len(body)
    shutil.rmtree(place_of(family))
    server.serve(zipped(Family=scene()), "/scenes.zip", etag='"two"')
    fails(family, ValueError, f"has changed: its SHA-256 is .*{hashlib.sha256(body).hexdigest()}.*delete its lines")
    server.serve(body, "/scenes.zip")
    bring(family)
    assert is_there(family)


def test_a_hash_of_the_catalogue_is_enforced_from_the_start(server, family):
    server.serve(body := zipped(Family=scene()), "/scenes.zip")
    fails(replace(family, sha256="0" * 64), ValueError, "the catalogue has 0000.*compare with a test")
    assert not list((datasets_home() / ".downloads").glob("*.part"))
    bring(replace(family, sha256=hashlib.sha256(body).hexdigest()))


def test_learned_hashes_of_other_addresses_stay(server, family):
    (datasets_home() / LEARNED).write_text(json.dumps({"https://example.org/x": {"sha256": "1" * 64, "size": 1}}))
    server.serve(zipped(Family=scene()), "/scenes.zip")
    bring(family)
    assert set(learned()) == {"https://example.org/x", family.url}


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', '{"a": {}}', "[" * 100_000])
def test_damaged_hashes_are_no_hashes(server, family, text):
    (datasets_home() / LEARNED).write_text(text)
    server.serve(zipped(Family=scene()), "/scenes.zip")
    with pytest.raises(ValueError, match="is damaged; delete it"):
        bring(family)
    assert shown() == {*NOTHING_NEW}


# --- what is there ---


def test_a_set_that_is_there_is_never_fetched_over(server, family):
    server.serve(zipped(Family=scene()), "/scenes.zip")
    bring(family)
    server.asked.clear()
    with pytest.raises(ValueError, match="is there already"):
        bring(family)
    assert server.asked == []


def test_a_set_that_is_there_but_not_whole_is_left_and_named(server, family):
    place_of(family).mkdir()
    server.serve(zipped(Family=scene()), "/scenes.zip")
    with pytest.raises(ValueError, match="is not whole .*0 x rgb.*move it away"):
        bring(family)
    assert server.asked == [] and place_of(family).is_dir()


def test_leftovers_of_a_killed_run_are_cleared_away(server, family):
    server.serve(zipped(Family=scene()), "/scenes.zip")
    room = place_of(family).parent / f".{fetch._part(family.url).stem}.unpacking"
    (room / "Family").mkdir(parents=True)
    (room / "Family" / "half.png").write_bytes(b"half")
    bring(family)
    assert is_there(family) and not room.exists() and not (place_of(family) / "half.png").exists()


def test_two_downloads_of_one_archive_do_not_mix(server, family):
    server.serve(zipped(Family=scene()), "/scenes.zip")
    with fetch._alone(fetch._part(family.url)):
        fails(family, ValueError, "another `recon data get` is bringing scenes-zip")
    bring(family)


# --- single files ---


@pytest.fixture
def lucy(family, server) -> Entry:
    return replace(
        family, name="lucy", format="gz", place="shapes/lucy.ply", member="Lucy.ply", files={}, paired=(),
        url=server.url("/Lucy.ply.gz"),
    )  # fmt: skip


def test_a_single_file_takes_its_name_in_the_catalogue(server, lucy):
    server.serve(gzip.compress(b"ply\nformat ascii 1.0\n"), "/Lucy.ply.gz")
    bring(lucy)
    assert place_of(lucy).read_bytes() == b"ply\nformat ascii 1.0\n" and is_there(lucy)


def test_a_file_that_is_no_mesh_is_refused(server, lucy):
    server.serve(gzip.compress(b"<html>"), "/Lucy.ply.gz")
    fails(lucy, Incomplete, "Lucy.ply is no ply file")


def test_a_set_without_an_address_is_answered_with_what_to_put_where(family):
    fails(replace(family, url=""), ValueError, "take it from nowhere and put it at datasets/TanksAndTemple/Family")


# --- the disk ---


def test_a_disk_that_fills_while_unpacking_leaves_the_archive_for_the_next_try(server, family, monkeypatch):
    class Full:
        """What unpacking sees of the system; other writers have room."""

        def __getattr__(self, name):
            return getattr(os, name)

        def fsync(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    server.serve(zipped(Family=scene()), "/scenes.zip")
    with monkeypatch.context() as patch:
        patch.setattr(archive, "os", Full())
        fails(family, OSError, "No space left|no space left")
    server.asked.clear()
    bring(family)
    assert is_there(family) and server.asked == []


def test_a_disk_that_fails_at_the_last_step_changes_nothing(server, family, monkeypatch):
    server.serve(zipped(Family=scene()), "/scenes.zip")
    with monkeypatch.context() as patch:
        patch.setattr(fetch.os, "rename", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
        fails(family, OSError, "cannot write .*Family: Input/output error")
    bring(family)


def test_a_disk_that_is_too_small_is_named_before_anything_is_fetched(family):
    check_room(family, 1000)
    with pytest.raises(ValueError, match="family needs about .* GB more on the disk of .*set RECON_HOME"):
        check_room(family, 10**17)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(server, family, home):
    datasets_home().chmod(0o500)
    with pytest.raises(PermissionError, match="cannot write"):
        bring(family)


# --- a set of several files ---


@pytest.fixture
def photos(family, server, monkeypatch) -> Entry:
    """Three pictures without an archive; of two the hash is known."""
    bodies = {name: NOISE.randbytes(400) for name in ("a.png", "b.png", "more/c.png")}
    for name, body in bodies.items():
        server.serve(body, f"/photos/{name}")
    hashes = {name: hashlib.sha256(body).hexdigest() for name, body in bodies.items()}
    pieces = (
        Piece("a.png", 400, hashes["a.png"]), Piece("b.png", 400, hashes["b.png"]), Piece("more/c.png"),
    )  # fmt: skip
    entry = replace(
        family, name="photos", kind="image", place="images/photos", url=server.url("/photos/"), format="files",
        pieces=pieces, files={"*.png": [2, 2], "more/*.png": [1, 1]}, paired=(), member="",
    )  # fmt: skip
    monkeypatch.setattr(fetch, "entries", lambda: {"photos": entry})
    return entry


def test_a_set_of_several_files_comes_file_by_file(server, photos):
    told = []
    fetched = get(photos, said.append, lambda there, size: told.append(there))
    assert fetched.places == (place_of(photos),) and fetched.size == 1200 == told[-1]
    assert told == sorted(told)
    assert {path.name for path in place_of(photos).rglob("*.png")} == {"a.png", "b.png", "c.png"}
    assert is_there(photos) and is_verified(photos)
    assert not [path for path in (datasets_home() / ".downloads").iterdir() if path.suffix != ".lock"]


def test_a_set_of_several_files_goes_on_within_the_file_that_broke_off(server, photos):
    server.served["/photos/b.png"].cut += [100, 0, 0, 0]
    fails(photos, ConnectionError, "100 bytes are kept")
    server.asked.clear()
    server.served["/photos/b.png"].cut.clear()
    bring(photos)
    assert [asked[:3] for asked in server.asked] == [
        ("GET", "/photos/b.png", "bytes=100-"), ("GET", "/photos/more/c.png", None),
    ]  # fmt: skip


def test_a_piece_that_is_another_one_is_refused_and_the_others_are_kept(server, photos):
    good = server.served["/photos/b.png"].body
    server.serve(bytes(400), "/photos/b.png")
    fails(photos, ValueError, "photos/b.png has changed: .*compare with a test")
    server.serve(good, "/photos/b.png")
    server.asked.clear()
    bring(photos)
    assert [path for _, path, *_ in server.asked] == ["/photos/b.png", "/photos/more/c.png"]


def test_a_piece_without_a_known_hash_must_stay_what_it_was_at_first(server, photos):
    bring(photos)
    shutil.rmtree(place_of(photos))
    good = server.served["/photos/more/c.png"].body
    server.serve(bytes(400), "/photos/more/c.png")
    fails(photos, ValueError, "has changed: .*the first download had")
    server.serve(good, "/photos/more/c.png")
    bring(photos)


def test_pieces_that_are_too_many_bytes_or_too_few_files_make_no_set(server, photos):
    fails(replace(photos, cap=1000, pieces=(*photos.pieces[:2], Piece("more/c.png"))), ValueError, "more than")
    fails(replace(photos, files={"*.png": [5, 5]}), Incomplete, r"2 x \*.png instead of 5")


def test_what_an_earlier_try_has_left_needs_no_room(server, photos, monkeypatch):
    server.served["/photos/b.png"].status += [404]
    fails(photos, FileNotFoundError, "answers 404")
    free = fetch.shutil.disk_usage(datasets_home())
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: free._replace(free=800))
    check_room(photos, 1200)
    with pytest.raises(ValueError, match="photos needs about 801 B more"):
        check_room(photos, 1201)
