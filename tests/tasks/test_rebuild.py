"""A network is rebuilt from a run only if its checkpoint holds it; what is too large is refused before it is made."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recon.fields import FIELDS
from recon.tasks.rebuild import rebuilt
from recon.training.settings import MOST_LAYERS, from_plain

RUN = Path("renders/some/run")
SMALL = {"siren": {"width": 16}, "loe": {"width": 8}, "neural-experts": {"expert_width": 8}, "asmr": {"width": 8}}


@pytest.mark.parametrize("name", SMALL)
def test_the_weights_of_a_run_come_back(name):
    config = replace(FIELDS[name], **SMALL[name])
    state = config.build(3, 1).state_dict()
    found = rebuilt(lambda: config.build(3, 1), state, RUN).state_dict()
    assert found.keys() == state.keys() and all(torch.equal(found[key], state[key]) for key in state)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("siren", {"width": 10**6}),
        ("siren", {"width": 17}),
        ("siren", {"layers": MOST_LAYERS}),
        ("ffn", {"rows": 10**9}),
        ("hash-grid", {"table_log2": 24, "levels": 4}),
        ("kilonerf", {"width": 10**6}),
        ("neural-experts", {"encoder_width": 10**6}),
    ],
)
def test_settings_that_the_checkpoint_does_not_hold_are_refused(name, settings):
    state = replace(FIELDS[name], **SMALL.get(name, {})).build(3, 1).state_dict()
    with pytest.raises(ValueError, match=r"the checkpoint of renders/some/run does not fit its config\.json"):
        rebuilt(lambda: replace(FIELDS[name], **settings).build(3, 1), state, RUN)


@pytest.mark.parametrize(("name", "setting"), [("siren", "layers"), ("hash-grid", "levels"), ("loe", "layers")])
def test_a_file_cannot_ask_for_a_billion_layers(name, setting):
    with pytest.raises(ValueError, match=f"{setting} must be at most 1,000, got 1,000,000,000"):
        from_plain(FIELDS[name], {setting: 10**9})


def test_a_whole_number_beyond_all_floats_does_not_fit_a_setting():
    config, misfits = from_plain(FIELDS["siren"], {"omega": 10**400})
    assert misfits == ["omega"] and config == FIELDS["siren"]
