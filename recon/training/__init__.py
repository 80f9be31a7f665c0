"""The one training loop, its optimisers and its run folders; knows nothing of shapes, scenes or signals."""
