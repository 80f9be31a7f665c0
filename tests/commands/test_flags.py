"""What a wrong word is answered with, what a help page holds, and that no page loads what it does not need."""

import io
import shlex
import subprocess
import sys

import pytest

WRONG = [
    ("srf", "there is no command 'srf'; perhaps you meant: recon sdf"),
    ("help srf", "there is no command 'srf'; perhaps you meant: recon sdf"),
    ("sdf --stpes 3", "there is no flag --stpes; perhaps you meant --steps"),
    ("sdf --field.omgea 3", "perhaps you meant --field.omega"),
    ("sdf --feild siren", "perhaps you meant --field"),
    ("sdf --field siern", "--field siern is unknown; perhaps you meant siren"),
    ("sdf --preset quik", "perhaps you meant quick"),
    ("sdf --sampler bcon", "perhaps you meant bacon"),
    ("sdf --protocol papr", "--protocol papr is unknown; perhaps you meant paper"),
    ("sdf --field.activation sin", "--field.activation sin is unknown; perhaps you meant sine"),
    ("sdf --steps abc", "--steps wants a whole number, got 'abc'"),
    ("sdf --steps", "--steps wants a value"),
    ("sdf --train.optim.betas a b", "--train.optim.betas wants 2 numbers, got 'a'"),
    ("sdf --field loe --field.tiles a", "--field.tiles wants whole numbers, got 'a'"),
    ("sdf --pool 3", "pool must hold at least 1000 points, got 3"),
    ("sdf --shape idl", "no shape 'idl'; perhaps: idol"),
    ("sdf --nonsense", "there is no flag --nonsense; recon sdf --help lists what there is"),
    ("sdf idol", "'idol' is one word too many"),
    ("nerf --space bax", "perhaps you meant box"),
    ("nerf --rays.stpes 3", "perhaps you meant --rays.steps"),
    ("nerf --scene figurins", "no scene 'figurins'; perhaps: figurines"),
    ("export latest --fromat glb", "perhaps you meant --format"),
    ("export latest --resolution 1e3", "--resolution wants a whole number, got '1e3'"),
    ("render --path orbti", "perhaps you meant orbit"),
    ("render --what rbg", "perhaps you meant rgb"),
    ("eval latset", "no run 'latset'"),
    ("eval mesh a.ply", "recon eval mesh wants one word more: The mesh that is right."),
    ("eval mesh a.ply b.ply --frame nput", "perhaps you meant input"),
    ("bench kernls", "kernls is unknown; perhaps you meant kernels"),
    ("fields --paper", "perhaps you meant --papers"),
    ("compare --field siren", "perhaps you meant --fields"),
    ("compare --fields sirn", "perhaps you meant siren"),
    ("compare --budget parms", "perhaps you meant params"),
    ("data chek", "perhaps you meant check"),
    ("data get lcy", "perhaps you meant lucy"),
    ("data make --msh x", "there is no flag --msh; recon data make wants --mesh"),
    ("data make --mesh idol --formt nsvf", "perhaps you meant --format"),
    ("doctor --jsn", "perhaps you meant --json"),
    ("completion bsh", "bsh is unknown; perhaps you meant bash"),
]


@pytest.mark.parametrize(("line", "said"), WRONG, ids=[line for line, _ in WRONG])
def test_a_wrong_word_is_answered_in_one_line_with_the_right_one(recon, line, said):
    found = recon(*line.split())
    last = found.err.strip().splitlines()[-1]
    assert found.code == 2 and found.out == ""
    assert last.startswith("recon: ") and said in last and len(last) < 400
    assert "Traceback" not in found.err and "╭" not in found.err and "\x1b" not in found.err
    assert len(found.err.strip().splitlines()) <= 3


def test_a_message_of_a_kind_that_is_not_known_is_told_whole():
    from recon.commands.flags import explain  # noqa: PLC0415 - after the import hook

    box = (
        "╭─ News ─────╮\n│ Something  │\n│ else.      │\n│ ────────── │\n│ For full helptext, run x │\n╰────────────╯\n"
    )
    assert explain(box, "recon x") == "Something else."
    assert explain("no box at all", "recon x") == "no box at all"


# -- help ------------------------------------------------------------------------------------------------------------


def test_no_help_of_any_command_or_action_loads_open3d(helps):
    assert len(helps["pages"]) >= 30
    assert not [name for name in helps["modules"] if name.partition(".")[0] in ("open3d", "viser", "tensorboard")]


def test_every_help_ends_with_examples_and_is_plain_text_in_a_pipe(helps):
    for path, page in helps["pages"].items():
        assert page.startswith("usage: recon ") and "\x1b" not in page, path
        assert path == "data" or "\nexamples:\n  recon " in page, path
        assert "{None" not in page


@pytest.mark.parametrize("command", ["sdf", "compare"])
def test_a_help_page_fits_a_terminal_of_80_columns(recon, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    page = recon(command, "--help").out
    assert max(len(line) for line in page.split("\nexamples:")[0].splitlines()) <= 80


def test_help_before_a_command_and_behind_it_are_the_same(recon):
    assert recon("help", "fields").out == recon("fields", "--help").out != ""
    assert recon("help").out == recon("--help").out == recon().out


def test_a_help_page_is_readable_where_there_is_only_ASCII(home):
    words = [sys.executable, "-m", "recon", "doctor", "--help"]
    environment = {"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(words, env=environment, capture_output=True, check=True, timeout=60)
    assert done.stdout.isascii() and b"+- options -" in done.stdout and b"?" not in done.stdout


def test_an_output_that_lacks_a_character_ends_no_command(home):
    code = "import sys; sys.argv[1:] = ['x']; from recon.cli import main; main(); print('\\u2192')"
    environment = {"PYTHONIOENCODING": "cp1252", "PATH": "/usr/bin", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True, timeout=60)
    assert done.stdout.strip() == b"?"


class Parsed(Exception):
    """The words made sense."""


def lines_of_examples():
    from recon.commands import COMMANDS  # noqa: PLC0415 - after the import hook
    from recon.commands.examples import EXAMPLES  # noqa: PLC0415

    own = [line for lines in EXAMPLES.values() for line, _ in lines]
    return [*own, *(command.example for command in COMMANDS.values())]


def test_every_example_is_understood(monkeypatch):
    """Each is parsed by its command, and stopped before it does anything."""
    from recon import cli  # noqa: PLC0415
    from recon.commands import flags  # noqa: PLC0415

    parse = flags.tyro.cli

    def stop(*args, **kwargs):
        parse(*args, **kwargs)
        raise Parsed

    monkeypatch.setattr(flags.tyro, "cli", stop)
    for line in lines_of_examples():
        words = shlex.split(line.split(" > ")[0])
        assert words[0] == "recon"
        with pytest.raises(Parsed):
            cli.main(words[1:])


def test_colour_is_for_terminals_that_want_it(monkeypatch):
    from recon.commands.flags import wants_colour  # noqa: PLC0415

    class Stream:
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert wants_colour(Stream()) and not wants_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour(Stream())
