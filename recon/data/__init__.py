"""Where data lies: named shapes, caches, and later the catalogue."""
