"""Fragments of HTML, which only `text` and `tag` make: both escape, so that nothing read from a file can be markup."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import NewType

Html = NewType("Html", str)
"""Text that is safe to put into a page as it is."""

NOTHING = Html("")
VOID = ("br", "img", "meta")
"""Elements without an end tag; those of SVG are none, and would swallow what follows."""
LONGEST = 2000
"""Characters of one text; a page must stay small whatever its files say."""
MOST_ROWS = 500
"""Rows of one table."""


def text(value: object, longest: int = LONGEST) -> Html:
    """Any value as inert text, cut where it is too long."""
    words = str(value)
    if len(words) > longest:
        words = words[: longest - 1] + "…"
    return Html(html.escape(_writable(words)))


def tag(name: str, /, *children: Html, **attributes: object) -> Html:
    """An element. `class_` is written class, `stroke_width` stroke-width; attributes that are None are left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_writable(str(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{written}>" if name in VOID else f"<{name}{written}>{''.join(children)}</{name}>")


def join(parts: Iterable[Html], between: str = "") -> Html:
    """Fragments side by side, with plain text between them."""
    return Html(text(between).join(parts))


def section(title: str, *children: Html, **attributes: object) -> Html:
    """A part of the page with its heading; nothing at all where there is nothing to say."""
    return tag("section", tag("h2", text(title)), *children, **attributes) if any(children) else NOTHING


def table(
    rows: Sequence[Sequence[Html]], head: Sequence[str] = (), class_: str | None = None, sorted_by: int | None = None
) -> Html:
    """Rows of cells; the first cell of each names its row. Too many rows are cut, and the last one says so.

    With `sorted_by`, the column by which rows ascend, a reader can sort by any (by its `quantity`, or its text)."""
    if not rows:
        return NOTHING
    lines = [
        tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in rows[:MOST_ROWS]
    ]
    if left := len(rows) - len(lines):
        lines.append(tag("tr", tag("td", text(f"and {left:,} more"), colspan=len(rows[0]))))
    heads = [
        tag("th", text(name), scope="col", aria_sort="ascending" if column == sorted_by else None)
        for column, name in enumerate(head)
    ]
    top = tag("thead", tag("tr", *heads)) if head else NOTHING
    class_ = " ".join([*filter(None, [class_]), *(["sortable"] if sorted_by is not None else [])]) or None
    return tag("div", tag("table", top, tag("tbody", *lines), class_=class_), class_="scroll")


def quantity(value: float | int | None, shown: str) -> Html:
    """A number as people read it, and as tables sort by it; without one it comes last."""
    return tag("data", text(shown), value="" if value is None else repr(value))


def listing(lines: Sequence[Html], class_: str | None = None) -> Html:
    """Lines as a list; nothing where there are none."""
    return tag("ul", *(tag("li", line) for line in lines[:MOST_ROWS]), class_=class_) if lines else NOTHING


def details(summary: Html, *children: Html) -> Html:
    """Something that opens when it is asked for, without any script."""
    return tag("details", tag("summary", summary), *children)


def note(words: str) -> Html:
    """A quiet line, such as what is missing and why."""
    return tag("p", text(words), class_="note")


def _writable(words: str) -> str:
    """The same without halves of characters, which JSON can hold but UTF-8 can't."""
    return words.encode("utf-8", "replace").decode("utf-8")
