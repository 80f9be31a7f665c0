"""What a report shows in 3-D, loaded when the report is written: viser takes a second."""

from __future__ import annotations

from collections.abc import Callable

from recon.runtime import Runtime
from recon.training.run import Run

GRID = 128
"""Grid points an axis of the surface: seconds, and a few megabytes."""


def view_of(run: Run, run_on: Runtime) -> Callable[[], str]:
    """What makes the page (`recon.viewer.page.static_page`) that a run's report holds."""

    def make() -> str:
        from recon.viewer.page import static_page  # noqa: PLC0415

        return static_page(run, run_on, finest=GRID)

    return make
