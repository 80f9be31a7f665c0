"""`recon data ACTION ...`: sets of data. Each action takes its own arguments and returns an exit code."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Sequence

from recon.commands.examples import examples_block

ACTIONS = {
    "list": "what there is: here, to be fetched, made by recon; sizes and terms",
    "where": "the folders that are searched, or the path that a name means",
    "get": "fetch a set of the catalogue",
    "check": "describe a scene, draw its cameras, warn of what is wrong; recount a fetched set",
    "make": "render a mesh into a posed scene",
}
"""What each action is for; it is the function of its name in the module of its name, loaded only when asked for."""


def main(name: str, argv: Sequence[str]) -> int:
    """Find the action and run it."""
    if argv and argv[0] in ACTIONS:
        return getattr(importlib.import_module(f"recon.commands.{argv[0]}"), argv[0])(argv[1:])
    if argv and argv[0] in ("-h", "--help"):
        print(f"usage: recon {name} {{{','.join(ACTIONS)}}} ... (recon {name} ACTION --help for its flags)\n")
        print("\n".join(f"  {action:<6} {summary}" for action, summary in ACTIONS.items()))
        print(examples_block(name))
        return 0
    near = difflib.get_close_matches(argv[0], ACTIONS, n=1) if argv else []
    hint = f"perhaps you meant {near[0]}" if near else f"actions: {', '.join(ACTIONS)}"
    raise ValueError(f"recon {name} wants an action{f', not {argv[0]}' if argv else ''}; {hint}")
