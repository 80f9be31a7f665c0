"""The papers' tables: rows against the printed counts, what is chosen, and what is written."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recon.fields.asmr import AsmrConfig
from recon.fields.neural_experts import NeuralExpertsConfig
from recon.fields.siren import SirenConfig
from recon.studies.tables import TABLES, order
from recon.studies.tables.asmr import fitting
from recon.studies.tables.model import MEAN, Column, Datum, Row, Size, Table
from recon.studies.tables.order import Order, chosen_data, chosen_rows, field_name_of
from recon.studies.tables.run import Done
from recon.studies.tables.write import count, lines, number, write
from recon.tasks.signal.settings import neural_experts_protocol
from recon.tasks.signal.settings import preset as signal_preset

SIZES = {
    "neural-experts-3": Size((308_207,), 1),
    "asmr-2": Size((512, 512), 1),
    "asmr-3": Size((512, 768), 3),
    "asmr-4": Size((32_000,), 1),
    "asmr-5": Size((8192, 8192), 3),
    "asmr-10": Size((300, 512, 512), 3),
    "asmr-12": Size((512, 512), 1),
    "loe-1": Size((8192, 8192), 3),
    "loe-2": Size((300, 512, 512), 3),
}
"""Of the papers' own data."""
LOOSE = {
    "fourier": 0.17,
    "fourier-experts": 0.1,
    "fourier-wider": 0.08,
    "loe-1": 0.04,
    "interleaved": 0.5,
    "siren-large": 0.06,
}
"""Parameters that the papers print otherwise, each for a reason that a note or PAPERS.md gives."""
CELLS = [(name, row) for name, table in TABLES.items() for row in table.rows if table.task != "nerf"]


def size_of(name: str) -> Size:
    if TABLES[name].task != "fit":
        return Size((), 1)
    return SIZES.get(name, Size((128, 128), 3))


@pytest.mark.parametrize(("name", "row"), CELLS, ids=[f"{name}-{row.name}" for name, row in CELLS])
def test_a_row_s_network_has_the_printed_parameters(name, row):
    size = size_of(name)
    settings = row.settings(size)
    dims = len(size.shape) or 3
    with torch.device("meta"):
        config = settings.field.for_grid(size.shape) if size.shape else settings.field
        field = config.build(dims, size.channels)
    found = sum(p.numel() for p in field.parameters())
    if row.params is not None:
        within = LOOSE.get(row.name, LOOSE.get(name, 0.011))
        assert found == pytest.approx(row.params, rel=within), f"{found:,} instead of {row.params:,}"
    assert row.printed and settings.train.steps > 1000


@pytest.mark.parametrize("name", TABLES)
def test_a_table_says_what_it_prints(name):
    table = TABLES[name]
    assert len({row.name for row in table.rows}) == len(table.rows)
    assert len({datum.name for datum in table.data}) == len(table.data)
    scores = {column.score for column in table.columns}
    for row in table.rows:
        for group, printed in row.printed.items():
            assert group == MEAN or group in {datum.name for datum in table.data}
            assert set(printed) <= scores


def test_the_paper_s_means_of_table_13_are_the_means_of_its_rows():
    rows = {row.name: row.printed[MEAN] for row in TABLES["neural-experts-4"].rows}
    assert rows["siren-large"]["trimap_iou_0.001"] == pytest.approx(0.6662, abs=5e-4)
    assert rows["experts-small"]["iou"] == pytest.approx(0.9834, abs=5e-4)


def test_bases_are_turned_for_a_portrait_and_chosen_for_other_sizes():
    config = AsmrConfig(axis_bases=((4, 4, 4, 8), (4, 4, 6, 8)))
    assert fitting(config, Size((512, 768), 3)) == config
    assert fitting(config, Size((768, 512), 3)).axis_bases == ((4, 4, 6, 8), (4, 4, 4, 8))
    other = fitting(config, Size((100, 70), 3))
    assert other.axis_bases == () and other.levels == 4
    film = AsmrConfig(axis_bases=((5, 2), (4, 2), (3, 2)))
    assert fitting(film, Size((10, 6, 8), 3)).axis_bases == ((5, 2), (3, 2), (4, 2))
    assert fitting(SirenConfig(), Size((3, 3), 1)) == SirenConfig()


