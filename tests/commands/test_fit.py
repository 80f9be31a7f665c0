"""`recon fit` on pictures, sounds and films: whole run folders, the file's format again, resumption, refusals."""

import json
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

RNG = np.random.default_rng(0)
FAST = ("--steps", "40", "--threads", "1", "--json")
SMALL = {"asmr": ("--field.width", "32"), "siren": ("--field.width", "16", "--field.layers", "3")}


def waves(*shape):
    """A smooth pattern in [0, 1] on a grid."""
    axes = np.meshgrid(*(np.linspace(0, 3 * size / max(shape), size) for size in shape), indexing="ij")
    return 0.5 + 0.4 * np.sin(sum((i + 1) * axis for i, axis in enumerate(axes)))


@pytest.fixture
def files(home) -> dict[str, Path]:
    """A file of each kind."""
    soundfile = pytest.importorskip("soundfile")
    folder = home / "given"
    folder.mkdir()
    picture = np.stack([waves(24, 32)] * 3, axis=-1)
    Image.fromarray((picture * 255).astype(np.uint8)).save(folder / "picture.png")
    deep = (waves(20, 20) * 65535).astype(np.uint16)
    Image.fromarray(deep).save(folder / "deep.png")
    tone = 0.5 * np.sin(np.arange(2000) * 0.05)
    soundfile.write(folder / "tone.wav", np.stack([tone, -tone], axis=1), 8000, subtype="PCM_16")
    (folder / "frames").mkdir()
    for frame in range(4):
        iio.imwrite(folder / "frames" / f"{frame}.png", np.roll((picture * 255).astype(np.uint8), frame, axis=1))
    return {path.name: path for path in folder.iterdir()}


CASES = [("picture.png", "asmr"), ("picture.png", "siren"), ("deep.png", "asmr"), ("tone.wav", "asmr")]
CASES += [("tone.wav", "siren"), ("frames", "asmr"), ("frames", "siren")]


@pytest.mark.parametrize(("name", "field"), CASES)
def test_each_kind_is_learned_and_leaves_a_whole_run_folder(name, field, files, recon, home):
    steps = 300 if name == "tone.wav" else 40
    done = recon("fit", "--signal", files[name], "--field", field, *SMALL[field], *FAST, "--steps", steps)
    assert done.code == 0, done.err
    told = done.json
    folder = Path(told["run"])
    assert folder.parent == home / "renders" / "fit" / files[name].stem / field
    for image in told["files"]["images"].values():
        assert (folder / image).is_file()
    assert told["scores"]["psnr"] > 10 and told["scores"].keys() == told["definitions"].keys()
    page = (folder / told["files"]["report"]).read_text()
    assert page.startswith("<!doctype html>") and "bytes of the field" in page and "Left out" not in page
    assert told["bytes"]["file"] > 0 and told["bytes"]["field"] == 4 * told["params"]
    again = recon("eval", folder, "--json").json
    assert again["scores"] == pytest.approx(told["scores"], rel=1e-5) and again["steps"] == steps


def test_the_reconstruction_has_the_files_format_and_the_scores_are_its_own(files, recon):
    told = recon("fit", "--signal", files["deep.png"], *SMALL["asmr"], *FAST).json
    made = iio.imread(Path(told["run"]) / told["files"]["signal"])
    true = iio.imread(files["deep.png"])
    assert made.dtype == true.dtype == np.uint16 and made.shape == true.shape
    mse = np.square((made.astype(np.float64) - true) / 65535).mean()
    assert told["scores"]["mse"] == pytest.approx(mse, rel=1e-3)
    assert told["scores"]["psnr"] == pytest.approx(-10 * np.log10(mse), abs=0.01)
    soundfile = pytest.importorskip("soundfile")
    told = recon("fit", "--signal", files["tone.wav"], *SMALL["asmr"], *FAST).json
    made, rate = soundfile.read(Path(told["run"]) / told["files"]["signal"])
    assert rate == 8000 and made.shape == (2000, 2)
    assert told["scores"]["mse_1e4"] == pytest.approx(1e4 * told["scores"]["mse"])


