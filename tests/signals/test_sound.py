"""Sounds come back sample by sample, as their files store them."""

import numpy as np
import pytest
import soundfile

from recon.signals import sound
from recon.signals.read import read_signal
from recon.signals.write import write_signal


def made(path, values, rate=8000, subtype=None, **more):
    soundfile.write(path, values, rate, subtype, **more)
    return path


def refused(path, said):
    with pytest.raises(ValueError, match=said) as caught:
        read_signal(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("channels", [1, 2, 8])
@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [(".wav", "PCM_U8"), (".wav", "PCM_16"), (".wav", "PCM_24"), (".wav", "FLOAT"), (".flac", "PCM_16"),
     (".flac", "PCM_24"), (".flac", "PCM_S8"), (".wav", "ULAW")],
)  # fmt: skip
def test_a_sound_written_as_it_was_stored_is_the_same(suffix, subtype, channels, tmp_path, rng):
    path = made(tmp_path / f"a{suffix}", rng.uniform(-0.9, 0.9, (101, channels)), 11025, subtype)
    found = read_signal(path)
    assert found.kind == "sound" and found.shape == (101,) and found.channels == channels
    assert (found.rate, found.subtype, found.suffix) == (11025, subtype, suffix)
    again = read_signal(write_signal(tmp_path / f"b{suffix}", found.values, found))
    np.testing.assert_array_equal(again.values, found.values)
    assert (again.rate, again.subtype, again.suffix) == (11025, subtype, suffix)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_the_extremes_of_whole_numbers_survive_normalisation(subtype, tmp_path):
    path = made(tmp_path / "a.wav", np.array([-32768, 32767, 0, 1, -1], np.int16), subtype=subtype)
    found = read_signal(path)
    written = write_signal(tmp_path / "b.wav", found.denormalised(found.normalised()), found)
    np.testing.assert_array_equal(read_signal(written).values, found.values)


def test_ogg_is_close(tmp_path):
    wave = 0.5 * np.sin(np.arange(20000) * 0.05)
    found = read_signal(made(tmp_path / "a.ogg", wave, 22050))
    again = read_signal(write_signal(tmp_path / "b.ogg", found.values, found))
    assert again.subtype == found.subtype and again.shape == found.shape
    assert np.abs(again.values[:, 0] - wave).max() < 0.1


def test_silence_and_a_single_sample_are_sounds(tmp_path):
    found = read_signal(made(tmp_path / "a.wav", np.zeros(5)))
    assert any("silent" in note for note in found.notes) and found.scale == 1
    assert read_signal(made(tmp_path / "b.wav", np.array([0.5]))).values.tolist() == [[0.5]]


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_a_sound_without_samples_is_refused(suffix, tmp_path):
    refused(made(tmp_path / f"a{suffix}", np.zeros((0, 1))), "no samples|is empty")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_refused(bad, tmp_path):
    refused(made(tmp_path / "a.wav", np.array([0.0, bad, 0.1]), subtype="FLOAT"), "1 of 3 samples")


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
def test_a_sound_cut_short_is_refused(suffix, share, tmp_path, rng):
    path = made(tmp_path / f"a{suffix}", rng.uniform(-1, 1, 4000))
    whole = path.read_bytes()
    path.write_bytes(whole[: max(13, int(len(whole) * share))])
    refused(path, ".")


def test_a_streamed_wav_which_does_not_know_its_length_is_read(tmp_path, rng):
    path = made(tmp_path / "a.wav", rng.uniform(-1, 1, 100), subtype="PCM_16")
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert read_signal(path).shape == (100,)


def test_nine_channels_and_too_many_samples_are_refused(tmp_path, monkeypatch):
    refused(made(tmp_path / "a.wav", np.zeros((4, 9))), "9 channels")
    monkeypatch.setattr(sound, "MOST_SAMPLES", 10)
    refused(made(tmp_path / "b.wav", np.zeros((6, 2))), "more than the 10")


def test_a_text_called_wav_and_a_sound_called_png(tmp_path):
    (tmp_path / "a.wav").write_text("no sound is in this file, only words")
    refused(tmp_path / "a.wav", "it holds text, and no WAV")
    made(tmp_path / "b.wav", np.ones(4) / 2).rename(tmp_path / "b.png")
    found = read_signal(tmp_path / "b.png")
    assert found.kind == "sound" and found.suffix == ".wav" and any("WAV" in note for note in found.notes)


@pytest.mark.parametrize(
    ("name", "subtype", "rate"),
    [("wav", "PCM_16", 1), ("wav", "FLOAT", 2**31 - 1), ("flac", "PCM_16", 65_535), ("flac", "PCM_24", 655_350)]
    + [("ogg", "VORBIS", 200_000), ("ogg", "OPUS", 24_000)],
)  # fmt: skip
def test_the_largest_rates_of_a_format_are_written_and_read(name, subtype, rate, tmp_path, rng):
    if not soundfile.check_format(sound._FORMATS[name], subtype):
        pytest.skip(f"libsndfile has no {subtype} here")
    values = rng.uniform(-0.5, 0.5, (3000, 1)).astype(np.float32)
    sound.write_sound(tmp_path / f"a.{name}", values, name, float(rate), subtype)
    assert read_signal(tmp_path / f"a.{name}").rate == rate


@pytest.mark.parametrize(
    ("name", "subtype", "rate", "said"),
    [
        ("wav", "PCM_16", 0, "WAV holds 1 to 2,147,483,647"),
        ("wav", "PCM_16", 2**31, "WAV holds"),
        ("flac", "PCM_16", 655_360, "FLAC holds 1 to 655,350"),
        ("flac", "PCM_16", 65_537, "above 65,535 in tens"),
        ("ogg", "VORBIS", 200_001, "OGG holds 1 to 200,000"),
        ("ogg", "OPUS", 44_100, "Opus holds 8,000, 12,000"),
    ],
)
def test_a_rate_that_a_format_lacks_is_refused_before_libsndfile_sees_it(name, subtype, rate, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        sound.write_sound(tmp_path / "a", np.zeros((10, 1), np.float32), name, float(rate), subtype)
    assert not (tmp_path / "a").exists()
