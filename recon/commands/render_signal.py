"""A learned picture, sound or film once more in its own format on another grid, and a picture's derivatives."""

from __future__ import annotations

import time
from typing import Any

from recon import runtime
from recon.commands.common import be_quiet, parse_size, print_json, refuse_flags, say
from recon.commands.render import Render
from recon.data.find import cache_home
from recon.files import printable
from recon.signals.signal import Kind
from recon.tasks.bench import Bench
from recon.tasks.signal.between import warnings_between
from recon.tasks.signal.render import WHATS, What, render_slopes, render_values
from recon.tasks.signal.run import reopen
from recon.tasks.signal.target import Target, check_slopes, target_of
from recon.training.run import Run

WORDS: dict[Kind, str] = {"image": "picture", "sound": "sound", "video": "film"}
FOREIGN: dict[Kind, dict[str, str]] = {
    "image": {"rate": "a sound", "frames": "a film or a scene"},
    "sound": {"size": "a picture, a film or a scene", "frames": "a film or a scene"},
    "video": {"rate": "a sound"},
}
"""Flags that a kind of signal does not take, and whose they are."""


def render(names: list[str], flags: Render, run: Run) -> int:
    """Render, write, print."""
    refuse_flags(flags, ["path", "fps"], run, "signal", "a scene")
    size = parse_size(flags.size) if flags.size else None
    run_on = runtime.start(flags.device, flags.precision, 0, flags.threads, flags.malloc)
    bench = Bench(run_on, cache_home(), be_quiet if flags.quiet else say, flags.quiet)
    bench.say(f"recon render: {run.folder}, on {run_on.line()}")
    plan, fitted, _, warnings = reopen(run, bench)
    signal, kind = fitted.signal, WORDS[fitted.signal.kind]
    for name, others in FOREIGN[signal.kind].items():
        refuse_flags(flags, [name], run, kind, others)
    whats, target = _whats(names, run, signal.kind), target_of(signal, size, flags.frames, flags.rate)
    slopes: list[What] = [what for what in whats if what != "values"]
    if slopes:
        check_slopes(target)
    warnings = [*warnings, *warnings_between(fitted, range(len(signal.shape)) if slopes else target.finer)]
    for text in warnings:
        say(f"warning: {text}")
    bench.say(f"{kind} {signal.name} by {plan.field_name}, {target.text}: {', '.join(whats)}")
    began, made, place = time.perf_counter(), {}, flags.out or run.folder
    if "values" in whats:
        made["values"] = {"file": str(render_values(fitted, target, place, bench.say))}
    made |= render_slopes(fitted, target, slopes, place, bench.say) if slopes else {}
    seconds = round(time.perf_counter() - began, 3)
    if flags.json:
        about = {"run": str(run.folder), "kind": signal.kind, **_sizes(target, signal.kind)}
        print_json({**about, "seconds": seconds, "what": made, "warnings": warnings})
    else:
        print(printable(f"{kind} {signal.name}, {target.text} in {seconds:.0f} s"))
        for what, facts in made.items():
            print(printable(f"  {what:<10} {facts['file']}{_told(facts)}"))
    return 0


def _whats(names: list[str], run: Run, kind: Kind) -> list[What]:
    """What is asked for, each once; ValueError for what this kind of signal has not."""
    asked = ["values" if name == "rgb" else name for name in names] or ["values"]
    for name in asked:
        if name not in WHATS or (kind != "image" and name != "values"):
            others = "a picture" if name in WHATS else "a scene"
            raise ValueError(f"--what {name} is for runs of {others}; {run.folder} is one of a {WORDS[kind]}")
    return [what for what in WHATS if what in asked]


def _sizes(target: Target, kind: Kind) -> dict[str, Any]:
    """The grid as people know it."""
    if kind == "sound":
        return {"samples": target.shape[0], "rate": target.rate}
    *frames, height, width = target.shape
    return {"size": [width, height], **({"frames": frames[0], "fps": target.rate} if frames else {})}


def _told(facts: dict[str, Any]) -> str:
    """What a person should know of a picture of derivatives."""
    if "method" not in facts:
        return ""
    how = "by autograd" if facts["why"] is None else f"by differences of its pixels, for {facts['why']}"
    alike = "" if facts["correlation"] is None else f"; correlation with the truth's {facts['correlation']:.3f}"
    return f"\n{'':<13}the field's {how}{alike}"