# -- what is chosen ---------------------------------------------------------------------------------------------------


def a_row(name="a", printed=None, **more):
    config = SirenConfig(width=4, layers=2)
    return Row(name, name.upper(), lambda _: neural_experts_protocol(config), printed or {MEAN: {"psnr": 30.0}}, **more)


TWO = (Datum("x", "x"), Datum("y", "y"))


def a_table(*rows, data=TWO):
    return Table("a title", "fit", data, rows or (a_row(),), (Column("psnr", "PSNR"),))


@pytest.fixture
def there(monkeypatch, tmp_path):
    """Names that are found."""
    known: set[str] = set()

    def find(name):
        if name in known:
            return tmp_path / name
        raise FileNotFoundError(f"no {name}")

    monkeypatch.setitem(order.FINDERS, "fit", find)
    return known


def test_stand_ins_are_left_out_where_the_paper_s_own_data_are_here(there):
    own, other = Datum("own", "own"), Datum("other", "other", "the paper's", stand_in=True)
    table = a_table(data=(own, other))
    there.add("other")
    assert chosen_data(table, ()) == ((other,), ["own"])
    there.add("own")
    assert chosen_data(table, ()) == ((own,), [])
    assert chosen_data(table, ("other",)) == ((other,), [])
    there.clear()
    with pytest.raises(FileNotFoundError, match=r"none of its data is here \(own, other\)"):
        chosen_data(table, ())


def test_a_file_of_one_s_own_is_other_data(there):
    there.add("mine.png")
    ((found,), missing) = chosen_data(a_table(), ("mine.png",))
    assert found.name == "mine" and found.instead_of and missing == []
    with pytest.raises(FileNotFoundError, match="no none.png"):
        chosen_data(a_table(), ("none.png",))


def test_files_of_one_stem_have_names_of_their_own_and_none_is_taken_twice(there):
    there |= {"a/x.png", "b/x.png", "x"}
    found, _ = chosen_data(a_table(), ("x", "a/x.png", "b/x.png", "a/x.png"))
    assert len(found) == 3 == len({datum.name for datum in found})
    assert found[0].name == "x" and all(datum.name.startswith("x-") for datum in found[1:])


def test_means_of_a_part_of_the_shapes_are_about_other_data():
    table = TABLES["neural-experts-4"]
    assert table.own_data == 4 and TABLES["loe-1"].own_data == 1 and TABLES["neural-experts-1"].own_data == 24


def test_the_interleaved_network_parts_the_pixels_of_pluto():
    (row,) = (row for row in TABLES["loe-1"].rows if row.name == "interleaved")
    config = replace(row.settings(Size((8192, 8192), 3)).field, width=2)
    field, pixels = config.build(2, 3), torch.arange(64) * 131 % 8192
    x = ((pixels + 0.5) / 4096 - 1)[:, None].expand(-1, 2).contiguous()
    assert len(field.nearest(field.unit(x), 3).unique()) > 1


def test_rows_keep_the_table_s_order_and_unknown_ones_are_told_the_nearest():
    table = a_table(a_row("first"), a_row("second"))
    assert [row.name for row in chosen_rows(table, ("second", "first"))] == ["first", "second"]
    with pytest.raises(ValueError, match="--rows secnd is unknown; perhaps second"):
        chosen_rows(table, ("secnd",))


def an_order(table, data=None, **how):
    return Order("t-1", table, table.rows, data or table.data, Path("nowhere"), **how)


def test_steps_schedules_and_pretraining_are_scaled_and_the_recipe_replaces_the_optimiser():
    config = NeuralExpertsConfig(experts=2, expert_width=4, encoder_width=4, manager_width=4)
    given = neural_experts_protocol(config)
    short = an_order(a_table(), scale=0.01, seed=3).settings(given, "neural-experts", "image")
    assert short.train.steps == 300 and short.pretrain.steps == 30 and short.train.seed == 3
    assert short.train.optim.gamma**300 == pytest.approx(given.train.optim.gamma**30_000)
    quick = an_order(a_table(), scale=0.01, recipe="quick").settings(given, "neural-experts", "image")
    assert quick.train.optim == signal_preset("image", "quick", "siren").with_steps(300).train.optim
    assert quick.train.batch == given.train.batch and quick.field == given.field


