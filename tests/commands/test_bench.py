"""`recon bench` as a person types it, at tiny sizes."""

import json

import pytest


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    from recon.fields.neural_experts import NeuralExpertsConfig  # noqa: PLC0415 - after the import hook
    from recon.fields.pe_mlp import PeMlpConfig  # noqa: PLC0415
    from recon.studies.bench import kernels, networks, steps  # noqa: PLC0415
    from recon.studies.bench.sizes import Sizes  # noqa: PLC0415

    tiny = Sizes(
        width=8, batches=(16, 32), widths=(8, 16), width_batch=32, layer_widths=(8,), tiles=4, points=128,
        expert_points=64, step_batch=64, pool=1000, drawn="siren", asmr_width=8, picture=((2, 2), (2, 3)),
        full_batch=(2, 2), solid=(2, 2), last_level=(4, 2), part=32, surface=24, surface_coarse=12,
        occupancy_levels=4, occupancy_least=3, occupancy_width=8,
    )  # fmt: skip
    monkeypatch.setattr(Sizes, "on", staticmethod(lambda device: tiny))
    small = {"Large": NeuralExpertsConfig(experts=4, expert_width=8, encoder_width=16, manager_width=8)}
    for module in (networks, steps):
        monkeypatch.setattr(module, "FIELDS", {"pe-mlp": PeMlpConfig(width=8, layers=3)})
    for module in (kernels, steps):
        monkeypatch.setattr(module, "EXPERTS", small)


def test_one_benchmark_prints_one_object_and_keeps_its_figures_and_plot(recon, home):
    done = recon("bench", "kernels", "--seconds", "0", "--threads", "1", "--json", "--quiet")
    assert done.code == 0 and not done.err, done.err
    assert done.json["bench"] == "kernels" and done.json["threads"] == 1
    kept = home / "renders" / "bench"
    assert json.loads((kept / "kernels.json").read_text()) == done.json
    assert (kept / "kernels.png").read_bytes().startswith(b"\x89PNG")


def test_all_four_are_measured_where_none_is_named(recon, home):
    done = recon("bench", "--seconds", "0", "--threads", "1", "--json", "--out", home / "here")
    assert done.code == 0, done.err
    assert [one["bench"] for one in done.json["benches"]] == ["fields", "kernels", "steps", "extract"]
    assert len(list((home / "here").iterdir())) == 8 and "bench steps: 1 of" in done.err


def test_a_person_sees_a_table_and_which_aims_are_met(recon):
    done = recon("bench", "extract", "--seconds", "0", "--threads", "1")
    assert done.code == 0 and "x plain" in done.out and "distance of two tori, 24^3: dense" in done.out
    assert [line.split()[0] for line in done.out.splitlines() if " >= " in line] == ["missed", "missed"]
    assert "plots and figures: " in done.out


@pytest.mark.parametrize(
    ("words", "said"),
    [(("kernel",), "kernels"), (("kernels", "--seconds", "-1"), "seconds"), (("steps", "--threads", "-1"), "threads")],
)
def test_what_cannot_be_measured_is_refused(recon, words, said):
    done = recon("bench", *words)
    assert done.code == 2 and said in done.err
