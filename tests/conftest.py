"""Fixtures shared by all tests. Must not import `recon` at the top: jaxtyping's import hook comes first."""
