"""Rows, ranks and tables of comparisons, and which runs can be ranked."""

import math
from typing import Any

import pytest

from recon.studies.compare import plots
from recon.studies.compare.finished import differences
from recon.studies.compare.plots import plot_curves, plot_finals
from recon.studies.compare.results import Spread, as_markdown, as_text, cells, ranked, row, spread
from recon.studies.compare.watch import Look


def metrics(iou: float | None, **changes: Any) -> dict[str, Any]:
    scores = {"iou": 0.5, "trimap_iou_sampled_0.01": iou, "chamfer_l1": None}
    facts = {"task": "sdf", "data": "ball", "params": 1234567, "macs": 10, "steps": 5, "seconds": 2.0, "status": "done"}
    return {**facts, "scores": scores, "definitions": {}, **changes}


def test_mean_and_deviation_are_those_of_a_sample():
    assert spread([1.0, 3.0]) == Spread(2.0, math.sqrt(2), 2)
    assert spread([4.0]) == Spread(4.0, None, 1)
    assert spread([None, float("nan"), 4.0]) == Spread(4.0, None, 1)
    assert spread([]) == Spread(None)


def test_rows_are_ranked_by_the_main_score_and_those_without_come_last():
    rows = [row(name, [metrics(iou)]) for name, iou in (("a", 0.2), ("none", None), ("b", 0.9))]
    assert [one.name for one in ranked(rows)] == ["b", "a", "none"]


def test_a_row_of_several_runs_tells_what_varies_and_what_does_not():
    one = row("siren", [metrics(0.2), metrics(0.4, seconds=4.0, status="diverged")])
    assert (one.runs, one.params, one.status) == (2, 1234567, "diverged, done")
    assert one.seconds.mean == 3.0
    assert one.scores["trimap_iou_sampled_0.01"].mean == pytest.approx(0.3)
    assert next(iter(one.scores)) == "trimap_iou_sampled_0.01"


def test_a_mean_over_some_of_the_runs_says_over_how_many():
    one = row("siren", [metrics(0.2), metrics(0.4, steps=3), metrics(None, status="diverged")])
    assert one.steps == 3
    head, line = cells([one])
    assert line[head.index("IoU near")] == "0.3 ± 0.14 (2 of 3)"
    assert line[head.index("IoU")] == "0.5 ± 0"


@pytest.mark.parametrize("seeds", [1, 3])
def test_curves_are_drawn_though_a_run_diverged_and_another_never_had_a_score(tmp_path, seeds):
    whole = [[Look(step, 0.1 * step, step / 10) for step in (1, 2, 5, 10)] for _ in range(seeds)]
    cut, nothing = [*whole[1:], [Look(1, 0.1, 0.2), Look(2, 0.2, None)]], [[Look(1, 100.0, None)]]
    plot_curves(tmp_path / "a.png", {"whole": whole, "cut": cut, "nothing": nothing}, "title", "score")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    seconds, found = plots._means([look for looks in cut for look in looks])
    assert len(seconds) == (4 if seeds > 1 else 1)
    assert [one.runs for one in found] == ([3, 2, 2, 2] if seeds > 1 else [1])
    assert found[0].mean == pytest.approx(0.4 / 3 if seeds > 1 else 0.2)


def test_finished_runs_are_drawn_whatever_they_lack(tmp_path):
    rows = [row("a", [metrics(0.2)]), row("b", [metrics(None)]), row("c", [metrics(0.3, params=None, seconds=90.0)])]
    plot_finals(tmp_path / "a.png", rows, "title", "score")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_tables_say_the_same_in_text_and_markdown():
    table = cells([row("a|b", [metrics(0.25)]), row("c", [metrics(None)])], {"data": ["ball", "cube"]})
    assert table[0] == ["field", "data", "parameters", "MACs", "steps", "seconds", "IoU near", "IoU"]  # no Chamfer
    assert table[1] == ["a|b", "ball", "1,234,567", "10", "5", "2", "0.25", "0.5"]
    assert table[2][6] == "-"
    lines = as_text(table).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[1].split() == table[1]
    markdown = as_markdown(table).splitlines()
    assert markdown[2].startswith("| a\\|b | ball |")
    assert markdown[1].count("---") == len(table[0])


def test_an_unknown_task_shows_its_own_first_scores():
    one = row("x", [metrics(None, task="image", scores={"psnr": 30.0, "ssim": 0.9})])
    assert {name: found.mean for name, found in one.scores.items()} == {"psnr": 30.0, "ssim": 0.9}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "occ"}, "tasks: sdf, occ"),
        ({"data": "cube"}, "data: ball, cube"),
        ({"protocol": "paper"}, "ways of scoring: default, paper"),
        ({"definitions": {"trimap_iou_sampled_0.01": "7 points"}}, "different points or views"),
    ],
)
def test_what_keeps_runs_from_being_ranked_is_named(change, message):
    first = metrics(0.1, protocol="default")
    assert differences([first, metrics(0.2, protocol="default")]) == []
    (note,) = differences([first, metrics(0.2, protocol="default") | change])
    assert message in note


@pytest.mark.parametrize(
    "value", ["many", [1], {}, 10**400, True, float("nan"), None], ids=lambda value: str(value)[:9]
)
def test_metrics_of_any_kind_make_a_row(value):
    changes = {"params": value, "macs": value, "steps": value, "seconds": value, "status": value, "definitions": value}
    one = row("a", [metrics(value, **changes)])
    assert as_text(cells([one])) and as_markdown(cells([one]))
    assert differences([metrics(0.5, definitions=value, views=value)]) == []
