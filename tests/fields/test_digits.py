"""Chosen bases cover their cells with little to spare, ascending and even: the best by the score, by trying all."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recon.fields.digits import SURPLUS, choose_bases


@given(cells=st.integers(1, 10**7), levels=st.integers(1, 8))
def test_chosen_bases_cover_the_grid_largest_last(cells, levels):
    bases = choose_bases(cells, levels)
    assert len(bases) == levels
    assert list(bases) == sorted(bases)
    assert cells <= math.prod(bases) < 1.2 * cells + 1


@given(cells=st.integers(1, 24), levels=st.integers(1, 4))
def test_no_other_bases_score_better(cells, levels):
    def score(bases):
        return sum(bases) * (math.prod(bases) / cells) ** SURPLUS

    every = itertools.combinations_with_replacement(range(1, cells + 1), levels)
    best = min(score(bases) for bases in every if math.prod(bases) >= cells)
    assert score(choose_bases(cells, levels)) == pytest.approx(best)


@pytest.mark.parametrize(
    ("cells", "levels", "bases"),
    [
        (512, 3, (8, 8, 8)),
        (512, 4, (4, 4, 4, 8)),
        (768, 4, (4, 4, 6, 8)),
        (8192, 6, (4, 4, 4, 4, 4, 8)),
        (1024, 10, (2,) * 10),
        (1021, 3, (8, 8, 16)),
        (7, 3, (2, 2, 2)),
        (1, 3, (1, 1, 1)),
    ],
)
def test_chosen_bases_are_the_papers_where_they_fit_and_pad_primes(cells, levels, bases):
    assert choose_bases(cells, levels) == bases


@given(base=st.integers(2, 30), levels=st.integers(1, 5))
def test_a_power_is_split_into_equal_bases(base, levels):
    assert choose_bases(base**levels, levels) == (base,) * levels


@pytest.mark.parametrize(("cells", "levels"), [(0, 3), (-4, 3), (8, 0)])
def test_no_cells_or_levels_are_refused(cells, levels):
    with pytest.raises(ValueError, match="at least one cell and one level"):
        choose_bases(cells, levels)
