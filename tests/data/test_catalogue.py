"""The catalogue itself: complete, plausible, and honest about what nobody has tried."""

import re
from dataclasses import replace

import pytest

from recon.data import catalogue
from recon.data.catalogue import bytes_in_words, entries, find_entry
from recon.data.download import check_address

NAMES = {
    "tanks and temples": {"barn", "caterpillar", "family", "ignatius", "truck"},
    "blender": {"lego", "chair", "drums", "ficus", "hotdog", "materials", "mic", "ship"},
    "stanford": {"armadillo", "dragon", "asian_dragon", "lucy", "thai_statue", "bunny", "happy_buddha"},
}
every_entry = pytest.mark.parametrize("name", sorted(set.union(*NAMES.values())))


def test_all_sets_are_there():
    assert set(entries()) == set.union(*NAMES.values())


@every_entry
def test_an_entry_says_where_it_comes_from_and_under_which_terms(name):
    entry = entries()[name]
    check_address(entry.url)
    assert entry.url.startswith("https://") and not entry.verified
    assert all(len(text) > 3 and "{" not in text for text in (entry.title, entry.source, entry.terms, entry.by_hand))
    assert entry.member and (entry.size or entry.about or 0) <= entry.cap <= entry.unpacked
    assert entry.sha256 == "" or re.fullmatch("[0-9a-f]{64}", entry.sha256)


@every_entry
def test_an_entry_is_checked_once_it_has_come(name):
    entry = entries()[name]
    assert bool(entry.files) != entry.place.endswith(".ply")
    assert all(0 < least <= most for least, most in entry.files.values())


def test_no_two_sets_share_a_place_and_places_are_where_names_are_sought():
    places = [entry.place.lower() for entry in entries().values()]
    assert len(set(places)) == len(places)
    assert {place.split("/")[0] for place in places} == {"shapes", "scenes", "tanksandtemple"}


def test_family_has_the_views_of_the_paper():
    family = entries()["family"]
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
    assert "no stable address" in said and "put it at datasets/scenes/lego" in said and "nerf_synthetic.zip" in said


@pytest.mark.parametrize("place", ["/etc", "../lego", "scenes/../../x", "scenes//x", "", ".cache/x", "scenes/"])
def test_a_place_outside_of_datasets_is_refused(place):
    with pytest.raises(ValueError, match="place must lie below datasets/"):
        replace(entries()["lego"], place=place)


def test_an_unknown_format_or_key_is_refused():
    with pytest.raises(ValueError, match="format must be one of zip"):
        replace(entries()["lego"], format="rar")
    with pytest.raises(ValueError, match="unknown keys adress"):
        catalogue._entry("x", {"adress": "https://example.org"}, {})


def test_sizes_in_words():
    assert [bytes_in_words(size) for size in (12, 4_894_286, 1_300_000_000)] == ["12 B", "4.89 MB", "1.3 GB"]
