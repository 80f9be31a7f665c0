"""A whole page from its parts: the style and the script inline, and a policy under which a browser requests nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files as package_files

from recon.report.html import Html, tag, text

LARGEST = 10_000_000
"""Bytes of the largest page."""
CLOSED = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
"""Nothing runs but the page's own script, whatever else were to get into the page."""
WITH_VIEW = (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; font-src data: blob:; "
    "connect-src data: blob:; worker-src data: blob:; script-src 'unsafe-inline' 'unsafe-eval' data: blob:"
)
"""A frame inherits the policy of its page, and the 3-D view unpacks its program and its data in the browser. It has
workers, WebAssembly and functions made from text, but no address of any network either."""


def document(title: str, parts: Sequence[Html], *, view: bool = False) -> str:
    """The page; `view` where one of its parts is a 3-D view."""
    script = _packaged("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=WITH_VIEW if view else CLOSED.format(digest=digest)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", text(title, 200)),
        tag("style", _packaged("page.css")),
    )
    body = tag("body", tag("main", *parts), tag("script", script))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _packaged(name: str) -> Html:
    """A file of this package, which is trusted as it is."""
    return Html(package_files("recon.report").joinpath(name).read_text("utf-8"))
