"""Grouped linear layers: many small weight matrices, each applied to its own rows."""
