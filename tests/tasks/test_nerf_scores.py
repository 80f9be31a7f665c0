"""Scores of held-out views: closed forms, file names, and a reason for each score that is missing."""

import math
from dataclasses import replace
from types import SimpleNamespace

import imageio.v3 as iio
import pytest
import torch

from recon.fields.loe import LoeConfig
from recon.fields.siren import SirenConfig
from recon.tasks.nerf import scores as module
from recon.tasks.nerf.fitted import Fitted, Picture
from recon.tasks.nerf.reference import reference_of
from recon.tasks.nerf.scores import mean_scores, picture_sheets, score_views


class Shown(Fitted):
    """Renders the truth, with `off` added to every colour; view by view, if there are several."""

    def __init__(self, scene, space, *off, background=1.0):
        self.reference = reference_of(scene, space, 1)
        self.background, self.off = torch.full((3,), background), off or (0.0,)
        self.device, radiance = (
            torch.device("cpu"),
            SimpleNamespace(space=space, field=SirenConfig(width=4).build(3, 4)),
        )
        self.lit = SimpleNamespace(radiance=radiance)

    def render(self, cameras, view, normals=False):
        assert len(cameras) == len(self.reference.test)
        truth = self.reference.truth(view, self.background)
        flat = torch.ones(truth.shape[:2])
        rgb = truth + self.off[view % len(self.off)]
        return Picture(rgb, flat, flat, flat, torch.zeros_like(truth) if normals else None)


def test_identical_pictures_have_the_best_scores(ball, space):
    rows = score_views(Shown(ball, space), None)
    assert [row["file"] for row in rows] == ["pictures/8.png", "pictures/9.png"]
    for row in rows:
        assert (row["mse"], row["psnr"], row["lpips"]) == (0, 100, None)
        assert row["ssim"] == pytest.approx(1)


