"""The completion scripts, by the shells themselves."""

import shutil
import subprocess

import pytest


@pytest.fixture(scope="module")
def found(helps):
    from recon.commands.shells import Completion  # noqa: PLC0415 - after the import hook

    return Completion(**helps["found"])


@pytest.fixture(scope="module")
def complete(found, tmp_path_factory):
    """What bash offers behind these words; the last is the one being typed."""
    from recon.commands.shells import bash  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("shell")
    (folder / "recon.bash").write_text(bash(found))
    (folder / "renders/sdf/ball/siren").mkdir(parents=True)
    (folder / "renders/latest/checkpoint/step").mkdir(parents=True)

    def ask(*lines):
        calls = [
            f"COMP_WORDS=({' '.join(map(repr, line))}); COMP_CWORD={len(line) - 1}; COMPREPLY=(); _recon; "
            'echo "${COMPREPLY[*]}"'
            for line in lines
        ]
        script = "\n".join([f"source {folder}/recon.bash", *calls])
        environment = {"RECON_HOME": str(folder), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, check=True)
        assert done.stderr == ""
        return [line.split() for line in done.stdout.splitlines()]

    return ask


def test_everything_that_a_help_lists_is_collected(found):
    assert "--train.optim.rate" in found.flags["sdf"] and "--rays.steps" in found.flags["nerf"]
    assert found.flags["export"]["--format"] == ["ply", "obj", "glb", "stl"]
    assert found.of_field["siren"].keys() >= {"--field.omega", "--field.width"}
    assert "--field.omega" not in found.flags["sdf"]
    assert set(found.actions["data"]) >= {"get", "check", "make"}
    assert all("--help" in flags for path, flags in found.flags.items() if path != "data")


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_commands_actions_flags_and_names(complete):
    asked = {
        ("recon", "com"): ["compare", "completion"],
        ("recon", "sdf", "--field", "sir"): ["siren"],
        ("recon", "sdf", "--field", "=", "sir"): ["siren"],
        ("recon", "sdf", "--field", "siren", "--field.o"): ["--field.omega"],
        ("recon", "sdf", "--field", "=", "siren", "--field.b"): ["--field.biases"],
        ("recon", "sdf", "--field.expert-w"): ["--field.expert-width"],  # of the field that sdf takes by itself
        ("recon", "occ", "--field.expert-w"): [],
        ("recon", "nerf", "--field", "loe", "--field.shift", ""): ["none", "random"],
        ("recon", "sdf", "--preset", "pa"): ["paper-small", "paper-large"],
        ("recon", "sdf", "--shape", "id"): ["idol"],
        ("recon", "sdf", "--resume", "sdf"): ["sdf/ball/siren/"],
        ("recon", "sdf", "--out", ""): [],  # files, by bash itself
        ("recon", "data", "ma"): ["make"],
        ("recon", "data", "get", "luc"): ["lucy"],
        ("recon", "data", "make", "--form"): ["--format"],
        ("recon", "eval", "m"): ["mesh"],
        ("recon", "eval", "mesh", "--fr"): ["--frame"],
        ("recon", "export", "s"): ["sdf/ball/siren/"],
        ("recon", "render", "--path", "sp"): ["spiral"],
        ("recon", "completion", "z"): ["zsh"],
    }
    assert dict(zip(asked, complete(*asked), strict=True)) == asked


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_script_is_understood_by_its_shell(found, shell, tmp_path):
    from recon.commands.shells import SCRIPTS  # noqa: PLC0415

    script = SCRIPTS[shell](found)
    assert "@" not in script.replace("@{", "") and "siren" in script
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    (tmp_path / "script").write_text(script)
    done = subprocess.run([shell, "-n", str(tmp_path / "script")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish_completes_the_flags_of_the_chosen_field(found, tmp_path):
    from recon.commands.shells import fish  # noqa: PLC0415

    (tmp_path / "recon.fish").write_text(fish(found))
    asked = ["recon sdf --field sir", "recon sdf --field=siren --field.o", "recon data get luc"]
    lines = [f"complete -C '{line}' | string replace -r '\\t.*' ''" for line in asked]
    script = "; ".join([f"source {tmp_path}/recon.fish", *lines])
    done = subprocess.run(["fish", "-N", "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.split() == ["siren", "--field.omega", "lucy"]


def test_the_command_prints_the_script(recon, found, monkeypatch):
    from recon.commands import completion  # noqa: PLC0415

    monkeypatch.setattr(completion, "collect", lambda: found)
    assert "complete -o bashdefault -o default -F _recon recon" in recon("completion", "bash").out
