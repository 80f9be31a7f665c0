"""A learned signal on grids other than its own: places, parts, and what lies between its points."""

import numpy as np
import pytest
import torch

from recon.fields import Field
from recon.fields.asmr import AsmrConfig
from recon.fields.siren import SirenConfig
from recon.fields.voxel import VoxelConfig
from recon.signals.signal import Signal
from recon.tasks.signal import fitted as module
from recon.tasks.signal.between import detours, warnings_between
from recon.tasks.signal.fitted import Fitted

RNG = np.random.default_rng(0)
CPU = torch.device("cpu")
PICTURE = Signal("noise", "image", RNG.integers(0, 256, (6, 10, 3)).astype(np.uint8), ".png")
FILM = Signal("noise", "video", RNG.integers(0, 256, (4, 3, 5, 3)).astype(np.uint8), ".mp4", 25.0)
SOUND = Signal("noise", "sound", RNG.uniform(-1, 1, (9, 1)).astype(np.float32), ".wav", 8.0)
FIELDS = {"siren": SirenConfig(width=8, layers=3), "asmr": AsmrConfig(width=8, levels=2), "voxel": VoxelConfig()}


def fitted(signal, name="siren", **settings):
    torch.manual_seed(0)
    config = FIELDS[name].for_grid(signal.shape)
    return Fitted(config.build(len(signal.shape), signal.channels), signal, CPU)


def whole(run, shape, rows=None):
    parts = list(run.outputs(shape, rows))
    ends = [0, *(part.stop for part, _ in parts)]
    assert [part.start for part, _ in parts] == ends[:-1]
    return torch.cat([found for _, found in parts]).reshape(-1 if rows is None else len(rows), *shape[1:], 3)


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("shape", [(4, 3, 5), (7, 3, 5), (2, 6, 4)])
@pytest.mark.parametrize("chunk", [1 << 16, 7])
def test_a_grid_in_parts_has_the_values_of_the_whole_one(name, shape, chunk, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", chunk)
    run = fitted(FILM, name)
    expected = run.field.on_grid(shape)
    torch.testing.assert_close(whole(run, shape), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(whole(run, shape, [1, 0]), expected[[1, 0]], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FIELDS)
def test_on_the_signals_own_grid_parts_are_its_values_bit_for_bit(name):
    run = fitted(PICTURE, name)
    parts = [run.normalised(found.clone().numpy()) for _, found in run.outputs(PICTURE.shape)]
    np.testing.assert_array_equal(np.concatenate(parts), run.values().reshape(-1, 3))


def test_asmr_blends_between_its_cells_on_finer_grids_and_stays_constant_beyond_the_outermost():
    """Its `on_grid` knows one grid; any other has multilinear mixtures of that one's cells."""
    run = fitted(SOUND, "asmr")
    own, fine = (run.field.on_grid((count,))[:, 0].numpy() for count in (9, 36))
    middles = [(np.arange(count) + 0.5) / count for count in (9, 36)]
    np.testing.assert_allclose(fine, np.interp(middles[1], middles[0], own), atol=1e-5)
    picture = fitted(PICTURE, "asmr")
    odd = picture.field.on_grid((18, 30))  # every third pixel lies on a cell's centre
    torch.testing.assert_close(odd[1::3, 1::3], picture.field.on_grid((6, 10)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(whole(picture, (18, 30)), odd, rtol=1e-4, atol=1e-5)


class Ripples(Field):
    """Along axis 0 the same at each of 4 frames, and something else between them; along the others slow waves."""

    def forward(self, x):
        value = 0.5 * torch.cos(4 * torch.pi * x[:, :1]) * x[:, :1] + x[:, 1:].sum(dim=1, keepdim=True)
        return value.expand(-1, 3)


def test_a_field_that_says_other_things_between_frames_is_found_out():
    run = Fitted(Ripples(3, 3), FILM, CPU)
    frames, *others = detours(run)
    assert frames > 1 and max(others) < 1e-3
    (said,) = warnings_between(run, [0, 1, 2])
    assert said.startswith("between the frames that it learned") and "asmr" in said
    assert warnings_between(run, [1, 2]) == warnings_between(run, []) == []


def test_smooth_fields_and_blends_pass_and_a_single_frame_has_nothing_between():
    assert max(detours(fitted(FILM, "asmr"))) < 1e-3
    assert warnings_between(fitted(FILM, "asmr"), [0, 1, 2]) == []
    still = Signal("still", "video", np.zeros((1, 3, 5, 3), np.uint8), ".mp4", 25.0)
    assert detours(fitted(still, "siren"))[0] == 0
