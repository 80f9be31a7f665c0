"""Composite pictures: sizes, colours, legends, files."""

import imageio.v3 as iio
import numpy as np
import pytest
import trimesh

from recon.geometry import Mesh
from recon.rendering.camera import View
from recon.rendering.picture import (
    categorical_colors,
    contact_sheet,
    diverging_colors,
    error_picture,
    label_picture,
    see,
    shade,
    shade_mesh,
    slice_points,
    slices_picture,
    write_png,
)

BALL = trimesh.creation.icosphere(2)
SPHERE = Mesh(np.array(BALL.vertices), np.array(BALL.faces, np.int64))


def test_signs_have_colours_and_zero_is_pale():
    negative, zero, positive, beyond, unknown = diverging_colors(np.array([-2.0, 0.0, 2.0, 99.0, np.nan]), 2.0).astype(
        int
    )
    assert negative[2] > negative[0] and positive[0] > positive[2] and zero.min() > 230
    assert (beyond == positive).all() and (unknown == 128).all()
    with pytest.raises(ValueError, match="limit"):
        diverging_colors(np.zeros(1), 0.0)


@pytest.mark.parametrize("count", [1, 8, 9, 16])
def test_labels_have_colours_of_their_own(count):
    assert len(np.unique(categorical_colors(np.arange(count), count), axis=0)) == count


def test_labels_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"0 \.\. 3"):
        categorical_colors(np.array([4]), 4)


def sides(count, size=96):
    looks = [View(yaw=90.0 * turn).framing(SPHERE.vertices) for turn in range(count)]
    return dict(zip("abcdef", see(SPHERE, looks, size, 1), strict=False))


def test_error_picture_is_red_outside_from_every_side_and_explains_itself():
    picture = error_picture(SPHERE, sides(6), np.full(len(SPHERE.vertices), 0.01), 0.01).astype(int)
    assert picture.shape[0] == 2 * (96 + 24) and picture.shape[1] > 3 * 96
    for row in (48, 48 + 120):
        for column in (48, 48 + 96, 48 + 192):
            assert picture[row, column, 0] > picture[row, column, 2] + 40
    bar = picture[:, 3 * 96 :]
    assert (bar[..., 2] > bar[..., 0] + 60).any() and (bar[..., 0] > bar[..., 2] + 60).any()


def test_label_picture_shows_only_colours_that_occur_and_a_legend_where_they_tell_labels_apart():
    labels = (SPHERE.vertices[:, 1] > 0).astype(np.int64)
    assert label_picture(SPHERE, sides(2), labels, 8).shape[1] > 2 * 96
    assert label_picture(SPHERE, sides(2), labels, 64).shape[1] == 2 * 96
    black, white = (label_picture(SPHERE, sides(1), labels * 0 + label, 2)[20:76, 30:66] for label in (0, 1))
    assert black[..., 0].min() > black[..., 2].max()  # orange, and then blue
    assert white[..., 0].max() < white[..., 2].min()


def test_sides_that_were_seen_once_give_the_pictures_that_were_cast_for_themselves():
    view = View(yaw=20.0).framing(SPHERE.vertices)
    colors = categorical_colors(np.arange(len(SPHERE.vertices)) % 5, 5)
    side = see(SPHERE, [View(), view], 48)[1]
    assert (shade(SPHERE, side, colors) == shade_mesh(SPHERE, view, 48, colors)).all()
    assert (shade(SPHERE, side) == shade_mesh(SPHERE, view, 48)).all()


def test_contact_sheet_keeps_each_picture_in_its_cell():
    images = [np.full((20, 30, 3), 40 * i, np.uint8) for i in range(5)]
    plain = contact_sheet(images, 2)
    assert plain.shape == (60, 60, 3)
    assert (plain[25, 35] == 120).all() and (plain[45, 35] == 255).all()
    labelled = contact_sheet(images, 3, list("abcde"))
    assert labelled.shape[0] > 40 and labelled.shape[1] == 90
    with pytest.raises(ValueError, match="labels"):
        contact_sheet(images, 3, ["a"])
    with pytest.raises(ValueError, match="picture"):
        contact_sheet([], 3)


def test_slices_lie_in_their_planes():
    points = slice_points(5, half=1.0, offset=0.25)
    for plane in range(3):
        assert (points[plane, :, :, plane] == 0.25).all()
        others = [a for a in range(3) if a != plane]
        np.testing.assert_allclose(points[plane, 0, -1, others], [1, -1])


@pytest.mark.parametrize("with_truth", [False, True])
def test_slices_picture_is_drawn_whatever_the_values(with_truth):
    distance = np.linalg.norm(slice_points(24), axis=-1).astype(np.float64) - 0.7
    picture = slices_picture(distance, distance if with_truth else None)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3 and np.ptp(picture) > 200
    slices_picture(np.ones((3, 8, 8)))  # no surface, no contour


def test_png_comes_back_and_failure_leaves_nothing(tmp_path, monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    write_png(tmp_path / "a.png", image)
    np.testing.assert_array_equal(iio.imread(tmp_path / "a.png"), image)
    with pytest.raises(OSError, match="none is not a folder"):
        write_png(tmp_path / "none" / "a.png", image)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space left"):
        write_png(tmp_path / "a.png", image[:2])
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    np.testing.assert_array_equal(iio.imread(tmp_path / "a.png"), image)
