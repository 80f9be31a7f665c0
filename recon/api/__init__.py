"""What `import recon` gives programs and notebooks: fitting, results to ask, and runs from their folders."""

from recon.api.load import load
from recon.api.picture import Picture
from recon.api.scene import SceneResult, fit_scene, scene_settings
from recon.api.shape import ShapeResult, fit_shape, shape_settings
from recon.api.signal import SignalResult, fit_signal, signal_settings
from recon.fields import FIELDS
from recon.geometry import Cameras
from recon.shapes.load import PointCloud

__all__ = [
    "FIELDS",
    "Cameras",
    "Picture",
    "PointCloud",
    "SceneResult",
    "ShapeResult",
    "SignalResult",
    "fit_scene",
    "fit_shape",
    "fit_signal",
    "load",
    "scene_settings",
    "shape_settings",
    "signal_settings",
]