@pytest.mark.parametrize("field", ["asmr", "siren"])
def test_a_stopped_run_goes_on_bit_for_bit(field, files, recon, home):
    words = ("fit", "--signal", files["picture.png"], "--field", field, *SMALL[field], *FAST, "--train.batch", "300")
    whole = recon(*words, "--out", home / "whole").json
    first = recon(*words, "--out", home / "parts", "--stop-after", "15")
    assert first.code == 0 and "recon fit --resume" in first.err
    done = recon("fit", "--resume", home / "parts", "--json")
    assert done.code == 0 and done.json["scores"] == whole["scores"]
    weights = [next((home / name / "checkpoint").glob("step-*40/model.safetensors")) for name in ("whole", "parts")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_run_is_begun_again_from_its_config(files, recon, home):
    words = ("fit", "--signal", files["tone.wav"], "--field", "siren", *SMALL["siren"], *FAST)
    first = recon(*words, "--out", home / "first").json
    again = recon("fit", "--config", home / "first", "--out", home / "again", "--json").json
    assert again["scores"] == first["scores"]
    config = json.loads((home / "again" / "config.json").read_text())
    assert config["settings"]["kind"] == "sound" and config["settings"]["field"]["scale"] == 100.0


def test_names_are_looked_up_and_runs_are_listed(files, recon, home):
    (home / "datasets" / "images").mkdir(parents=True)
    files["picture.png"].rename(home / "datasets" / "images" / "Pattern.png")
    done = recon("fit", "--signal", "pattern", *SMALL["asmr"], *FAST)
    assert done.code == 0 and done.json["data"] == "Pattern"
    (one,) = recon("runs", "--task", "fit", "--json").json["runs"]
    assert one["data"] == "Pattern" and one["scores"]["psnr"] == done.json["scores"]["psnr"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "recon fit wants --signal FILE"),
        (("--signal", "gone.png"), "no picture, sound or film 'gone.png'"),
        (("--signal", "nowhere/gone.png"), "no file nowhere/gone.png"),
        (("--signal", "TEXT"), "text.png"),
        (("--signal", "PICTURE", "--field", "siern"), "perhaps you meant siren"),
        (("--signal", "PICTURE", "--preset", "paper", "--field", "voxel"), "not for voxel"),
        (("--signal", "PICTURE", "--steps", "0"), "--steps must be at least 1"),
        (("--signal", "PICTURE", "--field", "asmr", "--field.bases", "2", "2"), "must make"),
    ],
)
def test_what_cannot_be_learned_is_refused_in_one_line(words, said, files, recon, home):
    (home / "text.png").write_text("not a picture at all\n" * 5)
    places = {"TEXT": home / "text.png", "PICTURE": files["picture.png"]}
    done = recon("fit", *(places.get(word, word) for word in words))
    assert done.code == 2 and done.out == ""
    assert done.err.splitlines()[-1].startswith("recon: ") and said in done.err
    assert not (home / "renders").exists()


@pytest.mark.parametrize("command", ["export", "view"])
def test_what_is_for_shapes_and_scenes_refuses_a_signals_run(command, files, recon):
    folder = recon("fit", "--signal", files["picture.png"], *SMALL["asmr"], *FAST).json["run"]
    done = recon(command, folder)
    assert done.code == 2 and "is a run of 'fit'" in done.err or "learned a signal" in done.err


EXPERTS = ("--field", "neural-experts", "--preset", "paper", "--field.encoder-width", "8", "--field.expert-width", "8")
EXPERTS += ("--field.manager-width", "8", "--pretrain.batch", "64")


def test_segments_are_learned_kept_and_scored_and_a_pretrained_run_goes_on(files, recon, home):
    who = home / "who.json"
    who.write_text(json.dumps([{"start": 0.0, "end": 0.1, "label": "a"}, {"start": 0.1, "end": 0.2, "label": "b"}]))
    asked = ("fit", "--signal", files["tone.wav"], *EXPERTS, "--segments", who, "--mono", "--seconds", "0.2")
    more = ("--field.pretraining", "segments", *FAST)
    whole = recon(*asked, *more, "--out", home / "whole")
    assert whole.code == 0, whole.err
    assert whole.json["shape"] == [1600, 1] and 0 <= whole.json["scores"]["segment_agreement"] <= 1
    assert whole.json["timings"]["pretraining"] > 0
    part = recon(*asked, *more, "--stop-after", "20", "--out", home / "part")
    assert part.code == 0
    again = recon("fit", "--resume", home / "part", "--threads", "1", "--json").json
    assert again["scores"] == whole.json["scores"]
    assert (home / "part" / "checkpoint").is_dir() and not (home / "part" / "pretraining").exists()
    repeated = recon("fit", "--config", home / "whole", "--out", home / "again", "--json")
    assert repeated.json["scores"] == whole.json["scores"]


def test_clusters_and_a_fixed_manager_on_a_part_of_a_picture(files, recon):
    part = ("fit", "--signal", files["picture.png"], *EXPERTS, "--downscale", "2", "--square", *FAST)
    for how in (("--field.pretraining", "kmeans"), ("--field.manager", "fixed", "--field.pretraining", "subdivision")):
        done = recon(*part, *how)
        assert done.code == 0, done.err
        assert done.json["shape"] == [12, 12, 3]


def test_segments_of_a_field_without_experts_are_refused(files, recon, home):
    (home / "who.json").write_text('[{"start": 0, "end": 1, "label": 1}]')
    done = recon("fit", "--signal", files["tone.wav"], "--field", "siren", "--segments", home / "who.json")
    assert done.code == 2 and "use neural-experts" in done.err and not (home / "renders").exists()
