"""How a fit speaks in a program or a notebook: warnings as Python's, the rest on standard error or in the cell."""

from __future__ import annotations

import warnings

from recon.tasks.bench import Say

WARNING = "warning: "


def warn(text: str) -> None:
    """A warning that a person or a filter can meet."""
    warnings.warn(text, UserWarning, stacklevel=3)


def voice(quiet: bool) -> Say:
    """Says lines; quiet, warnings only."""
    if quiet:
        return _warnings_only
    from rich.console import Console  # noqa: PLC0415 - 0.1 s that silence should not pay

    console = Console(stderr=True)

    def say(line: str) -> None:
        if line.startswith(WARNING):
            warn(line.removeprefix(WARNING))
        else:
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    return say


def _warnings_only(line: str) -> None:
    if line.startswith(WARNING):
        warn(line.removeprefix(WARNING))
