"""Fields against one another on the same data: same batches, sizes or time matched to a budget, scores over time."""
