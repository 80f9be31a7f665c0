"""What loads when, flags in any order, and that the command behaves in a process of its own."""

import os
import subprocess
import sys

import pytest


def python(code, home):
    environment = {**os.environ, "RECON_HOME": str(home), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", code]
    return subprocess.run(words, check=False, capture_output=True, text=True, env=environment, timeout=60)


LOADED = "import sys; heavy = [m for m in ('torch', 'open3d', 'trimesh', 'igl', 'numpy') if m in sys.modules]; "


@pytest.mark.parametrize("code", ["import recon", "import recon.cli", "from recon.cli import main; main(['--help'])"])
def test_the_front_door_loads_nothing_heavy(home, code):
    result = python(f"{code}; {LOADED} assert not heavy, heavy", home)
    assert result.returncode == 0, result.stderr


def test_help_lists_only_the_flags_of_the_chosen_field(recon):
    siren = recon("sdf", "--help", "--field", "siren").out
    grid = recon("sdf", "--field=feature-grid", "--help").out
    assert "--field.omega" in siren and "--field.omega" not in grid
    assert "--field.resolutions" in grid and "--field.resolutions" not in siren


def test_flags_mean_the_same_in_any_order(recon, ball_file):
    shape = ("--shape", ball_file)
    small = ("--steps", "2", "--pool", "1000", "--resolution", "16", "--train.batch", "64", "--json", "--quiet")
    pieces = [("--field.omega", "20"), ("--field", "siren"), ("--field.width", "8"), ("--preset", "small")]
    orders = [pieces, pieces[::-1], [pieces[1], pieces[3], pieces[2], pieces[0]]]
    lines = [[word for piece in order for word in piece] for order in orders]
    found = [
        recon("sdf", *shape, *lines[0], *small),
        recon("sdf", *lines[1], *small, *shape),
        recon("sdf", *small, *lines[2], *shape),
    ]
    for result in found:
        assert result.code == 0, result.err
        assert result.json["settings"]["omega"] == 20 and result.json["preset"] == "small"
    assert found[0].json["scores"] == found[1].json["scores"] == found[2].json["scores"]


def test_a_preset_brings_its_sampler_and_a_flag_replaces_it(recon, home, ball_file):
    import json  # noqa: PLC0415

    flags = (
        "--field",
        "siren",
        "--field.width",
        "8",
        "--steps",
        "2",
        "--pool",
        "1000",
        "--resolution",
        "16",
        "--quiet",
    )
    recon("sdf", "--shape", ball_file, *flags, "--sampler", "bacon", "--sampler.fine-scale", "0.01", "--out", "a")
    sampler = json.loads((home / "a" / "config.json").read_text())["settings"]["sampler"]
    assert sampler["outside"] == "wrap" and sampler["fine_scale"] == 0.01


def test_the_same_seed_gives_the_same_run_and_another_seed_another(fit):
    first, same, other = (fit("sdf", "siren", "--seed", seed).json["scores"] for seed in (3, 3, 4))
    assert first == same != other


def test_the_version_and_an_empty_line_are_answered(recon):
    assert recon("--version").out.startswith("recon 0")
    assert "usage: recon COMMAND" in recon().out


def test_a_missing_dependency_has_an_exit_code_of_its_own(recon, home, ball_file, monkeypatch):
    from recon.commands import shape  # noqa: PLC0415

    def missing(*args, **kwargs):
        raise ModuleNotFoundError("No module named 'pykdtree'", name="pykdtree")

    monkeypatch.setattr(shape, "load", missing)
    result = recon("sdf", "--shape", ball_file, "--field", "siren")
    assert result.code == 3 and "pykdtree is missing" in result.err and "pip install" in result.err


def test_the_command_works_as_a_process_with_its_output_on_the_right_channels(start_process, ball_file):
    import json  # noqa: PLC0415

    small = ("--field.width", 8, "--steps", 3, "--pool", 1000, "--resolution", 16, "--train.batch", 64, "--json")
    process = start_process("sdf", "--shape", ball_file, "--field", "siren", *small)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out)["steps"] == 3 and err.startswith("recon sdf: ")
    process = start_process("sdf", "--shape", "nothing.ply")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2 and out == "" and "Traceback" not in err


@pytest.mark.parametrize(
    ("typed", "meant"), [("--fild", "--field"), ("--pre-set", "--preset"), ("--resum", "--resume")]
)
def test_a_misspelt_name_flag_is_answered_with_the_right_one(recon, typed, meant):
    result = recon("sdf", typed, "siren")
    assert result.code == 2
    assert meant in result.err and "perhaps you meant" in result.err
