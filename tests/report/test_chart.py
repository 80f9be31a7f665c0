"""Curves: every point in its place, within the frame, whatever the numbers."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recon.report.chart import BOTTOM, HEIGHT, LEFT, MOST_POINTS, RIGHT, TOP, WIDTH, Axis, Curve, chart
from recon.report.curves import _grouped, stage_starts


def points(svg):
    """Points of each drawn curve, in the drawing's units."""
    paths = re.findall(r' d="M([^"]*)"', svg)
    return [[tuple(map(float, pair.split(","))) for pair in path.split("L")] for path in paths]


def test_equal_factors_are_equal_steps_on_a_logarithmic_scale():
    [line] = points(chart("Loss", [Curve("", [0, 1, 2], [100.0, 10.0, 1.0])], log=True))
    assert line[1][1] - line[0][1] == pytest.approx(line[2][1] - line[1][1], abs=0.15)
    assert line[0][0] == LEFT and line[2][0] == WIDTH - RIGHT and line[0][1] < line[2][1]  # larger lies higher


def test_a_linear_scale_of_positive_values_starts_at_zero():
    [line] = points(chart("Speed", [Curve("", [0, 10], [50.0, 100.0])]))
    assert line[1][1] == TOP and line[0][1] == pytest.approx((TOP + HEIGHT - BOTTOM) / 2)


def test_a_curve_is_not_drawn_across_a_mark():
    svg = chart("Loss", [Curve("", [1, 2, 3, 4], [1.0, 2.0, 3.0, 4.0])], marks=[2.0])
    [path] = re.findall(r' d="([^"]*)"', svg)
    assert re.sub(r"[^ML]", "", path) == "MLML"


def test_a_scale_without_a_zero_spans_the_values_alone():
    [line] = points(chart("PSNR", [Curve("", [0, 10], [20.0, 25.0])], zero=False))
    assert line[0][1] == HEIGHT - BOTTOM and line[1][1] == TOP


def test_measures_share_a_chart_only_with_others_that_differ_in_their_last_word():
    assert _grouped(["share_max", "samples_per_ray", "share_min", "occupied"]) == {
        "share": ["share_max", "share_min"],
        "samples_per_ray": ["samples_per_ray"],
        "occupied": ["occupied"],
    }


numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**400), 10**400)


@settings(deadline=None)
@given(st.lists(st.tuples(numbers, numbers), max_size=20), st.booleans())
def test_curves_stay_within_their_frame(rows, log):
    svg = chart("Any", [Curve("a", [x for x, _ in rows], [y for _, y in rows])], log=log)
    for x, y in [point for line in points(svg) for point in line]:
        assert LEFT <= x <= WIDTH - RIGHT and TOP <= y <= HEIGHT - BOTTOM
    assert len(re.findall("<text", svg)) <= 30


def test_values_that_a_logarithm_lacks_are_left_out():
    [line] = points(chart("Loss", [Curve("", [1, 2, 3, 4], [0.0, -1.0, 2.0, 1.0])], log=True))
    assert len(line) == 2
    assert chart("Loss", [Curve("", [1, 2], [0.0, 1.0])], log=True) == ""


def test_long_curves_are_thinned_out_and_keep_both_ends():
    steps = list(range(100_000))
    [line] = points(chart("Rate", [Curve("", steps, [float(step) for step in steps])]))
    assert len(line) <= MOST_POINTS + 1
    assert line[0] == (LEFT, HEIGHT - BOTTOM) and line[-1] == (WIDTH - RIGHT, TOP)


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (Axis(0.0, 0.01, 0.0, 1.0), [0, 0.005, 0.01]),
        (Axis(1.0, 60.0, 0.0, 1.0), [20, 40, 60]),
        (Axis(1e-3, 10.0, 0.0, 1.0, True), [1e-3, 1e-2, 1e-1, 1, 10]),
        (Axis(3.0, 30.0, 0.0, 1.0, True), [5, 10, 20]),
    ],
)
def test_ticks_are_round(axis, ticks):
    assert axis.ticks() == pytest.approx(ticks)


def test_stages_start_after_the_last_row_of_the_one_before():
    rows = [
        {"step": step, "stage": stage} for step, stage in ((1, "all"), (20, "all"), (40, "experts"), (60, "experts"))
    ]
    assert stage_starts(rows) == [20.0] and stage_starts([]) == []
