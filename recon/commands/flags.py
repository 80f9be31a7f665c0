"""From words to a command's flags: help with examples that fits a page, and one short line for what is wrong."""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro

from recon.commands.examples import examples_block

Flags = TypeVar("Flags")

WIDEST = 100
"""Columns of prose."""
BOX, PLAIN_BOX = "│─╭╮╰╯", "|-++++"
"""What tyro draws with, and what stands for it in an output that lacks these."""
SIMILAR = ("Perhaps you meant", "Arguments similar")
NOT_OF_ITS_KIND = "invalid literal|could not convert|no type matching|Could not parse|Could not find valid parse"
"""How tyro and Python begin to say that a word is no number."""


def read_flags(
    kind: type[Flags], argv: Sequence[str], prog: str, about: str | None = None, default: Flags | None = None
) -> Flags:
    """What was typed, as an object of `kind`, laid over `default` where that is given.

    ValueError, in one line, for what is wrong; --help prints and exits."""
    caught, errors = _Caught(sys.stdout), io.StringIO()
    try:
        with contextlib.redirect_stdout(caught), contextlib.redirect_stderr(errors):
            given: dict[str, Any] = {} if default is None else {"default": default}
            return tyro.cli(kind, args=list(argv), prog=prog, description=about, **given)
    except SystemExit as stop:
        if stop.code:
            raise ValueError(explain(errors.getvalue(), prog)) from None
        page = readable(caught.getvalue()) + examples_block(prog.removeprefix("recon ").partition(" --")[0])
        print(page if _shows(BOX, sys.stdout) else page.translate(str.maketrans(BOX, PLAIN_BOX)))
        raise


def nearest_of(typed: str, known: Sequence[str]) -> str:
    """What to say of a name that is none of those known."""
    near = difflib.get_close_matches(typed, known, n=1)
    return f"perhaps you meant {near[0]}" if near else f"known: {', '.join(known)}"


def wants_colour(stream: Any) -> bool:
    """Whether colour is welcome there: on a terminal, unless NO_COLOR or TERM=dumb says no."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def _shows(text: str, stream: Any) -> bool:
    """Whether a stream has these characters."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


class _Caught(io.StringIO):
    """Catches what is printed, and looks to the printer like the stream that it will go to."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._colour = wants_colour(stream)

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """tyro draws its boxes, which are looked for afterwards, where this is UTF-8."""
        return "utf-8"

    def isatty(self) -> bool:
        """tyro colours on terminals."""
        return self._colour


# -- help ------------------------------------------------------------------------------------------------------------


def readable(page: str) -> str:
    """tyro's page with prose broken into lines, and without the word None as something to type."""
    width = min(WIDEST, shutil.get_terminal_size((80, 24)).columns)
    lines = []
    for line in page.rstrip("\n").split("\n"):
        plain = "\x1b" not in line and line[:1].isalnum() or line.startswith("--")
        lines.append(textwrap.fill(line, width, break_on_hyphens=False) if plain and len(line) > width else line)
    return _without_none("\n".join(lines)) + "\n"


def _without_none(page: str) -> str:
    """`{None}|INT` is typed as INT, and leaving a flag out is how one says None; blanks keep the boxes straight."""
    page = re.sub(r"\{None\}\|([^\s│]+)", r"\1       ", page)
    return re.sub(r"\{None,([^}\s]*)\}", r"{\1}     ", page)


# -- what is wrong ---------------------------------------------------------------------------------------------------


def explain(box: str, prog: str) -> str:
    """The text in tyro's box as one sentence; all of it, flattened, where it is of a kind that is not known here."""
    lines = _inside(box)
    text = " ".join(" ".join(lines).split())
    if found := re.match(r"Unrecognized options: (.*?)(?: Perhaps you meant:| Arguments similar to|$)", text):
        return _unrecognised(found[1], lines, prog)
    if found := re.match(r"invalid choice '(.*)' for argument '(.*?)'\. Expected one of \((.*?)\)", text):
        return _unknown_choice(found[1], found[2], found[3])
    if found := re.match(r"Missing value for argument '(.*?)'\. Expected (\d+)", text):
        return f"{found[1]} wants {'a value' if found[2] == '1' else found[2] + ' values'}"
    if found := re.match(r"Missing from (.*?): (\S+) (.*?)(?: \(required\)|$)(?: Unrecognized options: (\S+))?", text):
        wanted = found[2] if found[2].startswith("--") else "one word more"
        return f"{f'there is no flag {found[4]}; ' if found[4] else ''}{found[1]} wants {wanted}: {found[3]}"
    if found := re.match(r"Error parsing (\S+): (.*?)(?: Argument helptext:|$)", text):
        return _unfit(found[1], found[2], lines)
    return text


def _inside(box: str) -> list[str]:
    """The lines of a box without its border, its rules and its last word, which is where the help is."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", box)
    lines = [line.strip("│ ") for line in plain.splitlines() if line.startswith("│")]
    kept = [line for line in lines if line.strip("─ ")]
    for number, line in enumerate(kept):
        if line.startswith("For full helptext"):
            return kept[:number]
    return kept or [" ".join(plain.split())]


def _unrecognised(tokens: str, lines: list[str], prog: str) -> str:
    words = tokens.split(", ")
    wrong = next((word for word in words if word.startswith("-")), words[0])
    asked = next((number for number, line in enumerate(lines) if line.startswith(SIMILAR)), len(lines))
    near = [found[0] for line in lines[asked:] if (found := re.match(r"--[\w.-]+", line))]
    hint = f"perhaps you meant {' or '.join(near[:2])}" if near else f"{prog} --help lists what there is"
    return f"there is no flag {wrong}; {hint}" if wrong.startswith("-") else f"'{wrong}' is one word too many; {hint}"


def _unknown_choice(typed: str, argument: str, choices: str) -> str:
    known = sorted(set(re.findall(r"'([^']*)'", choices)) - {"None"})
    return f"{argument} {typed} is unknown; {nearest_of(typed, known)}"


def _unfit(argument: str, reason: str, lines: list[str]) -> str:
    """A value of the wrong kind, or one that a setting refuses in its own words."""
    flag = argument.split("/", maxsplit=1)[0]
    kind = next((line.removeprefix(flag).strip() for line in lines if line.startswith(f"{flag} ")), "")
    if kind and re.match(NOT_OF_ITS_KIND, reason):
        typed = re.findall(r"'([^']*)'", reason)
        return f"{flag} wants {_in_words(kind)}" + (f", got '{typed[0]}'" if typed else "")
    return f"{flag}: {reason}" if flag.startswith("-") else reason


def _in_words(kind: str) -> str:
    """INT, {None}|FLOAT, FLOAT FLOAT, [INT [INT ...]] as a person says them."""
    words = re.findall(r"INT|FLOAT|PATH|STR", kind)
    one, many = {
        "INT": ("a whole number", "whole numbers"),
        "FLOAT": ("a number", "numbers"),
        "PATH": ("a path", "paths"),
    }.get(words[0] if words else "", (kind, kind))
    if kind.startswith("["):
        return many
    return one if len(words) < 2 else f"{len(words)} {many}"
