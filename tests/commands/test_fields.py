"""`recon fields`: a table and one JSON object, of ours and of the papers' networks."""

import pytest

ISSUED = {"params", "macs", "macs_profiler", "paper_params", "paper_macs"}


def test_the_table_names_every_field_with_its_costs(recon):
    from recon.fields import FIELDS  # noqa: PLC0415 - after the import hook

    result = recon("fields")
    assert result.code == 0 and result.err == ""
    lines = {line.split()[0]: line for line in result.out.splitlines() if line}
    assert set(FIELDS) <= set(lines)
    assert "396,033" in lines["siren"] and "394,240" in lines["siren"] and "Sitzmann" in lines["siren"]
    assert "(249,312)" in lines["neural-experts"]


def test_the_json_is_one_object_keyed_by_field(recon):
    from recon.fields import FIELDS  # noqa: PLC0415

    rows = recon("fields", "--json").json
    assert list(rows) == list(FIELDS)
    assert rows["siren"]["params"] == 396_033 and rows["siren"]["macs_profiler"] == 396_033
    assert all(row["paper"] and row["purpose"] and row["params"] > 0 for row in rows.values())


def test_the_papers_networks_are_counted_beside_the_papers_numbers(recon):
    rows = recon("fields", "--papers", "--json").json
    assert all(set(row) >= ISSUED for row in rows.values())
    large = rows["neural-experts-sdf-large"]
    assert large["params"] == large["paper_params"] == 1_285_904
    assert (large["macs"], large["macs_routed"]) == (1_281_408, 994_240)
    table = recon("fields", "--papers").out
    assert all(any(line.startswith(f"{name} ") for line in table.splitlines()) for name in rows)
    assert "1,289.5" in table


def test_a_field_that_cannot_be_counted_is_listed_all_the_same(recon, monkeypatch):
    from recon.fields import FIELDS, FieldConfig  # noqa: PLC0415

    monkeypatch.setitem(FIELDS, "odd", FieldConfig())
    result = recon("fields")
    assert result.code == 0 and "costs of odd could not be counted" in result.err
    assert any(line.split()[:3] == ["odd", "-", "-"] for line in result.out.splitlines() if line)


@pytest.mark.parametrize("flag", ["--paper-s", "--jsno"])
def test_an_unknown_flag_is_wrong_input(recon, flag):
    assert recon("fields", flag).code == 2
