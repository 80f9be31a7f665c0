"""What every live page has: a server, a worker, a head and a line that says what is going on; text is escaped here."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import viser

from recon.rendering.picture import categorical_colors
from recon.viewer.serving import choose_port, close_server, is_loopback, open_server
from recon.viewer.stage import Stage, plain_name
from recon.viewer.worker import Worker

_TEXT = "font-size:0.8rem;line-height:1.35;padding:0 0.5rem 0.3rem;overflow-wrap:anywhere"
SLIDING = 0.25
"""Seconds after the last move of a slider until work begins."""


class Panel:
    """A page that is being served. Callbacks only ask the worker: whatever takes time is done there."""

    def __init__(self, title: str, host: str, port: int | None) -> None:
        chosen = choose_port(host, port)
        self.server = open_server(host, chosen, plain_name(title))
        self.host, self.port = host, self.server.get_port()
        self.stage = Stage(self.server)
        self.errors: list[Exception] = []
        self.worker = Worker(self._failed)
        self._head = self.server.gui.add_html("")
        self._status = self.server.gui.add_html("", order=1e9)
        self.poll: Callable[[], None] = lambda: None
        """Called every few seconds: looks whether there is something new to show."""

    @property
    def address(self) -> str:
        """What a person types into a browser on this machine."""
        host = "127.0.0.1" if is_loopback(self.host) or self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def close(self) -> None:
        """End the page, the server and all threads."""
        self.worker.close()
        close_server(self.server)

    def head(self, lines: Sequence[str]) -> None:
        """What the page is about, above the controls."""
        self._head.content = text_block(lines)

    def tell(self, *lines: str) -> None:
        """What is going on, below the controls."""
        self._status.content = text_block(lines)

    def on(self, control: Any, action: Callable[[], None]) -> None:
        """Have `action` done when a person changes a control or presses a button."""

        async def changed(_: object) -> None:  # on the server's own thread: none is started for an event
            action()

        (control.on_click if isinstance(control, viser.GuiButtonHandle) else control.on_update)(changed)

    def _failed(self, error: Exception) -> None:
        self.errors.append(error)
        self.tell(f"that did not work: {error}")


def text_block(lines: Sequence[str]) -> str:
    """Lines of plain text as HTML."""
    return f'<div style="{_TEXT}">{"<br>".join(html.escape(line) for line in lines)}</div>'


def error_legend(limit: float, unit: str) -> str:
    """What the colours of signed errors mean."""
    ramp = "linear-gradient(90deg,#053061,#4393c3,#f7f7f7,#d6604d,#67001f)"
    ends = "".join(f"<span>{text}</span>" for text in (f"inside &minus;{limit:.3g}", "0", f"outside +{limit:.3g}"))
    return (
        f'<div style="{_TEXT}"><div style="height:0.6rem;background:{ramp}"></div>'
        f'<div style="display:flex;justify-content:space-between">{ends}</div>{html.escape(unit)}</div>'
    )


def expert_legend(shares: Sequence[float]) -> str:
    """What the colours of experts mean, and how much of the surface each serves."""
    colours = categorical_colors(np.arange(len(shares)), len(shares)).tolist()
    parts = [
        f'<span style="white-space:nowrap;margin-right:0.6rem"><span style="display:inline-block;width:0.7rem;'
        f'height:0.7rem;background:rgb{tuple(colour)}"></span> {index}: {share:.0%}</span>'
        for index, (colour, share) in enumerate(zip(colours, shares, strict=True))
    ]
    return f'<div style="{_TEXT}">{" ".join(parts)}<br>expert, and its share of the vertices</div>'
