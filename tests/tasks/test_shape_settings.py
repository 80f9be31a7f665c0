"""Presets are valid, have the papers' sizes, rescale, and come back from JSON as they were."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from recon.fields import FIELDS
from recon.fields.asmr import AsmrConfig
from recon.tasks.pretrain import PretrainConfig
from recon.tasks.shape.settings import PRESETS, preset
from recon.training.plan import Stage
from recon.training.settings import from_plain, to_plain

EVERY = [(task, name, field) for task in ("sdf", "occ") for name in PRESETS for field in FIELDS]


@pytest.mark.parametrize("task, name, field", EVERY)
def test_every_preset_is_valid_and_comes_back_from_json(task, name, field):
    settings = preset(task, name, field)
    saved = json.loads(json.dumps(to_plain(settings)))
    assert from_plain(settings, saved) == (settings, [])
    assert from_plain(preset(task, "quick", field), saved) == (settings, [])  # whatever it is laid over
    assert settings.cells == (task == "occ" and isinstance(settings.field, AsmrConfig))
    assert settings.sampler.target == ("inside" if task == "occ" else "distance")
    with torch.device("meta"):
        assert settings.field.build(3, 1).macs() > 0


@pytest.mark.parametrize(
    "name, field, count",
    [
        ("paper-small", "neural-experts", 323_472),
        ("paper-large", "neural-experts", 1_285_904),
        ("paper-small", "siren", 396_033),
        ("paper-large", "siren", 1_578_497),
        ("small", "neural-experts", 323_472),
        ("large", "neural-experts", 1_285_904),
        ("small", "siren", 396_033),
        ("large", "siren", 1_578_497),
    ],
)
def test_sizes_are_the_papers(name, field, count):
    built = preset("sdf", name, field).field.build(3, 1)
    assert sum(p.numel() for p in built.parameters()) == count


@pytest.mark.parametrize("name", ["paper-small", "paper-large"])
@pytest.mark.parametrize("field", FIELDS)
def test_the_papers_schedule_is_theirs(name, field):
    settings = preset("sdf", name, field)
    train = settings.train
    assert (train.steps, train.batch) == (30_000, 30_000)
    assert (train.optim.optimizer, train.optim.rate, train.optim.schedule) == ("adam", 3e-5, "exponential")
    assert train.optim.gamma == 0.9999 and settings.centre == "mean"
    assert settings.pretrain.steps == (30_000 if field in ("neural-experts", "vanilla-moe") else 0)
    assert settings.pretrains == (field in ("neural-experts", "vanilla-moe"))


@pytest.mark.parametrize("task, name, field", EVERY)
def test_other_steps_rescale_stages_schedule_and_pretraining(task, name, field):
    settings = preset(task, name, field)
    shorter = settings.with_steps(settings.train.steps // 10)
    assert shorter.train.steps == settings.train.steps // 10
    optim, before = shorter.train.optim, settings.train.optim
    assert optim.gamma**shorter.train.steps == pytest.approx(before.gamma**settings.train.steps, rel=0.01)
    assert optim.warmup == pytest.approx(before.warmup / 10, abs=0.5)
    if settings.pretrain.steps:
        old, new = settings.pretrain, shorter.pretrain
        assert new.steps == old.steps // 10
        assert new.gamma**new.steps == pytest.approx(old.gamma**old.steps, rel=0.01)
    assert settings.with_steps(settings.train.steps) == settings


def test_the_experts_own_stage_is_the_last_part_of_training():
    settings = replace(preset("sdf", "paper-small", "neural-experts"), experts_last=0.2)
    train = settings.staged()
    assert train.stage_at(23_999)[0].trains == ()
    stage, start = train.stage_at(24_000)
    assert start == 24_000 and stage.trains == ("experts",) and stage.reset_optimizer
    assert settings.with_steps(10).staged().stage_at(8)[0].trains == ("experts",)


def test_a_field_without_pretraining_is_not_pretrained_whatever_the_steps():
    settings = preset("sdf", "paper-small", "neural-experts")
    assert not replace(settings, field=replace(settings.field, pretraining="none")).pretrains


@pytest.mark.parametrize(
    "change, said",
    [
        ({"pool": 10}, "at least 1000"),
        ({"resolution": 4}, "8 .. 2048"),
        ({"experts_last": 1.0}, "experts_last"),
        ({"full_precision_from": np.nan}, "full_precision_from"),
        ({"experts_last": 0.2}, "other fields have no experts"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        replace(preset("sdf", "quick", "siren"), **change)
    with pytest.raises(ValueError, match="batch"):
        PretrainConfig(batch=1)


def test_rows_saved_by_another_version_keep_what_fits():
    settings = preset("sdf", "quick", "siren")
    saved = to_plain(settings)
    saved["train"]["stages"] = [{"name": "first", "share": 2.0, "mood": "calm"}, {"name": "last"}]
    found, misfits = from_plain(settings, saved)
    assert found.train.stages == (Stage("first", 2.0), Stage("last")) and misfits == []


@pytest.mark.parametrize("stages", [["all"], [3], [None]])
def test_rows_of_another_kind_are_refused(stages):
    settings = preset("sdf", "quick", "siren")
    saved = to_plain(settings)
    saved["train"]["stages"] = stages
    with pytest.raises(ValueError, match="Stage"):
        from_plain(settings, saved)
