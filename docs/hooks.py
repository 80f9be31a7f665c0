"""What pages take from the program itself when they are built, so that they can't tell anything else than it does."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]


def on_page_markdown(markdown: str, page, config, files) -> str:  # noqa: ARG001
    """Fill the places that pages mark."""
    for mark, make in {"fields": fields, "scores": scores, "example": example, "presets": presets}.items():
        place = f"<!-- {mark} -->"
        if place in markdown:
            markdown = markdown.replace(place, make())
    return markdown


def fields() -> str:
    """A section for each field: what it is for, where it comes from, its settings with their documentation."""
    from recon.fields import FIELDS  # noqa: PLC0415 - the other pages need no torch

    hidden = ", ".join(f'"!^{name}$"' for name in ("_.*", "build", "for_grid", "scaled", "paper", "purpose"))
    options, parts = f"    options: {{ heading_level: 3, show_bases: false, filters: [{hidden}] }}", []
    for name, config in FIELDS.items():
        kind = f"{type(config).__module__}.{type(config).__qualname__}"
        parts.append(f"## {name}\n\n*{config.purpose}* ({config.paper})\n\n::: {kind}\n{options}\n")
    return "\n".join(parts)


def scores() -> str:
    """Tables of scores with their definitions."""
    from recon.metrics.image import DEFINITIONS as IMAGE  # noqa: PLC0415
    from recon.metrics.signal import DEFINITIONS as SIGNAL  # noqa: PLC0415
    from recon.metrics.signal import SOUND_DEFINITIONS as SOUND  # noqa: PLC0415
    from recon.metrics.surface import DEFINITIONS as SURFACE  # noqa: PLC0415

    named = {"Shapes": SURFACE, "Views": IMAGE, "Pictures and films": SIGNAL, "Sounds": SOUND}
    parts = []
    for title, definitions in named.items():
        rows = "\n".join(f"| `{name}` | {_cell(meaning)} |" for name, meaning in definitions.items())
        parts.append(f"## {title}\n\n| score | meaning |\n|---|---|\n{rows}\n")
    return "\n".join(parts)


def presets() -> str:
    """The presets of shapes, scenes and signals with their steps for the default field."""
    from recon.tasks.nerf import settings as scene  # noqa: PLC0415
    from recon.tasks.shape import settings as shape  # noqa: PLC0415
    from recon.tasks.signal import settings as signal  # noqa: PLC0415

    rows = ["| task | preset | field by default | steps | points, rays or values a step |", "|---|---|---|---|---|"]
    for name in shape.PRESETS:
        found = shape.preset("sdf", name, field := shape.DEFAULT_FIELD["sdf"])
        rows.append(f"| `sdf` | `{name}` | `{field}` | {found.train.steps:,} | {found.train.batch:,} |")
    for name in scene.PRESETS:
        found = scene.preset(name, scene.DEFAULT_FIELD)
        rows.append(f"| `nerf` | `{name}` | `{scene.DEFAULT_FIELD}` | {found.train.steps:,} | {found.train.batch:,} |")
    for name in ("quick", "best"):  # the papers' are for their own fields
        found = signal.preset("image", name, field := signal.DEFAULT_FIELD["image"])
        rows.append(f"| `fit` | `{name}` | `{field}` | {found.train.steps:,} | {found.train.batch:,} |")
    return "\n".join(rows)


def example() -> str:
    """The README's example, which a test runs."""
    blocks = (ROOT / "README.md").read_text(encoding="utf-8").split("```python\n")[1:]
    (found,) = [block.split("```")[0] for block in blocks if "\nimport recon\n" in f"\n{block}"]
    return f"```python\n{found}```"


def _cell(text: str) -> str:
    """Text within a table, where bars and stars mean something."""
    for sign in ("|", "*", "^", "_"):
        text = text.replace(sign, f"\\{sign}")
    return text
