"""A rendered picture: arrays of what each pixel sees, which a notebook shows as a picture."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from PIL import Image

from recon.tasks.nerf.fitted import Picture as Rendered


@dataclass(frozen=True, eq=False)
class Picture:
    """What one camera sees. Depths are distances along the rays, in units of the scene; 0 where nothing is."""

    rgb: Float[np.ndarray, "h w 3"]
    """Colours in [0, 1], on the background of the run."""
    opacity: Float[np.ndarray, "h w"]
    """How much of the background is hidden, in [0, 1]."""
    depth: Float[np.ndarray, "h w"]
    """Mean distance at which light is stopped."""
    median_depth: Float[np.ndarray, "h w"]
    """Where half of the light has been stopped; inf where that never happens."""
    normal: Float[np.ndarray, "h w 3"] | None
    """Directions away from the surface, in world space, fainter where less is seen; None where not asked for."""

    @classmethod
    def of(cls, rendered: Rendered) -> Picture:
        """From the tensors of a trained scene."""
        normal = None if rendered.normal is None else rendered.normal.cpu().numpy()
        rgb, opacity, depth, median = (
            part.cpu().numpy() for part in (rendered.rgb, rendered.opacity, rendered.depth, rendered.median_depth)
        )
        return cls(rgb, opacity, depth, median, normal)

    @property
    def image(self) -> Image.Image:
        """The colours as a picture of 8 bits: `.image.save("view.png")`."""
        return Image.fromarray((np.clip(self.rgb, 0, 1) * 255).round().astype(np.uint8))

    def __repr__(self) -> str:
        height, width = self.opacity.shape
        seen = f"{float((self.opacity > 0.5).mean()):.0%} of it opaque"
        return f"Picture({width}x{height}, {seen}{'' if self.normal is None else ', with normals'})"

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.image.save(file, "PNG")
        return file.getvalue()
