"""Benchmarks of networks, kernels, training steps and extraction: figures as rows, ratios rather than seconds."""
