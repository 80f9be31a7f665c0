"""Films and folders of frames: every stored frame once, and back into the same container."""

import numpy as np
import pytest
from PIL import Image

from recon.signals import read, video
from recon.signals.folder import natural
from recon.signals.read import read_signal
from recon.signals.signal import Signal
from recon.signals.write import write_signal


def refused(path, said):
    with pytest.raises(ValueError, match=said) as caught:
        read_signal(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif"])
def test_a_film_comes_back_in_its_container(suffix, film, tmp_path):
    found = read_signal(film(f"a{suffix}"))
    assert found.kind == "video" and found.values.shape == (7, 20, 32, 3) and found.values.dtype == np.uint8
    assert (found.rate, found.suffix) == (10, suffix)
    again = read_signal(write_signal(tmp_path / f"b{suffix}", found.values, found))
    assert again.values.shape == found.values.shape and again.rate == found.rate
    assert np.abs(again.values.astype(float) - found.values).mean() < 16


def test_colours_survive_a_film(tmp_path):
    values = np.zeros((3, 16, 16, 3), np.uint8)
    values[:] = [200, 60, 30]
    like = Signal("a", "video", values, ".mp4", 12.5)
    found = read_signal(write_signal(tmp_path / "a.mp4", values, like))
    assert found.rate == 12.5 and np.abs(found.values.astype(int) - values).max() <= 4


def test_an_odd_size_is_read_exactly_and_written_with_its_edge_repeated(film, tmp_path):
    found = read_signal(film("a.mp4", "33x21", 3, "-pix_fmt", "yuv444p"))
    assert found.values.shape == (3, 21, 33, 3)
    again = read_signal(write_signal(tmp_path / "b.mp4", found.values, found))
    assert again.values.shape == (3, 22, 34, 3)
    assert read_signal(write_signal(tmp_path / "c.mp4", found.values[:, :1, :1], found)).shape == (3, 2, 2)


def test_one_frame_is_a_video_and_the_first_frames_can_be_asked_for(film):
    assert read_signal(film("a.mp4", frames=1)).shape == (1, 20, 32)
    path = film("b.mp4", frames=9)
    found = read_signal(path, most_frames=4)
    np.testing.assert_array_equal(found.values, read_signal(path).values[:4])
    assert any("first 4" in note for note in found.notes)
    assert read_signal(path, most_frames=99).shape == (9, 20, 32)
    with pytest.raises(ValueError, match="most_frames"):
        read_signal(path, most_frames=0)


def test_the_sound_of_a_film_is_left_out_with_a_note_and_a_sound_alone_is_no_film(film, ffmpeg, tmp_path):
    picture = film("a.mp4")
    ffmpeg("-i", str(picture), "-f", "lavfi", "-i", "sine=duration=0.7", "-c:v", "copy", str(tmp_path / "b.mp4"))
    assert any("sound" in note for note in read_signal(tmp_path / "b.mp4").notes)
    ffmpeg("-f", "lavfi", "-i", "sine=duration=0.5", str(tmp_path / "c.mp4"))
    refused(tmp_path / "c.mp4", "no film in it")


def test_frames_that_last_unequally_are_each_read_once(tmp_path):
    pictures = [Image.new("L", (8, 8), shade) for shade in (0, 100, 200)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=[100, 5000, 300])
    found = read_signal(tmp_path / "a.gif")
    assert found.values[:, 0, 0, 0].tolist() == [0, 100, 200]


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif"])
def test_a_film_cut_short_is_refused(name, film):
    path = film(name, "64x48", 12)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    refused(path, "cut short|copy it again")


def test_too_many_pixels_are_refused_with_the_number_of_frames_that_fit(film, monkeypatch):
    path = film("a.mp4", frames=9)
    monkeypatch.setattr(video, "MOST_PIXELS", 5 * 20 * 32)
    refused(path, "at most 5")
    assert read_signal(path, most_frames=5).shape == (5, 20, 32)


def test_a_playlist_called_mp4_is_not_followed(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "a.mp4").write_text("#EXTM3U\n#EXTINF:1,\nsecret.txt\n#EXT-X-ENDLIST\n")
    refused(tmp_path / "a.mp4", "it holds text")
    (tmp_path / "b.mkv").write_text("ffconcat version 1.0\nfile secret.txt\n")
    refused(tmp_path / "b.mkv", "it holds text")


def test_a_name_that_looks_like_an_option_is_a_name(film, tmp_path, monkeypatch):
    film("a.gif").rename(tmp_path / "-i.gif")
    monkeypatch.chdir(tmp_path)
    assert read_signal("-i.gif").shape == (7, 20, 32)


def test_a_huge_file_is_refused_before_it_is_opened(film, monkeypatch):
    monkeypatch.setattr(read, "MOST_BYTES", 100)
    refused(film("a.mp4"), "more than the 100")


# --- folders ---


def frames(folder, count=3, size=(5, 4), dtype=np.uint8, suffix=".png"):
    folder.mkdir(exist_ok=True)
    for number in range(count):
        values = np.full((size[1], size[0], 3), number * 10, dtype)
        write_signal(folder / f"f{number}{suffix}", values, Signal("f", "image", values, suffix))
    return folder


@pytest.mark.parametrize(("dtype", "suffix"), [(np.uint8, ".png"), (np.uint16, ".png"), (np.float32, ".exr")])
def test_a_folder_of_frames_is_a_video_in_the_natural_order_and_comes_back(dtype, suffix, tmp_path):
    folder = frames(tmp_path / "in", 12, dtype=dtype, suffix=suffix)
    (folder / "notes.txt").write_text("other files are passed over")
    found = read_signal(folder)
    assert found.values.dtype == dtype and found.values[:, 0, 0, 0].tolist() == [10 * n for n in range(12)]
    assert (found.name, found.suffix, found.subtype) == ("in", suffix, "folder") and found.rate > 0
    for _ in range(2):  # what was written before is replaced
        assert write_signal(tmp_path / "out", found.values, found) == tmp_path / "out"
    np.testing.assert_array_equal(read_signal(tmp_path / "out").values, found.values)
    assert {p.name for p in tmp_path.iterdir()} == {"in", "out"}
    assert read_signal(folder, most_frames=2).shape == (2, 4, 5)


def test_a_folder_with_other_things_is_never_replaced(tmp_path):
    found = read_signal(frames(tmp_path / "in"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("precious")
    with pytest.raises(FileExistsError, match="other things"):
        write_signal(tmp_path / "out", found.values, found)
    assert (tmp_path / "out" / "thesis.tex").read_text() == "precious"


def test_frames_must_agree_and_be_there(tmp_path):
    (tmp_path / "none").mkdir()
    refused(tmp_path / "none", "no frames")
    folder = frames(tmp_path / "in")
    Image.new("RGB", (9, 9)).save(folder / "f9.png")
    refused(folder, r"frames differ: f0.png has 5 x 4 .* f9.png has 9 x 9")
    (folder / "f9.png").write_text("words words words")
    refused(folder, "frame f9.png: it holds text")


def test_a_folder_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    folder = frames(tmp_path / "in", 4)
    (folder / "f3.png").write_bytes((folder / "f3.png").read_bytes()[:60])
    monkeypatch.setattr(video, "MOST_PIXELS", 60)
    refused(folder, "fewer frames")
    assert read_signal(folder, most_frames=3).shape == (3, 4, 5)


def test_two_comes_before_ten():
    names = ["f10.png", "f2.png", "F1.png", "f02b.png", "²3.png", "f" + "9" * 6000 + ".png"]
    assert sorted(names, key=natural)[:4] == ["F1.png", "f2.png", "f02b.png", "f10.png"]
