"""Many runs and networks seen together: benchmarks, comparisons, the papers' tables."""
