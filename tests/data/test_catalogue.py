"""The catalogue itself: complete, plausible, and honest about what nobody has tried."""

import re
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import pytest

from recon.data import catalogue
from recon.data.catalogue import Piece, bytes_in_words, entries, find_entry
from recon.data.download import check_address
from recon.shapes.names import PROCEDURAL_NAMES

NAMES = {
    "tanks and temples": {"barn", "caterpillar", "family", "ignatius", "truck"},
    "blender": {"lego", "chair", "drums", "ficus", "hotdog", "materials", "mic", "ship"},
    "llff": {"fern", "flower", "fortress", "horns", "leaves", "orchids", "room", "trex"},
    "others": {"fox", "kodak", "shapenet"},
    "stanford": {"armadillo", "dragon", "asian_dragon", "lucy", "thai_statue", "bunny", "happy_buddha"},
}
every_entry = pytest.mark.parametrize("name", sorted(set.union(*NAMES.values())))


def test_all_sets_are_there():
    assert set(entries()) == set.union(*NAMES.values())


@every_entry
def test_an_entry_says_where_it_comes_from_and_under_which_terms(name):
    entry = entries()[name]
    texts = (entry.title, entry.collection, entry.source, entry.licence, entry.terms, entry.by_hand)
    assert all(len(text) > 3 and "{" not in text for text in texts)
    assert "https://" in entry.source and not entry.verified and entry.kind in catalogue.KINDS
    assert len(entry.licence) <= 45, "it must fit into a table of 80 columns"
    assert entry.sha256 == "" or re.fullmatch("[0-9a-f]{64}", entry.sha256)


@pytest.mark.parametrize("name", sorted(set.union(*NAMES.values()) - {"shapenet"}))
def test_what_is_fetched_has_an_address_and_bounds_and_is_counted_once_it_has_come(name):
    entry = entries()[name]
    check_address(entry.url)
    assert entry.url.startswith("https://") and (entry.size or entry.about or 0) <= entry.cap
    assert entry.pieces or (entry.member and entry.cap <= entry.unpacked)
    assert bool(entry.files) != entry.is_file
    assert all(0 < least <= most for least, most in (entry.files or {}).values())


@pytest.mark.parametrize("name", ["kodak", "fox"])
def test_a_set_of_several_files_lists_as_many_as_must_be_there(name):
    entry = entries()[name]
    paths = [piece.path for piece in entry.pieces]
    assert len(set(paths)) == len(paths) == sum(most for _, most in (entry.files or {}).values())
    for pattern, (count, _) in (entry.files or {}).items():
        assert sum(fnmatch(path, pattern) for path in paths) == count


def test_the_pictures_of_kodak_are_known_to_the_byte():
    kodak = entries()["kodak"]
    assert all(re.fullmatch("[0-9a-f]{64}", piece.sha256) for piece in kodak.pieces)
    assert kodak.size == sum(piece.size or 0 for piece in kodak.pieces) == 15_394_305


def test_a_fetched_fox_stays_the_same():
    """Its address names a commit, not a branch."""
    assert re.search("/[0-9a-f]{40}/", entries()["fox"].url)


def test_no_two_sets_share_a_place_and_places_are_where_names_are_sought():
    places = [entry.place.lower() for entry in entries().values()]
    assert len(set(places)) == len(places)
    tops = {entry.place.split("/")[0].lower(): entry.kind for entry in entries().values()}
    assert tops == {
        "shapes": "shape", "scenes": "scene", "tanksandtemple": "scene", "images": "image", "shapenet": "shape",
    }  # fmt: skip


def test_every_set_is_in_the_page_that_lies_in_datasets():
    """With its licence's first words and its place: the page is kept by hand."""
    page = (Path(__file__).parents[2] / "datasets" / "README.md").read_text(encoding="utf-8")
    assert [name for name in entries() if f"`{name}`" not in page] == []
    assert [name for name in PROCEDURAL_NAMES if f"`{name}`" not in page] == []
    assert [entry.name for entry in entries().values() if entry.place.split("/")[0] + "/" not in page] == []


def test_family_has_the_views_of_the_paper():
    family = entries()["family"]
    assert family.files is not None
    assert (family.place, family.member) == ("TanksAndTemple/Family", "Family")
    assert family.files["rgb/0_*.png"] == [133, 133] and family.files["rgb/1_*.png"] == [19, 19]


@pytest.mark.parametrize("typed", ["asian_dragon", "Asian Dragon", "asian-dragon", " ASIAN  dragon "])
def test_names_are_found_however_they_are_typed(typed):
    assert find_entry(typed).name == "asian_dragon"


def test_a_wrong_name_is_answered_with_the_nearest_or_all():
    with pytest.raises(ValueError, match="no set 'famly'; perhaps you meant family"):
        find_entry("famly")
    with pytest.raises(ValueError, match="it has: barn, caterpillar"):
        find_entry("xyzzy")


def test_an_offer_says_what_from_where_how_large_and_under_which_terms():
    lego, lucy, barn = (entries()[name] for name in ("lego", "lucy", "barn"))
    for text in ("recon data get lego", "Lego of NeRF", "huggingface.co", "about 180 MB", "CC BY-NC"):
        assert text in lego.offer()
    assert "322 MB" in lucy.offer() and "of a size that the server tells" in barn.offer()


def test_a_set_without_an_address_says_what_to_put_where():
    said = replace(entries()["lego"], url="").offer()
    for text in ("is not fetched by recon", "put it at datasets/scenes/lego", "nerf_synthetic.zip"):
        assert text in said


@pytest.mark.parametrize("place", ["/etc", "../lego", "scenes/../../x", "scenes//x", "", ".cache/x", "scenes/"])
def test_a_place_outside_of_datasets_is_refused(place):
    with pytest.raises(ValueError, match="place must lie below datasets/"):
        replace(entries()["lego"], place=place)


def test_an_unknown_format_or_key_is_refused():
    with pytest.raises(ValueError, match="format must be one of zip"):
        replace(entries()["lego"], format="rar")
    with pytest.raises(ValueError, match="unknown keys adress"):
        catalogue._entry("x", {"adress": "https://example.org"}, {})


def test_a_kind_that_is_none_and_pieces_that_leave_the_set_are_refused():
    kodak = entries()["kodak"]
    with pytest.raises(ValueError, match="kind must be one of shape"):
        replace(kodak, kind="picture")
    for path in ("../x.png", "/etc/x.png", "a//b.png", ".hidden"):
        with pytest.raises(ValueError, match="must lie below its place"):
            replace(kodak, pieces=(Piece(path),))
    with pytest.raises(ValueError, match="belong together"):
        replace(kodak, pieces=())


def test_sizes_in_words():
    assert [bytes_in_words(size) for size in (12, 4_894_286, 1_300_000_000)] == ["12 B", "4.89 MB", "1.3 GB"]
