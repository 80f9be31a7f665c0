"""The web viewer: runs, meshes and scenes in a browser, served on loopback or saved as a page of their own."""
