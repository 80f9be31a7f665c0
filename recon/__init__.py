"""Neural rendering and 3D reconstruction with coordinate networks. Importing `recon` loads neither torch nor Open3D."""

__version__ = "0.1.0"
