"""Numbers on the page: right to the digits shown, whatever their size."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recon.report.numbers import MISSING, duration, plain, readable, size


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.95876, "0.9588"),
        (0.0029261, "0.002926"),
        (5.04e-5, "5.040×10⁻⁵"),
        (43569.3511, "43,569"),
        (1234567.0, "1,234,567"),
        (-2.5e10, "-2.500×10¹⁰"),
        (0, "0"),
        (0.0, "0"),
        (32353808, "32,353,808"),
        (10**400, "1.000×10⁴⁰⁰"),
        (None, MISSING),
        (math.nan, MISSING),
        (math.inf, MISSING),
        (True, MISSING),
        ("0.5", MISSING),
    ],
)
def test_numbers_show_four_digits_and_powers_of_ten_only_where_they_must(value, words):
    assert readable(value) == words


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 8))
def test_what_is_shown_is_the_number_to_its_digits(value, digits):
    words = readable(value, digits)
    mantissa, _, power = words.partition("×10")
    exponent = int(power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")) or "0")
    shown = float(f"{mantissa.replace(',', '')}e{exponent}")
    # Near the largest float, rounding up may overflow.
    assert math.isinf(shown) or math.isclose(shown, value, rel_tol=0.6 * 10.0 ** (1 - digits), abs_tol=1e-322)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0.0 s"), (9.37, "9.4 s"), (59.97, "1 min 00 s"), (92.4, "1 min 32 s"), (7384, "2 h 03 min"), (None, MISSING)],
)
def test_durations_carry_over(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (1023, "1,023 bytes"),
        (1024, "1.00 KiB"),
        (3 * 2**30, "3.00 GiB"),
        (2**42, "4,096 GiB"),
        (-1, MISSING),
    ],
)
def test_sizes_are_binary(count, words):
    assert size(count) == words


def test_settings_read_as_they_are_typed():
    assert plain([24, 48, 1e-15]) == "24, 48, 1e-15" and plain([]) == "none" and plain(False) == "no"
    assert plain(None) == MISSING and plain([[1]]) == "…" and plain("sine") == "sine" and plain({}) == "none"
