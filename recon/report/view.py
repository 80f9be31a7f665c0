"""The 3-D view inside a page: another page in a sandboxed frame, which loads when the reader opens it."""

from __future__ import annotations

from recon.report.html import NOTHING, Html, note, section, tag, text

SHARE = 0.75
"""Of the page, at most, for the view; the rest is for tables and pictures."""


def fits(view: str, largest: int) -> bool:
    """Whether a page of so many bytes has room for it."""
    return len(embedded(view).encode("utf-8")) <= SHARE * largest


def embedded(view: str | None) -> Html:
    """The section; nothing without a view.

    The frame may run scripts, but has an origin of its own: it reads nothing of this page, and of no other."""
    if view is None:
        return NOTHING
    frame = tag("iframe", sandbox="allow-scripts", title="3-D view", data_page=view)
    about = note("Drag to turn, scroll to come closer. It takes a moment to load, and needs scripts and WebGL.")
    folded = tag("details", tag("summary", text("show what was learned in 3-D")), about, frame, class_="view")
    return section("3-D view", folded, class_="screen")
