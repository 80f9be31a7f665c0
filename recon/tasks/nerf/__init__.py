"""Radiance fields: from a scene and settings to a run folder with weights, views, depth and scores; and back."""
