"""Following a run that trains: a look into its checkpoint folder now and then, and the page shows what is new."""

from __future__ import annotations

from recon.training import checkpoint
from recon.viewer.scene import SceneView
from recon.viewer.shape import ShapeView
from recon.viewer.worker import Stale

SECONDS = 2.0
"""Between looks."""


class Follower:
    """Brings the newest checkpoint of a run onto its page."""

    def __init__(self, page: ShapeView | SceneView) -> None:
        self.page = page
        self._seen = page.shown.name

    def poll(self) -> None:
        """One look. What is there is only listed; reading is the worker's."""
        name = checkpoint.newest(self.page.shown.run.checkpoints)
        if name is not None and name != self._seen:
            self._seen = name
            self.page.worker.ask("weights", self._advance)

    def _advance(self, stale: Stale) -> None:
        del stale
        try:
            self.page.shown.advance()
        except (OSError, ValueError) as error:
            # Training drops old checkpoints while they are read: the next look finds what took their place.
            self._seen = ""
            self.page.tell(f"the newest checkpoint could not be read and will be tried again: {error}")
            return
        self.page.refresh()