@pytest.mark.parametrize("off", [0.1, 0.01])
def test_a_constant_error_has_the_psnr_of_the_closed_form(ball, space, off):
    scene = replace(ball, images=ball.images // 2)
    rows = score_views(Shown(scene, space, off, background=0.0), None)
    for row in rows:
        assert row["psnr"] == pytest.approx(-20 * math.log10(off), abs=1e-3)
        assert row["mse"] == pytest.approx(off**2, rel=1e-4)
        assert row["ssim"] < 1
    scores, definitions = mean_scores(rows, lpips_known=False)
    assert scores["psnr"] == pytest.approx(-20 * math.log10(off), abs=1e-3)
    assert scores.keys() == definitions.keys() and all("mean over 2 held-out views" in d for d in definitions.values())


def test_means_are_over_views_not_over_errors(ball, space):
    scores, _ = mean_scores(score_views(Shown(ball, space, 0.1, 0.01), None), False)
    assert scores["psnr"] == pytest.approx((20 + 40) / 2, abs=1e-2)


def test_each_view_is_scored_on_its_own_truth_and_counted(ball, space):
    told, scene = [], replace(ball, splits={"train": (0,), "test": (7, 2, 5)})
    rows = score_views(Shown(scene, space, 0.1, 0.01, 0.001), None, on_view=told.append)
    assert [row["file"] for row in rows] == [f"pictures/{view}.png" for view in (7, 2, 5)]
    assert [round(row["psnr"]) for row in rows] == [20, 40, 60] and told == [1, 2, 3]


def test_missing_weights_are_the_reason_for_a_null(ball, space):
    scores, definitions = mean_scores(score_views(Shown(ball, space), None), lpips_known=False)
    assert scores["lpips"] is None and "NULL: no weights were given (--lpips-weights" in definitions["lpips"]
    assert scores["ssim"] is not None and "NULL" not in definitions["ssim"]


def test_lpips_is_there_when_it_can_be_computed(ball, space):
    rows = score_views(Shown(ball, space), None, lambda pred, truth: 0.25)
    scores, definitions = mean_scores(rows, lpips_known=True)
    assert scores["lpips"] == 0.25 and "NULL" not in definitions["lpips"]


def test_pictures_too_small_for_lpips_have_none_and_the_other_scores_all_the_same(ball, space):
    def small(pred, truth):
        raise ValueError("lpips (vgg) needs at least 31x31 pixels, the pictures have 16x16")

    scores, definitions = mean_scores(score_views(Shown(ball, space), None, small), lpips_known=True)
    assert scores["lpips"] is None and scores["psnr"] == 100
    assert "NULL: the pictures are too small" in definitions["lpips"]


@pytest.mark.parametrize("side, known", [(10, False), (11, True)])
def test_ssim_needs_its_window(ball, space, side, known):
    cameras = ball.cameras.resized(side, 16)
    scene = replace(ball, cameras=cameras, images=ball.images[:, :side].contiguous())
    rows = score_views(Shown(scene, space), None)
    scores, definitions = mean_scores(rows, False)
    assert (scores["ssim"] is not None) == known and scores["psnr"] == 100
    assert ("NULL: a side is shorter than 11 pixels" in definitions["ssim"]) != known


def test_scores_that_are_no_numbers_have_no_mean():
    rows = [{"psnr": float("nan"), "ssim": 1.0, "lpips": None, "mse": float("inf")}]
    scores, _ = mean_scores(rows, False)
    assert scores == {"psnr": None, "ssim": 1.0, "lpips": None, "mse": None}


def test_each_picture_and_its_error_are_kept(ball, space, tmp_path):
    score_views(Shown(ball, space, 0.0, 0.5), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "test_000.png",
        "test_000_error.png",
        "test_001.png",
        "test_001_error.png",
    ]
    kept = torch.from_numpy(iio.imread(tmp_path / "test_000.png")).float() / 255
    torch.testing.assert_close(kept, ball.image(8, torch.ones(3)), atol=0.003, rtol=0)
    dark, bright = (iio.imread(tmp_path / f"test_{n}_error.png").mean() for n in ("000", "001"))
    assert dark < 10 and bright > 100


@pytest.mark.parametrize("views", [1, 2, 3, 8])
def test_sheets_show_the_worst_and_the_best_view(ball, space, tmp_path, views, monkeypatch):
    scene = replace(ball, splits={"train": (9,), "test": tuple(range(views))})
    off = [0.3 * (view + 1) / views for view in range(views)]
    fitted = Shown(scene, space, *off)
    rows, sheets = score_views(fitted, None), SimpleNamespace(labels=[])
    draw = module.contact_sheet
    monkeypatch.setattr(module, "contact_sheet", lambda p, c, names: sheets.labels.append(names) or draw(p, c, names))
    found = picture_sheets(fitted, rows, tmp_path)
    assert found == {"views": "images/views.png", "inside": "images/inside.png"}
    assert (tmp_path / "views.png").is_file() and (tmp_path / "inside.png").is_file()
    names = sheets.labels[0][::3]
    assert len(names) == min(views, 5) == len(set(names))
    assert (names[0], names[-1]) == (f"{views - 1}.png", "0.png")


def test_fields_of_tiles_show_which_one_serves_each_place_that_is_seen(ball, space, tmp_path):
    fitted = Shown(ball, space)
    fitted.lit.radiance.field = LoeConfig(width=8, layers=3, frequencies=2, tiles=(2, 2)).build(3, 4)
    found = picture_sheets(fitted, score_views(fitted, None), tmp_path)
    assert found["tiles"] == "images/tiles.png"
    sheet = iio.imread(tmp_path / "tiles.png")
    assert sheet.shape[1] == 3 * 288  # the render and two layers, enlarged
    coarse, fine = (len({tuple(pixel) for row in sheet[20:260, at : at + 288] for pixel in row}) for at in (288, 576))
    assert 1 < coarse and 1 < fine


@pytest.mark.parametrize("size, shown", [((16, 16), (288, 288)), ((400, 300), (400, 300)), ((1300, 20), (434, 7))])
def test_pictures_on_sheets_have_a_few_hundred_pixels(size, shown):
    import numpy as np  # noqa: PLC0415

    assert module._enlarged(np.zeros((*size, 3), np.uint8)).shape[:2] == shown