def test_a_row_about_some_data_runs_on_those_alone():
    x, y, mine = Datum("x", "x"), Datum("y", "y"), Datum("mine", "mine", "the paper's")
    table = a_table(a_row("a"), a_row("b", only=("y",)))
    cells = [(row.name, datum.name) for row, datum in an_order(table, (x, y, mine)).cells()]
    assert cells == [("a", "x"), ("a", "y"), ("b", "y"), ("a", "mine")]


def test_a_field_s_name_is_that_of_its_kind():
    assert field_name_of(SirenConfig(width=3)) == "siren"


# -- what is written --------------------------------------------------------------------------------------------------


def done(row, datum, psnr, status="done"):
    metrics = {"params": 99_843, "macs": 98_944, "macs_shared": None, "steps": 30, "seconds": 2.0, "status": status}
    return Done(row, datum, {**metrics, "scores": {"psnr": psnr}})


def written(tmp_path, table, results, **how):
    made = replace(an_order(table, **how), folder=tmp_path)
    return write(made, results, [], "cpu"), (tmp_path / "table.md").read_text()


def test_means_over_the_paper_s_data_have_a_difference(tmp_path):
    table = a_table()
    (row,), (x, y) = table.rows, table.data
    result, text = written(tmp_path, table, [done(row, x, 31.0), done(row, y, 33.0)])
    score = result["rows"][0]["scores"][MEAN]["psnr"]
    assert score["ours"] == 32 and score["difference"] == 2 and score["deviation"] == pytest.approx(2**0.5)
    assert "32.00 ± 1.41 (2) | 30.00 | +2.00" in text and "no verdict" not in text


@pytest.mark.parametrize("why", ["part", "stand-in", "downscale"])
def test_other_data_have_no_difference_and_say_so(tmp_path, why):
    stranger = Datum("x", "x", "the paper's")
    table = a_table(data=(stranger,)) if why == "stand-in" else a_table()
    (row,), datum = table.rows, table.data[0]
    how = {"downscale": 2} if why == "downscale" else {}
    results = [done(row, one, 31.0) for one in (table.data if why == "downscale" else (datum,))]
    result, text = written(tmp_path, table, results, data=(datum,) if why != "downscale" else None, **how)
    score = result["rows"][0]["scores"][MEAN]["psnr"]
    assert score["difference"] is None and not score["same_data"] and score["paper"] == 30
    assert "other data" in text


def test_numbers_of_each_datum_stand_beside_their_own(tmp_path):
    table = a_table(a_row(printed={"x": {"psnr": 10.0}, "y": {"psnr": 20.0}}))
    (row,), (x, _) = table.rows, table.data
    result, text = written(tmp_path, table, [done(row, x, 11.0)], scale=0.5)
    assert result["groups"] == ["x", "y"]
    assert result["rows"][0]["scores"]["x"]["psnr"]["difference"] == 1
    assert result["rows"][0]["scores"]["y"]["psnr"]["ours"] is None
    assert "11.00 | 10.00 | +1.00 | - | 20.00 | -" in text and "steps: 0.5 of the paper's" in text


def test_a_run_that_failed_or_diverged_is_told(tmp_path):
    table = a_table(a_row("a"), a_row("b"))
    (a, b), (x, _) = table.rows, table.data
    result, text = written(tmp_path, table, [Done(a, x, reason="ValueError: no"), done(b, x, 1.0, "diverged")])
    assert result["rows"][0]["failed"] == {"x": "ValueError: no"} and result["rows"][1]["diverged"] == ["x"]
    assert "a on x failed: ValueError: no" in text and "b on x diverged" in text


def test_counts_and_numbers_in_words():
    assert [count(value) for value in (None, 944, 1290, 365_968, 17_847_684)] == ["-", "944", "1.29K", "366K", "17.85M"]
    assert number(None, 2, None) == "-" and number(1.23456, 2, 0.5) == "1.23 ± 0.50"
    assert lines({"groups": [], "rows": [], "data": []}, Column("psnr", "PSNR"))[0][0] == "network"
