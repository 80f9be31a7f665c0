"""`recon doctor`: what works on this machine, what does not, what of ours that touches, and what to do."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from recon import __version__
from recon.commands.flags import read_flags, wants_colour
from recon.diagnosis.checkup import examine
from recon.diagnosis.finding import Finding

MISSING_DEPENDENCY = 3
COLOURS = {"ok": "32", "limited": "33", "missing": "31"}
INDENT = 22


@dataclass(frozen=True)
class Doctor:
    """Look at everything that recon needs or can use: ok, limited or missing, what it affects, what to do."""

    json: bool = False
    """Print exactly one JSON object on standard output."""


def main(name: str, argv: Sequence[str]) -> int:
    """Parse, examine, print. 3 where a required package is missing."""
    flags = read_flags(Doctor, argv, f"recon {name}")
    findings = examine()
    works = not any(found.required and found.status == "missing" for found in findings)
    if flags.json:
        rows = [found.as_dict() for found in findings]
        print(json.dumps({"recon": __version__, "works": works, "findings": rows}, indent=2))
    else:
        print(f"recon {__version__}")
        width, colour = min(100, shutil.get_terminal_size((80, 24)).columns), wants_colour(sys.stdout)
        for found in findings:
            print("\n".join(_lines(found, width, colour)))
        print(verdict(findings))
    return 0 if works else MISSING_DEPENDENCY


def verdict(findings: Sequence[Finding]) -> str:
    """The last line."""
    if broken := [found.name for found in findings if found.required and found.status == "missing"]:
        return f"recon can't work here: {', '.join(broken)}"
    lacking = [found.name for found in findings if found.status == "missing"]
    return "recon works here" + (f"; without: {', '.join(lacking)}" if lacking else "")


def _lines(found: Finding, width: int, colour: bool) -> list[str]:
    status = f"{found.status:<8}"
    if colour:
        status = f"\x1b[{COLOURS[found.status]}m{status}\x1b[0m"
    body = [*_wrapped(found.found, width), *_wrapped(f"affects {found.affects}", width)]
    body += _wrapped(f"-> {found.advice}", width) if found.advice else []
    return [f"{status} {found.name:<12} {body[0]}", *(" " * INDENT + line for line in body[1:])]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width - INDENT, break_on_hyphens=False, break_long_words=False) or [""]
